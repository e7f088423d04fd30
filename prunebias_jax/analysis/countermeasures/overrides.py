"""Answers of a compressed model replaced where its dense partner is unsure.

This project's. The pairs of example and output that are replaced are the most
uncertain of the dense model; a control replaces as many drawn at random.
"""

import numpy as np

from prunebias_jax.analysis.countermeasures.answers import LABELS
from prunebias_jax.analysis.uncertainty import log_odds

# Shares of all pairs of example and output.
BUDGETS = (0.01, 0.02, 0.05, 0.10, 0.20)
# Band, label, own answer, dense answer.
STATES = (len(BUDGETS) + 1, LABELS, 2, 2)


def bands(logits: np.ndarray, *, exclusive: bool) -> np.ndarray:
  """The smallest budget that pays for each pair of example and output.

  Uncertainty is 1/2 - |p - 1/2|, so that the order is that of |z|, which does
  not saturate; of exclusive classes it is 1 - max p of the whole example. Ties
  go to the first example, then the first attribute.

  Args:
    logits: [example, output], the dense model's.
    exclusive: the outputs are exclusive classes.

  Returns:
    int8 [example, output] (exclusive: [example, 1]), places in `BUDGETS`;
    their number where no budget pays.
  """
  sure = np.abs(logits)
  if exclusive:
    sure = log_odds(logits).max(axis=1, keepdims=True)
  order = np.argsort(sure, axis=None, kind="stable")
  result = np.full(sure.size, len(BUDGETS), np.int8)
  start = 0
  for place, size in enumerate(paid(sure.size)):
    result[order[start:size]] = place
    start = size
  return result.reshape(sure.shape)


def paid(pairs: int) -> list[int]:
  """How many of the pairs each budget pays for: rounded, halves up."""
  return [int(np.floor(budget * pairs + 0.5)) for budget in BUDGETS]


def override_codes(
  band: np.ndarray, labels: np.ndarray, own: np.ndarray, dense: np.ndarray
) -> np.ndarray:
  """One number for band, label and both answers, for `answers.tally`.

  Args:
    band: from `bands`.
    labels: from `answers.label_states`.
    own: bool [example, output], the compressed model's answers.
    dense: the same of the dense model.
  """
  return ((band * LABELS + labels) * 2 + own) * 2 + dense


def overridden(
  counts: np.ndarray, *, how: str, budget: int, share: float | None
) -> tuple[np.ndarray, np.ndarray]:
  """The answers after an override.

  Args:
    counts: float64 [group, output, *STATES].
    how: "dense", the dense model's answer; "human", the label (the model's own
      answer where there is none); "abstain", no answer.
    budget: place in `BUDGETS`; the bands up to it are replaced.
    share: replaces this share of everything instead, drawn at random: counts
      are then their means over all draws.

  Returns:
    Answers as `answers.measured` wants them, and float64 [output], the share
    of the pairs that were replaced.
  """
  everything = counts.sum(axis=2)
  taken = counts[:, :, : budget + 1].sum(axis=2)
  if share is not None:
    taken = share * everything
  answers = (everything - taken).sum(axis=-1)
  if how == "dense":
    answers += taken.sum(axis=-2)
  elif how == "human":
    right = taken.sum(axis=(-2, -1))
    answers[..., 0, 0] += right[..., 0]
    answers[..., 1, 1] += right[..., 1]
    answers[..., 2, :] += taken[..., 2, :, :].sum(axis=-1)
  axes = (-3, -2, -1)
  return answers, taken[0].sum(axis=axes) / everything[0].sum(axis=axes)
