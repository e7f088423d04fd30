"""Is a level of compression safe for an attribute? Bounds on grown bias.

All of it is this project's. A level is safe where the bias is shown to have
grown by less than a margin, there and at every lower level; that no growth was
seen is not enough.
"""

from collections.abc import Sequence
import dataclasses

import numpy as np
import scipy.stats

from prunebias_jax.analysis.available import over_available
from prunebias_jax.analysis.inference import holm

SAFE = "safe"
NOT_SAFE = "not safe"
UNDECIDED = "undecided"
NOT_AVAILABLE = "not available"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Safety:
  """What pairs of dense and compressed say of the levels of a pruner.

  Arrays [level, ...]: a cell of the rest is one kind of bias of one attribute.
  NaN is what cannot be had.

  Attributes:
    pairs: int, the pairs with a value, K.
    complete: bool, there are pairs and every one has a value.
    change: mean over them of compressed - dense.
    lower: one-sided bound of the change from below, of this level alone.
    upper: the same from above.
    p_safe: of "it grew by the margin or more", Holm over the levels.
    p_not_safe: of "it grew by the margin or less", Holm over the levels.
    doubtful: bool, the changes look unlike normal: the bounds are doubtful.
    verdict: object, `SAFE`, `NOT_SAFE`, `UNDECIDED` or `NOT_AVAILABLE`.
  """

  pairs: np.ndarray
  complete: np.ndarray
  change: np.ndarray
  lower: np.ndarray
  upper: np.ndarray
  p_safe: np.ndarray
  p_not_safe: np.ndarray
  doubtful: np.ndarray
  verdict: np.ndarray


def judge(
  dense: Sequence[np.ndarray],
  compressed: Sequence[np.ndarray],
  *,
  margin: float,
  level: float = 0.95,
) -> Safety:
  """Judges the levels of one pruner, from the lowest to the highest.

  With d the mean paired change and e its standard error, the one-sided bounds
  are d -+ t(K-1) e, and two one-sided tests compare d with the margin. Safe at
  a level: "grew by the margin or more" is rejected there and at every lower
  level, after Holm over the levels, and every pair has a value. Not safe:
  "grew by the margin or less" is rejected there, after Holm. Assumes normal
  changes.

  Args:
    dense: for each level, float64 [pair, ...], how large the bias is; NaN
      where there is no value.
    compressed: the same of the compressed members of the pairs.
    margin: how much it may grow, above 0.
    level: coverage of each one-sided bound, in (1/2, 1); 1 - level is the
      chance of calling any level safe that is not.

  Returns:
    The judgement. From one pair, or where all pairs change alike, nothing is
    decided.
  """
  found = [
    over_available(second - first, scale=_size(first, second))
    for first, second in zip(dense, compressed, strict=True)
  ]
  pairs = np.stack([one.count for one in found])
  change = np.stack([one.mean for one in found])
  error = np.stack([one.error for one in found])
  freedom = np.where(pairs > 1, pairs - 1, np.nan)
  width = scipy.stats.t.ppf(level, freedom) * error
  t = (change - margin) / error
  p_safe = np.apply_along_axis(holm, 0, scipy.stats.t.cdf(t, freedom))
  p_not_safe = np.apply_along_axis(holm, 0, scipy.stats.t.sf(t, freedom))
  complete = np.stack(
    [
      (one.count == len(first)) & (len(first) > 0)
      for one, first in zip(found, dense, strict=True)
    ]
  )
  alpha = 1 - level
  verdict = np.full(pairs.shape, UNDECIDED, object)
  shown = (p_safe <= alpha) & complete
  verdict[np.logical_and.accumulate(shown, axis=0)] = SAFE
  verdict[p_not_safe <= alpha] = NOT_SAFE
  verdict[pairs == 0] = NOT_AVAILABLE
  return Safety(
    pairs=pairs,
    complete=complete,
    change=change,
    lower=change - width,
    upper=change + width,
    p_safe=p_safe,
    p_not_safe=p_not_safe,
    doubtful=np.stack([one.doubtful for one in found]),
    verdict=verdict,
  )


def _size(first: np.ndarray, second: np.ndarray) -> np.ndarray:
  """How large the numbers are that a difference was made of."""
  both = np.concatenate([first, second])
  return np.nan_to_num(np.abs(both)).max(axis=0, initial=0.0)
