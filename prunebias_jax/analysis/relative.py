"""Relative changes: a mean over seeds as a multiple of another, paired.

Reference: Fieller 1954, "Some Problems in Interval Estimation", in the form for
paired normal samples.
"""

import dataclasses

import numpy as np
import scipy.stats

from prunebias_jax.analysis.inference import Interval
from prunebias_jax.analysis.inference.spread import positive, seed_sd
from prunebias_jax.analysis.rates import divide


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ratio:
  """One mean over another with Fieller's interval; [cell] each.

  Attributes:
    ratio: the ratio of the means over seeds; NaN where the lower one is 0.
    unbounded: bool: the denominator is not told from 0 at this level, so that
      no interval of finite length covers as often as it should.
  """

  ratio: Interval
  unbounded: np.ndarray


def ratio_of_means(
  above: np.ndarray, below: np.ndarray, *, level: float = 0.95
) -> Ratio:
  """mean(above) / mean(below) over seeds, with an interval.

  The interval holds every theta that a t test of mean(above - theta below) = 0
  does not reject: it covers exactly for normal pairs, and is not symmetric.

  Args:
    above: float64 [seed, cell], at least one seed.
    below: float64 [seed, cell], of the same seeds in the same order.
    level: coverage, in (0, 1).

  Returns:
    The ratios. low and high are NaN with one seed, where the ratio is the same
    in every seed, and where the interval is unbounded.
  """
  seeds, cells = above.shape
  mean = below.mean(axis=0)
  ratio = divide(above.mean(axis=0), mean)
  low, high = np.full((2, cells), np.nan)
  unbounded = np.zeros(cells, bool)
  if seeds > 1:
    # Around the estimate, so that nearly proportional sides lose no digit.
    residual = above - ratio * below
    spread = seed_sd(residual, np.abs(above).max(axis=0)) ** 2 / seeds
    doubt = seed_sd(below) ** 2 / seeds
    centred = (below - mean) * (residual - residual.mean(axis=0))
    both = centred.sum(axis=0) / (seeds - 1) / seeds
    t2 = scipy.stats.t.ppf((1 + level) / 2, seeds - 1) ** 2
    slope = mean**2 - t2 * doubt
    unbounded = np.isfinite(ratio) & (slope <= 0)
    bounded = np.where(slope > 0, slope, np.nan)
    half = positive(np.sqrt(t2 * (spread * bounded + t2 * both**2)) / bounded)
    half = np.where(spread > 0, half, np.nan)
    middle = ratio - t2 * both / bounded
    low, high = middle - half, middle + half
  return Ratio(
    ratio=Interval(estimate=ratio, low=low, high=high), unbounded=unbounded
  )
