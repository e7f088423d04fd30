"""What the members of a population say together about each example.

Exclusive classes make one output: the decision as a whole.
"""

from collections.abc import Sequence
import dataclasses

import numpy as np
import scipy.special

from prunebias_jax.analysis.columns import ALL
from prunebias_jax.analysis.evidence import Evidence
from prunebias_jax.analysis.exemplars.votes import UNIT
from prunebias_jax.analysis.facts import Facts
from prunebias_jax.analysis.parity import Parity
from prunebias_jax.analysis.uncertainty import binary_entropy, log_softmax

# p strictly inside (.1, .9) is an uncertainty above this.
SUSCEPTIBLE = 0.1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ensemble:
  """A population's answers; arrays [example, output].

  Attributes:
    members: how many there are.
    modal: the label that most members give; bool of an attribute, int of
      exclusive classes.
    errors: int, the members that are wrong; 0 where there is no label.
    scores: float64, by the name of a criterion, larger where the members are
      less sure; empty where they were not asked for.
  """

  members: int
  modal: np.ndarray
  errors: np.ndarray
  scores: dict[str, np.ndarray]


def outputs_of(facts: Facts) -> tuple[str, ...]:
  """The names of an ensemble's outputs."""
  return (ALL,) if facts.exclusive else facts.names


def labelled(facts: Facts) -> np.ndarray:
  """Which labels of an ensemble's outputs are there: bool [example, output]."""
  if facts.present is not None:
    return facts.present
  return np.ones((len(facts.labels), len(outputs_of(facts))), bool)


def ensemble(
  evidence: Evidence,
  places: Sequence[int] | np.ndarray,
  *,
  scored: bool = True,
) -> Ensemble:
  """Sums one population up, one member at a time.

  Scores, each a mean over members unless said: `uncertainty`, .5 - |p - .5|
  (exclusive classes: 1 - max p); `entropy` in bits; `ensemble_variance` of p
  over members (ddof 1; summed over classes); `seed_share`, the share of
  members that differ from the modal label. The last two are 0 with one member.

  Args:
    evidence: the evaluation.
    places: the members of the population, at least one.
    scored: whether the scores are wanted.
  """
  facts = evidence.facts
  step = _class_sums if facts.exclusive else _attribute_sums
  sums: dict[str, np.ndarray] = {}
  for place in places:
    part = step(evidence.logits(int(place)), facts, scored)
    for name, values in part.items():
      if name in sums:
        sums[name] += values
      else:
        sums[name] = values
  count = len(places)
  votes, lean = sums["votes"], sums["lean"]
  modal = (
    _modal_class(votes, lean, evidence.options.parity)
    if facts.exclusive
    else _modal_attribute(votes, lean, count, evidence.options.parity)
  )
  return Ensemble(
    members=count,
    modal=modal,
    errors=sums["errors"],
    scores=_scores(sums, modal, count, facts.exclusive) if scored else {},
  )


def _scores(
  sums: dict[str, np.ndarray], modal: np.ndarray, count: int, exclusive: bool
) -> dict[str, np.ndarray]:
  """The scores from the members' sums."""
  votes, p = sums["votes"], sums["p"]
  # Of p (1 - p) from the sums: within rounding of the members' own.
  variance = np.maximum(sums["p_squared"] - p**2 / count, 0) / max(count - 1, 1)
  if exclusive:
    variance = variance.sum(axis=1, keepdims=True)
    agreeing = np.take_along_axis(votes, modal, axis=1)
  else:
    agreeing = np.where(modal, votes, count - votes)
  return {
    "uncertainty": sums["uncertainty"] / count,
    "entropy": sums["entropy"] / count,
    "ensemble_variance": variance,
    "seed_share": 1 - agreeing / count,
  }


def _attribute_sums(
  logits: np.ndarray, facts: Facts, scored: bool
) -> dict[str, np.ndarray]:
  """One member's part of the sums: [example, attribute]."""
  p = scipy.special.expit(logits.astype(np.float64))
  positive = logits > 0
  wrong = positive != facts.labels
  if facts.present is not None:
    wrong &= facts.present
  sums = {
    "votes": positive.astype(np.int32),
    "lean": np.rint((2 * p - 1) * UNIT),
    "errors": wrong.astype(np.int32),
  }
  if not scored:
    return sums
  return {
    **sums,
    "p": p,
    "p_squared": p**2,
    # From |z|, so that it keeps its digits where p is close to 1.
    "uncertainty": scipy.special.expit(-np.abs(logits, dtype=np.float64)),
    "entropy": binary_entropy(logits),
  }


def _class_sums(
  logits: np.ndarray, facts: Facts, scored: bool
) -> dict[str, np.ndarray]:
  """One member's part of the sums: [example, class], or [example, 1]."""
  log_p = log_softmax(logits)
  p = np.exp(log_p)
  top = np.argmax(logits, axis=1)[:, None]
  sums = {
    "votes": (top == np.arange(logits.shape[1])).astype(np.int32),
    "lean": np.rint(p * UNIT),
    "errors": (~np.take_along_axis(facts.labels, top, 1)).astype(np.int32),
  }
  if not scored:
    return sums
  rest = p.copy()
  np.put_along_axis(rest, top, 0.0, axis=1)
  return {
    **sums,
    "p": p,
    "p_squared": p**2,
    "uncertainty": rest.sum(axis=1, keepdims=True),
    "entropy": -(p * log_p).sum(axis=1, keepdims=True) / np.log(2.0),
  }


def _modal_attribute(
  votes: np.ndarray, lean: np.ndarray, count: int, parity: Parity
) -> np.ndarray:
  """Ties: the larger mean probability, then 0; the paper's rule: 1."""
  tied = 2 * votes == count
  positive = 2 * votes > count
  return np.where(tied, (parity == "paper") | (lean > 0), positive)


def _modal_class(
  votes: np.ndarray, lean: np.ndarray, parity: Parity
) -> np.ndarray:
  """Int [example, 1]. Ties as for attributes: the paper takes the last id."""
  most = votes == votes.max(axis=1, keepdims=True)
  if parity == "paper":
    last = most.shape[1] - 1 - np.argmax(most[:, ::-1], axis=1)
    return last[:, None]
  return np.argmax(np.where(most, lean, -1.0), axis=1)[:, None]
