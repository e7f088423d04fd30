"""What all plots with axes share: their room, title, colours and legend."""

from collections.abc import Sequence
import math

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from prunebias_jax.report.drawing import SMALL, TEXT, WIDTH, new_figure, plain
from prunebias_jax.report.palette import LIGHT, SERIES

HEIGHT = 236
MARKERS = ("o", "s", "D", "^", "v", "P")
RIGHT = 8
_LEFT, _BOTTOM, _TOP = 50, 38, 24
_LEGEND_ROW = 15
_LONGEST_TITLE = 70


def new_plot(
  title: str,
  *,
  labels: Sequence[str],
  along: str,
  height: float = HEIGHT,
  left: float = _LEFT,
  right: float = RIGHT,
  bottom: float = _BOTTOM,
) -> tuple[Figure, Axes]:
  """An empty plot: its title above, then a legend, axes, and their name.

  Args:
    title: what is drawn, with its unit.
    labels: of the legend, in the order of `colour_of`; no legend for one.
    along: what the horizontal axis shows.
    height: of all of it but the legend, in points.
    left: room for the vertical axis's names, in points.
    right: room to the right of the axes, in points.
    bottom: room for the horizontal axis's names, in points; what is beyond the
      usual adds to the height.
  """
  rows = legend_rows(labels)
  height += rows * _LEGEND_ROW + bottom - _BOTTOM
  top = _TOP + rows * _LEGEND_ROW
  figure = new_figure(height)
  axes = figure.add_axes(
    (
      left / WIDTH,
      bottom / height,
      (WIDTH - left - right) / WIDTH,
      (height - bottom - top) / height,
    )
  )
  axes.grid(axis="y")
  axes.tick_params(length=0)
  axes.set_xlabel(along, labelpad=3)
  heading = plain(title, _LONGEST_TITLE)
  figure.text(4 / WIDTH, 1 - 13 / height, heading, weight="bold", fontsize=TEXT)
  if rows:
    _legend(figure, labels, height)
  return figure, axes


def colour_of(index: int) -> str:
  """The colour of a line."""
  return LIGHT[f"series-{index % SERIES}"]


def marker_of(index: int) -> str:
  """The marker of a line: colour alone is not for everyone."""
  return MARKERS[index % len(MARKERS)]


def legend_rows(labels: Sequence[str]) -> int:
  """How many rows a legend takes, two names in each."""
  return math.ceil(len(labels) / 2) if len(labels) > 1 else 0


def _legend(figure: Figure, labels: Sequence[str], height: float) -> None:
  handles = [
    Line2D(
      [],
      [],
      color=colour_of(index),
      marker=marker_of(index),
      markersize=5,
      lw=0,
      label=plain(label, 26),
    )
    for index, label in enumerate(labels)
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
