"""From the splits of a run to its analysis, one member at a time."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import xarray as xr

from prunebias_jax.analysis.checks import members_in, name_of, places_of
from prunebias_jax.analysis.facts import Facts, gather, indicators, presence
from prunebias_jax.analysis.measure import Arrays, measure
from prunebias_jax.analysis.notes import make_notes
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


def analyze(
  splits: Mapping[str, xr.Dataset],
  *,
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
  facts = gather(splits)
  members = members_in(splits["test"])
  measured = _measure_all(splits, facts, members, parity)
  arrays = assemble(measured, facts, members, parity=parity, level=level)
  first = (
    {"classes": classes_table(arrays)}
    if facts.exclusive
    else {"attributes": attributes_table(arrays)}
  )
  tables = {
    **first,
    "bias_amplification": bias_amplification_table(arrays),
    "groups": groups_table(arrays),
    "variance": variance_table(arrays, level=level),
    "contrasts": contrasts_table(arrays, level=level),
  }
  return Analysis(tables=tables, arrays=arrays, notes=make_notes(arrays))


def _measure_all(
  splits: Mapping[str, xr.Dataset],
  facts: Facts,
  members: pd.DataFrame,
  parity: Parity,
) -> list[list[Arrays]]:
  """Measures the members in turn; all are looked at before any is refused."""
  test, valid = splits["test"], splits.get("valid")
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
    logits = test["logits"].isel(member=place).to_numpy()
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
    raise InputError(
      "logits that are not finite cannot be analysed: " + "; ".join(not_finite)
    )
  return measured
