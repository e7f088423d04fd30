"""Two populations that share no seed: location and spread."""

import dataclasses

import numpy as np
import scipy.stats

from prunebias_jax.analysis.inference.intervals import Interval
from prunebias_jax.analysis.inference.spread import (
  ROUNDING,
  positive,
  seed_sd,
)

# Below it Brown and Forsythe's test hardly ever rejects; see the simulated
# sizes in docs/statistics.md.
FEWEST_SPREAD_SEEDS = 10


@dataclasses.dataclass(frozen=True, kw_only=True)
class Welch:
  """Difference of two means without equal variances; float64 [cell] each.

  Attributes:
    difference: mean of the first minus mean of the second, with its interval.
    df: Welch and Satterthwaite's degrees of freedom.
    p: two-sided.
  """

  difference: Interval
  df: np.ndarray
  p: np.ndarray


def welch(
  first: np.ndarray, second: np.ndarray, *, level: float = 0.95
) -> Welch:
  """Compares the means of two populations of unrelated seeds; Welch 1947.

  Assumes normal seeds. Populations that share seeds are compared by
  `paired_contrast`, which sees far more.

  Args:
    first: float64 [seed, cell], at least one seed.
    second: float64 [seed, cell], other seeds, as many or not.
    level: coverage of the interval, in (0, 1).

  Returns:
    The difference; interval, df and p are NaN with one seed on either side,
    and where neither side has any spread.
  """
  difference = first.mean(axis=0) - second.mean(axis=0)
  cells = len(difference)
  low, high, df, p = np.full((4, cells), np.nan)
  if min(len(first), len(second)) > 1:
    errors = [seed_sd(one) ** 2 / len(one) for one in (first, second)]
    error = errors[0] + errors[1]
    good = np.flatnonzero(error > 0)
    parts = [
      (share[good] / error[good]) ** 2 / (len(one) - 1)
      for share, one in zip(errors, (first, second), strict=True)
    ]
    df[good] = 1 / (parts[0] + parts[1])
    se = np.sqrt(error[good])
    t = np.abs(difference[good]) / se
    p[good] = 2 * scipy.stats.t.sf(t, df[good])
    half = scipy.stats.t.ppf((1 + level) / 2, df[good]) * se
    low[good] = difference[good] - half
    high[good] = difference[good] + half
  interval = Interval(estimate=difference, low=low, high=high)
  return Welch(difference=interval, df=df, p=p)


def brown_forsythe(
  first: np.ndarray,
  second: np.ndarray,
  *,
  fewest: int = FEWEST_SPREAD_SEEDS,
) -> np.ndarray:
  """Do two populations of unrelated seeds vary equally? Two-sided p.

  The analysis of variance of |value - median of its population| (Brown and
  Forsythe 1974). Not for populations that share seeds: see `pitman_morgan`.

  Args:
    first: float64 [seed, cell], at least one seed.
    second: float64 [seed, cell], other seeds, as many or not.
    fewest: with fewer seeds on either side there is no p.

  Returns:
    float64 [cell]; NaN with too few seeds, and where the deviations have no
    spread within either side.
  """
  p = np.full(first.shape[1], np.nan)
  counts = [len(first), len(second)]
  if min(counts) < max(fewest, 2):
    return p
  deviations = []
  for one in (first, second):
    away = np.abs(one - np.median(one, axis=0))
    away[away <= ROUNDING * np.abs(one).max(axis=0)] = 0.0
    deviations.append(away)
  within = np.sum(
    [seed_sd(one) ** 2 * (len(one) - 1) for one in deviations], axis=0
  )
  means = deviations[0].mean(axis=0) - deviations[1].mean(axis=0)
  between = means**2 * counts[0] * counts[1] / sum(counts)
  df = sum(counts) - 2
  good = np.flatnonzero(within > 0)
  ratio = between[good] / (within[good] / df)
  p[good] = scipy.stats.f.sf(ratio, 1, df)
  return p


def sd_ratio(
  first: np.ndarray, second: np.ndarray, *, level: float = 0.95
) -> Interval:
  """Sd of one population over that of another, of unrelated seeds.

  The interval is that of the F distribution. It assumes normal seeds, and more
  than Welch's does: it stays wrong however many seeds there are, where their
  distribution is not normal. For populations that share seeds see
  `pitman_morgan`.

  Args:
    first: float64 [seed, cell], at least one seed.
    second: float64 [seed, cell], other seeds, as many or not.
    level: coverage of the interval, in (0, 1).

  Returns:
    The ratio first / second, float64 [cell]; NaN with one seed on either side
    and where the second has no spread, its ends also where the first has none.
  """
  counts = [len(first), len(second)]
  if min(counts) < 2:
    missing = np.full(first.shape[1], np.nan)
    return Interval(estimate=missing, low=missing, high=missing)
  ratio = seed_sd(first) / positive(seed_sd(second))
  upper = (1 + level) / 2
  freedom = [count - 1 for count in counts]
  below = np.sqrt(scipy.stats.f.ppf(upper, *freedom))
  above = np.sqrt(scipy.stats.f.ppf(upper, *freedom[::-1]))
  varying = positive(ratio)
  return Interval(estimate=ratio, low=varying / below, high=varying * above)
