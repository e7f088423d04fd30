"""The two kinds of drawing: numbers along some steps, and a heat map."""

from collections.abc import Sequence
import dataclasses
import math

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
import numpy as np

from prunebias_jax.report.drawing import SMALL, TEXT, WIDTH, new_figure, plain
from prunebias_jax.report.palette import LIGHT, SERIES, STEPS, step_of
from prunebias_jax.report.vocabulary import number

HEIGHT = 236
MARKERS = ("o", "s", "D", "^", "v", "P")
_LEFT, _RIGHT, _BOTTOM, _TOP = 50, 8, 38, 24
_LEGEND_ROW = 15
_SPREAD = 0.62  # of the room between two sparsities that the dots take
_CELL_HEIGHT = 15.5
_CHARACTER = 5.9  # width of one, more or less, in small print


@dataclasses.dataclass(frozen=True, kw_only=True)
class Series:
  """One line of a plot: every seed and the mean at some steps.

  Attributes:
    label: its name in the legend.
    place: int [point], the steps' places on the axis.
    seeds: float64 [seed, point]; NaN where a seed has no value.
    mean: float64 [point].
    low: float64 [point], of the interval; NaN where there is none.
    high: float64 [point].
    joined: whether a row of `seeds` is one thing throughout, and a faint line
      says so.
  """

  label: str
  place: np.ndarray
  seeds: np.ndarray
  mean: np.ndarray
  low: np.ndarray
  high: np.ndarray
  joined: bool = True


def along_steps(
  series: Sequence[Series],
  steps: Sequence[str],
  axis: str,
  *,
  along: str,
  span: tuple[float, float],
  reference: float | None = None,
) -> Figure:
  """Every seed as a dot, joined faintly, and each mean with its interval.

  The steps stand equally far apart: sparsities of .8, .95 and .99 would
  coincide on a scale of their own.

  Args:
    series: the lines.
    steps: names of all of them, in order.
    axis: what is drawn, with its unit.
    along: what the steps are.
    span: the ends of the vertical axis, from `span_of`.
    reference: a value to mark, such as 0 or 1.
  """
  rows = math.ceil(len(series) / 2) if len(series) > 1 else 0
  height = HEIGHT + rows * _LEGEND_ROW
  figure = new_figure(height)
  axes = _axes(figure, height, top=_TOP + rows * _LEGEND_ROW)
  if reference is not None:
    axes.axhline(reference, color=LIGHT["muted"], lw=0.9, dashes=(3, 2))
  axes.set_ylim(*span)
  for index, one in enumerate(series):
    _draw_series(axes, one, index, len(series))
  axes.grid(axis="y")
  axes.tick_params(length=0)
  axes.set_xlim(-0.5, len(steps) - 0.5)
  axes.set_xticks(
    range(len(steps)), steps, fontsize=8.5 if len(steps) > 8 else TEXT
  )
  axes.set_xlabel(along, labelpad=3)
  axes.yaxis.set_major_locator(
    MaxNLocator(5, steps=[1, 2, 2.5, 5, 10], min_n_ticks=3)
  )
  figure.text(4 / WIDTH, 1 - 13 / height, axis, weight="bold", fontsize=TEXT)
  if rows:
    _legend(figure, series, height)
  return figure


def span_of(
  series: Sequence[Series], reference: float | None = None
) -> tuple[float, float]:
  """The ends of an axis that shows every seed of some lines.

  Two or three seeds can have an interval so long that nothing else could be
  told apart: it does not stretch the axis beyond the seeds' own range at
  either end, and `along_steps` draws an arrow where it leaves.
  """
  seeds = np.concatenate([one.seeds.ravel() for one in series])
  low, high = np.nanmin(seeds), np.nanmax(seeds)
  room = high - low
  ends = np.concatenate([np.append(one.low, one.high) for one in series])
  ends = np.clip(ends[np.isfinite(ends)], low - room, high + room)
  marks = [] if reference is None else [reference]
  shown = np.concatenate([[low, high], ends, marks])
  low, high = float(shown.min()), float(shown.max())
  # Numbers that hardly differ are not blown up to the height of the plot.
  middle = (low + high) / 2
  half = max((high - low) * 0.56, 1e-3 * abs(middle), 5e-4)
  return middle - half, middle + half


def heat_map(
  values: np.ndarray,
  rows: Sequence[str],
  columns: Sequence[str],
  title: str,
  *,
  limit: float,
  marks: np.ndarray,
  unit: str,
) -> Figure:
  """Signed numbers as coloured cells with the numbers in them.

  Args:
    values: float64 [row, column], in `unit`; NaN is drawn empty.
    rows: names of the rows.
    columns: names of the columns.
    title: stands above.
    limit: the colours end at plus and minus this.
    marks: text [row, column], written behind the numbers.
    unit: of the values.
  """
  names = [plain(name, 22) for name in rows]
  shown = [plain(name, 18) for name in columns]
  left = 10 + 5.6 * max(map(len, names))
  longest = _CHARACTER * max(map(len, shown))
  cell = (WIDTH - left - 4) / len(columns)
  slanted = longest > cell - 2
  # The last slanted name leans out to the right.
  right = max(4.0, (longest * 0.75 - 20) * slanted)
  cell = max((WIDTH - left - right) / len(columns), 38.0)
  width = left + cell * len(columns) + right
  head = 26 + (longest * 0.62 + 10 if slanted else 16)
  height = head + _CELL_HEIGHT * len(rows) + 40
  figure = new_figure(height, width)
  axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
  axes.set_axis_off()
  axes.set_xlim(0, width)
  axes.set_ylim(height, 0)
  axes.text(2, 12, title, weight="bold", va="center")
  for column, name in enumerate(shown):
    x = left + cell * (column + 0.5)
    axes.text(
      x,
      head - 5,
      name,
      ha="left" if slanted else "center",
      va="bottom",
      rotation=38 if slanted else 0,
      rotation_mode="anchor",
      fontsize=SMALL,
      color=LIGHT["muted"],
    )
  for row, name in enumerate(names):
    y = head + _CELL_HEIGHT * (row + 0.5)
    axes.text(left - 5, y, name, ha="right", va="center", fontsize=SMALL)
    for column in range(len(columns)):
      _draw_cell(
        axes,
        (left + cell * column, y - _CELL_HEIGHT / 2, cell),
        float(values[row, column]),
        limit,
        str(marks[row, column]),
      )
  _draw_key(axes, (left, height - 30, cell * len(columns)), limit, unit)
  return figure


def nice_limit(values: np.ndarray) -> float:
  """A round number near the top of |values|, where the colours may end."""
  found = np.sort(np.abs(values[np.isfinite(values)]))
  if not found.size or found[-1] == 0:
    return 1.0
  # Single extremes would leave every other cell pale.
  top = found[min(len(found) - 1, math.ceil(0.97 * len(found)))]
  top = top or found[-1]
  power = 10.0 ** math.floor(math.log10(top))
  return next(k * power for k in (1, 1.5, 2, 3, 5, 7.5, 10) if k * power >= top)


def _axes(figure: Figure, height: float, *, top: float) -> Axes:
  return figure.add_axes(
    (
      _LEFT / WIDTH,
      _BOTTOM / height,
      (WIDTH - _LEFT - _RIGHT) / WIDTH,
      (height - _BOTTOM - top) / height,
    )
  )


def _draw_series(axes: Axes, series: Series, index: int, count: int) -> None:
  """Draws one line; several share the room at each sparsity."""
  colour = LIGHT[f"series-{index % SERIES}"]
  marker = MARKERS[index % len(MARKERS)]
  room = _SPREAD / count
  centre = (index - (count - 1) / 2) * (_SPREAD + 0.1) / count
  seeds = len(series.seeds)
  shift = np.zeros(seeds)
  if seeds > 1:
    # Dots to the left, the interval to the right: neither hides the other.
    shift = np.linspace(-room / 2, room / 4, seeds)
  size = 4.2 if seeds * count <= 8 else 3.2 if seeds * count <= 24 else 2.4
  for values, by in zip(series.seeds, shift, strict=True):
    if series.joined:
      axes.plot(
        series.place + centre + by,
        values,
        color=colour,
        lw=0.8,
        alpha=0.38,
      )
    axes.plot(
      series.place + centre + by,
      values,
      linestyle="",
      marker=marker,
      markersize=size,
      markerfacecolor=colour,
      markeredgewidth=0,
      alpha=0.8,
    )
  if seeds < 2:
    return
  at = series.place + centre + room / 2
  half = min(0.08, room / 5)
  axes.hlines(series.mean, at - half, at + half, color=colour, lw=2.4)
  axes.vlines(at, series.low, series.high, color=colour, lw=1.6)
  bottom, top = axes.get_ylim()
  for ends, edge, arrow in (
    (series.low < bottom, bottom, "v"),
    (series.high > top, top, "^"),
  ):
    axes.plot(
      at[ends],
      np.full(np.count_nonzero(ends), edge),
      linestyle="",
      marker=arrow,
      markersize=5,
      color=colour,
      clip_on=False,
    )


def _legend(figure: Figure, series: Sequence[Series], height: float) -> None:
  handles = [
    Line2D(
      [],
      [],
      color=LIGHT[f"series-{index % SERIES}"],
      marker=MARKERS[index % len(MARKERS)],
      markersize=5,
      lw=0,
      label=plain(one.label, 26),
    )
    for index, one in enumerate(series)
  ]
  figure.legend(
    handles=handles,
    loc="upper left",
    bbox_to_anchor=(0, 1 - 18 / height),
    ncols=2,
    frameon=False,
    fontsize=SMALL,
    borderpad=0,
    borderaxespad=0,
    handletextpad=0.1,
    columnspacing=1.2,
    labelspacing=0.35,
  )


def _draw_cell(
  axes: Axes,
  box: tuple[float, float, float],
  value: float,
  limit: float,
  mark: str,
) -> None:
  """A cell at (left, top, width)."""
  left, top, width = box
  known = math.isfinite(value)
  step = step_of(value, limit) if known else 0
  axes.add_patch(
    Rectangle(
      (left + 0.6, top + 0.6),
      width - 1.2,
      _CELL_HEIGHT - 1.2,
      facecolor=LIGHT[f"scale-{step}" if known else "missing"],
      linewidth=0,
    )
  )
  axes.text(
    left + width / 2,
    top + _CELL_HEIGHT / 2,
    number(value, 1, sign=True) + mark if known else "–",
    ha="center",
    va="center_baseline",
    fontsize=9,
    color=LIGHT[f"on-{step}" if known else "muted"],
  )


def _draw_key(
  axes: Axes, box: tuple[float, float, float], limit: float, unit: str
) -> None:
  """The colours' key at (left, top, width)."""
  left, top, width = box
  step = width / STEPS
  for place in range(STEPS):
    axes.add_patch(
      Rectangle(
        (left + step * place, top),
        step,
        8,
        facecolor=LIGHT[f"scale-{place}"],
        linewidth=0,
      )
    )
  decimals = 0 if limit >= 10 else 1 if limit >= 1 else 2
  for x, value, align in (
    (left, -limit, "left"),
    (left + width / 2, 0.0, "center"),
    (left + width, limit, "right"),
  ):
    text = number(value, decimals, sign=bool(value))
    axes.text(
      x,
      top + 17,
      f"{text} {unit}" if value > 0 else text,
      ha=align,
      va="center",
      fontsize=SMALL,
      color=LIGHT["muted"],
    )
