"""How sure a population is of each example: what other rankings go by."""

import dataclasses

import numpy as np
import scipy.special

from prunebias_jax.analysis.exemplars.votes import Votes, probabilities


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scores:
  """What a population says by itself; float64 [example, question] each.

  Attributes:
    entropy: of the mean probability, in bits.
    variance: of the probability over members (ddof 0), summed over classes.
    loss: mean cross-entropy against the label; -1 where there is none.
  """

  entropy: np.ndarray
  variance: np.ndarray
  loss: np.ndarray


def scores(votes: Votes, truth: np.ndarray) -> Scores:
  """Scores of a population.

  Args:
    votes: its votes.
    truth: int16 [example, question]; -1 where there is no label.
  """
  square, loss = np.zeros(truth.shape), np.zeros(truth.shape)
  every = np.arange(len(truth))
  for logits in votes.logits:
    p = probabilities(logits, exclusive=votes.exclusive)
    away = (p - votes.probability) ** 2
    if votes.exclusive:
      square += away.sum(axis=1, keepdims=True)
      log = scipy.special.log_softmax(logits.astype(np.float64), axis=1)
      loss[:, 0] -= log[every, truth[:, 0]]
    else:
      square += away
      sign = np.where(truth > 0, -1.0, 1.0)
      loss += np.logaddexp(0.0, sign * logits)
  mean = votes.probability
  entropy = scipy.special.entr(mean)
  if votes.exclusive:
    entropy = entropy.sum(axis=1, keepdims=True)
  else:
    entropy = entropy + scipy.special.entr(1 - mean)
  return Scores(
    entropy=entropy / np.log(2),
    variance=square / votes.members,
    loss=np.where(truth < 0, -1.0, loss / votes.members),
  )
