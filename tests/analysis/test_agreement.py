from collections.abc import Callable
import itertools

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
import numpy as np
import pandas as pd
import pytest
import scipy.stats
import xarray as xr

from prunebias_jax.analysis import analyze, calibrated_thresholds
from prunebias_jax.analysis.agreement import agreement

MakeSplits = Callable[..., dict[str, xr.Dataset]]
Edit = Callable[..., dict[str, xr.Dataset]]


def _mean_correlation(wrong: np.ndarray) -> float:
  """Over all pairs of seeds [seed, example] that vary."""
  varying = [one for one in wrong if 0 < one.sum() < len(one)]
  found = [
    np.corrcoef(one, other)[0, 1]
    for one, other in itertools.combinations(varying, 2)
  ]
  return float(np.mean(found)) if found else np.nan


def _row(table: pd.DataFrame, **where: object) -> pd.Series:
  for column, value in where.items():
    table = table[table[column] == value]
  assert len(table) == 1
  return table.iloc[0]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_equals_a_loop_over_pairs(data: st.DataObject) -> None:
  seeds, examples = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 12))
  shape = (examples, 2)
  predicted = data.draw(hnp.arrays(bool, (seeds, *shape)))
  labels, present = data.draw(hnp.arrays(bool, (2, *shape)))
  labels &= present
  found = agreement(predicted, labels, present=present)
  for a in range(2):
    pairs = itertools.combinations(predicted[:, :, a], 2)
    parted = [np.mean(one != other) for one, other in pairs]
    expected = np.mean(parted) if parted else np.nan
    np.testing.assert_allclose(found.disagreement[a], expected)
    there = present[:, a]
    wrong = (predicted[:, :, a] != labels[:, a])[:, there].astype(float)
    np.testing.assert_allclose(
      found.error_correlation[a], _mean_correlation(wrong), atol=1e-9
    )


@pytest.mark.parametrize("multiclass", [False, True])
def test_table(make_splits: MakeSplits, multiclass: bool) -> None:
  splits = make_splits(multiclass=multiclass)
  table = analyze(splits).tables["agreement"]
  test = splits["test"]
  logits, labels = test["logits"].to_numpy(), test["labels"].to_numpy()
  pruners = test["pruner"].to_numpy()
  cell = {"pruner": "magnitude", "threshold_rule": "default"}
  if multiclass:
    decided, name = logits.argmax(2), "(all)"
    assert set(table["attribute"]) == {"(all)"}
  else:
    cell["threshold_rule"] = "calibrated"
    valid = splits["valid"]
    positives = valid["labels"].to_numpy().sum(0)
    decided = np.array(
      [
        z > calibrated_thresholds(v, positives).value
        for z, v in zip(logits, valid["logits"].to_numpy(), strict=True)
      ]
    )[:, :, 1]
    labels, name = labels[:, 1], "B"
  here, dense = (decided[pruners == one] for one in ("magnitude", "dense"))
  row = _row(table, attribute=name, **cell)
  np.testing.assert_allclose(
    row["disagreement"],
    np.mean([np.mean(a != b) for a, b in itertools.combinations(here, 2)]),
  )
  np.testing.assert_allclose(
    row["error_correlation"], _mean_correlation((here != labels).astype(float))
  )
  churn = np.mean(here != dense, axis=1)
  interval = scipy.stats.ttest_1samp(churn, 0).confidence_interval(0.95)
  np.testing.assert_allclose(
    row[["disagreement_dense", "low", "high"]].astype(float),
    [churn.mean(), interval.low, interval.high],
  )
  assert row["n_pairs"] == 3
  assert row["reason"] == ""
  own = _row(table, attribute=name, **{**cell, "pruner": "dense"})
  assert own["n_pairs"] == 0
  assert np.isnan(own["disagreement_dense"])


def test_what_cannot_be_had(make_splits: MakeSplits, edit: Edit) -> None:
  table = analyze(make_splits([("dense", 0.0, "none", 0)])).tables["agreement"]
  assert table[["disagreement", "error_correlation"]].isna().all(axis=None)
  assert table["reason"].str.endswith("not available: one seed").all()
  splits = make_splits()
  splits["test"]["logits"][0] = np.where(
    splits["test"]["labels"].to_numpy(), 1e30, -1e30
  )
  table = analyze(splits).tables["agreement"]
  row = _row(table, pruner="dense", attribute="A", threshold_rule="default")
  assert np.isfinite(row["error_correlation"])
  assert row["reason"] == (
    "error_correlation without 1 of 3 seeds, always or never wrong"
  )

  def forget(labels: np.ndarray) -> np.ndarray:
    return np.where(np.arange(3) == 0, np.nan, labels)

  table = analyze(edit(splits, "valid", "labels", forget)).tables["agreement"]
  row = _row(
    table, pruner="magnitude", attribute="A", threshold_rule="calibrated"
  )
  assert row[["disagreement", "disagreement_dense"]].isna().all()
  assert "no validation label" in row["reason"]
