"""Metrics of a member when test examples count more than once, or not at all.

Halves of the test set and bootstrap samples are both weightings of its
examples. Counts under all of them are matrix products, one for each group; of
the groups only those are counted that the others do not follow from.
"""

from collections.abc import Sequence
import dataclasses
import itertools

import numpy as np

from prunebias_jax.analysis.facts import Facts, Groups
from prunebias_jax.analysis.rates import divide


@dataclasses.dataclass(frozen=True, kw_only=True)
class Counts:
  """Weighted counts, float64 [group, output, weighting].

  Attributes:
    hit: predicted positive and positive.
    chosen: predicted positive, with a label.
    selected: predicted positive, with or without a label.
    positive: positive by the labels.
    total: with a label.
    size: all, [group, 1, weighting].
  """

  hit: np.ndarray
  chosen: np.ndarray
  selected: np.ndarray
  positive: np.ndarray
  total: np.ndarray
  size: np.ndarray


class Weighted:
  """Counts examples of some groups under given weightings."""

  def __init__(
    self, facts: Facts, weights: np.ndarray, groups: Sequence[int]
  ) -> None:
    """Takes the weightings of each group apart.

    Args:
      facts: of the split.
      weights: float32 [example, weighting], whole numbers whose sums stay
        below 2^24, where float32 is exact.
      groups: the groups to count, rows of `facts.groups`; the first is 0,
        everyone.
    """
    self._labels, self._present = facts.labels, facts.present
    self._outputs = len(facts.names)
    members = [
      np.flatnonzero(facts.groups.membership[:, group]) for group in groups
    ]
    self._parts = [
      (slice(None), weights)
      if len(inside) == len(weights)
      else (inside, weights[inside])
      for inside in members
    ]
    self.size = self.count(np.ones((len(weights), 1), bool))
    self.positive = self.count(facts.labels)
    self.total = np.broadcast_to(self.size, self.positive.shape)
    if facts.present is not None:
      self.total = self.count(facts.present)

  def count(self, indicators: np.ndarray) -> np.ndarray:
    """Sums of weights: float64 [group, column, weighting].

    Args:
      indicators: bool [example, column].
    """
    # Rows of a column are then contiguous in the product.
    columns = np.ascontiguousarray(indicators.T).astype(np.float32)
    return np.stack(
      [columns[:, inside] @ weights for inside, weights in self._parts]
    ).astype(np.float64)

  def count_everyone(self, indicators: np.ndarray) -> np.ndarray:
    """The same of the first group only: float64 [column, weighting]."""
    inside, weights = self._parts[0]
    columns = np.ascontiguousarray(indicators.T).astype(np.float32)
    return (columns[:, inside] @ weights).astype(np.float64)

  def member(self, predicted: np.ndarray) -> Counts:
    """The counts of one member's predictions, bool [example, output]."""
    columns = [predicted & self._labels, predicted]
    if self._present is not None:
      columns.append(predicted & self._present)
    found = np.split(
      self.count(np.concatenate(columns, axis=1)), len(columns), axis=1
    )
    return Counts(
      hit=found[0],
      chosen=found[-1],
      selected=found[1],
      positive=self.positive,
      total=self.total,
      size=self.size,
    )


def rates_of(counts: Counts) -> dict[str, np.ndarray]:
  """The rates of `rates.Rates`: float64 [group, output, weighting] each."""
  alarm, missed = counts.chosen - counts.hit, counts.positive - counts.hit
  return {
    "accuracy": divide(counts.total - alarm - missed, counts.total),
    "false_positive_rate": divide(alarm, counts.total - counts.positive),
    "false_negative_rate": divide(missed, counts.positive),
    "selection_rate": divide(counts.selected, counts.size),
  }


def tcb_of(counts: Counts, prevalence: np.ndarray) -> np.ndarray:
  """TCB of everyone: float64 [output, weighting]."""
  flipped = (prevalence > 0.5)[:, None]
  chosen, positive, total = (
    counts.chosen[0],
    counts.positive[0],
    counts.total[0],
  )
  return divide(
    np.where(flipped, total - chosen, chosen),
    np.where(flipped, total - positive, positive),
  )


def balanced_accuracy_of(counts: Counts) -> np.ndarray:
  """Balanced accuracy of everyone: float64 [output, weighting]."""
  hit, positive = counts.hit[0], counts.positive[0]
  negative = counts.total[0] - positive
  alarm = counts.chosen[0] - hit
  return (divide(hit, positive) + divide(negative - alarm, negative)) / 2


def bias_amplification_of(
  counts: Counts, place: int, higher_in_rest: np.ndarray
) -> np.ndarray:
  """Bias amplification: float64 [output, weighting].

  Args:
    counts: of everyone first.
    place: the group among those counted.
    higher_in_rest: bool [output].
  """
  sign = np.where(higher_in_rest, -1.0, 1.0)[:, None]
  share = divide(counts.chosen[place], counts.chosen[0])
  return sign * (share - divide(counts.positive[place], counts.positive[0]))


class Basis:
  """The groups that all others follow from.

  The largest value of each identity is everyone less the other values, and so
  it is in crossings: what is left to count are the small groups.

  Attributes:
    kept: int [kept], rows of the groups; the first is 0, everyone.
  """

  def __init__(self, groups: Groups, identities: int) -> None:
    """Finds them.

    Args:
      groups: as `facts.make_groups` orders them: everyone, the values of each
        identity, the crossings of each two.
      identities: how many there are.
    """
    sizes = groups.membership.sum(axis=0)
    self._count = len(sizes)
    names = np.array(groups.identity, object)
    starts = np.flatnonzero(names[1:] != names[:-1]) + 1
    families = np.split(np.arange(len(names)), starts)[1:]
    singles, crossings = families[:identities], families[identities:]
    kept = [np.array([0])]
    # A group that is left out, what it is a part of, what is taken from that.
    self._rest: list[tuple[int, int, np.ndarray]] = []
    largest = [int(np.argmax(sizes[family])) for family in singles]
    for family, top in zip(singles, largest, strict=True):
      others = np.delete(family, top)
      kept.append(others)
      self._rest.append((int(family[top]), 0, others))
    pairs = itertools.combinations(range(identities), 2)
    for (i, j), crossing in zip(pairs, crossings, strict=True):
      grid = crossing.reshape(len(singles[i]), len(singles[j]))
      inner = np.delete(grid, largest[j], axis=1)
      kept.append(np.delete(inner, largest[i], axis=0).ravel())
      for column, whole in zip(
        inner.T, np.delete(singles[j], largest[j]), strict=True
      ):
        others = np.delete(column, largest[i])
        self._rest.append((int(column[largest[i]]), int(whole), others))
      for row, whole in zip(grid, singles[i], strict=True):
        others = np.delete(row, largest[j])
        self._rest.append((int(row[largest[j]]), int(whole), others))
    self.kept = np.concatenate(kept)

  def complete(self, counts: np.ndarray) -> np.ndarray:
    """Counts of all groups from those of the kept: float64 [group, ...]."""
    result = np.empty((self._count, *counts.shape[1:]))
    result[self.kept] = counts
    for target, whole, others in self._rest:
      result[target] = result[whole] - result[others].sum(axis=0)
    return result
