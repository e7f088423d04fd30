"""Area under the ROC curve by ranks."""

import numpy as np


def auc(
  scores: np.ndarray, labels: np.ndarray, present: np.ndarray | None = None
) -> np.ndarray:
  """P(score of a positive > score of a negative), ties counting one half.

  The Mann-Whitney form: for each positive, the negatives below it and half of
  those tied with it. Give logits, not probabilities: the sigmoid saturates and
  so makes ties that the model did not make.

  Args:
    scores: [example, attribute], finite.
    labels: bool [example, attribute], False where missing.
    present: bool [example, attribute], the label is there; None where all are.

  Returns:
    float64 [attribute] in [0, 1]; NaN where the labels are of one class.
  """
  negatives = ~labels if present is None else ~labels & present
  result = np.full(scores.shape[1], np.nan)
  for place, column in enumerate(np.ascontiguousarray(scores.T)):
    # Two short sorts and a search are several times faster than midranks.
    positive = np.sort(column[labels[:, place]])
    negative = np.sort(column[negatives[:, place]])
    if positive.size and negative.size:
      below = np.searchsorted(negative, positive, "left").sum()
      below_or_tied = np.searchsorted(negative, positive, "right").sum()
      pairs = positive.size * negative.size
      result[place] = (below + below_or_tied) / (2 * pairs)
  return result
