"""The permutation null of exemplars: who would disagree by chance.

Whatever is drawn is the same for all questions and examples, since members
change sides as a whole. All of it is this project's.
"""

from collections.abc import Iterator
import dataclasses

import numpy as np

from prunebias_jax.analysis.exemplars.exchange import (
  Exchange,
  expected_distance,
)
from prunebias_jax.analysis.exemplars.votes import (
  Votes,
  class_scores,
  contrast,
)
from prunebias_jax.analysis.parity import Parity

CHUNK = 2**18  # numbers at a time: what a cache holds


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sides:
  """Two populations that are compared, and how their members may change sides.

  Attributes:
    dense: the votes of the dense members.
    compressed: those of the compressed members; in the order of their pairs.
    exchange: the arrangements; None where there is no null.
    parity: how ties are broken.
  """

  dense: Votes
  compressed: Votes
  exchange: Exchange | None
  parity: Parity = "default"


def undecided(sides: Sides, exchange: Exchange) -> np.ndarray:
  """Where some arrangement may disagree: bool [example, question].

  Elsewhere one label keeps a majority on both sides whoever changes sides.
  """
  dense, compressed = sides.dense, sides.compressed
  first, second = exchange.sizes
  total = dense.counts + compressed.counts
  if exchange.paired:
    both = _agreeing(sides)
    sure = 2 * both > first
    # Both of a pair against the attribute: neither is for it.
    other = 2 * (first - (total - both)) > first
  else:
    sure = (2 * (total - second) > first) & (2 * (total - first) > second)
    against = first + second - total
    other = (2 * (against - second) > first) & (2 * (against - first) > second)
  if dense.exclusive:
    return np.logical_not(sure.any(axis=1, keepdims=True))
  return ~(sure | other)


def _agreeing(sides: Sides) -> np.ndarray:
  """Pairs of which both vote for an output: int [example, output]."""
  dense, compressed = sides.dense, sides.compressed
  result = np.zeros(dense.counts.shape, np.int64)
  if dense.exclusive:
    rows = np.arange(len(result))
    for one, other in zip(dense.choice[0], compressed.choice[0], strict=True):
      result[rows, one] += one == other
    return result
  both = np.zeros((len(dense.choice), len(result)), np.int16)
  for member in range(dense.members):
    both += dense.choice[:, member] & compressed.choice[:, member]
  return both.T.astype(np.int64)


def excess_distance(
  sides: Sides, exchange: Exchange, distance: np.ndarray
) -> np.ndarray:
  """Taxicab less its mean over all arrangements, exactly: [example, question].

  Args:
    sides: the populations.
    exchange: how members change sides.
    distance: float64 [example, question], see `votes.taxicab`.
  """
  dense, compressed = sides.dense, sides.compressed
  expected = expected_distance(exchange)
  either = dense.counts + compressed.counts
  if exchange.paired:
    either -= 2 * _agreeing(sides)
  if not dense.exclusive:
    return distance - 2 * expected[either]
  return distance - expected[either].sum(axis=1, keepdims=True)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Moves:
  """Some arrangements of some examples.

  Attributes:
    rows: the arrangements.
    cells: the examples, as places among those that were asked for.
    differ: float32 [arrangement, cell], 1 where the modal labels differ.
    gain: the same, 1 where only the second side's is right, -1 where only the
      first side's is, else 0.
  """

  rows: slice
  cells: slice | np.ndarray
  differ: np.ndarray
  gain: np.ndarray


def arranged(
  sides: Sides,
  exchange: Exchange,
  question: int,
  examples: np.ndarray,
  truth: np.ndarray,
  rows: slice = slice(None),
) -> Iterator[Moves]:
  """The modal labels of both sides in every arrangement.

  Args:
    sides: the populations.
    exchange: how members change sides.
    question: which question.
    examples: int [cell], those that are undecided.
    truth: int16 [cell], what is right there; -1 where there is no label.
    rows: which arrangements.

  Yields:
    Each arrangement and example once; rows count from the first of `rows`.
  """
  moved = exchange.moved[rows]
  if not sides.dense.exclusive:
    yield from _attribute(sides, exchange, question, examples, truth, moved)
    return
  pooled = np.concatenate([sides.dense.choice[0], sides.compressed.choice[0]])
  votes = np.sort(pooled[:, examples], axis=0)
  new = np.ones(votes.shape, bool)
  new[1:] = votes[1:] != votes[:-1]
  answers = new.sum(axis=0)
  for count in np.unique(answers).tolist():
    cells = np.flatnonzero(answers == count)
    classes = votes[:, cells].T[new[:, cells].T].reshape(-1, count).T
    step = max(1, CHUNK // (64 * count))
    for start in range(0, len(cells), step):
      part = slice(start, start + step)
      for rows_, first, second in _classes(
        sides, exchange, examples[cells[part]], classes[:, part], moved
      ):
        right = truth[cells[part]]
        gain = (second == right).astype(np.float32)
        gain -= first == right
        yield Moves(
          rows=rows_,
          cells=cells[part],
          differ=(first != second).astype(np.float32),
          gain=gain,
        )


def _attribute(
  sides: Sides,
  exchange: Exchange,
  question: int,
  examples: np.ndarray,
  truth: np.ndarray,
  moved: np.ndarray,
) -> Iterator[Moves]:
  """`arranged` of an attribute."""
  paper = sides.parity == "paper"
  members = sum(exchange.sizes)
  # An odd number of votes cannot be tied.
  ties = not paper and any(size % 2 == 0 for size in exchange.sizes)
  first, second = (
    contrast(one, question, examples, members=members, ties=ties)
    for one in (sides.dense, sides.compressed)
  )
  base, step = exchange.steps(first, second)
  total = first.sum(axis=0) + second.sum(axis=0)
  # Right where 1 takes the place of 0 and the label is 1, or the reverse.
  sign = np.where(truth < 0, 0, 2 * truth - 1).astype(np.float32)
  moved = moved.astype(step.dtype)
  chunk = max(1, CHUNK // max(1, len(examples)))
  for start in range(0, len(moved), chunk):
    rows = slice(start, min(start + chunk, len(moved)))
    sums = moved[rows] @ step
    sums += base
    if paper:
      sides_are = (sums >= 0, sums <= total)
    else:
      sides_are = (sums > 0, sums < total)
    change = sides_are[1].astype(np.float32)
    change -= sides_are[0]
    yield Moves(
      rows=rows, cells=slice(None), differ=np.abs(change), gain=change * sign
    )


def _classes(
  sides: Sides,
  exchange: Exchange,
  examples: np.ndarray,
  classes: np.ndarray,
  moved: np.ndarray,
) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
  """Labels of both sides, [arrangement, cell].

  Args:
    sides: the populations.
    exchange: how members change sides.
    examples: int [cell].
    classes: int [answer, cell], those that are voted for, in rising order.
    moved: bool, some rows of the exchange.
  """
  paper = sides.parity == "paper"
  if paper:
    classes = classes[::-1]  # the first of equals is the largest id
  members = sum(exchange.sizes)
  first, second = (
    class_scores(one, examples, classes, members=members, ties=not paper)
    for one in (sides.dense, sides.compressed)
  )
  base, step = exchange.steps(first, second)
  total = (first.sum(axis=1) + second.sum(axis=1))[:, None]
  moved = moved.astype(step.dtype)
  chunk = max(1, CHUNK // max(1, classes.size))
  for start in range(0, len(moved), chunk):
    rows = slice(start, min(start + chunk, len(moved)))
    sums = moved[rows] @ step + base[:, None]
    labels = [
      np.take_along_axis(classes, np.argmax(one, axis=0), axis=0)
      for one in (sums, total - sums)
    ]
    yield rows, labels[0], labels[1]
