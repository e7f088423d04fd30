"""Confusion counts and rates per group; prevalence; TCB.

Reference: Iofinova et al. 2023, "Bias in Pruned Vision Models" (rates and
threshold-calibrated bias, by its public code); Hooker et al. 2020,
"Characterising Bias in Compressed Models" (error rates per group).
"""

import dataclasses

import numpy as np

from prunebias_jax.analysis.parity import Parity


@dataclasses.dataclass(frozen=True, kw_only=True)
class Confusion:
  """Counts of one member's predictions, float64 [group, attribute].

  Where labels are missing, what is compared with labels counts the examples
  whose label of the attribute is there.

  Attributes:
    true_positive: predicted positive and positive.
    predicted: predicted positive, with a label.
    positive: positive by the labels.
    total: examples with a label; [group, 1] where none is missing.
    selected: predicted positive, with or without a label.
    size: examples of the group, [group, 1].
  """

  true_positive: np.ndarray
  predicted: np.ndarray
  positive: np.ndarray
  total: np.ndarray
  selected: np.ndarray
  size: np.ndarray

  @property
  def negative(self) -> np.ndarray:
    """Negative by the labels."""
    return self.total - self.positive


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rates:
  """Rates in [0, 1], float64 [group, attribute]; NaN where nothing counts.

  Attributes:
    accuracy: share of right predictions.
    false_positive_rate: share of the negatives that are predicted positive.
    false_negative_rate: share of the positives that are predicted negative.
    selection_rate: share that is predicted positive; needs no label, so that
      examples without one count too.
  """

  accuracy: np.ndarray
  false_positive_rate: np.ndarray
  false_negative_rate: np.ndarray
  selection_rate: np.ndarray


def divide(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
  """Quotient in float64, NaN where the denominator is 0."""
  shape = np.broadcast_shapes(np.shape(numerator), np.shape(denominator))
  return np.divide(
    numerator,
    denominator,
    out=np.full(shape, np.nan),
    where=np.broadcast_to(np.asarray(denominator) != 0, shape),
  )


def confusion(
  predicted: np.ndarray,
  labels: np.ndarray,
  membership: np.ndarray,
  present: np.ndarray | None = None,
) -> Confusion:
  """Confusion counts by one matmul with the groups' indicators.

  Args:
    predicted: bool [example, attribute].
    labels: bool [example, attribute], False where missing.
    membership: float64 [example, group] in {0, 1}.
    present: bool [example, attribute], the label is there; None where all are.

  Returns:
    Exact counts (float64 holds every integer below 2^53).
  """
  indicators = [predicted & labels, predicted, labels]
  if present is not None:
    indicators += [predicted & present, present]
  stacked = np.concatenate(indicators, axis=1).astype(np.float64)
  counts = np.split(membership.T @ stacked, len(indicators), axis=1)
  true_positive, selected, positive = counts[:3]
  size = membership.sum(axis=0)[:, None]
  chosen, total = counts[3:] if present is not None else (selected, size)
  return Confusion(
    true_positive=true_positive,
    predicted=chosen,
    positive=positive,
    total=total,
    selected=selected,
    size=size,
  )


def group_rates(counts: Confusion) -> Rates:
  """Rates of every group from its counts (Hooker et al. 2020)."""
  false_positive = counts.predicted - counts.true_positive
  false_negative = counts.positive - counts.true_positive
  errors = false_positive + false_negative
  return Rates(
    accuracy=divide(counts.total - errors, counts.total),
    false_positive_rate=divide(false_positive, counts.negative),
    false_negative_rate=divide(false_negative, counts.positive),
    selection_rate=divide(counts.selected, counts.size),
  )


def balanced_accuracy(rates: Rates) -> np.ndarray:
  """1 - (FPR + FNR) / 2, the mean of the two classes' recalls."""
  return 1 - (rates.false_positive_rate + rates.false_negative_rate) / 2


def tcb(
  predicted_rate: np.ndarray,
  label_rate: np.ndarray,
  prevalence: np.ndarray,
  *,
  parity: Parity = "default",
) -> np.ndarray:
  """Threshold-calibrated bias: how far the rarer value is under-predicted.

  The rarer value is the positive one unless the train prevalence is above
  1/2. Its predicted rate over its label rate: 1 is right, below 1 is
  under-predicted (Iofinova et al. 2023).

  Args:
    predicted_rate: float64 [attribute], share predicted positive.
    label_rate: float64 [attribute], share positive by the labels.
    prevalence: float64 [attribute], share positive in train; NaN where unknown.
    parity: "default" gives NaN where no example has the rarer value (this
      project); "paper" divides as it falls: x / 0 is inf, 0 / 0 is NaN.

  Returns:
    float64 [attribute], at least 0.
  """
  flipped = prevalence > 0.5
  numerator = np.where(flipped, 1 - predicted_rate, predicted_rate)
  denominator = np.where(flipped, 1 - label_rate, label_rate)
  ratio = divide(numerator, denominator)
  if parity == "paper":
    ratio = np.where((denominator == 0) & (numerator > 0), np.inf, ratio)
  return np.where(np.isnan(prevalence), np.nan, ratio)
