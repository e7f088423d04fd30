"""What each test example adds to a member's metric: influence values.

A metric of a test set of n examples is, to first order, its value on endless
data plus the mean over the examples of an influence value (the infinitesimal
jackknife, Efron 1982). For a mean over examples this is exact: the influence is
the example's value minus the mean. For ratios (TCB, bias amplification),
balanced accuracy and AUC (Hoeffding's placements, DeLong et al. 1988) it is the
linearisation. That seeds and examples can so be taken as random together, for
these metrics too, is this project's.

Arrays are [example, output]; influences sum to 0 over the examples that have a
label, and are 0 where there is none.
"""

import dataclasses

import numpy as np

from prunebias_jax.analysis.facts import Facts
from prunebias_jax.analysis.rates import divide
from prunebias_jax.analysis.variance.placements import Ranking


@dataclasses.dataclass(frozen=True, kw_only=True)
class Truth:
  """Labels as numbers, once for all members; float64.

  Attributes:
    positive: [example, output], 1 where positive by the labels.
    negative: [example, output], 1 where negative by the labels.
    present: [example, output], 1 where there is a label.
    positives: [output], how many.
    negatives: [output], how many.
    total: [output], examples that have a label.
  """

  positive: np.ndarray
  negative: np.ndarray
  present: np.ndarray
  positives: np.ndarray
  negatives: np.ndarray
  total: np.ndarray

  @classmethod
  def of(cls, facts: Facts) -> "Truth":
    """From what is known of a split."""
    positive = facts.labels.astype(np.float64)
    present = (
      np.ones_like(positive)
      if facts.present is None
      else facts.present.astype(np.float64)
    )
    positives, total = positive.sum(axis=0), present.sum(axis=0)
    return cls(
      positive=positive,
      negative=present - positive,
      present=present,
      positives=positives,
      negatives=total - positives,
      total=total,
    )


def of_mean(values: np.ndarray, present: np.ndarray | None) -> np.ndarray:
  """Of a mean over the examples (that have a label, where `present` is given).

  Args:
    values: float64 [example, output].
    present: float64 [example, output] in {0, 1}; None for all examples.
  """
  if present is None:
    return values - values.mean(axis=0)
  total = present.sum(axis=0)
  return present * (values - divide((values * present).sum(axis=0), total))


def of_balanced_accuracy(predicted: np.ndarray, truth: Truth) -> np.ndarray:
  """Of the mean of the two classes' recalls.

  Args:
    predicted: float64 [example, output] in {0, 1}.
    truth: the labels.

  Returns:
    float64 [example, output]; NaN for outputs with fewer than two positives or
    negatives, whose spread cannot be told.
  """
  return (
    _of_class(predicted, truth.positive, truth)
    + _of_class(1 - predicted, truth.negative, truth)
  ) / 2


def of_auc(placements: np.ndarray, truth: Truth) -> np.ndarray:
  """Of the area under the ROC curve (DeLong, DeLong and Clarke-Pearson 1988).

  Args:
    placements: float64 [example, output], see `placements.placements`: of a
      positive the share of the negatives below it, of a negative that of the
      positives above it; ties one half.
    truth: the labels.

  Returns:
    float64 [example, output]; NaN as for `of_balanced_accuracy`.
  """
  return _of_class(placements, truth.positive, truth) + _of_class(
    placements, truth.negative, truth
  )


def _of_class(
  values: np.ndarray, inside: np.ndarray, truth: Truth
) -> np.ndarray:
  """Of the mean over the examples of one class, [example, output].

  Scaled by sqrt(m / (m - 1)), m the class's size: its variance is then
  estimated with m - 1, as DeLong's is.
  """
  count = inside.sum(axis=0)
  scale = divide(truth.total, np.sqrt(count * np.maximum(count - 1, 0)))
  return scale * inside * (values - divide((values * inside).sum(0), count))


def of_tcb(
  predicted: np.ndarray, truth: Truth, prevalence: np.ndarray
) -> np.ndarray:
  """Of threshold-calibrated bias, a ratio of two means.

  Args:
    predicted: float64 [example, output] in {0, 1}.
    truth: the labels.
    prevalence: float64 [output], in train.

  Returns:
    float64 [example, output]; NaN where nothing has the rarer value.
  """
  flipped = prevalence > 0.5
  chosen = np.where(flipped, 1 - predicted, predicted) * truth.present
  rarer = np.where(flipped, truth.negative, truth.positive)
  count = rarer.sum(axis=0)
  value = divide(chosen.sum(axis=0), count)
  return divide(truth.total, count) * (chosen - value * rarer)


def of_bias_amplification(
  predicted: np.ndarray,
  truth: Truth,
  group: np.ndarray,
  higher_in_rest: np.ndarray,
) -> np.ndarray:
  """Of bias amplification, a difference of two ratios.

  Args:
    predicted: float64 [example, output] in {0, 1}.
    truth: the labels.
    group: float64 [example] in {0, 1}.
    higher_in_rest: bool [output]: the rest has the higher train rate.

  Returns:
    float64 [example, output]; NaN where nothing is positive or predicted so.
  """
  sign = np.where(higher_in_rest, -1.0, 1.0)
  share = _of_share(predicted * truth.present, group, truth.total)
  return sign * (share - _of_share(truth.positive, group, truth.total))


def _of_share(
  chosen: np.ndarray, group: np.ndarray, total: np.ndarray
) -> np.ndarray:
  """Of the group's share among the chosen: float64 [example, output]."""
  count = chosen.sum(axis=0)
  share = divide(group @ chosen, count)
  return divide(total, count) * chosen * (group[:, None] - share)


def auc_placements(rankings: list[Ranking]) -> np.ndarray:
  """The placements of several outputs side by side: [example, output]."""
  return np.stack([ranking.placements() for ranking in rankings], axis=1)
