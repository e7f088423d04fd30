"""The table "countermeasures": what each does, over a population's seeds."""

from collections.abc import Mapping
import dataclasses

import numpy as np
import pandas as pd
import xarray as xr

from prunebias_jax.analysis.available import DOUBTFUL, over_available
from prunebias_jax.analysis.cells import Population
from prunebias_jax.analysis.columns import MEAN, POPULATION
from prunebias_jax.analysis.countermeasures.trials import (
  BOTH,
  COUNTERMEASURES,
  GROUP_THRESHOLDS,
  NONE,
  OVERRIDE,
  Dense,
  Trials,
  Variant,
)
from prunebias_jax.analysis.evidence import Evidence
from prunebias_jax.analysis.flags import join_reasons
from prunebias_jax.analysis.rates import divide
from prunebias_jax.analysis.tables import frame

_NUMBERS = ("n_seeds", "mean", "sd", "change", "change_low", "change_high")
_WORDS = ("countermeasure", "fitted_on", "override", "selection", "budget")


def countermeasures_table(
  evidence: Evidence, arrays: xr.Dataset
) -> pd.DataFrame:
  """The table "countermeasures".

  Args:
    evidence: the evaluation, with the validation split where there is one.
    arrays: its measured arrays.
  """
  trials = Trials(evidence, arrays)
  compared = evidence.compared()
  lent: dict[int, Dense] = {}
  parts = []
  for population, places in evidence.populations().items():
    partners: dict[int, int] = {}
    if population in compared:
      partners = dict(compared[population][1].tolist())
    values = []
    for place in places.tolist():
      partner = partners.get(place)
      if partner is not None and partner not in lent:
        lent[partner] = trials.lend(partner)
      values.append(
        trials.of(place, None if partner is None else lent[partner])
      )
    missing = _missing(evidence, population in compared, bool(partners))
    parts.append(_rows(trials, population, np.stack(values), missing))
  return pd.concat(parts, ignore_index=True)


def _missing(
  evidence: Evidence, is_compared: bool, has_partners: bool
) -> dict[str, str]:
  """Why countermeasures are not available, by name."""
  missing = {}
  if evidence.facts.exclusive:
    reason = "not available: exclusive classes have no thresholds"
    missing = dict.fromkeys(COUNTERMEASURES, reason)
  elif evidence.valid is None:
    reason = "not available: no validation logits to fit thresholds on"
    missing = dict.fromkeys(COUNTERMEASURES, reason)
  elif not evidence.facts.identity_names:
    missing[GROUP_THRESHOLDS] = "not available: no identity attribute"
  for name in (NONE, OVERRIDE):
    missing.pop(name, None)
  if not is_compared:
    reason = "not available: no dense population to take answers from"
  elif not has_partners:
    reason = "not available: no member has a dense partner"
  if not is_compared or not has_partners:
    missing |= {OVERRIDE: reason, BOTH: missing.get(BOTH, reason)}
  return missing


def _rows(
  trials: Trials,
  population: Population,
  values: np.ndarray,
  missing: Mapping[str, str],
) -> pd.DataFrame:
  """The rows of one population.

  Args:
    trials: what was tried.
    population: on whom.
    values: float64 [seed, variant, row, output].
    missing: from `_missing`.
  """
  values, averaged = _with_mean(values)
  base = values[:, :1]
  level = trials.evidence.options.level
  summary = over_available(values)
  change = over_available(
    values - base,
    scale=np.nan_to_num(np.maximum(np.abs(values), np.abs(base))).max(axis=0),
  )
  half = change.half_width(level)
  numbers = {
    "n_seeds": summary.count,
    "mean": summary.mean,
    "sd": summary.sd,
    "change": change.mean,
    "change_low": change.mean - half,
    "change_high": change.mean + half,
    "doubtful": change.doubtful,
  }
  for name in ("change", "change_low", "change_high"):
    numbers[name][0] = np.nan  # doing nothing is what changes are from
  kept = _kept(trials, values)
  variant, row, output = np.nonzero(kept)
  names = np.array([*trials.evidence.facts.names, MEAN], object)
  texts = np.array(trials.rows, object)
  words = [dataclasses.astuple(one) for one in trials.variants]
  columns = {
    **{
      name: np.array([word[i] for word in words], object)[variant]
      for i, name in enumerate(_WORDS)
    },
    "metric": texts[row, 0],
    "attribute": names[output],
    "identity": texts[row, 1],
    "value": texts[row, 2],
    **{name: numbers[name][kept] for name in _NUMBERS},
    "reason": _reasons(trials, len(values), numbers, averaged, kept),
  }
  columns["budget"] = columns["budget"].astype(np.float64)
  columns = _and_missing(columns, missing)
  fixed = {
    name: np.full(
      len(columns["metric"]), one, object if type(one) is str else None
    )
    for name, one in zip(POPULATION, population, strict=True)
  }
  return frame("countermeasures", {**fixed, **columns}, trials.arrays)


def _with_mean(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Adds the mean over outputs as a last one.

  It goes over the outputs that have a value in every seed and variant in which
  the metric is there at all, so that variants are compared on the same.

  Returns:
    float64 [seed, variant, row, output + 1], and int [row], how many outputs.
  """
  finite = np.isfinite(values)
  there = finite.any(axis=-1, keepdims=True)
  common = (finite | ~there).all(axis=(0, 1)) & finite.any(axis=(0, 1))
  total = np.where(common, values, 0.0).sum(axis=-1, keepdims=True)
  mean = divide(total, common.sum(axis=-1, keepdims=True))
  mean = np.where(there, mean, np.nan)
  return np.concatenate([values, mean], axis=-1), common.sum(axis=-1)


def _kept(trials: Trials, values: np.ndarray) -> np.ndarray:
  """Which cells have a row: bool [variant, row, output].

  Single attributes have none for the controls and for what is meant to be read
  as a curve over all of them; metrics that a variant does not have, neither.
  """
  there = np.isfinite(values).any(axis=(0, 3))
  single = np.array([_in_detail(one) for one in trials.variants])
  kept = np.repeat(there[:, :, None], values.shape[-1], axis=2)
  kept[:, :, :-1] &= single[:, None, None]
  return kept


def _in_detail(variant: Variant) -> bool:
  """Whether a variant has rows of single attributes."""
  if not variant.override:
    return True
  return (
    variant.countermeasure == OVERRIDE
    and variant.override == "dense"
    and variant.selection == "uncertain"
  )


def _reasons(
  trials: Trials,
  seeds: int,
  numbers: Mapping[str, np.ndarray],
  averaged: np.ndarray,
  kept: np.ndarray,
) -> np.ndarray:
  """What is missing in the cells that have a row."""
  outputs = kept.shape[-1] - 1
  count, change = numbers["n_seeds"], numbers["change"]
  exclusive = trials.evidence.facts.exclusive
  plural = "classes" if exclusive else "attributes"
  used = np.full(kept.shape, -1)
  used[..., -1] = averaged
  masks = [
    *(
      (count == found, f"{found} of {seeds} seeds have a value")
      for found in range(seeds)
    ),
    (
      np.isfinite(change) & np.isnan(numbers["change_low"]) & (count > 1),
      "the same change in every seed: no interval",
    ),
    (np.isfinite(change) & (count == 1), "one seed: no interval"),
    (np.isfinite(change) & numbers["doubtful"], DOUBTFUL),
    *(
      (used == found, f"mean over {found} of {outputs} {plural}")
      for found in range(outputs)
    ),
  ]
  return join_reasons(
    int(np.count_nonzero(kept)), [(mask[kept], text) for mask, text in masks]
  )


def _and_missing(
  columns: Mapping[str, np.ndarray], missing: Mapping[str, str]
) -> dict[str, np.ndarray]:
  """Adds a row for each countermeasure that is not available."""
  count = len(missing)
  added: dict[str, np.ndarray] = {
    name: np.full(count, "", object) for name in columns
  }
  added |= {name: np.full(count, np.nan) for name in _NUMBERS}
  added |= {
    "n_seeds": np.zeros(count, int),
    "budget": np.full(count, np.nan),
    "countermeasure": np.array(list(missing), object),
    "attribute": np.full(count, MEAN, object),
    "reason": np.array(list(missing.values()), object),
  }
  return {
    name: np.concatenate([column, added[name]])
    for name, column in columns.items()
  }
