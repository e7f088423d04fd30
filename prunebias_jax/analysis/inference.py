"""Inference over seeds: intervals and paired tests, for many cells at once.

The estimand everywhere: seeds are random, training and test set are fixed.
Arrays are float64 [seed, cell], finite and complete; a cell is one metric of
one attribute and group. Formulas are the textbook ones (Student t, chi-square,
Fisher's randomisation, Wilcoxon); which of them is used when is this
project's.
"""

import dataclasses

import numpy as np
import scipy.stats

# Up to 13 signs all arrangements are visited, above about as many are drawn.
MOST_SIGNS = 13
DRAWS = 9_999
REACH = 0.05
# A spread this small, relative to the values, is rounding.
ROUNDING = 1e-12
CHUNK = 2**22


@dataclasses.dataclass(frozen=True, kw_only=True)
class Interval:
  """An estimate with its interval, float64 [cell] each; NaN: not available."""

  estimate: np.ndarray
  low: np.ndarray
  high: np.ndarray


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


def fewest_pairs(level: float = REACH) -> int:
  """The smallest K at which a two-sided sign test can reach p <= level.

  All K differences on one side and its mirror image are 2 of 2^K arrangements;
  a difference of 0 has no side and does not count.
  """
  pairs = 1
  while 2.0 ** (1 - pairs) > level:
    pairs += 1
  return pairs


def mean_interval(
  values: np.ndarray, *, level: float = 0.95, scale: np.ndarray | None = None
) -> Interval:
  """Mean over seeds with its t interval; assumes normal seeds.

  Args:
    values: float64 [seed, cell], at least one seed.
    level: coverage in (0, 1).
    scale: float64 [cell], the size of the numbers that the values were made
      from, where that is larger than the values: tells rounding from spread.

  Returns:
    The interval; low and high are NaN with one seed, and where all seeds
    agree: that tells nothing of how far the next one would lie.
  """
  seeds = len(values)
  mean = values.mean(axis=0)
  if seeds < 2:
    missing = np.full(mean.shape, np.nan)
    return Interval(estimate=mean, low=missing, high=missing)
  half = scipy.stats.t.ppf((1 + level) / 2, seeds - 1) / np.sqrt(seeds)
  half = half * _positive(_sd(values, scale))
  return Interval(estimate=mean, low=mean - half, high=mean + half)


def sd_interval(values: np.ndarray, *, level: float = 0.95) -> Interval:
  """Sd (ddof 1) over seeds with its chi-square interval.

  Assumes normal seeds, and more than the mean's interval does: it stays wrong
  however many seeds there are, where their distribution is not normal.

  Args:
    values: float64 [seed, cell], at least one seed.
    level: coverage in (0, 1).

  Returns:
    The interval; all NaN with one seed, low and high also where all seeds
    agree.
  """
  seeds = len(values)
  if seeds < 2:
    missing = np.full(values.shape[1], np.nan)
    return Interval(estimate=missing, low=missing, high=missing)
  sd = _sd(values)
  tail = (1 - level) / 2
  high, low = scipy.stats.chi2.ppf(np.array([tail, 1 - tail]), seeds - 1)
  return Interval(
    estimate=sd,
    low=_positive(sd) * np.sqrt((seeds - 1) / low),
    high=_positive(sd) * np.sqrt((seeds - 1) / high),
  )


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
  sd = _sd(differences, scale) if pairs > 1 else missing
  t_p = missing.copy()
  spread = sd > 0
  if pairs > 1:
    t = interval.estimate[spread] / (sd[spread] / np.sqrt(pairs))
    t_p[spread] = 2 * scipy.stats.t.sf(np.abs(t), pairs - 1)
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
    correlation=_correlation(compressed, dense),
    nonzero=nonzero,
  )


def signflip(differences: np.ndarray) -> np.ndarray:
  """Two-sided sign-flip permutation test that the differences centre on 0.

  Under the null every difference is as likely as its negative. The statistic
  is |sum of the differences|. Differences of 0 are the same under either sign
  and dropped. All arrangements of up to 13 signs, else 9,999 seeded draws
  with p = (1 + hits) / (1 + draws).

  Args:
    differences: float64 [seed, cell].

  Returns:
    float64 [cell] in (0, 1]; 1 where all differences are 0.
  """
  order = np.argsort(differences == 0, axis=0, kind="stable")
  packed = np.take_along_axis(differences, order, axis=0)
  nonzero = np.count_nonzero(differences, axis=0)
  result = np.ones(differences.shape[1])
  for count in np.unique(nonzero[nonzero > 0]).tolist():
    cells = np.flatnonzero(nonzero == count)
    result[cells] = _flipped(packed[:count, cells])
  return result


def wilcoxon(
  differences: np.ndarray, scale: np.ndarray | None = None
) -> np.ndarray:
  """Two-sided signed-rank test; zeros dropped, ties by midranks.

  With up to 13 differences other than 0 it is the exact test given the ties:
  the sign-flip test of the signed ranks (scipy's exact distribution where
  nothing is tied). Above, the normal approximation without continuity
  correction.

  Args:
    differences: float64 [seed, cell].
    scale: float64 [cell], as for `mean_interval`: differences whose sizes
      agree up to rounding are tied.

  Returns:
    float64 [cell] in (0, 1]; 1 where all differences are 0.
  """
  zero = differences == 0
  tolerance = np.zeros(differences.shape[1])
  if scale is not None:
    tolerance = ROUNDING * scale
  # Below every size, so that the zeros get the first ranks for themselves.
  sizes = np.where(zero, -1.0 - tolerance, np.abs(differences))
  zeros = np.count_nonzero(zero, axis=0)
  ranks = scipy.stats.rankdata(_merged(sizes, tolerance), axis=0) - zeros
  signed = np.sign(differences) * np.where(zero, 0, ranks)
  result = np.empty(differences.shape[1])
  exact = len(differences) - zeros <= MOST_SIGNS
  result[exact] = signflip(signed[:, exact])
  # Each rank is a coin flip of variance rank^2: no correction for ties needed.
  rest = signed[:, ~exact]
  z = rest.sum(axis=0) / np.sqrt((rest**2).sum(axis=0))
  result[~exact] = 2 * scipy.stats.norm.sf(np.abs(z))
  return result


def _merged(sizes: np.ndarray, tolerance: np.ndarray) -> np.ndarray:
  """Ordinal places of the sizes, neighbours within the tolerance being equal.

  Args:
    sizes: float64 [seed, cell].
    tolerance: float64 [cell].

  Returns:
    int [seed, cell], for their order and their ties.
  """
  order = np.argsort(sizes, axis=0)
  gaps = np.diff(np.take_along_axis(sizes, order, axis=0), axis=0) > tolerance
  groups = np.zeros(sizes.shape, int)
  groups[1:] = np.cumsum(gaps, axis=0)
  result = np.empty_like(groups)
  np.put_along_axis(result, order, groups, axis=0)
  return result


def _flipped(differences: np.ndarray) -> np.ndarray:
  """The share of sign arrangements at least as extreme: float64 [cell].

  Args:
    differences: float64 [seed, cell], none of them 0.
  """
  pairs, cells = differences.shape
  exact = pairs <= MOST_SIGNS
  signs = _all_signs(pairs) if exact else _drawn_signs(pairs)
  observed = np.abs(differences.sum(axis=0))
  # The sums of one arrangement in two orders differ by rounding.
  reached = observed - ROUNDING * np.abs(differences).sum(axis=0)
  hits = np.empty(cells)
  step = max(1, CHUNK // len(signs))
  for start in range(0, cells, step):
    part = slice(start, start + step)
    sums = np.abs(signs @ differences[:, part])
    hits[part] = np.count_nonzero(sums >= reached[part], axis=0)
  return hits / len(signs) if exact else (1 + hits) / (1 + len(signs))


def _positive(sd: np.ndarray) -> np.ndarray:
  """The sd, NaN where it is 0: such a spread makes no interval."""
  return np.where(sd > 0, sd, np.nan)


def _sd(values: np.ndarray, scale: np.ndarray | None = None) -> np.ndarray:
  """Sd with ddof 1; exactly 0 where the values differ by rounding only."""
  if scale is None:
    scale = np.abs(values).max(axis=0)
  spread = values.max(axis=0) - values.min(axis=0)
  return np.where(spread <= ROUNDING * scale, 0.0, values.std(axis=0, ddof=1))


def _correlation(first: np.ndarray, second: np.ndarray) -> np.ndarray:
  """Pearson over seeds: float64 [cell]."""
  pairs, cells = first.shape
  result = np.full(cells, np.nan)
  if pairs < 3:
    return result
  sds = _sd(first) * _sd(second)
  varying = sds > 0
  product = (first - first.mean(axis=0)) * (second - second.mean(axis=0))
  covariance = product.sum(axis=0) / (pairs - 1)
  result[varying] = np.clip(covariance[varying] / sds[varying], -1, 1)
  return result


def _all_signs(pairs: int) -> np.ndarray:
  """Half of all arrangements of signs; the mirrored half counts the same."""
  codes = np.arange(2 ** (pairs - 1))[:, None]
  return 1.0 - 2.0 * ((codes >> np.arange(pairs)) & 1)


def _drawn_signs(pairs: int) -> np.ndarray:
  """Random arrangements of signs, the same at every call."""
  rng = np.random.default_rng(0)
  return 1.0 - 2.0 * rng.integers(0, 2, (DRAWS, pairs))
