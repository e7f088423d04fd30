from collections.abc import Callable
import itertools

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pandas as pd
import pytest
import scipy.stats
import xarray as xr

from prunebias_jax.analysis import Options, analyze
from prunebias_jax.analysis.criteria import leave_one_out, spearman

MakeSplits = Callable[..., dict[str, xr.Dataset]]


@pytest.mark.parametrize("levels", [3, 1000])
@pytest.mark.parametrize("count", [5, 12])
def test_bootstrap_equals_scipy_on_each_draw(count: int, levels: int) -> None:
  rng = np.random.default_rng(count)
  first, second = rng.integers(0, levels, (2, count)) / 7
  found = spearman(first, second, draws=200, level=0.9)
  expected = scipy.stats.spearmanr(first, second).statistic
  np.testing.assert_allclose(found.estimate, expected, atol=1e-9)
  drawn = np.random.default_rng(0).integers(0, count, (200, count))
  values = [
    scipy.stats.spearmanr(first[rows], second[rows]).statistic
    for rows in drawn
    if np.ptp(first[rows]) and np.ptp(second[rows])
  ]
  low, high = np.quantile(values, [0.05, 0.95])
  np.testing.assert_allclose([found.low, found.high], [low, high], atol=1e-9)


def test_what_cannot_be_correlated() -> None:
  few = spearman(np.arange(4.0), np.arange(4.0))
  constant = spearman(np.ones(9), np.arange(9.0))
  assert np.isnan([few.estimate, few.low, constant.estimate]).all()
  perfect = spearman(np.arange(9.0), -(np.arange(9.0) ** 3))
  np.testing.assert_allclose(
    [perfect.estimate, perfect.low, perfect.high], -1.0
  )


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(5, 20))
def test_only_the_order_counts(seed: int, count: int) -> None:
  rng = np.random.default_rng(seed)
  first, second = rng.normal(size=(2, count))
  found = spearman(first, second, draws=50)
  assert found == spearman(np.exp(first), second**3, draws=50)
  turned = spearman(-first, second, draws=50)
  np.testing.assert_allclose(turned.estimate, -found.estimate, atol=1e-12)
  np.testing.assert_allclose(turned.low, -found.high, atol=1e-12)


def test_coverage_of_the_bootstrap_at_forty_attributes() -> None:
  rng = np.random.default_rng(5)
  correlation = 0.5
  truth = 6 / np.pi * np.arcsin(correlation / 2)  # of a bivariate normal
  hits, count = 0, 300
  for _ in range(count):
    first, noise = rng.normal(size=(2, 40))
    second = correlation * first + np.sqrt(1 - correlation**2) * noise
    found = spearman(first, second, draws=499)
    hits += found.low <= truth <= found.high
  # docs/statistics.md publishes .958.
  assert 0.88 < hits / count < 0.98


def _slow_rule(values, labels, value) -> bool:
  """Every cut and side in turn."""
  best = max(labels.sum(), (~labels).sum())
  said = labels.sum() >= (~labels).sum()
  distinct = sorted(set(values))
  for low, high in itertools.pairwise(distinct):
    middle = (low + high) / 2
    for above in (True, False):
      hits = np.sum(((values > middle) == above) == labels)
      if hits > best:
        best, said = hits, (value > middle) == above
  return bool(said)


@settings(deadline=None)
@given(
  st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=12)
)
def test_leave_one_out_equals_a_slow_one(rows: list[tuple[int, bool]]) -> None:
  values = np.array([row[0] for row in rows], float)
  labels = np.array([row[1] for row in rows])
  hits = []
  for i in range(len(rows)):
    others = np.arange(len(rows)) != i
    said = _slow_rule(values[others], labels[others], values[i])
    hits.append(said == labels[i])
  np.testing.assert_allclose(leave_one_out(values, labels), np.mean(hits))


def test_leave_one_out_of_a_clear_cut() -> None:
  values = np.array([0.0, 1.0, 2.0, 3.0, 20.0, 21.0, 22.0, 23.0])
  assert leave_one_out(values, values > 4) == 1.0
  assert leave_one_out(values, values < 4) == 1.0
  assert leave_one_out(np.ones(9), np.arange(9) < 6) == pytest.approx(6 / 9)


def _at(table: pd.DataFrame, **where: object) -> pd.DataFrame:
  for column, value in where.items():
    table = table[table[column] == value]
  return table


def test_table_is_of_the_dense_members_and_the_changes(
  make_splits: MakeSplits,
) -> None:
  names = [f"A{i}" for i in range(8)]
  splits = make_splits(names=names, identities=("A0", "G"), examples=300)
  tables = analyze(splits, options=Options(safe_margin=0.02)).tables
  where = {"threshold_rule": "calibrated"}
  bias = _at(tables["bias_amplification"], identity="G", **where)
  source = _at(tables["attributes"], **where)

  def by_attribute(table: pd.DataFrame, metric: str, pruner: str) -> np.ndarray:
    means = _at(table, pruner=pruner).groupby("attribute")[metric].mean()
    return means[names].to_numpy()

  change = by_attribute(bias, "bias_amplification", "magnitude") - by_attribute(
    bias, "bias_amplification", "dense"
  )
  train = splits["train"]
  group = train["identities"].to_numpy()[:, 1] == 1
  labels = train["labels"].to_numpy()
  dense = _at(source, pruner="dense").copy()
  dense["log"] = np.abs(np.log(dense["tcb"]))
  expected = {
    "uncertainty": by_attribute(source, "uncertainty", "dense"),
    "interdependence": by_attribute(source, "interdependence", "dense"),
    "abs_log_tcb": dense.groupby("attribute")["log"].mean()[names].to_numpy(),
    "prevalence": labels.mean(axis=0),
    "train_rate_gap": np.abs(labels[group].mean(0) - labels[~group].mean(0)),
    "bias_amplification": by_attribute(bias, "bias_amplification", "dense"),
  }
  rows = _at(
    tables["criteria"], target="bias_amplification", identity="G", **where
  ).set_index("criterion")
  assert set(rows.index) == set(expected)
  safety = _at(
    tables["safety"], metric="abs_bias_amplification", identity="G", **where
  ).set_index("attribute")["verdict"]
  decided = np.isin(safety[names], ("safe", "not safe"))
  for criterion, values in expected.items():
    row = rows.loc[criterion]
    np.testing.assert_allclose(
      row["spearman"],
      scipy.stats.spearmanr(values, change).statistic,
      atol=1e-9,
    )
    assert row["n_attributes"] == 8
    assert row["n_decided"] == decided.sum()
    assert row["sentence"].startswith("magnitude at 0.9, calibrated thresholds")
  assert "by itself" in rows.loc["bias_amplification", "reason"]
  assert rows.loc["uncertainty", "n_not_safe"] == np.sum(
    safety[names] == "not safe"
  )
  # The attribute that is the identity has no bias amplification by it.
  rows = _at(tables["criteria"], identity="A0", criterion="prevalence", **where)
  assert set(rows["n_attributes"]) == {7}
  rows = _at(tables["criteria"], target="tcb", **where)
  assert "train_rate_gap" not in set(rows["criterion"])


def test_decisions_are_judged_where_there_are_some(
  make_splits: MakeSplits,
) -> None:
  """Attributes whose logits are halved and shifted lose; the others do not."""
  names = [f"A{i}" for i in range(10)]
  members = [
    (pruner, sparsity, "none", seed)
    for pruner, sparsity in (("dense", 0.0), ("magnitude", 0.9))
    for seed in range(5)
  ]
  splits = make_splits(members, names=names, identities=("G",), examples=2000)
  test = splits["test"]
  logits = test["logits"].to_numpy().copy()
  rng = np.random.default_rng(0)
  logits[5:] = logits[:5] + rng.normal(size=logits[5:].shape) * 0.005
  logits[5:, :, 5:] -= 0.8
  splits["test"] = test.assign(logits=(test["logits"].dims, logits))
  tables = analyze(splits, options=Options(safe_margin=0.05)).tables
  rows = _at(tables["criteria"], target="tcb", threshold_rule="default")
  assert set(rows["n_decided"]) == {10}
  assert set(rows["n_not_safe"]) == {5}
  assert set(rows["majority_accuracy"]) == {0.5}
  assert rows["decision_accuracy"].between(0, 1).all()


def test_few_attributes_say_so(make_splits: MakeSplits) -> None:
  table = analyze(make_splits()).tables["criteria"]
  assert table[["spearman", "low", "decision_accuracy"]].isna().all(axis=None)
  assert table["reason"].str.contains("attributes have both: needs 5").all()
  assert set(table["sentence"]) == {""}


def test_classes_have_no_interdependence(make_splits: MakeSplits) -> None:
  table = analyze(make_splits(multiclass=True, names="ABCDEF")).tables[
    "criteria"
  ]
  assert "interdependence" not in set(table["criterion"])
  assert table["spearman"].notna().any()
