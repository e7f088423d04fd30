"""Which examples does compression change? The dense members' word on it.

Iofinova et al. 2023 say that the dense model tells which samples are
susceptible; how it is judged here is this project's.
"""

from collections.abc import Mapping
import dataclasses
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from prunebias_jax.analysis.cells import Population
from prunebias_jax.analysis.columns import MEAN, POPULATION, TABLES
from prunebias_jax.analysis.criteria.ensembles import (
  SUSCEPTIBLE,
  Ensemble,
  ensemble,
  labelled,
  outputs_of,
)
from prunebias_jax.analysis.criteria.review import (
  BUDGETS,
  find,
  rank,
  review_size,
)
from prunebias_jax.analysis.evidence import Evidence
from prunebias_jax.analysis.flags import join_reasons
from prunebias_jax.analysis.rates import divide
from prunebias_jax.analysis.tables import frame

CRITERIA = ("uncertainty", "entropy", "ensemble_variance", "seed_share")
TARGETS = ("flip", "error")
# What one dense member cannot tell.
NEEDS_SEEDS = ("ensemble_variance", "seed_share")
# Of a group and an output, whatever the criterion.
_COMMON = (
  "n",
  "base_rate",
  "susceptible",
  "susceptible_recall",
  "susceptible_lift",
)
_NUMBERS = (
  *_COMMON,
  "auroc",
  *(f"recall_{100 * budget:.0f}" for budget in BUDGETS),
  *(f"lift_{100 * budget:.0f}" for budget in BUDGETS),
)


def sample_criteria_table(
  evidence: Evidence, arrays: xr.Dataset
) -> pd.DataFrame:
  """The table "sample_criteria"; no row without dense members.

  Args:
    evidence: the evaluation.
    arrays: its measured arrays, for checkpoint and split.
  """
  found = evidence.populations()
  by_dense: dict[Population, list[Population]] = {}
  for population, (dense, _) in evidence.compared().items():
    by_dense.setdefault(dense, []).append(population)
  parts = []
  for dense, compressed in by_dense.items():
    reference = ensemble(evidence, found[dense])
    targets = [
      _targets(reference, ensemble(evidence, found[one], scored=False))
      for one in compressed
    ]
    numbers = _judged(evidence, reference, targets)
    parts += [
      _rows(evidence, arrays, population, reference.members, values)
      for population, values in zip(compressed, numbers, strict=True)
    ]
  if not parts:
    return pd.DataFrame(columns=list(TABLES["sample_criteria"]))
  return pd.concat(parts, ignore_index=True)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Targets:
  """What a criterion is to find in one compressed population.

  Attributes:
    counts: int32 [target, output, example], events of `TARGETS`.
    trials: int [target], what an example can count at most.
  """

  counts: np.ndarray
  trials: tuple[int, ...]


def _targets(dense: Ensemble, compressed: Ensemble) -> _Targets:
  """Flips of the modal label, and the compressed members' errors."""
  flips = (dense.modal != compressed.modal).astype(np.int32)
  return _Targets(
    counts=np.stack([flips.T, compressed.errors.T]),
    trials=(1, compressed.members),
  )


def _judged(
  evidence: Evidence, reference: Ensemble, targets: list[_Targets]
) -> np.ndarray:
  """Float64 [population, target, output, group, criterion, number]."""
  facts = evidence.facts
  outputs = len(outputs_of(facts))
  present = labelled(facts)
  places = _single_groups(evidence)
  members = np.ascontiguousarray(facts.groups.membership[:, places].T > 0)
  counts = np.stack([one.counts for one in targets])
  trials = np.array([one.trials for one in targets], np.float64)
  shape = (outputs, len(places), len(CRITERIA), len(_NUMBERS))
  result = np.full((*trials.shape, *shape), np.nan)
  for output in range(outputs):
    there = present[:, output]
    # A flip needs no label, an error does.
    parts = [(slice(0, 2), members)]
    if not there.all():
      parts = [(slice(0, 1), members), (slice(1, 2), members & there)]
    for which, chosen in parts:
      result[:, which, output] = _numbers(
        {name: score[:, output] for name, score in reference.scores.items()},
        counts[:, which, output],
        trials[:, which],
        chosen,
      )
  if reference.members == 1:
    single = [CRITERIA.index(name) for name in NEEDS_SEEDS]
    result[..., single, len(_COMMON) :] = np.nan
  return result


def _numbers(
  scores: Mapping[str, np.ndarray],
  counts: np.ndarray,
  trials: np.ndarray,
  members: np.ndarray,
) -> np.ndarray:
  """`_NUMBERS` of one output.

  Args:
    scores: by criterion, float64 [example].
    counts: int32 [population, target, example], events.
    trials: float64 [population, target].
    members: bool [group, example].

  Returns:
    float64 [population, target, group, criterion, number].
  """
  shape = (*trials.shape, len(members), len(CRITERIA), len(_NUMBERS))
  result = np.full(shape, np.nan)
  events = counts.reshape(-1, counts.shape[-1]).T.astype(np.float64)
  susceptible = scores["uncertainty"] > SUSCEPTIBLE
  total = members.astype(np.float64) @ events
  recall = divide((members & susceptible).astype(np.float64) @ events, total)
  sizes = members.sum(axis=1)
  flagged = divide((members & susceptible).sum(axis=1), sizes)
  for place, name in enumerate(CRITERIA):
    order = np.argsort(scores[name])
    ordered = scores[name][order]
    for group, member in enumerate(members):
      size = int(sizes[group])
      result[..., group, place, 0] = size
      if not size:
        continue
      kept = member[order]
      found = find(
        rank(ordered[kept]), events[order[kept]], total[group], trials.ravel()
      )
      shares = [review_size(size, budget) / size for budget in BUDGETS]
      numbers = (
        total[group] / (size * trials.ravel()),
        np.full(trials.size, flagged[group]),
        recall[group],
        divide(recall[group], flagged[group]),
        found.auroc,
        *found.recall.T,
        *(found.recall / np.array(shares)).T,
      )
      result[..., group, place, 1:] = np.stack(numbers, axis=-1).reshape(
        *trials.shape, -1
      )
  return result


def _single_groups(evidence: Evidence) -> list[int]:
  """Everyone and the values of each identity; no crossing."""
  names = evidence.facts.groups.identity
  return [place for place, name in enumerate(names) if "*" not in name]


def _rows(
  evidence: Evidence,
  arrays: xr.Dataset,
  population: Population,
  dense_members: int,
  values: np.ndarray,
) -> pd.DataFrame:
  """The rows of one population: of each output, and their mean.

  Args:
    evidence: the evaluation.
    arrays: for `frame`.
    population: the compressed one.
    dense_members: of the population that the criteria come from.
    values: float64 [target, output, group, criterion, number].
  """
  groups = evidence.facts.groups
  names = outputs_of(evidence.facts)
  used = np.isfinite(values).sum(axis=1, keepdims=True)
  if not evidence.facts.exclusive:
    mean = divide(np.nansum(values, axis=1, keepdims=True), used)
    # With missing labels attributes differ in examples: a mean has no number.
    n = _NUMBERS.index("n")
    mean[..., n][np.ptp(values[..., n], axis=1, keepdims=True) > 0] = np.nan
    values = np.concatenate([values, mean], axis=1)
    names = (*names, MEAN)
  places = _single_groups(evidence)
  target, output, group, criterion = (
    axis.ravel() for axis in np.indices(values.shape[:-1])
  )
  numbers = values.reshape(-1, len(_NUMBERS)).T
  columns: dict[str, Any] = {
    "attribute": np.array(names, object)[output],
    "identity": np.array(groups.identity, object)[places][group],
    "value": np.array(groups.value, object)[places][group],
    "target": np.array(TARGETS, object)[target],
    "criterion": np.array(CRITERIA, object)[criterion],
    **dict(zip(_NUMBERS, numbers, strict=True)),
  }
  auroc = used[..., _NUMBERS.index("auroc")]
  averaged = auroc[target, 0, group, criterion]
  columns["reason"] = _reasons(columns, averaged, len(names), dense_members)
  fixed = {
    name: np.full(len(output), one, object if type(one) is str else None)
    for name, one in zip(POPULATION, population, strict=True)
  }
  return frame("sample_criteria", {**fixed, **columns}, arrays)


def _reasons(
  columns: Mapping[str, np.ndarray],
  averaged: np.ndarray,
  rows: int,
  dense_members: int,
) -> np.ndarray:
  """Why an AUROC is missing, and how many attributes a mean goes over.

  Args:
    columns: of the table.
    averaged: int, the attributes with an AUROC.
    rows: the attributes and, where there is one, their mean.
    dense_members: of the population that the criteria come from.
  """
  mean = columns["attribute"] == MEAN
  empty = columns["n"] == 0
  few = np.isin(columns["criterion"], NEEDS_SEEDS) & (dense_members == 1)
  none = np.isnan(columns["auroc"]) & ~empty & ~few & ~mean
  return join_reasons(
    len(mean),
    [
      (empty, "no example (an error needs a label)"),
      (few & ~empty, "not available: one dense member"),
      (none & (columns["base_rate"] == 0), "nothing to find"),
      (none & (columns["base_rate"] == 1), "every example is to be found"),
      *(
        (
          mean & ~few & ~empty & (averaged == count),
          f"mean over {count} of {rows - 1} attributes",
        )
        for count in range(rows - 1)
      ),
    ],
  )
