"""Numbers along some steps: every seed, the mean and its interval."""

from collections.abc import Sequence
import dataclasses

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
import numpy as np

from prunebias_jax.report.drawing import SMALL, TEXT
from prunebias_jax.report.palette import LIGHT
from prunebias_jax.report.plots.frame import (
  RIGHT,
  colour_of,
  marker_of,
  new_plot,
)

_SPREAD = 0.62  # of the room between two sparsities that the dots take
_BESIDE = 36  # points, for a name beside the axes


@dataclasses.dataclass(frozen=True, kw_only=True)
class Series:
  """One line of a plot: every seed and the mean at some steps.

  Attributes:
    label: its name in the legend.
    place: int [point], the steps' places on the axis.
    seeds: float64 [seed, point]; NaN where a seed has no value.
    mean: float64 [point].
    low: float64 [point], of the interval; NaN where there is none.
    high: float64 [point].
    joined: whether a row of `seeds` is one thing throughout, and a faint line
      says so.
  """

  label: str
  place: np.ndarray
  seeds: np.ndarray
  mean: np.ndarray
  low: np.ndarray
  high: np.ndarray
  joined: bool = True


def along_steps(
  series: Sequence[Series],
  steps: Sequence[str],
  axis: str,
  *,
  along: str,
  span: tuple[float, float],
  reference: float | None = None,
  dense: float | None = None,
) -> Figure:
  """Every seed as a dot, joined faintly, and each mean with its interval.

  The steps stand equally far apart: sparsities of .8, .95 and .99 would
  coincide on a scale of their own.

  Args:
    series: the lines.
    steps: names of all of them, in order.
    axis: what is drawn, with its unit.
    along: what the steps are.
    span: the ends of the vertical axis, from `span_of`.
    reference: a value to mark, such as 0 or 1.
    dense: the mean of the dense members, to be marked all along.
  """
  labels = [one.label for one in series]
  figure, axes = new_plot(
    axis,
    labels=labels,
    along=along,
    right=RIGHT if dense is None else _BESIDE,
  )
  if reference is not None:
    axes.axhline(reference, color=LIGHT["muted"], lw=0.9, dashes=(3, 2))
  if dense is not None:
    _mark_dense(axes, dense)
  axes.set_ylim(*span)
  for index, one in enumerate(series):
    _draw_series(axes, one, index, len(series))
  axes.set_xlim(-0.5, len(steps) - 0.5)
  axes.set_xticks(
    range(len(steps)), steps, fontsize=8.5 if len(steps) > 8 else TEXT
  )
  axes.yaxis.set_major_locator(
    MaxNLocator(5, steps=[1, 2, 2.5, 5, 10], min_n_ticks=3)
  )
  return figure


def span_of(
  series: Sequence[Series], reference: float | None = None
) -> tuple[float, float]:
  """The ends of an axis that shows every seed of some lines.

  Two or three seeds can have an interval so long that nothing else could be
  told apart: it does not stretch the axis beyond the seeds' own range at
  either end, and `along_steps` draws an arrow where it leaves.
  """
  seeds = np.concatenate([one.seeds.ravel() for one in series])
  low, high = np.nanmin(seeds), np.nanmax(seeds)
  room = high - low
  ends = np.concatenate([np.append(one.low, one.high) for one in series])
  ends = np.clip(ends[np.isfinite(ends)], low - room, high + room)
  marks = [] if reference is None else [reference]
  shown = np.concatenate([[low, high], ends, marks])
  low, high = float(shown.min()), float(shown.max())
  # Numbers that hardly differ are not blown up to the height of the plot.
  middle = (low + high) / 2
  half = max((high - low) * 0.56, 1e-3 * abs(middle), 5e-4)
  return middle - half, middle + half


def _mark_dense(axes: Axes, dense: float) -> None:
  """A line at the dense members' mean, with its name beside the axes."""
  axes.axhline(dense, color=LIGHT["ink"], lw=1.0, dashes=(6, 3))
  axes.annotate(
    "dense",
    (1, dense),
    xycoords=("axes fraction", "data"),
    xytext=(3, 0),
    textcoords="offset points",
    va="center",
    fontsize=SMALL,
  )


def _draw_series(axes: Axes, series: Series, index: int, count: int) -> None:
  """Draws one line; several share the room at each sparsity."""
  colour = colour_of(index)
  marker = marker_of(index)
  room = _SPREAD / count
  centre = (index - (count - 1) / 2) * (_SPREAD + 0.1) / count
  seeds = len(series.seeds)
  shift = np.zeros(seeds)
  if seeds > 1:
    # Dots to the left, the interval to the right: neither hides the other.
    shift = np.linspace(-room / 2, room / 4, seeds)
  size = 4.2 if seeds * count <= 8 else 3.2 if seeds * count <= 24 else 2.4
  for values, by in zip(series.seeds, shift, strict=True):
    if series.joined:
      axes.plot(
        series.place + centre + by,
        values,
        color=colour,
        lw=0.8,
        alpha=0.38,
      )
    axes.plot(
      series.place + centre + by,
      values,
      linestyle="",
      marker=marker,
      markersize=size,
      markerfacecolor=colour,
      markeredgewidth=0,
      alpha=0.8,
    )
  if seeds < 2:
    return
  at = series.place + centre + room / 2
  half = min(0.08, room / 5)
  axes.hlines(series.mean, at - half, at + half, color=colour, lw=2.4)
  axes.vlines(at, series.low, series.high, color=colour, lw=1.6)
  bottom, top = axes.get_ylim()
  for ends, edge, arrow in (
    (series.low < bottom, bottom, "v"),
    (series.high > top, top, "^"),
  ):
    axes.plot(
      at[ends],
      np.full(np.count_nonzero(ends), edge),
      linestyle="",
      marker=arrow,
      markersize=5,
      color=colour,
      clip_on=False,
    )
