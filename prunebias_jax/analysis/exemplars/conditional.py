"""Tests and intervals that take the examples as independent, given the models.

All examples share the same few members, so these say nothing of other members:
under no effect they reject too often (docs/statistics.md). They are given in
columns named so, beside the member permutation.

References: McNemar (1947) in its exact, binomial form; Fisher's exact test;
Wilson (1927) for a share.
"""

import numpy as np
import scipy.special
import scipy.stats

CHUNK = 2**22


def mcnemar(first_only: np.ndarray, second_only: np.ndarray) -> np.ndarray:
  """Two-sided exact p that two counts of discordant examples are equal.

  Args:
    first_only: int [...], examples that only the first side has right.
    second_only: those that only the second has right.

  Returns:
    float64 [...] in (0, 1]; 1 where there is no discordant example.
  """
  total = np.asarray(first_only) + np.asarray(second_only)
  fewer = np.minimum(first_only, second_only)
  return np.minimum(1.0, 2 * scipy.stats.binom.cdf(fewer, total, 0.5))


def fisher(
  both: np.ndarray, first: np.ndarray, second: np.ndarray, total: np.ndarray
) -> np.ndarray:
  """Two-sided exact p that two properties of examples are unrelated.

  The sum of the probabilities, margins given, of all tables that are at most
  as likely as the observed one.

  Args:
    both: int [row], examples with both properties.
    first: those with the first.
    second: those with the second.
    total: all.

  Returns:
    float64 [row] in (0, 1].
  """
  low, high = _window(both, first, second, total)
  width = high - low + 1
  result = np.empty(len(both))
  bounds = np.concatenate([[0], np.cumsum(width)])
  start = 0
  while start < len(both):
    stop = int(np.searchsorted(bounds, bounds[start] + CHUNK, side="right"))
    part = slice(start, max(stop - 1, start + 1))
    result[part] = _tables(
      *(one[part] for one in (both, first, second, total, low, width))
    )
    start = part.stop
  return np.minimum(result, 1.0)


def _window(
  both: np.ndarray, first: np.ndarray, second: np.ndarray, total: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """The least and the most of `both` that matter to a p of `fisher`.

  Far beyond the observed distance from the mean, on either side, no table has
  a probability that would change a digit.
  """
  whole = np.maximum(total, 1)
  mean = first * second / whole
  variance = mean * (1 - first / whole) * (1 - second / whole) * 2
  reach = 8 * np.sqrt(variance) + 2 * np.abs(both - mean) + 20
  low = np.maximum(0, first + second - total)
  high = np.minimum(first, second)
  return (
    np.maximum(low, np.floor(mean - reach).astype(low.dtype)),
    np.minimum(high, np.ceil(mean + reach).astype(high.dtype)),
  )


def _tables(
  both: np.ndarray,
  first: np.ndarray,
  second: np.ndarray,
  total: np.ndarray,
  low: np.ndarray,
  width: np.ndarray,
) -> np.ndarray:
  """`fisher` of some rows, over all their tables at once."""
  starts = np.cumsum(width) - width
  row = np.repeat(np.arange(len(both)), width)
  count = np.arange(len(row)) - starts[row] + low[row]
  factorial = scipy.special.gammaln(np.arange(int(total.max()) + 2) + 1.0)
  a, b, n = first[row], second[row], total[row]
  log = -(
    factorial[count]
    + factorial[a - count]
    + factorial[b - count]
    + factorial[n - a - b + count]
  )
  observed = log[starts + both - low]
  highest = np.maximum.reduceat(log, starts)
  # Equally likely tables differ by rounding.
  chance = np.exp(log - highest[row])
  counted = np.where(log <= observed[row] + 1e-7, chance, 0.0)
  return np.add.reduceat(counted, starts) / np.add.reduceat(chance, starts)


def wilson(
  hits: np.ndarray, total: np.ndarray, level: float
) -> tuple[np.ndarray, np.ndarray]:
  """Wilson's score interval of a share.

  Args:
    hits: [...], successes.
    total: trials; 0 gives NaN.
    level: coverage in (0, 1).

  Returns:
    Low and high, float64 [...].
  """
  z = scipy.stats.norm.ppf((1 + level) / 2)
  n = np.where(np.asarray(total) > 0, total, np.nan).astype(np.float64)
  share = hits / n
  middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
  spread = np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
  half = z / (1 + z**2 / n) * spread
  return np.clip(middle - half, 0, 1), np.clip(middle + half, 0, 1)
