"""All metrics of one member: logits in, arrays out.

Exclusive classes go the same way as attributes: every class against the rest,
with log odds for logits and the indicators of the likeliest class for
predictions.
"""

import dataclasses

import numpy as np
import scipy.special

from prunebias_jax.analysis.bias import bias_amplification
from prunebias_jax.analysis.calibration import (
  Thresholds,
  calibrated_thresholds,
)
from prunebias_jax.analysis.calibration_error import ece, ece_sweep
from prunebias_jax.analysis.columns import DIRECTIONAL_METRICS
from prunebias_jax.analysis.correlation import (
  interdependence,
  pairwise_correlation,
)
from prunebias_jax.analysis.directional import directional
from prunebias_jax.analysis.facts import Facts
from prunebias_jax.analysis.flags import AttributeFlag, BiasFlag, bits
from prunebias_jax.analysis.parity import Parity
from prunebias_jax.analysis.ranking import auc
from prunebias_jax.analysis.rates import (
  Confusion,
  balanced_accuracy,
  confusion,
  divide,
  group_rates,
  tcb,
)
from prunebias_jax.analysis.uncertainty import (
  binary_entropy,
  class_entropy,
  class_uncertainty,
  high_uncertainty,
  log_odds,
  uncertainty,
)

Arrays = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Decisions:
  """One member's predictions under one rule.

  Attributes:
    predicted: bool [example, output].
    threshold: float64 [output], logits; NaN for exclusive classes.
    flags: int64 [output], bits of `AttributeFlag` about the thresholds.
  """

  predicted: np.ndarray
  threshold: np.ndarray
  flags: np.ndarray


def measure(
  logits: np.ndarray,
  facts: Facts,
  *,
  valid_logits: np.ndarray | None = None,
  valid_facts: Facts | None = None,
  parity: Parity = "default",
) -> list[Arrays]:
  """Measures one member under each threshold rule.

  Args:
    logits: [example, output], test, finite.
    facts: the ground truth.
    valid_logits: [example, attribute], to calibrate thresholds on; None for
      exclusive classes, or where there is no validation split.
    valid_facts: the ground truth of these; given where they are.
    parity: see `analyze`.

  Returns:
    The arrays of the default rule and, with validation logits, those of the
    calibrated rule, as named in `assembly.DIMENSIONS` (without its leading
    member and threshold_rule).
  """
  if facts.exclusive:
    odds = log_odds(logits)
    predicted = np.zeros(logits.shape, bool)
    predicted[np.arange(len(logits)), np.argmax(logits, axis=1)] = True
    scores = {
      **_scores(odds, facts, parity),
      **_overall(logits, odds, predicted, facts, parity),
    }
    nothing = np.full(logits.shape[1], np.nan)
    decisions = [
      Decisions(
        predicted=predicted,
        threshold=nothing,
        flags=np.zeros(logits.shape[1], np.int64),
      )
    ]
  else:
    scores = _scores(logits, facts, parity)
    decisions = [threshold_decisions(logits, None)]
    if valid_logits is not None and valid_facts is not None:
      thresholds = calibrated_thresholds(
        valid_logits,
        valid_facts.labels.sum(axis=0),
        present=valid_facts.present,
        parity=parity,
      )
      decisions.append(threshold_decisions(logits, thresholds))
  return [{**scores, **_decided(made, facts, parity)} for made in decisions]


def threshold_decisions(
  logits: np.ndarray, thresholds: Thresholds | None
) -> Decisions:
  """Positive where the logit is above the threshold: 0 unless given."""
  outputs = logits.shape[1]
  if thresholds is None:
    value, flags = np.zeros(outputs), np.zeros(outputs, np.int64)
  else:
    value = thresholds.value
    flags = bits(
      value.shape,
      {
        AttributeFlag.THRESHOLD_TIED: thresholds.tied,
        AttributeFlag.THRESHOLD_ONE_CLASS: thresholds.one_class,
        AttributeFlag.NO_THRESHOLD: thresholds.no_label,
      },
    )
  return Decisions(predicted=logits > value, threshold=value, flags=flags)


def _scores(scores: np.ndarray, facts: Facts, parity: Parity) -> Arrays:
  """What depends on the logits alone, whatever the threshold: [output]."""
  probabilities = scipy.special.expit(scores.astype(np.float64))
  return {
    "auc": auc(scores, facts.labels, facts.present),
    "uncertainty": uncertainty(scores),
    "high_uncertainty": high_uncertainty(scores),
    "entropy": binary_entropy(scores).mean(axis=0),
    "ece": ece(
      probabilities, facts.labels, present=facts.present, parity=parity
    ),
    "ece_sweep": ece_sweep(
      probabilities, facts.labels, present=facts.present, parity=parity
    ),
  }


def _overall(
  logits: np.ndarray,
  odds: np.ndarray,
  predicted: np.ndarray,
  facts: Facts,
  parity: Parity,
) -> Arrays:
  """Metrics of a classifier as a whole: without a dimension, or [group]."""
  hits = predicted & facts.labels
  right = np.any(hits, axis=1)
  recalls = divide(hits.sum(axis=0), facts.labels.sum(axis=0))
  membership = facts.groups.membership
  top = scipy.special.expit(odds.max(axis=1, keepdims=True))
  return {
    "overall_balanced_accuracy": np.float64(np.nanmean(recalls)),
    "overall_group_accuracy": divide(
      right.astype(np.float64) @ membership, membership.sum(axis=0)
    ),
    "overall_accuracy": np.float64(right.mean()),
    "overall_uncertainty": np.float64(class_uncertainty(odds)),
    "overall_entropy": np.float64(class_entropy(logits)),
    "overall_ece": ece(top, right[:, None], parity=parity)[0],
    "overall_ece_sweep": ece_sweep(top, right[:, None], parity=parity)[0],
  }


def _decided(made: Decisions, facts: Facts, parity: Parity) -> Arrays:
  """What depends on the predictions: [output], [output, pair or group]."""
  counts = confusion(
    made.predicted, facts.labels, facts.groups.membership, facts.present
  )
  rates = group_rates(counts)
  everyone = 0  # the first group, by construction
  linked = None
  if not facts.exclusive:
    linked = interdependence(made.predicted, parity=parity)
  value, flags = bias_amplification(counts, facts.pairs, parity=parity)
  arrays = {
    "accuracy": rates.accuracy[everyone],
    "predicted_positive": rates.selection_rate[everyone],
    "tcb": tcb(
      # Both rates over the examples that have a label.
      divide(counts.predicted, counts.total)[everyone],
      divide(counts.positive, counts.total)[everyone],
      facts.prevalence,
      parity=parity,
    ),
    # The outputs come first in what is stored, the groups first in matmuls.
    "bias_amplification": value.T,
    "bias_amplification_flags": flags.T,
    **{
      f"group_{name}": getattr(rates, name).T
      for name in (
        "accuracy",
        "false_positive_rate",
        "false_negative_rate",
        "selection_rate",
      )
    },
  }
  masks = _flags(counts, facts)
  if linked is None:
    arrays["recall"] = 1 - rates.false_negative_rate[everyone]
    arrays["false_positive_rate"] = rates.false_positive_rate[everyone]
  else:
    arrays["threshold"] = made.threshold
    arrays["balanced_accuracy"] = balanced_accuracy(rates)[everyone]
    arrays["interdependence"] = linked.value
    masks |= {
      AttributeFlag.COMBINATION: linked.combination,
      AttributeFlag.ILL_CONDITIONED: linked.ill_conditioned
      & ~linked.constant
      & ~linked.combination,
      AttributeFlag.ONE_ATTRIBUTE: np.array(len(facts.names) == 1),
    }
  arrays["flags"] = bits(made.threshold.shape, masks) | made.flags
  return {
    **_without_threshold(arrays),
    **({} if facts.exclusive else _correlations(made, facts)),
    **_directional(made, counts, facts, parity),
  }


def _correlations(made: Decisions, facts: Facts) -> Arrays:
  """Correlations of predictions and of errors: [output, output]."""
  decided = (made.flags & AttributeFlag.NO_THRESHOLD) == 0
  errors = made.predicted != facts.labels
  return {
    name: np.where(decided & decided[:, None], values, np.nan)
    for name, values in (
      ("prediction_correlation", pairwise_correlation(made.predicted)),
      ("error_correlation", pairwise_correlation(errors, facts.present)),
    )
  }


def _directional(
  made: Decisions, counts: Confusion, facts: Facts, parity: Parity
) -> Arrays:
  """Directional bias amplification: [identity]."""
  found = directional(
    made.predicted,
    facts.labels,
    counts,
    facts.directions,
    present=facts.present,
    undecided=(made.flags & AttributeFlag.NO_THRESHOLD) > 0,
    parity=parity,
  )
  return {
    **{name: getattr(found, name) for name in DIRECTIONAL_METRICS},
    "directional_flags": found.flags,
  }


def _without_threshold(arrays: Arrays) -> Arrays:
  """NaN in place of what follows from predictions that could not be made."""
  undecided = (arrays["flags"] & AttributeFlag.NO_THRESHOLD) > 0
  if not undecided.any():
    return arrays
  found = dict(arrays)
  for name, values in arrays.items():
    where = undecided.reshape(-1, *[1] * (values.ndim - 1))
    if name == "flags":
      # What the predictions would say of the attribute.
      said = AttributeFlag.CONSTANT | AttributeFlag.COMBINATION
      found[name] = np.where(where, values & ~int(said), values)
    elif name == "bias_amplification_flags":
      where = where & ((values & BiasFlag.SAME_ATTRIBUTE) == 0)
      found[name] = np.where(where, int(BiasFlag.NO_THRESHOLD), values)
    else:
      found[name] = np.where(where, np.nan, values)
  return found


def _flags(counts: Confusion, facts: Facts) -> dict[int, np.ndarray]:
  """Masks [output] of what the counts of everyone say."""
  positive, negative = counts.positive[0], counts.negative[0]
  selected, size = counts.selected[0], counts.size[0]
  labelled = counts.total[0] > 0
  flipped = facts.prevalence > 0.5
  known = ~np.isnan(facts.prevalence)
  return {
    AttributeFlag.NO_LABELS: ~labelled,
    AttributeFlag.NO_POSITIVES: (positive == 0) & labelled,
    AttributeFlag.NO_NEGATIVES: (negative == 0) & labelled,
    AttributeFlag.CONSTANT: (selected == 0) | (selected == size),
    AttributeFlag.NO_TRAIN: ~known,
    AttributeFlag.NO_RARE_VALUE: (np.where(flipped, negative, positive) == 0)
    & known
    & labelled,
  }
