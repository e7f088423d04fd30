"""Mean and sd over the seeds in which a number has a value, cell by cell.

The t methods are the textbook's; they assume normal seeds.
"""

import dataclasses

import numpy as np
import scipy.stats

from prunebias_jax.analysis.inference import unlike_normal
from prunebias_jax.analysis.inference.spread import ROUNDING
from prunebias_jax.analysis.rates import divide

DOUBTFUL = "doubtful: the changes are skewed or heavy-tailed"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Available:
  """What the seeds with a value say, float64 [...] each; NaN: not available.

  Attributes:
    count: int, the seeds with a value, K.
    mean: mean over them.
    sd: with K - 1; NaN with one seed, 0 where all agree up to rounding.
    doubtful: bool, they look unlike normal seeds, see `unlike_normal`.
  """

  count: np.ndarray
  mean: np.ndarray
  sd: np.ndarray
  doubtful: np.ndarray

  @property
  def error(self) -> np.ndarray:
    """Standard error of the mean; NaN where all seeds agree.

    That all agree tells nothing of how far the next one would lie.
    """
    spread = np.where(self.sd > 0, self.sd, np.nan)
    return divide(spread, np.sqrt(self.count))

  def half_width(self, level: float) -> np.ndarray:
    """Of the t interval of the mean that covers `level`, two-sided."""
    freedom = np.where(self.count > 1, self.count - 1, np.nan)
    return self.error * scipy.stats.t.ppf((1 + level) / 2, freedom)


def over_available(
  values: np.ndarray, *, scale: np.ndarray | None = None
) -> Available:
  """Summarises the values that are finite.

  Args:
    values: float64 [seed, ...].
    scale: float64 [...], the size of the numbers that the values were made
      from, where that is larger than the values: tells rounding from spread.

  Returns:
    The summary; a mean is NaN where no seed has a value.
  """
  finite = np.isfinite(values)
  count = finite.sum(axis=0)
  known = np.where(finite, values, 0.0)
  mean = divide(known.sum(axis=0), count)
  deviations = np.where(finite, values - mean, 0.0)
  variance = divide((deviations**2).sum(axis=0), np.maximum(count - 1, 0))
  if scale is None:
    scale = np.abs(known).max(axis=0, initial=0.0)
  reach = deviations.max(axis=0, initial=0.0)
  reach = reach - deviations.min(axis=0, initial=0.0)
  agree = (reach <= ROUNDING * scale) & (count > 1)
  sd = np.where(agree, 0.0, np.sqrt(variance))
  return Available(
    count=count, mean=mean, sd=sd, doubtful=_unlike_normal(values, finite)
  )


def _unlike_normal(values: np.ndarray, finite: np.ndarray) -> np.ndarray:
  """`unlike_normal` of the seeds that have a value: bool [...]."""
  flat, known = (one.reshape(len(one), -1) for one in (values, finite))
  result = np.zeros(flat.shape[1], bool)
  patterns, which = np.unique(known, axis=1, return_inverse=True)
  for index, pattern in enumerate(patterns.T):
    if pattern.any():
      cells = np.flatnonzero(which.ravel() == index)
      result[cells] = unlike_normal(flat[np.ix_(pattern, cells)])
  return result.reshape(values.shape[1:])
