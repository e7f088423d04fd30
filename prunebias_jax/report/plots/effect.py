"""An effect against a noise: a dot for each of many cells, both axes log."""

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator
import numpy as np

from prunebias_jax.report.palette import LIGHT
from prunebias_jax.report.plots.frame import colour_of, new_plot


def effect_against_noise(
  x: np.ndarray,
  y: np.ndarray,
  told: np.ndarray,
  title: str,
  *,
  along: str,
  labels: tuple[str, str],
  limits: tuple[float, float],
) -> Figure:
  """Dots in a square with the line where both are equal.

  Args:
    x: float64 [cell], above 0.
    y: float64 [cell], above 0.
    told: bool [cell], drawn as filled circles; the others as hollow squares.
    title: what the vertical axis shows, with its unit.
    along: what the horizontal axis shows, with its unit.
    labels: of the two kinds, those told first.
    limits: the ends of both axes; dots beyond stand at the edge.
  """
  # The last name of the horizontal axis reaches beyond its end.
  figure, axes = new_plot(
    title, labels=labels, along=along, height=290, right=18
  )
  axes.set_xscale("log")
  axes.set_yscale("log")
  axes.set_xlim(*limits)
  axes.set_ylim(*limits)
  axes.grid(visible=True, axis="x")
  axes.plot(limits, limits, color=LIGHT["muted"], lw=1, dashes=(3, 2))
  for index, chosen in ((1, ~told), (0, told)):
    axes.plot(
      np.clip(x[chosen], *limits),
      np.clip(y[chosen], *limits),
      linestyle="",
      marker="s" if index else "o",
      markersize=3.4,
      color=colour_of(index),
      markerfacecolor="none" if index else colour_of(index),
      markeredgewidth=0.9 if index else 0,
      alpha=0.85,
      clip_on=False,
    )
  for axis in (axes.xaxis, axes.yaxis):
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(NullLocator())
  return figure
