"""Means of several kinds at some levels, side by side."""

from collections.abc import Sequence
import dataclasses

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
import numpy as np

from prunebias_jax.report.drawing import SMALL, TEXT
from prunebias_jax.report.palette import LIGHT
from prunebias_jax.report.plots.frame import colour_of, marker_of, new_plot

_SPREAD = 0.66  # of the room between two levels


@dataclasses.dataclass(frozen=True, kw_only=True)
class Means:
  """One kind of mean at every level.

  Attributes:
    label: its name in the legend.
    value: float64 [level]; NaN where there is none.
    low: float64 [level] of an interval; NaN where there is none.
    high: float64 [level].
  """

  label: str
  value: np.ndarray
  low: np.ndarray
  high: np.ndarray


def along_levels(
  kinds: Sequence[Means],
  levels: Sequence[str],
  title: str,
  *,
  along: str,
  joined: bool,
  based: bool = False,
  reference: float | None = None,
) -> Figure:
  """Means of several kinds beside each other at every level.

  Args:
    kinds: what is drawn, in the order of the colours.
    levels: names of the levels; a second line is written small.
    title: what is drawn, with its unit.
    along: what the levels are.
    joined: whether the levels can be compared: lines join them.
    based: whether a dashed line goes from each mean of the first kind across
      the others of its level.
    reference: a value to mark.
  """
  lines = max(one.count("\n") for one in levels)
  figure, axes = new_plot(
    title,
    labels=[one.label for one in kinds],
    along=along,
    bottom=38 + 12 * lines,
  )
  if reference is not None:
    axes.axhline(reference, color=LIGHT["muted"], lw=0.9, dashes=(3, 2))
  places = np.arange(len(levels))
  room = _SPREAD / max(len(kinds), 2)
  if based:
    half = _SPREAD / 2
    axes.hlines(
      kinds[0].value,
      places - half,
      places + half,
      color=LIGHT["muted"],
      lw=0.8,
      linestyle=(0, (3, 2)),
    )
  for index, one in enumerate(kinds):
    at = places + room * (index - (len(kinds) - 1) / 2)
    colour = colour_of(index)
    if joined:
      axes.plot(at, one.value, color=colour, lw=0.9, alpha=0.5)
    axes.vlines(at, one.low, one.high, color=colour, lw=1.4)
    axes.plot(
      at,
      one.value,
      linestyle="",
      marker=marker_of(index),
      markersize=4.6,
      markeredgewidth=0,
      color=colour,
    )
  axes.set_xlim(-0.5, len(levels) - 0.5)
  small = lines or len(levels) > 6
  axes.set_xticks(places, levels, fontsize=SMALL if small else TEXT)
  axes.yaxis.set_major_locator(
    MaxNLocator(5, steps=[1, 2, 2.5, 5, 10], min_n_ticks=3)
  )
  return figure
