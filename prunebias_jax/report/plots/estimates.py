"""Estimates with intervals along some steps, from zero: an sd, say."""

from collections.abc import Sequence
import dataclasses

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
import numpy as np

from prunebias_jax.report.drawing import TEXT
from prunebias_jax.report.palette import LIGHT
from prunebias_jax.report.plots.frame import colour_of, marker_of, new_plot

_SPREAD = 0.6  # of the room between two steps that the lines share
# An interval reaches at most this many times above the largest estimate.
_REACH = 2.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Estimates:
  """One line: an estimate and its interval at some steps.

  Attributes:
    label: its name in the legend.
    place: int [point], the steps' places on the axis.
    value: float64 [point], not below 0; NaN where there is none.
    low: float64 [point] of the interval; NaN where there is none.
    high: float64 [point].
    doubtful: bool [point], intervals that may not cover: drawn hollow.
  """

  label: str
  place: np.ndarray
  value: np.ndarray
  low: np.ndarray
  high: np.ndarray
  doubtful: np.ndarray


def estimates(
  lines: Sequence[Estimates],
  steps: Sequence[str],
  title: str,
  *,
  along: str,
  top: float | None = None,
) -> Figure:
  """Points with intervals at equal steps; the vertical axis begins at 0.

  The first point of a line is repeated as a dotted line: what the others are
  to be held against. An interval that leaves the plot ends in an arrow.

  Args:
    lines: what is drawn.
    steps: names of all steps, in order.
    title: what is drawn, with its unit.
    along: what the steps are.
    top: end of the vertical axis, from `top_of`; of these lines unless given.
  """
  figure, axes = new_plot(
    title, labels=[one.label for one in lines], along=along
  )
  top = top_of(lines) if top is None else top
  axes.set_ylim(0, top)
  for index, one in enumerate(lines):
    shift = (index - (len(lines) - 1) / 2) * _SPREAD / len(lines)
    _draw_line(axes, one, index, shift, top)
  axes.set_xlim(-0.5, len(steps) - 0.5)
  axes.set_xticks(
    range(len(steps)), steps, fontsize=8.5 if len(steps) > 8 else TEXT
  )
  axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
  return figure


def top_of(lines: Sequence[Estimates]) -> float:
  """The end of an axis that shows every estimate, and intervals up to a limit.

  The interval of an sd over two or three seeds is so long that nothing else
  could be told apart.
  """
  if not lines:
    return 1.0
  largest = max(float(np.nanmax(one.value)) for one in lines)
  ends = np.concatenate([one.high for one in lines])
  ends = np.clip(ends[np.isfinite(ends)], 0, _REACH * largest)
  return 1.08 * max(largest, *ends.tolist(), 1e-9)


def _draw_line(
  axes: Axes, line: Estimates, index: int, shift: float, top: float
) -> None:
  colour = colour_of(index)
  at = line.place + shift
  axes.hlines(
    line.value[:1],
    at[:1],
    at[-1:] + 0.3,
    color=colour,
    lw=1.0,
    linestyles=(0, (1, 2)),
  )
  axes.plot(at, line.value, color=colour, lw=0.9, alpha=0.45)
  axes.vlines(at, line.low, np.minimum(line.high, top), color=colour, lw=1.5)
  for hollow in (False, True):
    of_kind = line.doubtful == hollow
    axes.plot(
      at[of_kind],
      line.value[of_kind],
      linestyle="",
      marker=marker_of(index),
      markersize=5,
      color=colour,
      markerfacecolor=LIGHT["page"] if hollow else colour,
      markeredgewidth=1.2 if hollow else 0,
      clip_on=False,
      zorder=3,
    )
  beyond = line.high > top
  axes.plot(
    at[beyond],
    np.full(np.count_nonzero(beyond), top),
    linestyle="",
    marker="^",
    markersize=5,
    color=colour,
    clip_on=False,
  )
