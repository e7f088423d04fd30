"""Points with intervals beside names: what differs, group by group."""

from collections.abc import Sequence
import dataclasses
import math

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator
import numpy as np

from prunebias_jax.report.drawing import SMALL, TEXT, plain
from prunebias_jax.report.palette import LIGHT
from prunebias_jax.report.plots.frame import colour_of, marker_of, new_plot
from prunebias_jax.report.vocabulary import number

_ROW = 17
_NAME = 26
_LONG = 44
_LINE = 11  # of a name above its row
_CHARACTER = 5.3


@dataclasses.dataclass(frozen=True, kw_only=True)
class Points:
  """One kind of point in every row.

  Attributes:
    label: its name in the legend.
    value: float64 [row]; NaN where there is none.
    low: float64 [row] of the interval; NaN where there is none.
    high: float64 [row].
    doubtful: bool [row], drawn hollow; none where no row is.
  """

  label: str
  value: np.ndarray
  low: np.ndarray
  high: np.ndarray
  doubtful: np.ndarray | None = None


def in_words(
  rows: Sequence[str], points: Sequence[Points], decimals: int
) -> str:
  """The points of each kind in a sentence, for those who cannot see them."""
  return " ".join(
    f"{kind.label}: "
    + ", ".join(
      f"{row} {number(value, decimals)}"
      for row, value in zip(rows, kind.value, strict=True)
      if np.isfinite(value)
    )
    + "."
    for kind in points
  )


def forest(
  rows: Sequence[str],
  points: Sequence[Points],
  title: str,
  *,
  along: str,
  reference: float | None = None,
  log: bool = False,
  notes: Sequence[str] = (),
  noted: str = "",
  above: bool = False,
) -> Figure:
  """A row for each name, in it a point and its interval of each kind.

  An interval beyond the axis ends in an arrow: the axis shows every point, and
  intervals up to the points' own range beyond them.

  Args:
    rows: their names, from above.
    points: of each kind.
    title: what is drawn, with its unit.
    along: what the horizontal axis shows.
    reference: a value to mark, such as 0 or 1.
    log: whether the axis is logarithmic.
    notes: stand at the right of the rows, such as a number of examples.
    noted: what the notes are; stands above them.
    above: whether names stand above the rows, notes after them: for names that
      are too long to stand beside.
  """
  names = [plain(one, _LONG if above else _NAME) for one in rows]
  room = 16 + _CHARACTER * max(map(len, names))
  beside = 13 + _CHARACTER * max(map(len, (*notes, noted)))
  row = max(_ROW, 9.0 * len(points) + 5)
  if above:
    room, beside, row = 10.0, 10.0, row + _LINE
  figure, axes = new_plot(
    title,
    labels=[one.label for one in points],
    along=along,
    height=62 + row * len(rows),
    left=room,
    right=beside,
  )
  if log:
    axes.set_xscale("log")
  low, high = _span(points, reference, log)
  axes.set_xlim(low, high)
  axes.set_ylim(len(rows) - 0.5, -0.5)
  axes.grid(visible=False, axis="y")
  axes.grid(visible=True, axis="x")
  axes.spines["left"].set_visible(False)
  if reference is not None:
    axes.axvline(reference, color=LIGHT["muted"], lw=0.9, dashes=(3, 2))
  for index, one in enumerate(points):
    shift = 0.62 * (index - (len(points) - 1) / 2) / max(len(points), 2)
    if above:
      # The name takes the upper part of the row.
      shift = shift * (row - _LINE) / row + _LINE / 2 / row
    at = np.arange(len(rows)) + shift
    colour = colour_of(index)
    axes.hlines(
      at,
      np.clip(one.low, low, high),
      np.clip(one.high, low, high),
      color=colour,
      lw=1.5,
    )
    filled = np.full(len(rows), True)
    if one.doubtful is not None:
      filled = ~one.doubtful
    for chosen, inside, edge in (
      (filled, colour, 0.0),
      (~filled, LIGHT["page"], 1.2),
    ):
      axes.plot(
        one.value[chosen],
        at[chosen],
        linestyle="",
        marker=marker_of(index),
        markersize=4.6,
        markerfacecolor=inside,
        markeredgewidth=edge,
        color=colour,
      )
    for beyond, end, arrow in (
      (one.low < low, low, "<"),
      (one.high > high, high, ">"),
    ):
      axes.plot(
        np.full(np.count_nonzero(beyond), end),
        at[beyond],
        linestyle="",
        marker=arrow,
        markersize=5,
        color=colour,
        clip_on=False,
      )
  if log:
    ticks = _log_ticks(low, high)
    axes.set_xticks(ticks, [f"{one:g}" for one in ticks])
    axes.xaxis.set_minor_locator(NullLocator())
  else:
    axes.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))
  if above:
    axes.set_yticks([])
    after = [f" ({noted} {note})" for note in notes] or [""] * len(rows)
    texts = [name + note for name, note in zip(names, after, strict=True)]
    _write(axes, texts, 0.0, -0.5 + _LINE / 2 / row)
  else:
    axes.set_yticks(range(len(rows)), names, fontsize=SMALL)
    _write(axes, notes, 1.0, 0.0)
    _write(axes, [noted] if noted else [], 1.0, -0.5 - 7 / row)
  axes.tick_params(axis="x", labelsize=TEXT)
  return figure


def _write(axes: Axes, texts: Sequence[str], x: float, below: float) -> None:
  """Small print at `x` of the width, `below` the middle of each row."""
  for place, text in enumerate(texts):
    axes.annotate(
      text,
      (x, place + below),
      xycoords=("axes fraction", "data"),
      xytext=(8 * x, 0),
      textcoords="offset points",
      va="center",
      fontsize=SMALL,
      color=LIGHT["muted"],
      annotation_clip=False,
      bbox={"facecolor": LIGHT["page"], "linewidth": 0, "pad": 0.6},
    )


def _log_ticks(low: float, high: float) -> list[float]:
  """Round numbers within the ends of a logarithmic axis, five at most."""
  powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
  found: list[float] = []
  for steps in ((1.0, 1.5, 2.0, 3.0, 5.0, 7.0), (1.0, 2.0, 5.0), (1.0, 3.0)):
    found = [
      k * 10.0**power
      for power in powers
      for k in steps
      if low <= k * 10.0**power <= high
    ]
    if len(found) <= 5:
      return found
  tens = [one for one in found if math.log10(one).is_integer()]
  return tens[:: math.ceil(len(tens) / 5)]


def _span(
  points: Sequence[Points], reference: float | None, log: bool
) -> tuple[float, float]:
  """The ends of the axis."""
  change = np.log if log else np.asarray
  back = np.exp if log else np.asarray
  values = change(np.concatenate([one.value for one in points]))
  values = values[np.isfinite(values)]
  marks = [] if reference is None else [float(change(reference))]
  if not values.size:
    values = np.array(marks or [0.0])
  room = max(float(np.ptp(values)), 1e-9)
  with np.errstate(divide="ignore"):
    ends = change(np.concatenate([[one.low, one.high] for one in points], None))
  ends = ends[~np.isnan(ends)]
  ends = np.clip(ends, values.min() - room, values.max() + room)
  shown = np.concatenate([values, ends, marks])
  low, high = float(shown.min()), float(shown.max())
  half = max((high - low) * 0.54, 5e-4)
  middle = (low + high) / 2
  return float(back(middle - half)), float(back(middle + half))
