"""The tables of criteria and countermeasures on what breaks naive code."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from prunebias_jax.analysis.assembly import assemble
from prunebias_jax.analysis.columns import TABLES
from prunebias_jax.analysis.countermeasures import countermeasures_table
from prunebias_jax.analysis.criteria import (
  criteria_table,
  judged_families,
  safety_table,
  sample_criteria_table,
)
from prunebias_jax.analysis.evidence import Evidence, gather_evidence
from prunebias_jax.analysis.facts import gather
from prunebias_jax.analysis.measure import measure
from prunebias_jax.analysis.options import Options
from prunebias_jax.analysis.parity import PARITIES, Parity

Splits = dict[str, xr.Dataset]
MakeSplits = Callable[..., Splits]


def _evidence(splits: Splits, parity: Parity) -> Evidence:
  test, valid = splits["test"], splits["valid"]
  return gather_evidence(
    ("last", "test"),
    test,
    gather(splits),
    Options(parity=parity),
    valid=valid,
    valid_facts=gather({**splits, "test": valid}),
  )


def _tables(splits: Splits, parity: Parity) -> dict[str, pd.DataFrame]:
  evidence = _evidence(splits, parity)
  valid = evidence.valid
  exclusive = evidence.facts.exclusive
  arrays = assemble(
    [
      measure(
        evidence.logits(place),
        evidence.facts,
        valid_logits=None if exclusive else valid.logits(place),
        valid_facts=None if exclusive else valid.facts,
        parity=parity,
      )
      for place in range(len(evidence.members))
    ],
    evidence,
  )
  families = judged_families(evidence, arrays)
  return {
    "sample_criteria": sample_criteria_table(evidence, arrays),
    "criteria": criteria_table(evidence, arrays, families),
    "safety": safety_table(arrays, families),
    "countermeasures": countermeasures_table(evidence, arrays),
  }


def _extreme(logits: np.ndarray) -> np.ndarray:
  return np.sign(logits) * 1e30


def _denormal(logits: np.ndarray) -> np.ndarray:
  return logits * np.float32(1e-42)


def _constant(logits: np.ndarray) -> np.ndarray:
  return np.full_like(logits, -1.5)


def _zero(logits: np.ndarray) -> np.ndarray:
  return np.zeros_like(logits)


def _half(logits: np.ndarray) -> np.ndarray:
  return logits.astype(np.float16)


def _double(logits: np.ndarray) -> np.ndarray:
  return logits.astype(np.float64) * 1e300


CHANGES = [_extreme, _denormal, _constant, _zero, _half, _double]


def _checked(tables: dict[str, pd.DataFrame]) -> None:
  for name, table in tables.items():
    assert tuple(table.columns) == TABLES[name]
    assert len(table)
    numbers = table.select_dtypes("number")
    assert not np.isinf(numbers.to_numpy(float)).any()
  samples = tables["sample_criteria"]
  shares = samples[["base_rate", "auroc", "recall_5", "susceptible"]]
  assert ((shares >= 0) & (shares <= 1 + 1e-12) | shares.isna()).all(axis=None)
  judged = samples["attribute"] != "(mean)"
  unsaid = samples[judged & samples["auroc"].isna()]
  assert (unsaid["reason"] != "").all()
  safety = tables["safety"]
  assert (safety.loc[safety["upper"].isna(), "reason"] != "").all()
  criteria = tables["criteria"]
  assert (criteria.loc[criteria["spearman"].isna(), "reason"] != "").all()
  tried = tables["countermeasures"]
  assert (tried.loc[tried["mean"].isna(), "reason"] != "").all()


@pytest.mark.parametrize("parity", PARITIES)
@pytest.mark.parametrize("multiclass", [False, True])
@pytest.mark.parametrize("change", CHANGES)
def test_logits(
  make_splits: MakeSplits, change: Callable, multiclass: bool, parity: Parity
) -> None:
  splits = make_splits(multiclass=multiclass, examples=40)
  for name in ("valid", "test"):
    logits = splits[name]["logits"]
    splits[name] = splits[name].assign(
      logits=(logits.dims, change(logits.to_numpy()))
    )
  _checked(_tables(splits, parity))


@pytest.mark.parametrize("value", [0.0, 1.0, np.nan])
@pytest.mark.parametrize("split", ["train", "valid", "test"])
def test_labels_of_one_kind(
  make_splits: MakeSplits, split: str, value: float
) -> None:
  splits = make_splits(examples=40)
  labels = splits[split]["labels"].to_numpy().astype(float)
  labels[:, 1] = value
  splits[split] = splits[split].assign(
    labels=(("example", "attribute"), labels)
  )
  _checked(_tables(splits, "default"))


@pytest.mark.parametrize("multiclass", [False, True])
def test_one_example_and_no_train(
  make_splits: MakeSplits, multiclass: bool
) -> None:
  splits = make_splits(multiclass=multiclass, examples=1)
  _checked(_tables(splits, "default"))
  del splits["train"]
  _checked(_tables(splits, "default"))
