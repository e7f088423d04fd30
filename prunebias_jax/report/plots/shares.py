"""Parts of a whole in per cent, row by row; a part may be below zero."""

from collections.abc import Sequence
import dataclasses

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
import numpy as np

from prunebias_jax.report.drawing import SMALL, plain
from prunebias_jax.report.palette import LIGHT, SERIES
from prunebias_jax.report.plots.frame import colour_of, new_plot

_ROW = 20
_NAME = 22
_CHARACTER = 5.3
_HATCHES = ("", "////", "....", "xxxx")
# Shares beyond this are cut, and the bar ends in an arrow.
_FURTHEST = 300.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Part:
  """One part of the whole in every row.

  Attributes:
    label: its name in the legend.
    share: float64 [row], per cent; NaN where there is none.
  """

  label: str
  share: np.ndarray


def shares(
  rows: Sequence[str],
  parts: Sequence[Part],
  title: str,
  *,
  along: str,
  notes: Sequence[str] = (),
) -> Figure:
  """A bar for each row, cut into parts that add up to 100 %.

  What is above zero stands to the right of it, what is below to the left: then
  the right side is longer than 100 % by as much.

  Args:
    rows: their names, from above.
    parts: of the whole, in the order of the colours.
    title: what is drawn.
    along: what the horizontal axis shows.
    notes: stand at the right of the rows.
  """
  names = [plain(one, _NAME) for one in rows]
  figure, axes = new_plot(
    title,
    labels=[one.label for one in parts],
    along=along,
    height=62 + _ROW * len(rows),
    left=16 + _CHARACTER * max(map(len, names)),
    right=14 + _CHARACTER * max(map(len, notes), default=0),
  )
  axes.grid(visible=False, axis="y")
  axes.grid(visible=True, axis="x")
  axes.spines["left"].set_visible(False)
  right, left = np.zeros((2, len(rows)))
  for index, one in enumerate(parts):
    share = np.nan_to_num(one.share)
    start = np.where(share < 0, left, right)
    axes.barh(
      np.arange(len(rows)),
      share,
      0.68,
      left=start,
      color=colour_of(index),
      hatch=_hatch(index),
      edgecolor=LIGHT["page"],
      linewidth=0.6,
    )
    right, left = right + share.clip(0), left + share.clip(max=0)
  low = max(min(0.0, float(left.min())), -_FURTHEST)
  high = min(max(100.0, float(right.max())), _FURTHEST)
  room = 0.02 * (high - low)
  axes.set_xlim(low - room * (low < 0), high + room)
  for edge, beyond, arrow in (
    (low, left < low, "<"),
    (high, right > high, ">"),
  ):
    axes.plot(
      np.full(np.count_nonzero(beyond), edge),
      np.flatnonzero(beyond),
      linestyle="",
      marker=arrow,
      markersize=6,
      color=LIGHT["ink"],
      clip_on=False,
    )
  for mark in (0, 100):
    axes.axvline(mark, color=LIGHT["ink"], lw=0.8)
  axes.set_ylim(len(rows) - 0.5, -0.5)
  axes.set_yticks(range(len(rows)), names, fontsize=SMALL)
  axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
  for place, note in enumerate(notes):
    axes.annotate(
      note,
      (1, place),
      xycoords=("axes fraction", "data"),
      xytext=(5, 0),
      textcoords="offset points",
      va="center",
      fontsize=SMALL,
      color=LIGHT["muted"],
    )
  return figure


def _hatch(index: int) -> str:
  """Parts that share a colour differ by their hatching."""
  return _HATCHES[index // SERIES % len(_HATCHES)]
