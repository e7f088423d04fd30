"""Calibration error: probabilities against shares of positives, in bins.

Reference: Iofinova et al. 2023 for ten bins of equal width (by its public
code); Roelofs et al. 2022, "Mitigating Bias in Calibration Error Estimation",
for `ece_sweep`. How ties are ordered, p = 1 as the default power, and exact
whole-number comparisons of bins are this project's.
"""

from typing import Literal

import numpy as np

from prunebias_jax.analysis.parity import Parity
from prunebias_jax.analysis.rates import divide

BINS = 10
# Bins that are looked at together while their number is swept.
TOGETHER = 2**18

Binning = Literal["width", "mass"]


def ece(
  probabilities: np.ndarray,
  labels: np.ndarray,
  *,
  present: np.ndarray | None = None,
  bins: int = BINS,
  parity: Parity = "default",
) -> np.ndarray:
  """Expected calibration error, L1, equal-width bins on the probability.

  sum_b (n_b / n) |share of positives in b - mean probability in b|.

  Args:
    probabilities: float64 [example, attribute] in [0, 1].
    labels: bool [example, attribute].
    present: bool [example, attribute], the label is there; None where all are.
    bins: the number of bins.
    parity: "default" puts p = 1 into the last bin; "paper" bins by
      floor(bins p), so that p = 1 makes a bin of its own.

  Returns:
    float64 [attribute] in [0, 1]; NaN without examples.
  """
  count, outputs = probabilities.shape
  if not count:
    return np.full(outputs, np.nan)
  place = np.floor(probabilities * bins).astype(np.int64)
  if parity == "default":
    place = np.minimum(place, bins - 1)
  cell = place + np.arange(outputs) * (bins + 1)
  # n_b cancels: what is left of a bin is |sum of (y - p)|.
  gaps = labels - probabilities
  total = np.full(outputs, count)
  if present is not None:
    gaps, total = np.where(present, gaps, 0.0), present.sum(axis=0)
  gap = np.bincount(
    cell.ravel(), weights=gaps.ravel(), minlength=outputs * (bins + 1)
  )
  return divide(np.abs(gap).reshape(outputs, bins + 1).sum(axis=1), total)


def ece_bin(
  probabilities: np.ndarray,
  labels: np.ndarray,
  *,
  bins: int = BINS,
  binning: Binning = "width",
  power: float = 1.0,
) -> float:
  """Binned calibration error of one attribute, with any power.

  (sum_b (n_b / n) |share of positives in b - mean probability in b|^p)^(1/p);
  empty bins count nothing. Roelofs et al. 2022 call it ECE_bin.

  Args:
    probabilities: float64 [example] in [0, 1].
    labels: bool [example].
    bins: the number of bins.
    binning: "width": [k / bins, (k + 1) / bins), the last one closed; "mass":
      example i of n, in the order of `in_order`, is in bin floor(i bins / n).
    power: p, at least 1.

  Returns:
    The error in [0, 1]; NaN without examples.
  """
  count = len(probabilities)
  if not count:
    return np.nan
  if binning == "mass":
    probabilities, labels = in_order(probabilities, labels)
    place = _of_mass(count, bins)
  else:
    place = np.minimum((probabilities * bins).astype(np.int64), bins - 1)
  return _error(place, labels - probabilities, bins, power)


def ece_sweep(
  probabilities: np.ndarray,
  labels: np.ndarray,
  *,
  present: np.ndarray | None = None,
  parity: Parity = "default",
) -> np.ndarray:
  """Calibration error with as many bins as keep the shares monotonic.

  Bins of equal mass, 2, 3, ... of them, until a bin has a smaller share of
  positives than the one before; the error is that of the last number of bins
  before (1 at the least). Roelofs et al. 2022.

  Args:
    probabilities: float64 [example, attribute] in [0, 1].
    labels: bool [example, attribute].
    present: bool [example, attribute], the label is there; None where all are.
      Examples without one change nothing.
    parity: the power of `ece_bin`: 1, or with "paper" the published 2.

  Returns:
    float64 [attribute] in [0, 1]; NaN without examples.
  """
  power = 2.0 if parity == "paper" else 1.0
  result = np.full(probabilities.shape[1], np.nan)
  for i, (column, truth) in enumerate(
    zip(probabilities.T, labels.T, strict=True)
  ):
    if present is not None:
      column, truth = column[present[:, i]], truth[present[:, i]]
    if len(column):
      column, truth = in_order(column, truth)
      bins = sweep(truth)
      place = _of_mass(len(truth), bins)
      result[i] = _error(place, truth - column, bins, power)
  return result


def in_order(
  probabilities: np.ndarray, labels: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """Both by rising probability, ties in a seeded random order.

  The order in which examples are stored often goes with their labels; it must
  not decide where tied ones fall.
  """
  order = np.argsort(probabilities)
  same = np.diff(probabilities[order]) == 0
  if same.any():
    # As a stable sort of the shuffled examples would have it, but that only
    # the few tied ones are sorted twice.
    shuffled = np.random.default_rng(0).permutation(len(order))
    rank = np.empty_like(shuffled)
    rank[shuffled] = np.arange(len(order))
    run = np.concatenate([[0], np.cumsum(~same)])
    tied = np.flatnonzero(np.append(same, False) | np.append(False, same))
    among = order[tied]
    order[tied] = among[np.lexsort((rank[among], run[tied]))]
  return probabilities[order], labels[order]


def sweep(labels: np.ndarray) -> int:
  """The largest number of bins before a share first falls.

  Args:
    labels: bool [example], by rising probability; at least one.

  Returns:
    At least 1, at most the number of examples.
  """
  count = len(labels)
  positives = np.concatenate([[0], np.cumsum(labels)])
  if positives[-1] in (0, count):
    return count
  # Bins that end before the first positive, or begin after the last negative,
  # have shares of 0 and 1: no fall begins or ends beyond them.
  first = int(np.argmax(labels))
  last = count - 1 - int(np.argmin(labels[::-1]))
  if last < first:
    return count
  start = 2
  while start <= count:
    width = start * (last - first + 1) // count + 2
    stop = min(2 * start, start + max(1, TOGETHER // width), count + 1)
    fallen = _first_fall(positives, np.arange(start, stop), first, last)
    if fallen:
      return fallen - 1
    start = stop
  return count


def _first_fall(
  positives: np.ndarray, bins: np.ndarray, first: int, last: int
) -> int:
  """The first of these numbers of bins at which a share falls; 0 for none.

  Args:
    positives: int [example + 1], positives among the first examples.
    bins: int [number], rising.
    first: where the first positive is.
    last: where the last negative is.
  """
  count = len(positives) - 1
  low, high = first * bins // count, last * bins // count
  length = high - low + 1
  # The numbers' bins one after the other, each from `low` to `high`.
  number = np.repeat(bins, length)
  offset = np.repeat(np.cumsum(length) - length - low, length)
  place = np.arange(len(number)) - offset
  begin = -(-place * count // number)
  end = -(-(place + 1) * count // number)
  hits, size = positives[end] - positives[begin], end - begin
  falls = (hits[1:] * size[:-1] < hits[:-1] * size[1:]) & (
    number[1:] == number[:-1]
  )
  return int(number[np.argmax(falls)]) if falls.any() else 0


def _of_mass(count: int, bins: int) -> np.ndarray:
  """The bin of equal mass of each example in order: int [example]."""
  return np.arange(count) * bins // count


def _error(
  place: np.ndarray, gaps: np.ndarray, bins: int, power: float
) -> float:
  """The p-mean of the bins' gaps, from each example's bin and y - p."""
  size = np.bincount(place, minlength=bins)
  used = size > 0
  gap = np.bincount(place, weights=gaps, minlength=bins)[used] / size[used]
  mean = np.sum(size[used] / len(place) * np.abs(gap) ** power)
  return float(mean ** (1 / power))
