"""Thresholds calibrated on the validation split.

Reference: Iofinova et al. 2023 (by its public code). Where its rule is odd,
this project's own is the default and the paper's is `parity="paper"`.
"""

import dataclasses

import numpy as np

from prunebias_jax.analysis.parity import Parity


@dataclasses.dataclass(frozen=True, kw_only=True)
class Thresholds:
  """One decision threshold for each attribute; positive is logit > value.

  Attributes:
    value: float64 [attribute], logits; NaN without any validation label, else
      finite.
    tied: bool [attribute]: tied logits keep the rule from its count.
    one_class: bool [attribute]: the validation labels are all positive or all
      negative.
    no_label: bool [attribute]: there is no validation label.
  """

  value: np.ndarray
  tied: np.ndarray
  one_class: np.ndarray
  no_label: np.ndarray


def calibrated_thresholds(
  logits: np.ndarray,
  positives: np.ndarray,
  *,
  present: np.ndarray | None = None,
  parity: Parity = "default",
) -> Thresholds:
  """Thresholds that predict as many validation positives as there are.

  Iofinova et al. 2023 take the K-th largest validation logit, K the number of
  validation positives, with a strict comparison: that predicts K - 1. The
  default (this project) lies midway between two neighbouring distinct logits
  and predicts the largest reachable count that is at most K: K itself unless
  the K-th and the next largest logit are tied.

  Args:
    logits: [example, attribute], the validation logits, finite.
    positives: int [attribute], K.
    present: bool [example, attribute], the label is there, and its logit
      counts; None where all are.
    parity: "default", or "paper" for the K-th largest logit.

  Returns:
    The thresholds. K = 0 gives the largest logit, under both rules.
  """
  positives = positives.astype(np.int64)
  count = np.full(logits.shape[1], len(logits))
  if present is not None:
    # Below all others, where they are never reached.
    logits, count = np.where(present, logits, -np.inf), present.sum(axis=0)
  # Sorted as stored: half the bytes, the same order.
  ordered = -np.sort(-logits, axis=0).astype(np.float64)
  column, last = np.arange(len(count)), np.maximum(count - 1, 0)
  if parity == "paper":
    value = ordered[np.maximum(positives - 1, 0), column]
    reached = np.sum(ordered > value, axis=0)
    tied = reached != np.maximum(positives - 1, 0)
  else:
    # The largest logit that must stay negative, and those above it.
    below = ordered[np.minimum(positives, last), column]
    reached = np.sum(ordered > below, axis=0)
    above = ordered[np.maximum(reached - 1, 0), column]
    middle = below / 2 + above / 2
    # Between neighbouring floats the midpoint rounds to one of them.
    middle = np.where(middle >= above, below, middle)
    value = np.where(reached > 0, middle, below)
    everything = positives == count
    lowest = np.nextafter(ordered[last, column], -np.inf)
    value = np.where(everything, lowest, value)
    tied = (reached < positives) & ~everything
  no_label = count == 0
  one_class = ((positives == 0) | (positives == count)) & ~no_label
  return Thresholds(
    value=np.where(no_label, np.nan, value),
    tied=tied,
    one_class=one_class,
    no_label=no_label,
  )
