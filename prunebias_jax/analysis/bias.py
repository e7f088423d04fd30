"""Bias amplification: does a prediction lean further than its label?

Reference: Iofinova et al. 2023 (the formula and its exclusions, by its public
code). Flags instead of exclusions, and one-vs-rest for identities of more than
two values, are this project's.
"""

import dataclasses

import numpy as np

from prunebias_jax.analysis.flags import BiasFlag, bits
from prunebias_jax.analysis.parity import Parity
from prunebias_jax.analysis.rates import Confusion, divide

FEW_POSITIVES = 10  # in the labels or among the predictions
SMALL_GAP = 0.1
# Without these there is no share to compare.
UNDEFINED = int(
  BiasFlag.SAME_ATTRIBUTE
  | BiasFlag.EMPTY_GROUP
  | BiasFlag.NOTHING_PREDICTED
  | BiasFlag.NO_POSITIVES
  | BiasFlag.NO_LABELS
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class GroupPairs:
  """The groups that are compared, each with its rest, for one data set.

  Attributes:
    identity: the identity attribute of each pair.
    value: the value that makes the group, as text.
    group: int [pair]: the group's row in the counts, whose row 0 is everyone.
    inside: float64 [pair, attribute]: train rate in the group; NaN where the
      group has no label or there is no train split.
    outside: the same in the rest.
    empty: bool [pair]: no train example is in the group, or none in the rest.
    same: bool [pair, attribute]: the attribute is the identity itself.
    binary: bool [pair]: the identity has two values.
    marker: bool [pair]: the group is the examples that carry a marker.
    has_train: there are train labels.
  """

  identity: tuple[str, ...]
  value: tuple[str, ...]
  group: np.ndarray
  inside: np.ndarray
  outside: np.ndarray
  empty: np.ndarray
  same: np.ndarray
  binary: np.ndarray
  marker: np.ndarray
  has_train: bool


def bias_amplification(
  counts: Confusion,
  pairs: GroupPairs,
  *,
  parity: Parity = "default",
) -> tuple[np.ndarray, np.ndarray]:
  """Bias amplification of every attribute over every group and its rest.

  G is the side (group or rest) with the higher train rate of the attribute.
  BA = (share of G among the predicted positives) - (share of G among the
  positives); above 0 the model leans further towards G than the labels do
  (Iofinova et al. 2023).

  Args:
    counts: test counts [group, attribute]; row 0 is everyone.
    pairs: the groups with their train rates.
    parity: "default" gives a value with flags; "paper" gives NaN for identities
      of more than two values, for fewer than 10 positives on a side, and for a
      relative gap of the train rates below .1; for markers it has none of these
      rules, and G is the marked examples, whatever train says.

  Returns:
    Values in [-1, 1], float64 [pair, attribute], and flags (bits of
    `BiasFlag`), int64 [pair, attribute]. NaN wherever the share is undefined
    or no side is G: the flags say why.
  """
  members, everyone = counts.size[pairs.group], counts.size[0]
  labelled, labels = counts.total[pairs.group], counts.total[0]
  positive, positives = counts.positive[pairs.group], counts.positive[0]
  chosen, chosens = counts.predicted[pairs.group], counts.predicted[0]

  empty = pairs.empty[:, None] | (members == 0) | (members == everyone)
  no_labels = np.isnan(pairs.inside) | np.isnan(pairs.outside)
  no_labels = (
    (no_labels & pairs.has_train) | (labelled == 0) | (labelled == labels)
  )
  marked = pairs.marker[:, None] & (parity == "paper")
  higher_in_rest = (pairs.outside > pairs.inside) & ~marked
  lower = np.minimum(pairs.inside, pairs.outside)
  gap = np.abs(pairs.inside - pairs.outside)
  flags = bits(
    positive.shape,
    {
      BiasFlag.SAME_ATTRIBUTE: pairs.same,
      BiasFlag.EMPTY_GROUP: empty,
      BiasFlag.NO_LABELS: no_labels & ~empty,
      BiasFlag.NOTHING_PREDICTED: (chosens == 0) & (labels > 0),
      BiasFlag.NO_POSITIVES: (positives == 0) & (labels > 0),
      BiasFlag.EQUAL_RATES: pairs.inside == pairs.outside,
      BiasFlag.LOW_N: np.minimum(positive, positives - positive)
      < FEW_POSITIVES,
      # A product, so that a rate of 0 needs no division.
      BiasFlag.SMALL_GAP: gap < SMALL_GAP * lower,
      BiasFlag.HIGHER_IN_REST: higher_in_rest,
      BiasFlag.NO_TRAIN: np.array(not pairs.has_train),
      BiasFlag.NOT_BINARY: ~pairs.binary[:, None],
      BiasFlag.FEW_PREDICTED: (chosens > 0) & (chosens < FEW_POSITIVES),
    },
  )
  # What else holds of an identity and itself is of no interest.
  flags = np.where(pairs.same, int(BiasFlag.SAME_ATTRIBUTE), flags)
  # On the rest's side both shares are one minus the group's.
  value = divide(chosen, chosens) - divide(positive, positives)
  value = np.where(higher_in_rest, -value, value)
  excluded = np.where(marked, UNDEFINED, _excluded(parity))
  return np.where(flags & excluded, np.nan, value), flags


def _excluded(parity: Parity) -> int:
  """The bits that leave a bias amplification without a value."""
  never = UNDEFINED | BiasFlag.EQUAL_RATES | BiasFlag.NO_TRAIN
  if parity == "paper":
    never |= BiasFlag.LOW_N | BiasFlag.SMALL_GAP | BiasFlag.NOT_BINARY
  return int(never)
