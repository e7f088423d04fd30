"""Intervals of a mean and of an sd over seeds.

The defaults are the textbook's: Student's t and the chi-square. The bootstrap
is Efron's (percentile 1979, BCa 1987), an option for many seeds: with few it
covers far less than it says, see docs/statistics.md.
"""

import dataclasses
from typing import Literal

import numpy as np
import scipy.special
import scipy.stats

from prunebias_jax.analysis.inference.spread import (
  ROUNDING,
  positive,
  seed_sd,
)
from prunebias_jax.errors import choose

Statistic = Literal["mean", "sd"]
Method = Literal["percentile", "bca"]

# The bootstrap resamples what was seen: with fewer seeds that is too little.
FEWEST_BOOTSTRAP_SEEDS = 20
CHUNK = 2**22


@dataclasses.dataclass(frozen=True, kw_only=True)
class Interval:
  """An estimate with its interval, float64 [cell] each; NaN: not available."""

  estimate: np.ndarray
  low: np.ndarray
  high: np.ndarray


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
  half = half * positive(seed_sd(values, scale))
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
  sd = seed_sd(values)
  tail = (1 - level) / 2
  high, low = scipy.stats.chi2.ppf(np.array([tail, 1 - tail]), seeds - 1)
  return Interval(
    estimate=sd,
    low=positive(sd) * np.sqrt((seeds - 1) / low),
    high=positive(sd) * np.sqrt((seeds - 1) / high),
  )


def bootstrap_interval(
  values: np.ndarray,
  *,
  statistic: Statistic,
  method: Method,
  draws: int = 9_999,
  level: float = 0.95,
  seed: int = 0,
  fewest: int = FEWEST_BOOTSTRAP_SEEDS,
) -> Interval:
  """Bootstrap interval over seeds of a mean or an sd (ddof 1).

  The draws are the same for every cell. Percentile: the quantiles of the
  statistic over the draws. BCa: these quantiles at levels corrected for bias
  and, by the jackknife, for acceleration (Efron 1987).

  Args:
    values: float64 [seed, cell], at least one seed.
    statistic: "mean" or "sd".
    method: "percentile" or "bca".
    draws: how many times the seeds are drawn.
    level: coverage aimed at, in (0, 1).
    seed: of the draws.
    fewest: with fewer seeds (and always with fewer than 3) there is no
      interval.

  Returns:
    The interval; low and high are NaN with too few seeds, and where all seeds
    agree. The estimate of an sd of one seed is NaN.

  Raises:
    InputError: an unknown statistic or method.
  """
  choose(statistic, ("mean", "sd"), "statistic")
  choose(method, ("percentile", "bca"), "method")
  seeds, cells = values.shape
  low, high = np.full((2, cells), np.nan)
  sd = seed_sd(values) if seeds > 1 else np.full(cells, np.nan)
  mean = values.mean(axis=0)
  varying = np.flatnonzero(sd > 0)
  if seeds >= max(fewest, 3):
    weights = _resamples(seeds, draws, seed)
    # In units of the sd about the mean: no digits are lost to the mean.
    centred = (values - mean)[:, varying] / sd[varying]
    step = max(1, CHUNK // draws)
    for start in range(0, len(varying), step):
      part = centred[:, start : start + step]
      ends = _ends(part, weights, statistic, method, level)
      place = varying[start : start + step]
      shift = mean[place] if statistic == "mean" else 0.0
      low[place], high[place] = shift + sd[place] * ends
  return Interval(
    estimate=mean if statistic == "mean" else sd, low=low, high=high
  )


def _resamples(seeds: int, draws: int, seed: int) -> np.ndarray:
  """How often each draw holds each seed: float64 [draw, seed]."""
  drawn = np.random.default_rng(seed).integers(0, seeds, (draws, seeds))
  place = drawn + seeds * np.arange(draws)[:, None]
  counts = np.bincount(place.ravel(), minlength=draws * seeds)
  return counts.reshape(draws, seeds).astype(np.float64)


def _ends(
  values: np.ndarray,
  weights: np.ndarray,
  statistic: Statistic,
  method: Method,
  level: float,
) -> np.ndarray:
  """Both ends of the interval: float64 [2, cell].

  Args:
    values: float64 [seed, cell], of mean 0 and sd 1.
    weights: float64 [draw, seed].
    statistic: see `bootstrap_interval`.
    method: see `bootstrap_interval`.
    level: see `bootstrap_interval`.
  """
  seeds = len(values)
  drawn = values.T @ weights.T / seeds
  if statistic == "sd":
    squares = (values.T**2) @ weights.T / seeds
    variance = squares - drawn**2
    # A draw of equal seeds has no spread, and the square root of rounding is
    # no longer small.
    variance[variance <= ROUNDING * squares] = 0.0
    drawn = np.sqrt(variance * seeds / (seeds - 1))
  drawn.sort(axis=1)
  tail = (1 - level) / 2
  levels = np.array([[tail], [1 - tail]]) * np.ones(len(drawn))
  if method == "bca":
    levels = _corrected(levels, drawn, values, statistic)
  return _quantiles(drawn, levels)


def _corrected(
  levels: np.ndarray,
  drawn: np.ndarray,
  values: np.ndarray,
  statistic: Statistic,
) -> np.ndarray:
  """The levels of the BCa interval: float64 [2, cell].

  Args:
    levels: float64 [2, cell], those of the percentile interval.
    drawn: float64 [cell, draw], the statistic of the draws.
    values: float64 [seed, cell], of mean 0 and sd 1.
    statistic: see `bootstrap_interval`.
  """
  estimate = 0.0 if statistic == "mean" else 1.0
  # A tie counts half; equal sums differ by rounding.
  below = np.count_nonzero(drawn < estimate - ROUNDING, axis=1)
  upto = np.count_nonzero(drawn <= estimate + ROUNDING, axis=1)
  bias = scipy.special.ndtri((below + upto) / (2 * drawn.shape[1]))
  left_out = _jackknife(values, statistic)
  deviations = left_out.mean(axis=0) - left_out
  skew = (deviations**3).sum(axis=0)
  size = (deviations**2).sum(axis=0) ** 1.5
  acceleration = np.divide(
    skew, 6 * size, out=np.zeros(size.shape), where=size > 0
  )
  z = bias + scipy.special.ndtri(levels)
  return scipy.special.ndtr(bias + z / (1 - acceleration * z))


def _jackknife(values: np.ndarray, statistic: Statistic) -> np.ndarray:
  """The statistic without each seed: float64 [seed, cell].

  Args:
    values: float64 [seed, cell], of mean 0 and sd 1, at least 3 seeds.
    statistic: see `bootstrap_interval`.
  """
  rest = len(values) - 1
  if statistic == "mean":
    return -values / rest
  squares = (values**2).sum(axis=0) - values**2 - values**2 / rest
  return np.sqrt(np.maximum(squares, 0.0) / (rest - 1))


def _quantiles(ordered: np.ndarray, levels: np.ndarray) -> np.ndarray:
  """Linearly interpolated quantiles, each cell at its own levels.

  Args:
    ordered: float64 [cell, draw], ascending.
    levels: float64 [end, cell]; NaN gives NaN.

  Returns:
    float64 [end, cell].
  """
  last = ordered.shape[1] - 1
  place = np.nan_to_num(levels) * last
  left = np.floor(place).astype(int)
  right = np.minimum(left + 1, last)
  cell = np.arange(len(ordered))
  share = place - left
  found = ordered[cell, left] * (1 - share) + ordered[cell, right] * share
  return np.where(np.isnan(levels), np.nan, found)
