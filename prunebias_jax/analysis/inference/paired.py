"""A population against dense, paired by seed: location and spread."""

import dataclasses

import numpy as np
import scipy.stats

from prunebias_jax.analysis.inference.intervals import Interval, mean_interval
from prunebias_jax.analysis.inference.signs import (
  fewest_pairs,
  signflip,
  wilcoxon,
)
from prunebias_jax.analysis.inference.spread import (
  ROUNDING,
  correlation,
  seed_sd,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Contrast:
  """A population against its dense members, paired by seed; [cell] each.

  Attributes:
    pairs: the number of pairs, K.
    difference: mean over seeds of compressed minus dense, with its t interval.
    sd: sd (ddof 1) of the differences.
    t_p: two-sided paired t.
    signflip_p: two-sided sign-flip permutation test of the mean.
    wilcoxon_p: two-sided signed-rank test.
    correlation: Pearson, over seeds, of compressed and dense.
    nonzero: int [cell], the pairs whose two sides differ.
  """

  pairs: int
  difference: Interval
  sd: np.ndarray
  t_p: np.ndarray
  signflip_p: np.ndarray
  wilcoxon_p: np.ndarray
  correlation: np.ndarray
  nonzero: np.ndarray


@dataclasses.dataclass(frozen=True, kw_only=True)
class VarianceRatio:
  """Variance over seeds, compressed over dense; float64 [cell] each.

  Attributes:
    ratio: variance (ddof 1) compressed / dense.
    low: lower end of its interval.
    high: upper end.
    p: two-sided, of equal variances.
  """

  ratio: np.ndarray
  low: np.ndarray
  high: np.ndarray
  p: np.ndarray


def paired_contrast(
  compressed: np.ndarray, dense: np.ndarray, *, level: float = 0.95
) -> Contrast:
  """Compares a population with the dense members of the same seeds.

  Args:
    compressed: float64 [seed, cell], at least one seed.
    dense: float64 [seed, cell], the same seeds in the same order.
    level: coverage of the interval, in (0, 1).

  Returns:
    The contrast. NaN is what cannot be had: interval, sd and t from one pair,
    interval and t without any spread, the discrete tests with fewer than
    `fewest_pairs()` differences other than 0, the correlation below three
    pairs or without spread.
  """
  differences = compressed - dense
  scale = np.maximum(np.abs(compressed), np.abs(dense)).max(axis=0)
  interval = mean_interval(differences, level=level, scale=scale)
  pairs, cells = differences.shape
  missing = np.full(cells, np.nan)
  sd = seed_sd(differences, scale) if pairs > 1 else missing
  t_p = missing.copy()
  varying = sd > 0
  if pairs > 1:
    t = interval.estimate[varying] / (sd[varying] / np.sqrt(pairs))
    t_p[varying] = 2 * scipy.stats.t.sf(np.abs(t), pairs - 1)
  # Rounding would break ties among the differences, and leave zeros unseen.
  exact = np.where(np.abs(differences) <= ROUNDING * scale, 0.0, differences)
  nonzero = np.count_nonzero(exact, axis=0)
  enough = nonzero >= fewest_pairs()
  signflip_p, wilcoxon_p = missing.copy(), missing.copy()
  signflip_p[enough] = signflip(exact[:, enough])
  wilcoxon_p[enough] = wilcoxon(exact[:, enough], scale[enough])
  return Contrast(
    pairs=pairs,
    difference=interval,
    sd=sd,
    t_p=t_p,
    signflip_p=signflip_p,
    wilcoxon_p=wilcoxon_p,
    correlation=correlation(compressed, dense),
    nonzero=nonzero,
  )


def pitman_morgan(
  compressed: np.ndarray, dense: np.ndarray, *, level: float = 0.95
) -> VarianceRatio:
  """Do two populations that share seeds vary equally? Pitman-Morgan.

  The variances are equal where the sums and the differences of the pairs are
  uncorrelated: a t test with K - 2 degrees of freedom (Pitman 1939, Morgan
  1939), exact where the pairs are bivariate normal. Its inversion is the
  interval: with w the observed ratio, r the correlation of the pairs and t the
  quantile, w exp(-+ 2 asinh(t sqrt((1 - r^2) / (K - 2)))).

  Args:
    compressed: float64 [seed, cell], at least one seed.
    dense: float64 [seed, cell], the same seeds in the same order.
    level: coverage of the interval, in (0, 1).

  Returns:
    The ratio, its interval and p. All NaN below three seeds and where dense
    has no spread; interval and p also where compressed has none, or where one
    side is a straight line in the other: such pairs leave no error to judge
    by.
  """
  seeds, cells = compressed.shape
  ratio, low, high, p = np.full((4, cells), np.nan)
  if seeds >= 3:
    first, second = seed_sd(compressed), seed_sd(dense)
    there = second > 0
    ratio[there] = (first[there] / second[there]) ** 2
    apart = 1 - correlation(compressed, dense) ** 2
    good = np.flatnonzero(apart > ROUNDING)  # NaN without spread
    # half of log(u) = asinh((u - 1) / (2 sqrt(u))): one scale for both.
    error = np.sqrt(apart[good] / (seeds - 2))
    t = np.sinh(np.log(ratio[good]) / 2) / error
    p[good] = 2 * scipy.stats.t.sf(np.abs(t), seeds - 2)
    quantile = scipy.stats.t.ppf((1 + level) / 2, seeds - 2)
    factor = np.exp(2 * np.arcsinh(quantile * error))
    low[good], high[good] = ratio[good] / factor, ratio[good] * factor
  return VarianceRatio(ratio=ratio, low=low, high=high, p=p)
