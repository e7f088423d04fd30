"""Signed numbers as coloured cells with the numbers in them."""

from collections.abc import Sequence
import math

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
import numpy as np

from prunebias_jax.report.drawing import SMALL, WIDTH, new_figure, plain
from prunebias_jax.report.palette import LIGHT, STEPS, step_of
from prunebias_jax.report.vocabulary import number

_CELL_HEIGHT = 15.5
_CHARACTER = 5.9  # width of one, more or less, in small print


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
  name_columns(axes, shown, (left, head - 5, cell), slanted=slanted)
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
  draw_key(axes, (left, height - 30, cell * len(columns)), limit, unit)
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


def name_columns(
  axes: Axes,
  names: Sequence[str],
  box: tuple[float, float, float],
  *,
  slanted: bool,
) -> None:
  """Names above columns from (left, bottom, width of one)."""
  left, bottom, width = box
  for column, name in enumerate(names):
    axes.text(
      left + width * (column + 0.5),
      bottom,
      name,
      ha="left" if slanted else "center",
      va="bottom",
      rotation=38 if slanted else 0,
      rotation_mode="anchor",
      fontsize=SMALL,
      color=LIGHT["muted"],
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


def draw_key(
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
