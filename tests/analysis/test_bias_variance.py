from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
import numpy as np
import pandas as pd
import pytest
import scipy.special
from sklearn.metrics import brier_score_loss, log_loss
import xarray as xr

from prunebias_jax.analysis import analyze
from prunebias_jax.analysis.bias_variance import decompose_losses, outcome_logs

MakeSplits = Callable[..., dict[str, xr.Dataset]]
Edit = Callable[..., dict[str, xr.Dataset]]
FINITE = st.floats(-1e30, 1e30) | st.floats(-10, 10)


def _row(table: pd.DataFrame, **where: object) -> pd.Series:
  for column, value in where.items():
    table = table[table[column] == value]
  assert len(table) == 1
  return table.iloc[0]


def _slow(p: np.ndarray, y: int) -> dict[str, list[float]]:
  """From the members' probability vectors [seed, outcome] of one example."""
  seeds, outcomes = p.shape
  target = np.eye(outcomes)[y]
  weight = 0.5 if outcomes == 2 else 1
  risk = weight * np.mean([np.sum((one - target) ** 2) for one in p])
  centre = p.mean(axis=0)
  variance = weight * sum(np.sum((one - centre) ** 2) for one in p)
  variance /= seeds - 1
  geometric = np.prod(p, axis=0) ** (1 / seeds)
  mean = geometric / geometric.sum()
  # E KL(mean || p_j), the definition.
  divergence = np.mean(
    [np.sum(mean * (np.log(mean) - np.log(one))) for one in p]
  )
  return {
    "squared_error": [risk, risk - variance, variance],
    "cross_entropy": [
      -np.mean(np.log(p[:, y])),
      -np.log(mean[y]),
      divergence,
    ],
  }


@pytest.mark.parametrize("multiclass", [False, True])
@pytest.mark.parametrize("precision", [np.float16, np.float32, np.float64])
def test_equals_the_definitions(
  make_splits: MakeSplits, multiclass: bool, precision: type
) -> None:
  splits = make_splits(multiclass=multiclass, examples=40)
  test = splits["test"]
  test["logits"] = test["logits"].astype(precision)
  table = analyze(splits).tables["bias_variance"]
  logits = test["logits"].to_numpy().astype(np.float64)
  labels = test["labels"].to_numpy().astype(int)
  group = test["identities"].to_numpy()[:, 1] == 1
  pruned = np.flatnonzero(test["pruner"].to_numpy() == "magnitude")
  cell = {"pruner": "magnitude", "identity": "G", "value": "1"}
  for a, name in enumerate("ABC"):
    if multiclass:
      p = scipy.special.softmax(logits, axis=2)
      inside, y = group & (labels == a), labels
    else:
      yes = scipy.special.expit(logits[:, :, a])
      p, inside = np.stack([1 - yes, yes], axis=2), group
      y = labels[:, a]
    parts = [_slow(p[pruned, i], y[i]) for i in np.flatnonzero(inside)]
    for loss in ("squared_error", "cross_entropy"):
      row = _row(table, attribute=name, loss=loss, **cell)
      np.testing.assert_allclose(
        row[["expected_loss", "bias", "variance"]].astype(float),
        np.mean([one[loss] for one in parts], axis=0),
        atol=1e-9,
      )
      assert row["n_examples"] == inside.sum()
      assert row["n_seeds"] == len(pruned)
  if multiclass:
    row = _row(
      table,
      attribute="(all)",
      loss="cross_entropy",
      pruner="dense",
      identity="",
    )
    dense = np.flatnonzero(test["pruner"].to_numpy() == "dense")
    expected = np.mean([log_loss(labels, p[m]) for m in dense])
    np.testing.assert_allclose(row["expected_loss"], expected)
  else:
    row = _row(
      table, attribute="C", loss="squared_error", pruner="dense", identity=""
    )
    dense = np.flatnonzero(test["pruner"].to_numpy() == "dense")
    expected = np.mean([brier_score_loss(y, yes[m]) for m in dense])
    np.testing.assert_allclose(row["expected_loss"], expected)


@settings(max_examples=60, deadline=None)
@given(data=st.data(), exclusive=st.booleans(), seeds=st.integers(2, 5))
def test_laws(data: st.DataObject, exclusive: bool, seeds: int) -> None:
  z = data.draw(hnp.arrays(float, (seeds, 2, 3), elements=FINITE))
  truth = data.draw(
    hnp.arrays(
      int,
      (2, 1 if exclusive else 3),
      elements=st.integers(0, 2 - (not exclusive)),
    )
  )
  logs = [outcome_logs(one, exclusive) for one in z]
  found, counted = decompose_losses(logs, truth)
  assert counted == seeds
  for parts in found.values():
    np.testing.assert_allclose(
      parts.bias + parts.variance, parts.expected, rtol=1e-12, atol=1e-15
    )
    assert (parts.variance >= 0).all()
    assert (parts.expected >= 0).all()
  assert (
    found["cross_entropy"].bias >= -1e-12 * found["cross_entropy"].expected
  ).all()
  # The same seeds in another order; the same seed twice has no variance.
  other, _ = decompose_losses(logs[::-1], truth)
  same, _ = decompose_losses([logs[0], logs[0]], truth)
  for loss, parts in found.items():
    np.testing.assert_allclose(
      other[loss].variance, parts.variance, rtol=1e-9, atol=1e-12
    )
    np.testing.assert_allclose(same[loss].variance, 0, atol=1e-15)


def test_the_variance_is_unbiased_in_the_number_of_seeds() -> None:
  rng = np.random.default_rng(0)
  yes = 1 / (1 + np.exp(-rng.normal(size=(4, 20_000))))
  logs = [outcome_logs(scipy.special.logit(one)[:, None], False) for one in yes]
  truth = np.ones((20_000, 1), int)
  few, _ = decompose_losses(logs[:2], truth)
  expected = yes.var(axis=0, ddof=1).mean()
  np.testing.assert_allclose(
    few["squared_error"].variance.mean(), expected, rtol=0.03
  )


def test_one_seed_and_missing_labels(
  make_splits: MakeSplits, edit: Edit
) -> None:
  members = [("dense", 0.0, "none", 0)]
  splits = make_splits(members)
  table = analyze(splits).tables["bias_variance"]
  assert table[["bias", "variance"]].isna().all(axis=None)
  assert table["expected_loss"].notna().all()
  assert set(table["reason"]) == {"bias and variance not available: one seed"}
  rng = np.random.default_rng(0)

  def forget(labels: np.ndarray) -> np.ndarray:
    missing = rng.random(labels.shape) < 0.3
    missing[:, 0] = True
    return np.where(missing, np.nan, labels)

  splits = edit(make_splits(), "test", "labels", forget)
  test = splits["test"]
  table = analyze(splits).tables["bias_variance"]
  there = ~np.isnan(test["labels"].to_numpy()[:, 1])
  cell = {"loss": "cross_entropy", "pruner": "dense", "identity": ""}
  row = _row(table, attribute="B", **cell)
  assert row["n_examples"] == there.sum()
  labels = test["labels"].to_numpy()[there, 1]
  p = scipy.special.expit(test["logits"].to_numpy()[:, there, 1].astype(float))
  dense = np.flatnonzero(test["pruner"].to_numpy() == "dense")
  np.testing.assert_allclose(
    row["expected_loss"], np.mean([log_loss(labels, p[m]) for m in dense])
  )
  row = _row(table, attribute="A", **cell)
  assert np.isnan(row["expected_loss"])
  assert row["reason"] == "no labels in the group"
