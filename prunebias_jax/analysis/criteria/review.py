"""How well a ranking of examples finds events, at a budget of reviews.

AUROC and recall are the textbook's; how they go over members and ties is this
project's.
"""

import dataclasses

import numpy as np

from prunebias_jax.analysis.rates import divide

# Shares of the examples that a person can look at.
BUDGETS = (0.01, 0.05, 0.10, 0.20)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Found:
  """What a ranking finds of each kind of event, float64 [event] each.

  Attributes:
    auroc: P(score of an event > score of a non-event), ties 1/2; NaN without
      events, or without anything else.
    recall: [event, budget], the share of the events among the examples of the
      highest scores; NaN without events.
  """

  auroc: np.ndarray
  recall: np.ndarray


def rank(ordered: np.ndarray) -> np.ndarray:
  """What each example is worth to the statistics of `find`.

  Args:
    ordered: float [example], the scores from the lowest to the highest, at
      least one.

  Returns:
    float64 [1 + budget, example]: the example's midrank from below; and for
    each budget the chance that it is among the `review_size` highest scores,
    where ties are drawn at random.
  """
  count = len(ordered)
  first = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
  sizes = np.diff(np.append(first, count))
  worth = np.empty((1 + len(BUDGETS), len(first)))
  worth[0] = first + (sizes + 1) / 2
  for row, budget in enumerate(BUDGETS, start=1):
    left = review_size(count, budget) - (count - first - sizes)
    worth[row] = np.clip(left / sizes, 0.0, 1.0)
  return np.repeat(worth, sizes, axis=1) if len(first) < count else worth


def review_size(count: int, budget: float) -> int:
  """The examples that a budget pays for: rounded, at least one."""
  return max(int(np.floor(budget * count + 0.5)), 1)


def find(
  worth: np.ndarray, events: np.ndarray, total: np.ndarray, trials: np.ndarray
) -> Found:
  """AUROC and recall of a ranking, for several kinds of events.

  An example may have several trials (members), each an event or not: it
  counts as that many examples of the same score.

  Args:
    worth: what `rank` returns of the examples.
    events: float64 [example, event], how many of its trials are events; in
      the same order.
    total: float64 [event], the sum of `events` over the examples.
    trials: float64 [event], trials of each example.
  """
  count = worth.shape[1]
  summed = worth @ events
  # With m trials a midrank r becomes m (r - 1/2) + 1/2.
  ranks = trials * (summed[0] - total / 2) + total / 2
  above = ranks - total * (total + 1) / 2
  return Found(
    auroc=divide(above, total * (count * trials - total)),
    recall=divide(summed[1:].T, total[:, None]),
  )
