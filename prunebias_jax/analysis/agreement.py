"""The table "agreement": how alike members decide, and err.

Disagreement is the share of examples on which two models decide differently:
the churn of Milani Fard et al. 2016, "Launch and Iterate: Reducing Prediction
Churn", between the seeds of a population, and between a compressed model and
the dense one that it pairs with. The mean correlation of errors in one pass
over the members is this project's.
"""

from collections.abc import Iterable
import dataclasses

import numpy as np
import pandas as pd
import xarray as xr

from prunebias_jax.analysis.cells import Population, dependence
from prunebias_jax.analysis.columns import ALL
from prunebias_jax.analysis.evidence import Evidence
from prunebias_jax.analysis.flags import (
  NO_THRESHOLD,
  AttributeFlag,
  join_reasons,
)
from prunebias_jax.analysis.inference import (
  MARK,
  mean_interval,
  unlike_normal,
)
from prunebias_jax.analysis.rates import divide
from prunebias_jax.analysis.tables import frame, population_columns


@dataclasses.dataclass(frozen=True, kw_only=True)
class Agreement:
  """Means over all pairs of a population's seeds, float64 [question] each.

  A question is an attribute, or which of the exclusive classes it is.

  Attributes:
    disagreement: share of examples that two seeds decide differently; NaN with
      one seed.
    error_correlation: Pearson correlation over the labelled examples of being
      wrong, of the seeds that are neither always nor never wrong; NaN with
      fewer than two of these.
    constant: int, how many seeds are always or never wrong.
  """

  disagreement: np.ndarray
  error_correlation: np.ndarray
  constant: np.ndarray


def agreement(
  predictions: Iterable[np.ndarray],
  labels: np.ndarray,
  *,
  present: np.ndarray | None = None,
  exclusive: bool = False,
) -> Agreement:
  """Compares all seeds of a population with each other, in one pass.

  With q of K seeds deciding for an outcome, q (K - q) of the pairs part there;
  the mean of all pairs' correlations comes from the sum over the seeds of
  standardised errors.

  Args:
    predictions: bool [example, output] of each seed.
    labels: bool [example, output], False where missing.
    present: bool [example, output], the label is there; None where all are.
    exclusive: the outputs are classes, one of which is predicted and true.

  Returns:
    The agreement.
  """
  seeds = 0
  for predicted in predictions:
    errors = wrong(predicted, labels, exclusive)
    there = np.ones_like(errors) if present is None else present
    count = there.sum(axis=0)
    if not seeds:
      chosen = np.zeros(predicted.shape)
      total = np.zeros(errors.shape)
      used = np.zeros(errors.shape[1], int)
    seeds += 1
    chosen += predicted
    share = divide((errors & there).sum(axis=0), count)
    sd = np.sqrt(share * (1 - share))
    varies = sd > 0
    used += varies
    standard = (errors - share) / np.where(varies, sd, np.inf)
    total += np.where(there & varies, standard, 0.0)
  parted = chosen * (seeds - chosen)
  parted = parted.sum(axis=1, keepdims=True) if exclusive else 2 * parted
  pairs = np.full(parted.shape[1], seeds * (seeds - 1))
  both = divide((total**2).sum(axis=0), count) - used
  return Agreement(
    disagreement=divide(parted.mean(axis=0), pairs),
    error_correlation=divide(both, used * (used - 1)),
    constant=seeds - used,
  )


def wrong(
  predicted: np.ndarray, labels: np.ndarray, exclusive: bool
) -> np.ndarray:
  """Which decisions are wrong: bool [example, question]."""
  if exclusive:
    return ~np.any(predicted & labels, axis=1, keepdims=True)
  return predicted != labels


def agreement_table(evidence: Evidence, arrays: xr.Dataset) -> pd.DataFrame:
  """The table "agreement": populations, threshold rules, attributes.

  Exclusive classes: the classifier as a whole.

  Args:
    evidence: whose members are compared.
    arrays: their numbers, as `Analysis.arrays` has them.
  """
  compared = evidence.compared()
  none = np.zeros((0, 2), int)
  parts = [
    _rows(evidence, arrays, rule, population, members, pairs)
    for rule in range(arrays.sizes["threshold_rule"])
    for population, members in evidence.populations().items()
    for _, pairs in [compared.get(population, (None, none))]
  ]
  return pd.concat(parts, ignore_index=True)


def _rows(
  evidence: Evidence,
  arrays: xr.Dataset,
  rule: int,
  population: Population,
  members: np.ndarray,
  pairs: np.ndarray,
) -> pd.DataFrame:
  """The rows of one population under one rule."""
  facts = evidence.facts
  questions = [ALL] if facts.exclusive else [*facts.names]
  count = len(questions)
  undecided = np.zeros(count, bool)
  if not facts.exclusive:
    flags = arrays["flags"].to_numpy()[:, rule]
    undecided = np.any(flags & AttributeFlag.NO_THRESHOLD, axis=0)

  def decide(member: int) -> np.ndarray:
    thresholds = None
    if not facts.exclusive:
      thresholds = arrays["threshold"].to_numpy()[[member], rule]
    return evidence.predictions([member], thresholds)[0]

  found = agreement(
    map(decide, members),
    facts.labels,
    present=facts.present,
    exclusive=facts.exclusive,
  )
  churn = np.zeros((len(pairs), count))
  for row, (member, dense) in enumerate(pairs):
    differ = decide(member) != decide(dense)
    if facts.exclusive:
      differ = differ.any(axis=1, keepdims=True)
    churn[row] = differ.mean(axis=0)
  numbers = {
    "disagreement": found.disagreement,
    "error_correlation": found.error_correlation,
    **_against_dense(churn, evidence.options.level),
  }
  note, independent = dependence(evidence.members, members, pairs)
  if not independent:
    numbers["low"] = numbers["high"] = np.full(count, np.nan)
  several = (len(members) > 1) & ~undecided
  unlike = unlike_normal(churn) & np.isfinite(numbers["low"])
  columns = {
    **population_columns(population, count),
    "threshold_rule": np.full(
      count, str(arrays["threshold_rule"].to_numpy()[rule]), object
    ),
    "attribute": np.array(questions, object),
    "n_seeds": np.full(count, len(members)),
    "n_pairs": np.full(count, len(pairs)),
    **{name: np.where(undecided, np.nan, one) for name, one in numbers.items()},
    "reason": join_reasons(
      count,
      [
        (undecided, NO_THRESHOLD),
        (
          ~undecided & (len(members) == 1),
          "disagreement and error_correlation not available: one seed",
        ),
        *(
          (
            several & (found.constant == constant),
            f"error_correlation without {constant} of {len(members)} seeds, "
            "always or never wrong",
          )
          for constant in range(1, len(members) + 1)
        ),
        (
          ~undecided & (len(pairs) == 1),
          "no interval against dense: one pair",
        ),
        (~undecided & unlike, MARK),
        *([(~undecided, note)] if note and len(pairs) else []),
      ],
    ),
  }
  return frame("agreement", columns, arrays)


def _against_dense(churn: np.ndarray, level: float) -> dict[str, np.ndarray]:
  """Mean over pairs with its t interval, [question]; NaN without a pair."""
  names = ("disagreement_dense", "low", "high")
  if not len(churn):
    return {name: np.full(churn.shape[1], np.nan) for name in names}
  found = mean_interval(churn, level=level)
  return dict(zip(names, (found.estimate, found.low, found.high), strict=True))
