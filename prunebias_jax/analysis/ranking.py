"""Area under the ROC curve by ranks."""

import numpy as np
import scipy.stats

from prunebias_jax.analysis.rates import divide


def auc(
  scores: np.ndarray, labels: np.ndarray, present: np.ndarray | None = None
) -> np.ndarray:
  """P(score of a positive > score of a negative), ties counting one half.

  The Mann-Whitney form: (R - n1 (n1 + 1) / 2) / (n1 n0), R the sum of the
  positives' midranks. Give logits, not probabilities: the sigmoid saturates
  and so makes ties that the model did not make.

  Args:
    scores: [example, attribute], finite.
    labels: bool [example, attribute], False where missing.
    present: bool [example, attribute], the label is there; None where all are.

  Returns:
    float64 [attribute] in [0, 1]; NaN where the labels are of one class.
  """
  if present is not None:
    # Above all others, where they change no rank that counts.
    scores = np.where(present, scores, np.inf)
  ranks = scipy.stats.rankdata(scores, axis=0)
  positive = labels.sum(axis=0).astype(np.float64)
  total = len(labels) if present is None else present.sum(axis=0)
  negative = total - positive
  ranked = np.einsum("ea,ea->a", ranks, labels, dtype=np.float64)
  return divide(ranked - positive * (positive + 1) / 2, positive * negative)
