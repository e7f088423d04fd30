"""Curves over a numeric axis: lines with markers and bands."""

from collections.abc import Sequence
import dataclasses

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator
import numpy as np

from prunebias_jax.report.palette import LIGHT
from prunebias_jax.report.plots.frame import colour_of, marker_of, new_plot


@dataclasses.dataclass(frozen=True, kw_only=True)
class Curve:
  """One line over a numeric axis.

  Attributes:
    label: its name in the legend.
    x: float64 [point], ascending.
    y: float64 [point]; NaN leaves a gap.
    low: float64 [point] of a band; none where there is no band.
    high: float64 [point].
    dashed: drawn as a reference.
  """

  label: str
  x: np.ndarray
  y: np.ndarray
  low: np.ndarray | None = None
  high: np.ndarray | None = None
  dashed: bool = False


def curves(
  lines: Sequence[Curve],
  title: str,
  *,
  along: str,
  log_x: bool = False,
  log_y: bool = False,
  reference: float | None = None,
  ticks: Sequence[float] | None = None,
  here: float | None = None,
) -> Figure:
  """Lines over a numeric axis, linear or logarithmic.

  Args:
    lines: what is drawn, in the order of the colours.
    title: what is drawn, with its unit.
    along: what the horizontal axis shows, with its unit.
    log_x: whether that is logarithmic.
    log_y: whether the vertical axis is.
    reference: a value of the vertical axis to mark.
    ticks: places on the horizontal axis to name.
    here: a value of the horizontal axis to mark.
  """
  figure, axes = new_plot(
    title, labels=[one.label for one in lines], along=along
  )
  if reference is not None:
    axes.axhline(reference, color=LIGHT["muted"], lw=0.9, dashes=(3, 2))
  if here is not None:
    axes.axvline(here, color=LIGHT["ink"], lw=1.1)
  for index, one in enumerate(lines):
    colour = colour_of(index)
    if one.low is not None and one.high is not None:
      axes.fill_between(
        one.x, one.low, one.high, color=colour, alpha=0.16, linewidth=0
      )
    axes.plot(
      one.x,
      one.y,
      color=colour,
      lw=1.6,
      dashes=(4, 2) if one.dashed else (),
      marker=marker_of(index),
      markersize=4,
      markeredgewidth=0,
    )
  if log_x:
    axes.set_xscale("log")
  if log_y:
    axes.set_yscale("log")
  for axis, is_log in ((axes.xaxis, log_x), (axes.yaxis, log_y)):
    if is_log:
      axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
      axis.set_minor_locator(NullLocator())
    else:
      axis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
  if ticks is not None:
    axes.set_xticks(ticks, [f"{one:g}" for one in ticks])
  return figure
