"""From the splits of a run to its analysis, one member at a time."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import xarray as xr

from prunebias_jax.analysis.checks import members_in, name_of, places_of
from prunebias_jax.analysis.columns import CALIBRATION, MAIN, MEMBER
from prunebias_jax.analysis.facts import Facts, gather, indicators, presence
from prunebias_jax.analysis.measure import Arrays, measure
from prunebias_jax.analysis.notes import evaluation_notes, make_notes
from prunebias_jax.analysis.parity import PARITIES, Parity
from prunebias_jax.analysis.results import Analysis, assemble
from prunebias_jax.analysis.seeds import contrasts_table, variance_table
from prunebias_jax.analysis.tables import (
  attributes_table,
  bias_amplification_table,
  classes_table,
  groups_table,
)
from prunebias_jax.errors import InputError, choose

Where = tuple[str, str]  # checkpoint, split


def analyze(
  splits: Mapping[str, xr.Dataset],
  *,
  evaluations: Mapping[Where, xr.Dataset] | None = None,
  parity: Parity = "default",
  level: float = 0.95,
) -> Analysis:
  """Computes every metric of every member, and what it does over seeds.

  Args:
    splits: "train", "valid" and "test" as `store.Run.split` returns them:
      `labels` [example, attribute], NaN where missing (exclusive classes:
      [example], none missing), `identities` [example, identity], and for valid
      and test `logits` [member, example, attribute] (or class) with the
      members' pruner, sparsity, quantization and seed. "train" and "valid" may
      be missing.
      Logits are read one member at a time.
    evaluations: what the members were evaluated on besides, in the same form,
      by (checkpoint, split): ("last", "test:noise:3"), ("best", "test"). Each
      has rows of its own, but "valid": thresholds are calibrated on it, always
      on that of the same checkpoint and without corruption.
    parity: "paper" follows Iofinova et al. 2023 where "default" departs from
      it; docs/statistics.md lists the differences.
    level: coverage of the intervals, in (0, 1).

  Returns:
    The tables, arrays and notes.

  Raises:
    InputError: an unknown parity, a level outside (0, 1), no test logits, no
      finished member, a member that is there twice or has no validation
      logits, an empty split, labels other than 0 and 1 (or class ids), an
      attribute named "(mean)" or "(all)", or logits that are not finite.
  """
  choose(parity, PARITIES, "parity")
  if not 0 < level < 1:
    raise InputError(f"level {level}; accepted: above 0 and below 1")
  evaluations = evaluations or {}
  facts = {MAIN[1]: gather(splits)}
  arrays = {}
  for where, data in {MAIN: splits[MAIN[1]], **evaluations}.items():
    checkpoint, split = where
    base = split.partition(":")[0]
    if split == CALIBRATION or (not data.sizes["member"] and where != MAIN):
      continue
    if base not in facts:
      facts[base] = gather({**splits, MAIN[1]: data})
    valid = (
      splits.get(CALIBRATION)
      if checkpoint == MAIN[0]
      else _of_all(evaluations.get((checkpoint, CALIBRATION)), data)
    )
    members = members_in(data)
    measured = _measure_all(where, data, valid, facts[base], members, parity)
    arrays[where] = assemble(
      measured, facts[base], members, where=where, parity=parity, level=level
    )
  tables = [_tables(one, level) for one in arrays.values()]
  main = arrays.pop(MAIN)
  return Analysis(
    tables={name: _joined([one[name] for one in tables]) for name in tables[0]},
    arrays=main,
    others=arrays,
    notes=[*make_notes(main), *evaluation_notes(main, arrays, evaluations)],
  )


def _tables(arrays: xr.Dataset, level: float) -> dict[str, pd.DataFrame]:
  """The tables of one evaluation."""
  first = (
    {"classes": classes_table(arrays)}
    if "class" in arrays.dims
    else {"attributes": attributes_table(arrays)}
  )
  return {
    **first,
    "bias_amplification": bias_amplification_table(arrays),
    "groups": groups_table(arrays),
    "variance": variance_table(arrays, level=level),
    "contrasts": contrasts_table(arrays, level=level),
  }


def _joined(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
  """The rows of several tables; types are those of tables that have rows."""
  filled = [table for table in tables if len(table)]
  if len(filled) < 2:
    return filled[0] if filled else tables[0]
  return pd.concat(filled, ignore_index=True)


def _of_all(valid: xr.Dataset | None, data: xr.Dataset) -> xr.Dataset | None:
  """Validation logits, if every member of an evaluation has some."""
  if valid is None:
    return None
  there, wanted = (
    {*zip(*(one[key].to_numpy().tolist() for key in MEMBER), strict=True)}
    for one in (valid, data)
  )
  return valid if wanted <= there else None


def _measure_all(
  where: Where,
  data: xr.Dataset,
  valid: xr.Dataset | None,
  facts: Facts,
  members: pd.DataFrame,
  parity: Parity,
) -> list[list[Arrays]]:
  """Measures the members in turn; all are looked at before any is refused."""
  if facts.exclusive or valid is None or "logits" not in valid:
    valid = None
  positives = present = None
  in_valid = np.zeros(len(members), int)
  if valid is not None:
    in_valid = places_of(members, valid)
    positives = indicators(valid, len(facts.names)).sum(axis=0)
    present = presence(valid)
  measured: list[list[Arrays]] = []
  not_finite: list[str] = []
  for place in range(len(members)):
    logits = data["logits"].isel(member=place).to_numpy()
    valid_logits = None
    if valid is not None:
      valid_logits = valid["logits"].isel(member=in_valid[place]).to_numpy()
    finite = np.isfinite(logits).all() and (
      valid_logits is None or np.isfinite(valid_logits).all()
    )
    if not finite:
      not_finite.append(name_of(members.iloc[place]))
    elif not not_finite:
      measured.append(
        measure(
          logits,
          facts,
          valid_logits=valid_logits,
          valid_positives=positives,
          valid_present=present,
          parity=parity,
        )
      )
  if not_finite:
    ending = "" if where == MAIN else f" ({where[1]}, {where[0]} parameters)"
    raise InputError(
      "logits that are not finite cannot be analysed: "
      + "; ".join(not_finite)
      + ending
    )
  return measured
