"""Directional bias amplification: from attribute to task, and back; MALS.

Does a group get more of the labels that it has more of already, and is the
group itself read more often into such labels, than the ground truth warrants?

Reference: Wang and Russakovsky 2021, "Directional Bias Amplification" (both
directions); Zhao et al. 2017, "Men Also Like Shopping" (MALS). Sign 0 where
group and label are independent in train, and ground-truth groups in MALS where
the identity is not predicted, are this project's.
"""

from collections.abc import Sequence
import dataclasses

import numpy as np

from prunebias_jax.analysis.flags import DirectionFlag, bits
from prunebias_jax.analysis.parity import Parity
from prunebias_jax.analysis.rates import Confusion, divide


@dataclasses.dataclass(frozen=True, kw_only=True)
class Directions:
  """The values of the identities (A) against all outputs (T), from train.

  Attributes:
    identity: int [value], the identity that a value is of, in order.
    group: int [value]: its row in the counts, whose row 0 is everyone.
    lean: float64 [value, output]: train rate of the output in the group minus
      that of everyone; NaN where unknown. Its sign is that of
      P(a, t) - P(a) P(t).
    share: float64 [value, output]: share of the group among the train
      examples with the output; NaN where unknown.
    predicted_by: int [identity]: the output that predicts it, -1 for none.
    truth: float64 [value]: what `predicted_by` says in the group, 0 or 1.
    has_train: there are train labels.
  """

  identity: np.ndarray
  group: np.ndarray
  lean: np.ndarray
  share: np.ndarray
  predicted_by: np.ndarray
  truth: np.ndarray
  has_train: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class Amplification:
  """What a member does in each direction, float64 [identity] each.

  Attributes:
    attribute_to_task: mean of sign * (P(predicted t | a) - P(t | a)).
    task_to_attribute: mean of sign * (P(predicted a | t) - P(a | t)).
    mals: mean amplification of Zhao et al. 2017.
    flags: int64 [identity], bits of `DirectionFlag`.
  """

  attribute_to_task: np.ndarray
  task_to_attribute: np.ndarray
  mals: np.ndarray
  flags: np.ndarray


def make_directions(
  values: Sequence[Sequence[int]],
  groups: np.ndarray,
  predicted_by: np.ndarray,
  outputs: int,
  train: tuple[np.ndarray, np.ndarray, np.ndarray | None] | None,
) -> Directions:
  """Rates of every output in every identity's groups, of the train split.

  Args:
    values: the values of each identity.
    groups: int [value], rows of the counts, the values in order.
    predicted_by: int [identity]: an output, or -1.
    outputs: the number of outputs.
    train: identities int [example, identity], labels bool [example, output]
      (False where missing) and which of them are there (None: all); None
      without train labels.
  """
  rows = [(i, value) for i, these in enumerate(values) for value in these]
  identity = np.array([i for i, _ in rows], int)
  lean = share = np.full((len(rows), outputs), np.nan)
  if train is not None and rows:
    identities, labels, present = train
    there = np.ones_like(labels) if present is None else present
    inside = np.stack([identities[:, i] == value for i, value in rows])
    member = inside.astype(np.float64)
    positive, labelled = (member @ one.astype(float) for one in (labels, there))
    positives = labels.sum(axis=0)
    everyone = divide(positives, there.sum(axis=0))
    lean = divide(positive, labelled) - everyone
    share = divide(positive, positives)
  # A value other than 0 and 1 is none that a prediction could take.
  binary = np.array([{*these} == {0, 1} for these in values], bool)
  return Directions(
    identity=identity,
    group=groups,
    lean=lean,
    share=share,
    predicted_by=np.where(binary, predicted_by, -1),
    truth=np.array([value for _, value in rows], np.float64),
    has_train=train is not None,
  )


def directional(
  predicted: np.ndarray,
  labels: np.ndarray,
  counts: Confusion,
  directions: Directions,
  *,
  present: np.ndarray | None = None,
  undecided: np.ndarray | None = None,
  parity: Parity = "default",
) -> Amplification:
  """Bias amplification of one member in each direction, for every identity.

  The means go over the values a of the identity and all outputs t but the
  identity itself; rates that have no example to be of are left out.

  Args:
    predicted: bool [example, output].
    labels: bool [example, output], False where missing.
    counts: those of these predictions [group, output]; row 0 is everyone.
    directions: the identities' values with their train rates.
    present: bool [example, output], the label is there; None where all are.
    undecided: bool [output]: no prediction could be made; None for none.
    parity: which sign a train rate has that is the same in the group and in
      all: 0 in "default", -1 in "paper", as published.

  Returns:
    The amplifications in [-1, 1] (MALS: in points of a share) with flags.
  """
  if undecided is None:
    undecided = np.zeros(predicted.shape[1], bool)
  by = directions.predicted_by
  known = np.array([j >= 0 and not undecided[j] for j in by], bool)
  # Counts of "the identity is predicted" among positives and predictions.
  guesses = predicted[:, by].astype(np.float64)
  among_true = (labels.T.astype(np.float64) @ guesses).T
  labelled = predicted if present is None else predicted & present
  among_chosen = (labelled.T.astype(np.float64) @ guesses).T

  row = directions.identity
  is_task = np.arange(len(undecided)) != by[:, None]
  usable = is_task & ~undecided
  sign = np.sign(directions.lean)
  if parity == "paper":
    sign = np.where(sign == 0, -1, sign)
  total = np.broadcast_to(counts.total, counts.positive.shape)
  group = directions.group
  to_task = divide((counts.predicted - counts.positive)[group], total[group])
  truth = directions.truth[:, None]

  def of_value(hits: np.ndarray, all_: np.ndarray) -> np.ndarray:
    """Shares of the predicted identity's value: [value, output]."""
    share = divide(hits, all_)[row]
    return np.where(truth == 1, share, 1 - share)

  positives, chosen = counts.positive[0], counts.predicted[0]
  guessed = of_value(among_true, positives)
  to_attribute = guessed - divide(counts.positive[group], positives)
  read = of_value(among_chosen, chosen)
  given = divide(counts.predicted[group], chosen)
  parts = np.where(known[row][:, None], read, given) - directions.share
  mals, fewer = _mals(parts, directions, usable)
  first, left_out = _means(sign * to_task, row, usable)
  second, left_out_too = _means(sign * to_attribute, row, usable)
  flags = bits(
    by.shape,
    {
      DirectionFlag.NO_TRAIN: np.array(not directions.has_train),
      DirectionFlag.NO_TASK: ~is_task.any(axis=1),
      DirectionFlag.NOT_PREDICTED: by < 0,
      DirectionFlag.NO_THRESHOLD: (by >= 0) & ~known,
      DirectionFlag.LEFT_OUT: (left_out | fewer | (left_out_too & known))
      & directions.has_train,
    },
  )
  return Amplification(
    attribute_to_task=first,
    task_to_attribute=np.where(known, second, np.nan),
    mals=mals,
    flags=flags,
  )


def _means(
  terms: np.ndarray, row: np.ndarray, usable: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """Each identity's mean over values and tasks, and whether terms are missing.

  Args:
    terms: float64 [value, output], NaN where not available.
    row: int [value], the identity.
    usable: bool [identity, output].
  """
  finite = np.isfinite(terms) & usable[row]
  total, used, wanted = (
    np.bincount(row, weights=one.sum(axis=1), minlength=len(usable))
    for one in (np.where(finite, terms, 0.0), finite, usable[row])
  )
  return divide(total, used), used < wanted


def _mals(
  parts: np.ndarray, directions: Directions, usable: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """Zhao et al. 2017: float64 [identity], and bool: outputs are left out.

  The sum, over the values that have more than their even share of an output in
  train, of what that share gains; mean over the outputs.
  """
  row = directions.identity
  count = np.bincount(row, minlength=len(usable))
  favoured = directions.share > (1 / np.maximum(count, 1))[row][:, None]
  # An output is there for all values of an identity, or for none.
  finite = np.isfinite(parts) & usable[row]
  total, used, wanted = (
    np.bincount(row, weights=one.sum(axis=1), minlength=len(usable))
    for one in (np.where(finite & favoured, parts, 0.0), finite, usable[row])
  )
  return divide(total, divide(used, count)), used < wanted
