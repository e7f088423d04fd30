"""One output's scores in order: AUC of weighted examples, and placements.

Sorted once, the scores give the AUC under any number of weightings (halves of
the test set, bootstrap samples) by sums of weights in sorted order. Ties are
exact: a tied pair counts one half. The placements are Hoeffding's; the way to
weighted AUCs is this project's.
"""

import dataclasses

import numpy as np
import scipy.sparse

from prunebias_jax.analysis.rates import divide


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ranking:
  """The examples with a label of one output, sorted by their score.

  Attributes:
    examples: int [labelled], their places in the test set, by score.
    positive: bool [labelled], in the same order.
    tie: int [labelled], which of the distinct scores each has.
    size: the number of all examples.
  """

  examples: np.ndarray
  positive: np.ndarray
  tie: np.ndarray
  size: int

  @classmethod
  def of(
    cls,
    scores: np.ndarray,
    labels: np.ndarray,
    present: np.ndarray | None = None,
  ) -> "Ranking":
    """Sorts.

    Args:
      scores: [example], finite.
      labels: bool [example].
      present: bool [example], the label is there; None where all are.
    """
    examples = np.argsort(scores, kind="stable")
    if present is not None:
      examples = examples[present[examples]]
    ordered = scores[examples]
    new = np.ones(len(ordered), bool)
    new[1:] = ordered[1:] != ordered[:-1]
    return cls(
      examples=examples,
      positive=labels[examples],
      tie=np.cumsum(new) - 1,
      size=len(scores),
    )

  def placements(self) -> np.ndarray:
    """How each example stands among those of the other class.

    Returns:
      float64 [example]: of a positive the share of the negatives below it, of
      a negative that of the positives above it, ties one half. Their mean
      over either class is the AUC. 0 without a label; NaN where the other
      class is empty.
    """
    result = np.zeros(self.size)
    if not len(self.examples):
      return result
    ties = self.tie[-1] + 1
    in_tie = [
      np.bincount(self.tie[mask], minlength=ties).astype(np.float64)
      for mask in (~self.positive, self.positive)
    ]
    negatives, positives = (one.sum() for one in in_tie)
    below = np.cumsum(in_tie[0]) - in_tie[0] / 2
    above = positives - np.cumsum(in_tie[1]) + in_tie[1] / 2
    result[self.examples] = np.where(
      self.positive,
      divide(below, negatives)[self.tie],
      divide(above, positives)[self.tie],
    )
    return result

  def weighted_auc(self, weights: np.ndarray) -> np.ndarray:
    """AUC where each example counts as often as its weight says.

    Args:
      weights: float32 [example, weighting], whole numbers, their sums below
        2^22, so that sums of halves are exact.

    Returns:
      float64 [weighting]; NaN where a class has no weight.
    """
    # The sums are kept for the rarer class only: the other one's are added up
    # between its scores. Turning both around leaves the AUC as it is.
    few = self.positive
    if 2 * np.count_nonzero(few) > len(few):
      few = ~few
    flipped = few is not self.positive
    own, many = self.examples[few], self.examples[~few]
    if not len(own) or not len(many):
      return np.full(weights.shape[1], np.nan)
    distinct, first = np.unique(self.tie[few], return_index=True)
    own_weights = weights[own]
    if len(distinct) < len(own):
      own_weights = np.add.reduceat(own_weights, first, axis=0)
    below = self._steps(distinct, self.tie[~few], many) @ weights
    total = np.zeros(weights.shape[1], np.float32)
    for row in below:
      # numpy adds up along the first axis far slower than row by row.
      np.add(total, row, out=row)
      total = row
    pairs = own_weights.sum(axis=0, dtype=np.float64) * total
    won = (below[:-1] * own_weights).sum(axis=0, dtype=np.float64)
    value = divide(won, pairs)
    return 1 - value if flipped else value

  def _steps(
    self, distinct: np.ndarray, tie: np.ndarray, examples: np.ndarray
  ) -> scipy.sparse.csr_matrix:
    """Adds up the weights of one class between the scores of the other.

    Args:
      distinct: int [step], the distinct scores of the one, in order.
      tie: int [other], the scores of the other, in order.
      examples: int [other], its examples.

    Returns:
      float32 [step + 1, example], whose rows, added up, hold what lies below
      each score, ties one half; the last one, added too, holds all.
    """
    low = np.searchsorted(distinct, tie, side="left")
    high = np.searchsorted(distinct, tie, side="right")
    # What is tied with a step counts half there, and half from the next one on.
    tied = low != high
    return scipy.sparse.csr_matrix(
      (
        np.concatenate([1 - tied / 2, np.full(tied.sum(), 0.5)]).astype("f4"),
        (
          np.concatenate([low, high[tied]]),
          np.concatenate([examples, examples[tied]]),
        ),
      ),
      shape=(len(distinct) + 1, self.size),
    )
