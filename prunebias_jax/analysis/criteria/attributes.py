"""Which attributes does compression bias? The dense members' word on it.

Iofinova et al. 2023 say that properties of the dense model tell whether bias
will rise; which properties, and how they are judged, is this project's.
"""

from collections.abc import Mapping, Sequence
import dataclasses

import numpy as np
import pandas as pd
import xarray as xr

from prunebias_jax.analysis.available import over_available
from prunebias_jax.analysis.cells import Population, baseline
from prunebias_jax.analysis.columns import TABLES
from prunebias_jax.analysis.criteria.association import (
  FEWEST,
  Association,
  leave_one_out,
  spearman,
)
from prunebias_jax.analysis.criteria.families import BIAS, Family
from prunebias_jax.analysis.criteria.safety import NOT_SAFE, SAFE
from prunebias_jax.analysis.evidence import Evidence
from prunebias_jax.analysis.tables import frame

# What is to be told, by the metric whose verdicts are to be decided.
TARGETS = {BIAS: "bias_amplification", "abs_log_tcb": "tcb"}
# Criteria that hold the dense side of the target with the sign turned round.
PART_OF = {"bias_amplification": "bias_amplification", "abs_log_tcb": "tcb"}
ITSELF = (
  "the dense members' share in the target makes for a correlation by itself"
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Cell:
  """One level, rule and kind of bias, over attributes.

  Attributes:
    change: float64 [output], the mean paired change, with its sign.
    unsafe: bool [output], the verdict is "not safe".
    decided: bool [output], there is a verdict.
  """

  change: np.ndarray
  unsafe: np.ndarray
  decided: np.ndarray


def criteria_table(
  evidence: Evidence, arrays: xr.Dataset, families: Sequence[Family]
) -> pd.DataFrame:
  """The table "criteria"; no row where no compressed member has a partner.

  Args:
    evidence: the evaluation.
    arrays: its measured arrays.
    families: from `judged_families`.
  """
  rules = arrays["threshold_rule"].to_numpy().tolist()
  rows: list[dict[str, object]] = []
  for family in families:
    for level, population in enumerate(family.levels):
      if not len(family.pairs[level]):
        continue
      change = _changes(arrays, family.pairs[level])
      for rule, name in enumerate(rules):
        for measure, (metric, identity, value) in enumerate(family.measures):
          verdict = family.safety.verdict[level, rule, measure, :-1]
          cell = _Cell(
            change=change[rule, measure],
            unsafe=verdict == NOT_SAFE,
            decided=np.isin(verdict, (SAFE, NOT_SAFE)),
          )
          given = _criteria(evidence, arrays, population, rule, measure)
          where = {
            "threshold_rule": name,
            "target": TARGETS[metric],
            "identity": identity,
            "value": value,
          }
          rows += _rows(evidence, population, where, given, cell)
  if not rows:
    return pd.DataFrame(columns=list(TABLES["criteria"]))
  table = pd.DataFrame(rows)
  columns = {name: table[name].to_numpy() for name in table.columns}
  return frame("criteria", columns, arrays)


def _changes(arrays: xr.Dataset, pairs: np.ndarray) -> np.ndarray:
  """Mean changes, compressed - dense: [threshold_rule, measure, output]."""
  output = arrays["tcb"].dims[-1]
  bias = arrays["bias_amplification"].transpose(
    "member", "threshold_rule", "pair", output
  )
  values = np.concatenate(
    [bias.to_numpy(), arrays["tcb"].to_numpy()[:, :, None]], axis=2
  )
  values[~np.isfinite(values)] = np.nan
  return over_available(values[pairs[:, 0]] - values[pairs[:, 1]]).mean


def _criteria(
  evidence: Evidence,
  arrays: xr.Dataset,
  population: Population,
  rule: int,
  measure: int,
) -> dict[str, np.ndarray]:
  """The criteria of one kind of bias, float64 [output] each.

  Means over all dense members; bias amplification and the train-rate gap only
  where the target has a group.
  """
  dense = baseline(evidence.members, population)
  assert dense is not None  # it has pairs
  members = evidence.populations()[dense]

  def mean(values: np.ndarray) -> np.ndarray:
    known = np.where(np.isfinite(values), values, np.nan)
    return over_available(known[members]).mean

  facts = evidence.facts
  with np.errstate(divide="ignore"):
    shift = np.abs(np.log(arrays["tcb"].to_numpy()[:, rule]))
  found = {
    "uncertainty": mean(arrays["uncertainty"].to_numpy()[:, rule]),
    "abs_log_tcb": mean(shift),
    "prevalence": facts.prevalence,
  }
  if "interdependence" in arrays:
    linked = arrays["interdependence"].to_numpy()[:, rule]
    found["interdependence"] = mean(linked)
  if measure < len(facts.pairs.identity):
    bias = arrays["bias_amplification"].to_numpy()[:, rule]
    gap = np.abs(facts.pairs.inside[measure] - facts.pairs.outside[measure])
    found["bias_amplification"] = mean(bias[:, :, measure])
    found["train_rate_gap"] = gap
  return found


def _rows(
  evidence: Evidence,
  population: Population,
  where: Mapping[str, str],
  criteria: Mapping[str, np.ndarray],
  cell: _Cell,
) -> list[dict[str, object]]:
  """A row for each criterion."""
  rows = []
  pruner, sparsity, quantization = population
  for criterion, values in criteria.items():
    known = np.isfinite(values) & np.isfinite(cell.change)
    decided = known & cell.decided
    unsafe = cell.unsafe[decided]
    found = spearman(
      values[known], cell.change[known], level=evidence.options.level
    )
    accuracy = majority = np.nan
    if len(unsafe) >= FEWEST and 0 < unsafe.sum() < len(unsafe):
      accuracy = leave_one_out(values[decided], unsafe)
      majority = max(float(unsafe.mean()), 1 - float(unsafe.mean()))
    rows.append(
      {
        "pruner": pruner,
        "sparsity": sparsity,
        "quantization": quantization,
        **where,
        "criterion": criterion,
        "n_attributes": int(known.sum()),
        "spearman": found.estimate,
        "low": found.low,
        "high": found.high,
        "n_decided": len(unsafe),
        "n_not_safe": int(unsafe.sum()),
        "decision_accuracy": accuracy,
        "majority_accuracy": majority,
        "sentence": _sentence(population, where, criterion, found, known),
        "reason": _reason(criterion, where["target"], found, known, unsafe),
      }
    )
  return rows


def _reason(
  criterion: str,
  target: str,
  found: Association,
  known: np.ndarray,
  unsafe: np.ndarray,
) -> str:
  """What is not available in a row, or deserves care."""
  reasons = []
  if known.sum() < FEWEST:
    reasons.append(f"{known.sum()} attributes have both: needs {FEWEST}")
  elif np.isnan(found.estimate):
    reasons.append("one side is the same for all attributes")
  elif PART_OF.get(criterion) == target:
    reasons.append(ITSELF)
  if len(unsafe) < FEWEST:
    reasons.append(f"{len(unsafe)} attributes are decided: needs {FEWEST}")
  elif not 0 < unsafe.sum() < len(unsafe):
    said = NOT_SAFE if unsafe.all() else SAFE
    reasons.append(f"all {len(unsafe)} decided attributes are {said}")
  return "; ".join(reasons)


def _sentence(
  population: Population,
  where: Mapping[str, str],
  criterion: str,
  found: Association,
  known: np.ndarray,
) -> str:
  """The correlation in words; empty where there is none."""
  if np.isnan(found.estimate):
    return ""
  pruner, sparsity, quantization = population
  how = f"{pruner} at {sparsity:g}"
  if quantization != "none":
    how += f", {quantization}"
  target = where["target"].replace("_", " ")
  if where["identity"]:
    target += f" by {where['identity']} = {where['value']}"
  relation = "no clear relation with"
  if found.low > 0:
    relation = "the higher, the larger"
  elif found.high < 0:
    relation = "the higher, the smaller"
  return (
    f"{how}, {where['threshold_rule']} thresholds: dense "
    f"{criterion.replace('_', ' ')}: {relation} the change of {target} "
    f"(Spearman {found.estimate:+.2f}, {found.low:+.2f} to {found.high:+.2f}, "
    f"{known.sum()} attributes)."
  )
