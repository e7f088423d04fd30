"""Bars over categories, one upon or beside the other."""

from collections.abc import Sequence
import dataclasses

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
import numpy as np

from prunebias_jax.report.drawing import SMALL, TEXT, plain
from prunebias_jax.report.palette import LIGHT
from prunebias_jax.report.plots.frame import colour_of, new_plot

_WIDTH = 0.72


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bars:
  """One kind of bar in every category.

  Attributes:
    label: its name in the legend.
    value: float64 [category]; NaN where there is none.
    low: float64 [category] of an interval, not of stacked bars; none for no
      intervals.
    high: float64 [category].
  """

  label: str
  value: np.ndarray
  low: np.ndarray | None = None
  high: np.ndarray | None = None


def bars(
  categories: Sequence[str],
  kinds: Sequence[Bars],
  title: str,
  *,
  along: str,
  stacked: bool = False,
  reference: float | None = None,
  top: float | None = None,
) -> Figure:
  """Vertical bars over categories.

  Args:
    categories: their names.
    kinds: of bars, in the order of the colours.
    title: what is drawn, with its unit.
    along: what the categories are.
    stacked: whether kinds stand upon each other; else beside.
    reference: a value to mark.
    top: the end of the vertical axis, for panels that share it.
  """
  figure, axes = new_plot(
    title, labels=[one.label for one in kinds], along=along
  )
  places = np.arange(len(categories))
  width = _WIDTH if stacked else _WIDTH / len(kinds)
  bottom = np.zeros(len(categories))
  for index, one in enumerate(kinds):
    shift = 0.0 if stacked else width * (index - (len(kinds) - 1) / 2)
    height = np.nan_to_num(one.value)
    axes.bar(
      places + shift,
      height,
      width * 0.94,
      bottom=bottom if stacked else 0,
      color=colour_of(index),
      linewidth=0,
    )
    if one.low is not None and one.high is not None and not stacked:
      axes.vlines(places + shift, one.low, one.high, color=LIGHT["ink"], lw=1.2)
    for place in places[np.isnan(one.value)] if not stacked else ():
      # A bar that is not there must not read as one of height 0.
      axes.annotate(
        "n/a",
        (place + shift, 0),
        xytext=(0, 3),
        textcoords="offset points",
        ha="center",
        fontsize=SMALL,
        color=LIGHT["muted"],
      )
    bottom = bottom + height * stacked
  if reference is not None:
    axes.axhline(reference, color=LIGHT["muted"], lw=0.9, dashes=(3, 2))
  if top is not None:
    axes.set_ylim(0, top)
  axes.set_xlim(-0.6, len(categories) - 0.4)
  axes.set_xticks(
    places,
    [plain(one, 12) for one in categories],
    fontsize=8.5 if len(categories) > 8 else TEXT,
  )
  axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
  return figure
