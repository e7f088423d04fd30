"""Named points over a logarithmic axis: what is paid, and what for."""

from collections.abc import Sequence
import dataclasses

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import (
  FuncFormatter,
  LogLocator,
  MaxNLocator,
  NullFormatter,
)
import numpy as np

from prunebias_jax.report.drawing import SMALL, plain
from prunebias_jax.report.palette import LIGHT
from prunebias_jax.report.plots.frame import colour_of, marker_of, new_plot

_CHARACTER = 5.4
_TEXT_HEIGHT = 10.0
# An axis over fewer powers of ten has names between them.
_SHORT = 2.2


@dataclasses.dataclass(frozen=True, kw_only=True)
class Priced:
  """Points joined by a line.

  Attributes:
    label: its name in the legend.
    x: float64 [point], above 0, ascending.
    y: float64 [point].
    low: float64 [point] of the interval; NaN where there is none.
    high: float64 [point].
    names: of the points; the same name at the same x stands once.
  """

  label: str
  x: np.ndarray
  y: np.ndarray
  low: np.ndarray
  high: np.ndarray
  names: Sequence[str]


def trade_off(
  lines: Sequence[Priced],
  title: str,
  *,
  along: str,
  reference: float | None = None,
) -> Figure:
  """Points with intervals over a logarithmic axis, each with its name.

  Args:
    lines: what is drawn, in the order of the colours.
    title: what is drawn, with its unit.
    along: what the horizontal axis shows, with its unit.
    reference: a value of the vertical axis to mark.
  """
  figure, axes = new_plot(
    title, labels=[one.label for one in lines], along=along
  )
  x = np.concatenate([one.x for one in lines])
  ends = np.concatenate(
    [
      np.concatenate([one.y, _near(one.low, one.y), _near(one.high, one.y)])
      for one in lines
    ]
    + [[] if reference is None else [reference]]
  )
  ends = ends[np.isfinite(ends)]
  half = max(float(np.ptp(ends)) / 2, 5e-4)
  middle = float(ends.max() + ends.min()) / 2
  # Room for names above.
  axes.set_ylim(middle - 1.1 * half, middle + 1.45 * half)
  axes.set_xscale("log")
  decades = float(np.log10(x.max() / x.min()))
  spare = 10 ** max(0.09 * decades, 0.12)
  axes.set_xlim(x.min() / spare, x.max() * spare)
  if reference is not None:
    axes.axhline(reference, color=LIGHT["muted"], lw=0.9, dashes=(3, 2))
  for index, one in enumerate(lines):
    colour = colour_of(index)
    axes.plot(one.x, one.y, color=colour, lw=0.9, alpha=0.5)
    axes.vlines(one.x, one.low, one.high, color=colour, lw=1.5)
    axes.plot(
      one.x,
      one.y,
      linestyle="",
      color=colour,
      marker=marker_of(index),
      markersize=4.6,
      markeredgewidth=0,
    )
  _name_points(axes, lines, 72 / figure.dpi)
  steps = (1, 2, 5) if decades < _SHORT else (1,)
  axes.xaxis.set_major_locator(LogLocator(subs=steps))
  axes.xaxis.set_major_formatter(FuncFormatter(lambda one, _: f"{one:g}"))
  axes.xaxis.set_minor_formatter(NullFormatter())
  axes.tick_params(axis="x", which="both", length=0)
  axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
  return figure


def _near(end: np.ndarray, y: np.ndarray) -> np.ndarray:
  """Ends of intervals, no farther beyond the points than these reach."""
  known = y[np.isfinite(y)]
  if not known.size:
    return end
  room = max(float(np.ptp(known)), 1e-9)
  return np.clip(end, known.min() - room, known.max() + room)


def _name_points(axes: Axes, lines: Sequence[Priced], scale: float) -> None:
  """Names above the points, moved up until none covers another.

  Args:
    axes: whose spans are final.
    lines: the points.
    scale: points of the drawing in a pixel.
  """
  tops: dict[tuple[str, float], tuple[float, float]] = {}
  for one in lines:
    height = np.fmax(one.y, one.high)
    for name, x, y in zip(one.names, one.x, height, strict=True):
      key = name, round(float(np.log10(x)), 2)
      if np.isfinite(y) and y > tops.get(key, (0.0, -np.inf))[1]:
        tops[key] = float(x), float(y)
  top = axes.get_ylim()[1]
  taken: list[tuple[float, float, float]] = []
  for (name, _), (x, y) in tops.items():
    text = plain(name, 14)
    half = _CHARACTER * len(text) / 2
    place = axes.transData.transform((x, min(y, top))) * scale
    across, start = float(place[0]), float(place[1])
    up = start + 3
    while any(
      abs(across - other) < half + wide and abs(up - level) < _TEXT_HEIGHT
      for other, level, wide in taken
    ):
      up += 2
    taken.append((across, up, half))
    axes.annotate(
      text,
      (x, min(y, top)),
      xytext=(0, up - start),
      textcoords="offset points",
      ha="center",
      va="bottom",
      fontsize=SMALL - 0.5,
      color=LIGHT["muted"],
      annotation_clip=False,
    )
