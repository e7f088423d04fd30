"""Points by two numbers: a cloud of each kind, against what they should be."""

from collections.abc import Sequence
import dataclasses

from matplotlib.figure import Figure
from matplotlib.ticker import (
  FuncFormatter,
  LogLocator,
  MaxNLocator,
  NullFormatter,
)
import numpy as np

from prunebias_jax.report.palette import LIGHT
from prunebias_jax.report.plots.frame import (
  HEIGHT,
  colour_of,
  marker_of,
  new_plot,
)

_MANY = 100


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cloud:
  """Points of one kind.

  Attributes:
    label: its name in the legend.
    x: float64 [point]; NaN is not drawn.
    y: float64 [point]; NaN is not drawn.
  """

  label: str
  x: np.ndarray
  y: np.ndarray


def scatter(
  clouds: Sequence[Cloud],
  title: str,
  *,
  along: str,
  log_x: bool = False,
  reference: float | None = None,
  diagonal: bool = False,
) -> Figure:
  """Points of each kind over two numbers.

  Args:
    clouds: what is drawn, in the order of the colours.
    title: what the vertical axis shows, with its unit.
    along: what the horizontal axis shows, with its unit.
    log_x: whether that is logarithmic.
    reference: a value of the vertical axis to mark.
    diagonal: both axes are alike, and where they are equal is marked.
  """
  figure, axes = new_plot(
    title,
    labels=[one.label for one in clouds],
    along=along,
    height=HEIGHT + 64 * diagonal,
  )
  axes.grid(visible=True, axis="x")
  if log_x:
    axes.set_xscale("log")
  many = sum(len(one.x) for one in clouds) > _MANY
  for index, one in enumerate(clouds):
    axes.plot(
      one.x,
      one.y,
      linestyle="",
      marker=marker_of(index),
      markersize=2.4 if many else 4.4,
      markeredgewidth=0,
      color=colour_of(index),
      alpha=0.55 if many else 0.8,
    )
  if diagonal:
    ends = [*axes.get_xlim(), *axes.get_ylim()]
    low, high = min(ends), max(ends)
    axes.set_xlim(low, high)
    axes.set_ylim(low, high)
    axes.plot((low, high), (low, high), color=LIGHT["muted"], lw=0.9)
  if reference is not None:
    axes.axhline(reference, color=LIGHT["muted"], lw=0.9, dashes=(3, 2))
  axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
  if log_x:
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda one, _: f"{one:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
  else:
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
  return figure
