"""Verdicts: how many there are of each kind, and which one everything has."""

from collections.abc import Iterator, Sequence
import dataclasses

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch, Rectangle
from matplotlib.path import Path
import numpy as np

from prunebias_jax.report.drawing import SMALL, WIDTH, new_figure, plain
from prunebias_jax.report.palette import LIGHT
from prunebias_jax.report.plots.heat_map import name_columns

_ROW = 15.0
_HEADING = 17.0
_TOP = 42.0  # the title and the key
_CHARACTER = 5.3
_LEAST = 44.0  # the width of a column of marks
_SIZE = 7.4  # of a mark
# Lines through points; the sides of a mark are at -1 and 1.
_SHAPES: dict[str, tuple[tuple[tuple[float, float], ...], ...]] = {
  "square": (((-1, -1), (1, -1), (1, 1), (-1, 1), (-1, -1)),),
  "open": (((-0.8, 0), (0, -0.8), (0.8, 0), (0, 0.8), (-0.8, 0)),),
  "cross": (((-0.85, -0.85), (0.85, 0.85)), ((-0.85, 0.85), (0.85, -0.85))),
  "dash": (((-0.6, 0), (0.6, 0)),),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Verdict:
  """A kind of verdict and how it looks.

  Attributes:
    name: in the key.
    colour: of its mark, and of the edge of its bars.
    fill: of its bars.
    text: of a number on a bar.
    mark: "square", "cross", "open" or "dash".
  """

  name: str
  colour: str
  fill: str
  text: str
  mark: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Block:
  """Bars under one heading.

  Attributes:
    title: the heading.
    rows: names of the bars.
    counts: int [row, verdict].
  """

  title: str
  rows: tuple[str, ...]
  counts: np.ndarray


def verdict_bars(
  blocks: Sequence[Block], verdicts: Sequence[Verdict], title: str
) -> Figure:
  """Bars of equal length, divided by verdict, with the counts in them.

  Args:
    blocks: the bars.
    verdicts: their parts, from the left.
    title: stands above.
  """
  longest = max(len(name) for block in blocks for name in block.rows)
  left = 10 + _CHARACTER * longest
  height = _TOP + sum(_HEADING + _ROW * len(one.rows) + 5 for one in blocks)
  figure, axes = _canvas(title, WIDTH, height)
  for x, one in _key(axes, verdicts):
    axes.add_patch(_bar(one, (x - 5, 24.5, 10, 11)))
  top = _TOP
  for block in blocks:
    axes.text(2, top + 10, plain(block.title, 50), fontsize=SMALL, va="center")
    top += _HEADING
    for name, counts in zip(block.rows, block.counts, strict=True):
      middle = top + _ROW / 2
      axes.text(
        left - 5,
        middle,
        name,
        ha="right",
        va="center",
        fontsize=SMALL,
        color=LIGHT["muted"],
      )
      _draw_bar(axes, counts, verdicts, (left, top, WIDTH - left - 4))
      top += _ROW
    top += 5
  return figure


def verdict_map(
  places: np.ndarray,
  rows: Sequence[str],
  columns: Sequence[str],
  verdicts: Sequence[Verdict],
  title: str,
  *,
  levels: Sequence[str],
  stars: np.ndarray,
) -> Figure:
  """A mark for each level in every cell.

  Args:
    places: int [row, column, level], places in `verdicts`.
    rows: names of the rows.
    columns: names of the columns.
    verdicts: the kinds.
    title: stands above.
    levels: names of the marks of a cell, from the left.
    stars: bool [row, column], which cells have an asterisk.
  """
  names = [plain(name, 22) for name in rows]
  shown = [plain(name, 18) for name in columns]
  left = 10 + 5.6 * max(map(len, names))
  longest = _CHARACTER * max(map(len, shown))
  least = max(_LEAST, (_SIZE + 2.5) * len(levels) + 6)
  cell = max((WIDTH - left - 4) / len(columns), least)
  slanted = longest > cell - 2
  right = max(4.0, (longest * 0.8 - cell / 2) * slanted)
  cell = max((WIDTH - left - right) / len(columns), least)
  width = left + cell * len(columns) + right
  head = _TOP + (longest * 0.62 + 8 if slanted else 14)
  height = head + _ROW * len(rows) + 22
  figure, axes = _canvas(title, width, height)
  for x, one in _key(axes, verdicts):
    _draw_marks(axes, one, [(x, 30.0)])
  name_columns(axes, shown, (left, head - 4, cell), slanted=slanted)
  for row, name in enumerate(names):
    y = head + _ROW * (row + 0.5)
    axes.text(left - 5, y, name, ha="right", va="center", fontsize=SMALL)
    if row % 2 == 0:
      axes.add_patch(
        Rectangle(
          (left, y - _ROW / 2),
          cell * len(columns),
          _ROW,
          facecolor=LIGHT["missing"],
          linewidth=0,
        )
      )
  step = min((cell - 8) / len(levels), 16.0)
  first = (cell - step * (len(levels) - 1)) / 2
  found: dict[int, list[tuple[float, float]]] = {}
  for (row, column, level), place in np.ndenumerate(places):
    x = left + cell * column + first + step * level
    found.setdefault(int(place), []).append((x, head + _ROW * (row + 0.5)))
  for row, column in np.argwhere(stars).tolist():
    axes.text(
      left + cell * column + first + step * (len(levels) - 1) + 6,
      head + _ROW * (row + 0.5),
      "*",
      va="center",
      fontsize=SMALL,
      color=LIGHT["muted"],
    )
  for place, centres in sorted(found.items()):
    _draw_marks(axes, verdicts[place], centres)
  axes.text(
    2,
    height - 9,
    plain(f"marks from the left: {', '.join(levels)}", 64),
    fontsize=SMALL,
    va="center",
    color=LIGHT["muted"],
  )
  return figure


def _canvas(title: str, width: float, height: float) -> tuple[Figure, Axes]:
  """Axes in points from the upper left, with the title."""
  figure = new_figure(height, width)
  axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
  axes.set_axis_off()
  axes.set_xlim(0, width)
  axes.set_ylim(height, 0)
  axes.text(2, 12, plain(title, 52), weight="bold", va="center")
  return figure, axes


def _key(
  axes: Axes, verdicts: Sequence[Verdict]
) -> Iterator[tuple[float, Verdict]]:
  """Writes the names of the verdicts, and gives the places of their marks."""
  x = 8.0
  for one in verdicts:
    axes.text(x + 9, 30, one.name, fontsize=SMALL, va="center")
    yield x, one
    x += 26 + _CHARACTER * len(one.name)


def _bar(verdict: Verdict, box: tuple[float, float, float, float]) -> Rectangle:
  """A part of a bar at (left, top, width, height)."""
  left, top, width, height = box
  return Rectangle(
    (left + 0.5, top + 0.5),
    max(width - 1.3, 0.4),
    height - 1,
    facecolor=verdict.fill,
    edgecolor=verdict.colour,
    linewidth=0.7,
  )


def _draw_bar(
  axes: Axes,
  counts: np.ndarray,
  verdicts: Sequence[Verdict],
  box: tuple[float, float, float],
) -> None:
  """A divided bar at (left, top, width)."""
  left, top, width = box
  total = int(counts.sum())
  for verdict, count in zip(verdicts, counts.tolist(), strict=True):
    if not count:
      continue
    part = width * count / total
    axes.add_patch(_bar(verdict, (left, top + 0.5, part, _ROW - 1)))
    # A number that does not fit is in the data.
    if part > 3 + 5.8 * len(str(count)):
      axes.text(
        left + part / 2 - 0.4,
        top + _ROW / 2,
        str(count),
        ha="center",
        va="center_baseline",
        fontsize=9,
        color=verdict.text,
      )
    left += part


def _draw_marks(
  axes: Axes, verdict: Verdict, centres: Sequence[tuple[float, float]]
) -> None:
  """The marks of one verdict: a single path."""
  half = _SIZE / 2
  lines = [
    Path([(x + half * dx, y + half * dy) for dx, dy in line])
    for x, y in centres
    for line in _SHAPES[verdict.mark]
  ]
  patch = PathPatch(Path.make_compound_path(*lines))
  filled = verdict.mark == "square"
  patch.set_facecolor(verdict.colour if filled else "none")
  patch.set_edgecolor("none" if filled else verdict.colour)
  patch.set_linewidth({"cross": 2.0}.get(verdict.mark, 1.1))
  axes.add_patch(patch)
