"""Exemplars counted in groups, observed and in every arrangement."""

from collections.abc import Callable
import dataclasses
import math

import numpy as np

from prunebias_jax.analysis.exemplars.exchange import Exchange
from prunebias_jax.analysis.exemplars.null import Sides, arranged, undecided
from prunebias_jax.analysis.inference.multiple import benjamini_hochberg

NULL_SETS = 50


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tally:
  """Counts in each arrangement; row 0 is the observed one.

  Attributes:
    exemplars: float64 [arrangement, question, group], modal CIEs.
    gain: the same: examples that only the compressed side has right, less
      those that only the dense side has.
    set_accuracy: float64 [question, 2], accuracy of the members of the dense
      and of the compressed side on the exemplars of an arrangement, averaged
      over arrangements; NaN where no arrangement has exemplars.
    set_sd: the same of its standard deviation over members.
  """

  exemplars: np.ndarray
  gain: np.ndarray
  set_accuracy: np.ndarray
  set_sd: np.ndarray


def tally(
  sides: Sides,
  exchange: Exchange,
  membership: np.ndarray,
  truth: np.ndarray,
  columns: Callable[[int, np.ndarray], np.ndarray],
  take: Callable[[int, np.ndarray], None],
) -> Tally:
  """Counts the exemplars of every arrangement.

  Args:
    sides: the populations.
    exchange: how members change sides.
    membership: float32 [example, group] in {0, 1}.
    truth: int16 [example, question]; -1 where there is none.
    columns: from a question and int [cell], examples, to float32 [cell,
      block, column] in {0, 1}: what else to count exemplars in, by blocks of
      examples that make up all; their columns begin with `membership`.
    take: gets a question and float64 [arrangement, block, column], the counts.

  Returns:
    The counts by group.
  """
  where = undecided(sides, exchange)
  groups = membership.shape[1]
  shape = (len(exchange.moved), len(sides.dense.choice), groups)
  exemplars, gain = np.zeros(shape), np.zeros(shape)
  accuracy = np.full((shape[1], 2), np.nan)
  sd = accuracy.copy()
  for question in range(shape[1]):
    examples = np.flatnonzero(where[:, question])
    right = truth[examples, question]
    wanted = columns(question, examples)
    flat = wanted.reshape(len(wanted), math.prod(wanted.shape[1:]))
    here = membership[examples]
    counts = np.zeros((shape[0], flat.shape[1]))
    for moves in arranged(sides, exchange, question, examples, right):
      counts[moves.rows] += moves.differ @ flat[moves.cells]
      gain[moves.rows, question] += moves.gain @ here[moves.cells]
    blocks = counts.reshape(shape[0], *wanted.shape[1:])
    exemplars[:, question] = blocks[:, :, :groups].sum(axis=1)
    take(question, blocks)
    accuracy[question], sd[question] = _null_sets(
      sides, exchange, question, examples, right
    )
  return Tally(exemplars=exemplars, gain=gain, set_accuracy=accuracy, set_sd=sd)


def _null_sets(
  sides: Sides,
  exchange: Exchange,
  question: int,
  examples: np.ndarray,
  right: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
  """Accuracy on the exemplars of up to 50 arrangements, the observed left out.

  Returns:
    float64 [2] of the dense and the compressed side: the mean over members,
    and their sd (ddof 1), both averaged over arrangements.
  """
  rows = slice(1, 1 + NULL_SETS)
  side = exchange.sides(rows)
  pooled = np.concatenate(
    [
      one.choice[question][:, examples]
      for one in (sides.dense, sides.compressed)
    ]
  )
  answers = (pooled == right).astype(np.float32)
  labelled = (right >= 0).astype(np.float32)
  hits = np.zeros(side.shape)
  sizes = np.zeros(len(side))
  for moves in arranged(sides, exchange, question, examples, right, rows):
    hits[moves.rows] += moves.differ @ answers[:, moves.cells].T
    sizes[moves.rows] += moves.differ @ labelled[moves.cells]
  some = sizes > 0
  means, sds = np.full(2, np.nan), np.full(2, np.nan)
  if not some.any():
    return means, sds
  share = hits[some] / sizes[some, None]
  for index, chosen in enumerate((side[some], ~side[some])):
    members = share[chosen].reshape(len(share), -1)
    means[index] = members.mean()
    if members.shape[1] > 1:
      sds[index] = members.std(axis=1, ddof=1).mean()
  if exchange.mirrored:
    # The mirror image of each arrangement is one as well.
    return np.full(2, means.mean()), np.full(2, sds.mean())
  return means, sds


def count_in(mask: np.ndarray, membership: np.ndarray) -> np.ndarray:
  """How many examples of a mask are in each group: float64 [question, group].

  Args:
    mask: bool [example, question].
    membership: float [example, group] in {0, 1}.
  """
  return mask.T.astype(np.float64) @ membership


def adjusted(p: np.ndarray, axis: int = 0) -> np.ndarray:
  """Benjamini and Hochberg's p along an axis, one family each.

  Args:
    p: float64, in [0, 1] or NaN.
    axis: the tests of a family.
  """
  return np.apply_along_axis(benjamini_hochberg, axis, p)
