"""From the splits of a run to its analysis, one member at a time."""

from collections.abc import Callable, Mapping, Sequence

import pandas as pd
import xarray as xr

from prunebias_jax.analysis.agreement import agreement_table
from prunebias_jax.analysis.assembly import assemble
from prunebias_jax.analysis.bias_variance import bias_variance_table
from prunebias_jax.analysis.class_tests import class_tests_table
from prunebias_jax.analysis.columns import CALIBRATION, MAIN, MEMBER, TABLES
from prunebias_jax.analysis.correlations import correlations_table
from prunebias_jax.analysis.countermeasures import countermeasures_table
from prunebias_jax.analysis.criteria import (
  criteria_table,
  judged_families,
  safety_table,
  sample_criteria_table,
)
from prunebias_jax.analysis.evidence import Evidence, Where, gather_evidence
from prunebias_jax.analysis.exemplars import Exemplars, examine
from prunebias_jax.analysis.facts import Facts, gather
from prunebias_jax.analysis.fairness import fairness_table, with_fairness
from prunebias_jax.analysis.group_changes import group_changes_table
from prunebias_jax.analysis.measure import measure
from prunebias_jax.analysis.notes import evaluation_notes, make_notes
from prunebias_jax.analysis.options import Options
from prunebias_jax.analysis.results import Analysis
from prunebias_jax.analysis.summary import summarise
from prunebias_jax.analysis.tables import (
  attributes_table,
  bias_amplification_table,
  classes_table,
  directional_table,
  groups_table,
)
from prunebias_jax.analysis.threads import in_threads
from prunebias_jax.analysis.variance import (
  contrasts_table,
  power_table,
  sources_table,
  trends_table,
  variance_table,
)

Tables = dict[str, pd.DataFrame]


def analyze(
  splits: Mapping[str, xr.Dataset],
  *,
  evaluations: Mapping[Where, xr.Dataset] | None = None,
  options: Options | None = None,
) -> Analysis:
  """Computes every metric of every member, and what it does over seeds.

  Args:
    splits: "train", "valid" and "test" as `store.Run.split` returns them:
      `labels` [example, attribute], NaN where missing (exclusive classes:
      [example], none missing), `identities` [example, identity], and for valid
      and test `logits` [member, example, attribute] (or class) with the
      members' pruner, sparsity, quantization and seed, and parent_seed where
      members pair by another seed than their own; the attribute `paired`,
      False where nothing pairs. "train" and "valid" may be missing.
      Logits are read one member at a time.
    evaluations: what the members were evaluated on besides, in the same form,
      by (checkpoint, split): ("last", "test:noise:3"), ("best", "test"). Each
      has rows of its own, but "valid": thresholds are calibrated on it, always
      on that of the same checkpoint and without corruption.
    options: the user's choices; None for the defaults.

  Returns:
    The tables, arrays and notes.

  Raises:
    InputError: no test logits, no finished member, a member that is there
      twice or has no validation logits, an empty split, labels other than 0
      and 1 (or class ids), an attribute named "(mean)" or "(all)", or logits
      that are not finite, unless `options.skip_bad`.
  """
  evaluations = evaluations or {}
  all_evidence = _gather_all(splits, evaluations, options or Options())
  arrays = {where: _measured(one) for where, one in all_evidence.items()}
  exemplars = _exemplars(all_evidence)
  tables = _joined(
    [
      *(_tables(all_evidence[where], arrays[where]) for where in arrays),
      *(one.tables for one in exemplars.values()),
    ]
  )
  main = arrays.pop(MAIN)
  return Analysis(
    tables=tables,
    summary=summarise(tables, main.attrs["level"]),
    arrays=main,
    others=arrays,
    notes=[
      *make_notes(main),
      *exemplars[MAIN].notes,
      *evaluation_notes(main, arrays, evaluations),
    ],
    examples={
      where: one.examples
      for where, one in exemplars.items()
      if one.examples is not None
    },
  )


def _exemplars(
  all_evidence: Mapping[Where, Evidence],
) -> dict[Where, Exemplars]:
  """The exemplars of every evaluation, and of the validation split.

  What is audited is by default the validation split, so that the test split
  stays unseen.
  """
  examined = dict(all_evidence)
  valid = all_evidence[MAIN].valid
  if valid is not None:
    examined[valid.where] = valid
  found = in_threads(examine, examined.values())
  return dict(zip(examined, found, strict=True))


def _gather_all(
  splits: Mapping[str, xr.Dataset],
  evaluations: Mapping[Where, xr.Dataset],
  options: Options,
) -> dict[Where, Evidence]:
  """The evidence of each evaluation that has rows of its own; `MAIN` first."""
  # Ground truth by the split that it is of; corruptions leave it as it is.
  facts: dict[str, Facts] = {MAIN[1]: gather(splits)}

  def facts_of(split: str, data: xr.Dataset) -> Facts:
    base = split.partition(":")[0]
    if base not in facts:
      facts[base] = gather({**splits, MAIN[1]: data})
    return facts[base]

  found = {}
  for where, data in {MAIN: splits[MAIN[1]], **evaluations}.items():
    checkpoint, split = where
    if split == CALIBRATION or (not data.sizes["member"] and where != MAIN):
      continue
    valid = (
      splits.get(CALIBRATION)
      if checkpoint == MAIN[0]
      else _of_all(evaluations.get((checkpoint, CALIBRATION)), data)
    )
    if valid is not None and "logits" not in valid:
      valid = None
    found[where] = gather_evidence(
      where,
      data,
      facts_of(split, data),
      options,
      valid=valid,
      valid_facts=None if valid is None else facts_of(CALIBRATION, valid),
    )
  return found


def _of_all(valid: xr.Dataset | None, data: xr.Dataset) -> xr.Dataset | None:
  """Validation logits, if every member of an evaluation has some."""
  if valid is None:
    return None
  there, wanted = (
    {*zip(*(one[key].to_numpy().tolist() for key in MEMBER), strict=True)}
    for one in (valid, data)
  )
  return valid if wanted <= there else None


def _tables(evidence: Evidence, arrays: xr.Dataset) -> Tables:
  """The tables of one evaluation."""
  families = judged_families(evidence, arrays)
  contrasts = contrasts_table(evidence, arrays)
  # What is only laid out anew.
  plain = {
    "bias_amplification": bias_amplification_table(arrays),
    "directional": directional_table(arrays),
    "groups": groups_table(arrays),
    "fairness": fairness_table(arrays),
    "contrasts": contrasts,
    "safety": safety_table(arrays, families),
  }
  if evidence.facts.exclusive:
    plain["classes"] = classes_table(arrays)
  else:
    plain["attributes"] = attributes_table(arrays)
    plain["correlations"] = correlations_table(evidence, arrays)
  # What is computed, the longest first.
  makers: dict[str, Callable[[], pd.DataFrame]] = {
    "variance": lambda: variance_table(evidence, arrays),
    "countermeasures": lambda: countermeasures_table(evidence, arrays),
    "sample_criteria": lambda: sample_criteria_table(evidence, arrays),
    "bias_variance": lambda: bias_variance_table(evidence, arrays),
    "agreement": lambda: agreement_table(evidence, arrays),
    "criteria": lambda: criteria_table(evidence, arrays, families),
    "power": lambda: power_table(evidence, arrays, contrasts),
    "group_changes": lambda: group_changes_table(evidence, arrays),
    "class_tests": lambda: class_tests_table(evidence, arrays),
    "trends": lambda: trends_table(evidence, arrays),
    "sources": lambda: sources_table(evidence, arrays),
  }
  made = in_threads(lambda make: make(), makers.values())
  return {**plain, **dict(zip(makers, made, strict=True))}


def _joined(parts: Sequence[Tables]) -> Tables:
  """The tables of all evaluations, in the order of the contract."""
  return {
    name: _rows([part[name] for part in parts if name in part])
    for name in TABLES
    if any(name in part for part in parts)
  }


def _rows(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
  """The rows of several tables; types are those of tables that have rows."""
  filled = [table for table in tables if len(table)]
  if len(filled) < 2:
    return filled[0] if filled else tables[0]
  return pd.concat(filled, ignore_index=True)


def _measured(evidence: Evidence) -> xr.Dataset:
  """Measures the members in turn."""
  facts, valid = evidence.facts, evidence.valid
  if facts.exclusive:
    valid = None
  measured = [
    measure(
      evidence.logits(place),
      facts,
      valid_logits=None if valid is None else valid.logits(place),
      valid_facts=None if valid is None else valid.facts,
      parity=evidence.options.parity,
    )
    for place in range(len(evidence.members))
  ]
  return with_fairness(assemble(measured, evidence))
