"""Does one number of an attribute go with another, over attributes?

Spearman's correlation and its percentile bootstrap are the textbook's; the
one-cut rule and its judgement are this project's.
"""

import dataclasses
import functools

import numpy as np

# With fewer there is too little to correlate.
FEWEST = 5
DRAWS = 1_999


@dataclasses.dataclass(frozen=True, kw_only=True)
class Association:
  """A rank correlation with its interval; NaN where there is none."""

  estimate: float
  low: float
  high: float


def spearman(
  first: np.ndarray,
  second: np.ndarray,
  *,
  level: float = 0.95,
  draws: int = DRAWS,
) -> Association:
  """Spearman's correlation with a percentile bootstrap over the attributes.

  A draw's midranks need no sorting: with w how often it holds each attribute,
  that of i is the sum of w_j over x_j < x_i, plus half of that over x_j = x_i,
  plus 1/2. The draws come from a fixed seed; those in which a side is constant
  are left out.

  Args:
    first: float64 [attribute], finite.
    second: float64 [attribute], finite.
    level: coverage aimed at, in (0, 1).
    draws: how many.

  Returns:
    The correlation; all NaN with fewer than `FEWEST` attributes or a constant
    side.
  """
  count = len(first)
  missing = Association(estimate=np.nan, low=np.nan, high=np.nan)
  if count < FEWEST:
    return missing
  weights = _weights(count, draws)
  # Midranks minus their mean, which is (count + 1) / 2 in every draw.
  ranks = [
    weights @ ((one[:, None] < one) + 0.5 * (one[:, None] == one)) - count / 2
    for one in (first, second)
  ]
  products = [
    np.einsum("da,da,da->d", weights, ranks[i], ranks[j])
    for i, j in ((0, 1), (0, 0), (1, 1))
  ]
  # Ranks are multiples of one half: these sums are exact.
  varying = (products[1] > 0) & (products[2] > 0)
  if not varying[0]:
    return missing
  covariance, *variances = (one[varying] for one in products)
  values = covariance / np.sqrt(variances[0] * variances[1])
  values = np.clip(values, -1.0, 1.0)
  tail = (1 - level) / 2
  low, high = np.quantile(values[1:], [tail, 1 - tail])
  return Association(
    estimate=float(values[0]), low=float(low), high=float(high)
  )


@functools.lru_cache(maxsize=16)
def _weights(count: int, draws: int) -> np.ndarray:
  """How often the sample, then each draw holds each attribute."""
  drawn = np.random.default_rng(0).integers(0, count, (draws, count))
  weights = np.ones((1 + draws, count))
  weights[1:] = (drawn[:, :, None] == np.arange(count)).sum(axis=1)
  weights.flags.writeable = False
  return weights


def leave_one_out(values: np.ndarray, labels: np.ndarray) -> float:
  """How often a one-cut rule, fitted on all others, decides one right.

  The rule says True on one side of a cut midway between two neighbouring
  values. It is the one with the most hits on the others; of equals the one
  with the lowest cut, True above before True below. Where no cut has more hits
  than the more frequent label (of equals True), it says that label.

  Args:
    values: float64 [attribute], finite; at least two.
    labels: bool [attribute].

  Returns:
    The share decided right, in [0, 1].
  """
  hits = [
    _decide(np.delete(values, i), np.delete(labels, i), values[i]) == labels[i]
    for i in range(len(values))
  ]
  return float(np.mean(hits))


def _decide(values: np.ndarray, labels: np.ndarray, value: float) -> bool:
  """What the rule fitted on `values` and `labels` says of `value`."""
  order = np.argsort(values, kind="stable")
  ordered, truth = values[order], labels[order]
  # Cut k lies after the k + 1 smallest.
  cuts = np.flatnonzero(ordered[1:] > ordered[:-1])
  below, total = np.cumsum(truth)[cuts], int(truth.sum())
  above_hits = (cuts + 1 - below) + (total - below)
  both = np.stack([above_hits, len(truth) - above_hits], axis=1).ravel()
  constant = max(total, len(truth) - total)
  if not both.size or both.max() <= constant:
    return 2 * total >= len(truth)
  place, flipped = divmod(int(np.argmax(both)), 2)
  cut = cuts[place]
  middle = ordered[cut] / 2 + ordered[cut + 1] / 2
  return bool((value > middle) != bool(flipped))
