"""A compressed population beside its dense one, example by example."""

from collections.abc import Iterator
import dataclasses

import numpy as np

from prunebias_jax.analysis.cells import Population
from prunebias_jax.analysis.evidence import Evidence
from prunebias_jax.analysis.exemplars.exchange import make_exchange
from prunebias_jax.analysis.exemplars.null import Sides, excess_distance
from prunebias_jax.analysis.exemplars.order import controls, queued, ranks
from prunebias_jax.analysis.exemplars.votes import (
  Votes,
  modal,
  probability_distance,
  read_votes,
  taxicab,
)

SHARED_PARENT = (
  "null not available: compressed members share a dense parent, nothing can "
  "be exchanged"
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Comparison:
  """What two populations say of each example; arrays [example, question].

  Attributes:
    population: the compressed one.
    dense: the one that it is compared with.
    sides: the votes of both.
    reason: why there is no null, or "".
    modal_dense: int16, the label that most dense members vote for.
    modal_compressed: int16, the same of the compressed members.
    tied: bool, a tie on either side.
    taxicab: float64 in [0, 2].
    excess: float64, taxicab less its mean under the null; NaN without one.
    rank: int32 from 1.
    order: int64 [question, example], by rank.
    listed: bool, modal CIEs and the queue.
    control: bool, drawn among the others.
  """

  population: Population
  dense: Population
  sides: Sides
  reason: str
  modal_dense: np.ndarray
  modal_compressed: np.ndarray
  tied: np.ndarray
  taxicab: np.ndarray
  excess: np.ndarray
  rank: np.ndarray
  order: np.ndarray
  listed: np.ndarray
  control: np.ndarray

  @property
  def exemplar(self) -> np.ndarray:
    """Modal CIEs: bool [example, question]."""
    return self.modal_dense != self.modal_compressed

  @property
  def key(self) -> np.ndarray:
    """What ranks first: excess, or Taxicab where there is no null."""
    return self.taxicab if self.reason else self.excess


def comparisons(evidence: Evidence) -> Iterator[Comparison]:
  """Compares every compressed population with its dense one, in order.

  Members that pair are compared, and exchanged, within their pairs, members
  without a partner being left out; where none pairs, all of both populations.
  """
  known: dict[tuple[int, ...], Votes] = {}
  places = evidence.populations()
  for population, (dense, pairs) in evidence.compared().items():
    reason = ""
    if len(pairs):
      second, first = pairs.T
      if len({*first.tolist()}) < len(first):
        first, reason = np.unique(first), SHARED_PARENT
    else:
      first, second = places[dense], places[population]
    key = tuple(first.tolist())
    if key not in known:
      # One dense population at a time is kept.
      known = {key: read_votes(evidence, first)}
    yield compare(
      population,
      dense,
      known[key],
      read_votes(evidence, second),
      evidence,
      paired=len(pairs) > 0,
      reason=reason,
    )


def compare(
  population: Population,
  dense: Population,
  first: Votes,
  second: Votes,
  evidence: Evidence,
  *,
  paired: bool,
  reason: str = "",
) -> Comparison:
  """Compares two populations.

  Args:
    population: the compressed one.
    dense: the dense one.
    first: the dense votes.
    second: the compressed votes, in the order of the pairs.
    evidence: whose they are; for the choices.
    paired: members pair.
    reason: why there is no null, or "".
  """
  options = evidence.options
  exchange = None
  if not reason:
    exchange = make_exchange(
      (first.members, second.members),
      paired=paired,
      draws=options.permutations,
    )
  sides = Sides(
    dense=first, compressed=second, exchange=exchange, parity=options.parity
  )
  label, tied = modal(first, options.parity)
  other, other_tied = modal(second, options.parity)
  distance = taxicab(first, second)
  key = distance
  excess = np.full(distance.shape, np.nan)
  if exchange is not None:
    excess = key = excess_distance(sides, exchange, distance)
  rank, order = ranks(key, probability_distance(first, second))
  exemplar = label != other
  listed = queued(rank, key > 0, exemplar, options.queue)
  return Comparison(
    population=population,
    dense=dense,
    sides=sides,
    reason=reason,
    modal_dense=label,
    modal_compressed=other,
    tied=tied | other_tied,
    taxicab=distance,
    excess=excess,
    rank=rank,
    order=order,
    listed=listed,
    control=controls(listed, exemplar),
  )


def truths(evidence: Evidence) -> np.ndarray:
  """What is right: int16 [example, question]; -1 where the label is missing."""
  facts = evidence.facts
  if facts.exclusive:
    return np.argmax(facts.labels, axis=1).astype(np.int16)[:, None]
  labels = facts.labels.astype(np.int16)
  if facts.present is not None:
    labels[~facts.present] = -1
  return labels


def questions(evidence: Evidence) -> tuple[str, ...]:
  """The questions' names in the column `attribute`."""
  return ("(all)",) if evidence.facts.exclusive else evidence.facts.names
