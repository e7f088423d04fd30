"""Why a number is missing or deserves care, as bits beside the numbers."""

from collections.abc import Mapping, Sequence
import enum

import numpy as np


class AttributeFlag(enum.IntFlag):
  """What is to be said about one member's numbers for one attribute."""

  NO_POSITIVES = 1
  NO_NEGATIVES = 2
  CONSTANT = 4
  COMBINATION = 8
  ILL_CONDITIONED = 16
  ONE_ATTRIBUTE = 32
  NO_TRAIN = 64
  NO_RARE_VALUE = 128
  THRESHOLD_TIED = 256
  THRESHOLD_ONE_CLASS = 512
  NO_LABELS = 1024
  NO_THRESHOLD = 2048


class BiasFlag(enum.IntFlag):
  """What is to be said about a bias amplification.

  The names in lower case are the words of the column `flags`.
  """

  SAME_ATTRIBUTE = 1
  EMPTY_GROUP = 2
  NOTHING_PREDICTED = 4
  NO_POSITIVES = 8
  EQUAL_RATES = 16
  LOW_N = 32
  SMALL_GAP = 64
  HIGHER_IN_REST = 128
  NO_TRAIN = 256
  NOT_BINARY = 512
  FEW_PREDICTED = 1024
  NO_LABELS = 2048
  NO_THRESHOLD = 4096


class DirectionFlag(enum.IntFlag):
  """What is to be said about a directional bias amplification."""

  NO_TRAIN = 1
  NO_TASK = 2
  NOT_PREDICTED = 4
  NO_THRESHOLD = 8
  LEFT_OUT = 16


NO_THRESHOLD = "not available: no validation label to calibrate a threshold on"

ATTRIBUTE_REASONS: Mapping[int, str] = {
  AttributeFlag.NO_POSITIVES: "auc not available: no positives in the labels",
  AttributeFlag.NO_NEGATIVES: "auc not available: no negatives in the labels",
  AttributeFlag.CONSTANT: "interdependence not available: predicted constant",
  AttributeFlag.COMBINATION: (
    "interdependence 1: the predictions are a linear combination of those of "
    "other attributes"
  ),
  AttributeFlag.ILL_CONDITIONED: (
    "interdependence by QR: the predictions are nearly collinear"
  ),
  AttributeFlag.ONE_ATTRIBUTE: (
    "interdependence not available: there is one attribute"
  ),
  AttributeFlag.NO_TRAIN: "tcb not available: no train labels",
  AttributeFlag.NO_RARE_VALUE: (
    "tcb not available: no example has the rarer value"
  ),
  AttributeFlag.THRESHOLD_TIED: (
    "calibrated threshold: tied validation logits, the count of positives is "
    "not reached"
  ),
  AttributeFlag.THRESHOLD_ONE_CLASS: (
    "calibrated threshold: the validation labels are of one class"
  ),
  AttributeFlag.NO_LABELS: "no label: what needs one is not available",
  AttributeFlag.NO_THRESHOLD: NO_THRESHOLD,
}
# The paper's rules give a number in two of these cases.
PAPER_ATTRIBUTE_REASONS: Mapping[int, str] = {
  **ATTRIBUTE_REASONS,
  AttributeFlag.CONSTANT: (
    "interdependence 1 by the paper's rule: predicted constant"
  ),
  AttributeFlag.NO_RARE_VALUE: (
    "tcb divided by 0: no example has the rarer value"
  ),
}
CLASS_REASONS: Mapping[int, str] = {
  **ATTRIBUTE_REASONS,
  AttributeFlag.CONSTANT: "predicted for no example, or for all",
}
PAPER_CLASS_REASONS: Mapping[int, str] = {
  **PAPER_ATTRIBUTE_REASONS,
  AttributeFlag.CONSTANT: CLASS_REASONS[AttributeFlag.CONSTANT],
}
BIAS_REASONS: Mapping[int, str] = {
  BiasFlag.SAME_ATTRIBUTE: "the attribute is the identity itself",
  BiasFlag.EMPTY_GROUP: "a group is empty",
  BiasFlag.NOTHING_PREDICTED: "nothing is predicted positive",
  BiasFlag.NO_POSITIVES: "no positives in the labels",
  BiasFlag.EQUAL_RATES: "the train rates of the two groups are equal",
  BiasFlag.NO_TRAIN: "no train labels",
  BiasFlag.NO_LABELS: "a group has no label of the attribute",
  BiasFlag.NO_THRESHOLD: NO_THRESHOLD,
}
PAPER_BIAS_REASONS: Mapping[int, str] = {
  **BIAS_REASONS,
  BiasFlag.LOW_N: "excluded: fewer than 10 positives in a group",
  BiasFlag.SMALL_GAP: "excluded: the train rates differ by less than 0.1",
  BiasFlag.NOT_BINARY: "excluded: the identity has more than two values",
}
DIRECTION_REASONS: Mapping[int, str] = {
  DirectionFlag.NO_TRAIN: "no train labels",
  DirectionFlag.NO_TASK: "there is no other attribute",
  DirectionFlag.NOT_PREDICTED: (
    "task_to_attribute not available: the identity is not predicted; mals "
    "with the identity as labelled"
  ),
  DirectionFlag.NO_THRESHOLD: (
    "task_to_attribute not available: no validation label to calibrate the "
    "identity's threshold on; mals with the identity as labelled"
  ),
  DirectionFlag.LEFT_OUT: (
    "mean without the rates that have no example to be of"
  ),
}
# The words of the column `flags`.
BIAS_WORDS: Mapping[int, str] = {
  flag: str(flag.name).lower() for flag in BiasFlag
}


def bits(shape: tuple[int, ...], masks: Mapping[int, np.ndarray]) -> np.ndarray:
  """Flags from masks: int64 `shape`; every mask broadcasts to `shape`."""
  flags = np.zeros(shape, np.int64)
  for flag, mask in masks.items():
    flags |= np.where(mask, int(flag), 0)
  return flags


def describe(
  flags: np.ndarray, texts: Mapping[int, str], separator: str = "; "
) -> np.ndarray:
  """The texts of the bits that are set, joined: object, the shape of `flags`.

  Bits without a text are passed over.
  """
  values, inverse = np.unique(flags, return_inverse=True)
  words = np.array(
    [
      separator.join(text for flag, text in texts.items() if value & flag)
      for value in values.tolist()
    ],
    object,
  )
  return words[inverse].reshape(flags.shape)


def join_reasons(
  count: int, parts: Sequence[tuple[np.ndarray, str]]
) -> np.ndarray:
  """Joins texts where their masks hold: object [count]."""
  reasons = np.full(count, "", object)
  for mask, text in parts:
    first = mask & (reasons == "")
    later = mask & ~first
    reasons[first] = text
    reasons[later] = reasons[later] + ("; " + text)
  return reasons
