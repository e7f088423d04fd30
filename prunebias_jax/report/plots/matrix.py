"""A square of signed numbers: many small cells, few with their numbers."""

from collections.abc import Sequence
import math

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path
import numpy as np

from prunebias_jax.report.drawing import SMALL, WIDTH, new_figure, plain
from prunebias_jax.report.palette import LIGHT, step_of
from prunebias_jax.report.plots.heat_map import draw_key
from prunebias_jax.report.vocabulary import number

NUMBERED = 12  # names: with more of them the cells have no room for numbers
_LARGEST = 34.0
_FULL, _SMALL, _HOLE = 0.94, 0.5, 0.82  # of a cell's side
_LETTER = 0.58  # width of one, of its size


def matrix(
  values: np.ndarray,
  names: Sequence[str],
  title: str,
  *,
  limit: float,
  unit: str,
  partial: np.ndarray | None = None,
) -> Figure:
  """A square of signed numbers; with the numbers where there are few names.

  Args:
    values: float64 [row, column]; NaN is a slash, on the diagonal empty.
    names: of the rows and of the columns.
    title: stands above.
    limit: the colours end at plus and minus this.
    unit: of the values.
    partial: bool [row, column], cells that rest on less than the others: a
      small square, or a frame where there are numbers.
  """
  shown = [plain(name, 20) for name in names]
  size = min(SMALL, 245 / len(shown))
  longest = _LETTER * size * max(map(len, shown))
  left = 8 + longest
  cell = min((WIDTH - left - 6) / len(shown), _LARGEST)
  head, side = 24, cell * len(shown)
  height = head + side + longest + 42
  figure = new_figure(height)
  axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
  axes.set_axis_off()
  axes.set_xlim(0, WIDTH)
  axes.set_ylim(height, 0)
  axes.text(2, 12, title, weight="bold", va="center")
  if partial is None:
    partial = np.zeros(values.shape, bool)
  box = (left, head, cell)
  _draw_squares(axes, values, partial, box, limit)
  if len(names) <= NUMBERED:
    _write_numbers(axes, values, partial, box, limit)
  _write_names(axes, shown, box, size)
  draw_key(axes, (left, height - 30, max(side, 150.0)), limit, unit)
  return figure


def _draw_squares(
  axes: Axes,
  values: np.ndarray,
  partial: np.ndarray,
  box: tuple[float, float, float],
  limit: float,
) -> None:
  """Square cells from (left, top, side of one): a single path a colour."""
  left, top, side = box
  numbered = len(values) <= NUMBERED
  found: dict[str, list[Path]] = {}
  for (row, column), value in np.ndenumerate(values):
    middle = (left + side * (column + 0.5), top + side * (row + 0.5))
    if not math.isfinite(value):
      kind = "missing" if row == column else "muted"
      shape = _square if row == column else _slash
      found.setdefault(kind, []).append(shape(middle, side * _FULL))
      continue
    less = bool(partial[row, column])
    size = side * (_SMALL if less and not numbered else _FULL)
    squares = found.setdefault(f"scale-{step_of(value, limit)}", [])
    squares.append(_square(middle, size))
    if less and numbered:
      # Drawn the other way round, it is a hole.
      squares.append(_square(middle, side * _HOLE, -1))
  for colour, shapes in sorted(found.items()):
    patch = PathPatch(Path.make_compound_path(*shapes), linewidth=0)
    patch.set_facecolor(LIGHT[colour])
    if colour == "muted":
      patch.set(fill=False, edgecolor=LIGHT[colour], linewidth=0.5, alpha=0.7)
    axes.add_patch(patch)


def _slash(middle: tuple[float, float], size: float) -> Path:
  """A short stroke: there is no number."""
  x, y, half = *middle, size / 4
  return Path([(x - half, y + half), (x + half, y - half)])


def _square(middle: tuple[float, float], size: float, turn: int = 1) -> Path:
  x, y, half = *middle, size / 2
  corners = [(-half, -half), (half, -half), (half, half), (-half, half)][::turn]
  # A hundredth of a point is enough, and keeps the page small.
  points = [
    (round(x + across, 2), round(y + down, 2)) for across, down in corners
  ]
  return Path([*points, points[0]], closed=True)


def _write_numbers(
  axes: Axes,
  values: np.ndarray,
  partial: np.ndarray,
  box: tuple[float, float, float],
  limit: float,
) -> None:
  """The numbers in the cells; in frames in the page's ink."""
  left, top, side = box
  for (row, column), value in np.ndenumerate(values):
    if not math.isfinite(value):
      continue
    colour = "ink" if partial[row, column] else f"on-{step_of(value, limit)}"
    axes.text(
      left + side * (column + 0.5),
      top + side * (row + 0.5),
      number(value, 2).replace("0.", ".", 1),
      ha="center",
      va="center_baseline",
      fontsize=min(8.5, side * 0.38),
      color=LIGHT[colour],
    )


def _write_names(
  axes: Axes,
  names: Sequence[str],
  box: tuple[float, float, float],
  size: float,
) -> None:
  """The names at the left of the rows and below the columns."""
  left, top, side = box
  bottom = top + side * len(names)
  for place, name in enumerate(names):
    middle = side * (place + 0.5)
    for x, y, across, down, turned in (
      (left - 3, top + middle, "right", "center", 0),
      (left + middle, bottom + 3, "center", "top", 90),
    ):
      axes.text(
        x,
        y,
        name,
        ha=across,
        va=down,
        rotation=turned,
        fontsize=size,
        color=LIGHT["muted"],
      )
