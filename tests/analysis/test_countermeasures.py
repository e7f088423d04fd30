from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pandas as pd
import pytest
import scipy.stats
from sklearn.metrics import (
  accuracy_score,
  balanced_accuracy_score,
  roc_auc_score,
)
import xarray as xr

from prunebias_jax.analysis import Options, analyze, calibrated_thresholds
from prunebias_jax.analysis.countermeasures import bands
from prunebias_jax.analysis.countermeasures.overrides import (
  BUDGETS,
  STATES,
  overridden,
  paid,
)

Splits = dict[str, xr.Dataset]
MakeSplits = Callable[..., Splits]
Edit = Callable[..., Splits]
NAMES = ("A", "B", "C", "D")


def _at(table: pd.DataFrame, **where: object) -> pd.DataFrame:
  for column, value in where.items():
    table = table[table[column] == value]
  return table


def _one(table: pd.DataFrame, **where: object) -> pd.Series:
  rows = _at(table, **where)
  assert len(rows) == 1, rows
  return rows.iloc[0]


def _slow(
  splits: Splits, answers: np.ndarray, answered: np.ndarray, attribute: int
) -> dict[str, float]:
  """Every metric of one member and attribute, from the answers themselves."""
  test, train = splits["test"], splits["train"]
  known = answered[:, attribute]
  truth = test["labels"].to_numpy()[:, attribute].astype(float)
  known = known & ~np.isnan(truth)
  truth, said = truth[known], answers[known, attribute].astype(int)
  group = test["identities"].to_numpy()[known, 1] == 1
  rates = train["labels"].to_numpy()[:, attribute]
  in_group = train["identities"].to_numpy()[:, 1] == 1
  side = group if rates[in_group].mean() > rates[~in_group].mean() else ~group
  flipped = rates.mean() > 0.5
  tcb = (1 - said.mean()) / (1 - truth.mean())
  if not flipped:
    tcb = said.mean() / truth.mean()
  wrong = [
    [np.mean(said[(group == side) & (truth == y)] != y) for side in (0, 1)]
    for y in (0, 1)
  ]
  return {
    "accuracy": accuracy_score(truth, said),
    "balanced_accuracy": balanced_accuracy_score(truth, said),
    "abs_log_tcb": abs(np.log(tcb)),
    "abs_bias_amplification": abs(
      said[side].sum() / said.sum() - truth[side].sum() / truth.sum()
    ),
    "false_positive_rate_gap": abs(wrong[0][0] - wrong[0][1]),
    "false_negative_rate_gap": abs(wrong[1][0] - wrong[1][1]),
  }


def _top(dense: np.ndarray, budget: float) -> np.ndarray:
  """The pairs with the smallest |logit|, the slow way."""
  count = int(np.floor(budget * dense.size + 0.5))
  chosen = np.zeros(dense.size, bool)
  chosen[np.argsort(np.abs(dense).ravel(), kind="stable")[:count]] = True
  return chosen.reshape(dense.shape)


def _thresholds(splits: Splits, member: int, rows: np.ndarray) -> np.ndarray:
  """Calibrated on some validation examples."""
  labels = splits["valid"]["labels"].to_numpy()[rows].astype(float)
  logits = splits["valid"]["logits"].to_numpy()[member][rows]
  present = ~np.isnan(labels)
  return calibrated_thresholds(
    logits, np.nansum(labels, axis=0), present=present
  ).value


def _variants(splits: Splits, member: int) -> dict[tuple, tuple]:
  """Answers and what is answered, by the table's words."""
  test = splits["test"]["logits"].to_numpy()
  own, dense = test[member], test[member - 1]
  rows = np.ones(splits["valid"].sizes["example"], bool)
  cut, dense_cut = (_thresholds(splits, m, rows) for m in (member, member - 1))
  plain, dense_plain = own > 0, dense > 0
  fitted, dense_fitted = own > cut, dense > dense_cut
  everything = np.ones(own.shape, bool)
  labels = splits["test"]["labels"].to_numpy() == 1
  groups = {
    name: splits[name]["identities"].to_numpy()[:, 1]
    for name in ("valid", "test")
  }
  by_group = np.zeros(own.shape, bool)
  for value in (0, 1):
    there = groups["test"] == value
    mine = _thresholds(splits, member, groups["valid"] == value)
    by_group[there] = own[there] > mine
  found = {
    ("none", "", "", 0.0): (plain, everything),
    ("thresholds", "", "", 0.0): (fitted, everything),
    ("group_thresholds", "G", "", 0.0): (by_group, everything),
  }
  for budget in (0.05, 0.2):
    chosen = _top(dense, budget)
    for name, mine, other in (
      ("override", plain, dense_plain),
      ("thresholds+override", fitted, dense_fitted),
    ):
      for how, answers, answered in (
        ("dense", np.where(chosen, other, mine), everything),
        ("human", np.where(chosen, labels, mine), everything),
        ("abstain", mine, ~chosen),
      ):
        found[name, "", how, budget] = (answers, answered)
  return found


@pytest.mark.parametrize("missing", [False, True])
def test_table_equals_a_slow_one(
  make_splits: MakeSplits, edit: Edit, missing: bool
) -> None:
  splits = make_splits(names=NAMES, examples=150)
  if missing:

    def lose(labels: np.ndarray) -> np.ndarray:
      labels = labels.astype(float)
      labels[::4, 1] = np.nan
      return labels

    splits = edit(edit(splits, "test", "labels", lose), "valid", "labels", lose)
  table = analyze(splits).tables["countermeasures"]
  pruned = _at(table, pruner="magnitude")
  members = (1, 3, 5)
  slow = [_variants(splits, member) for member in members]
  for key in slow[0]:
    name, fitted_on, how, budget = key
    rows = _at(
      pruned,
      countermeasure=name,
      fitted_on=fitted_on,
      override=how,
      budget=budget,
      selection="uncertain" if how else "",
    )
    per_member = [
      [_slow(splits, *one[key], attribute) for attribute in range(4)]
      for one in slow
    ]
    base = [
      [_slow(splits, *one["none", "", "", 0.0], a) for a in range(4)]
      for one in slow
    ]
    for metric in per_member[0][0]:
      identity = "G" if "_gap" in metric or "bias" in metric else ""
      values = np.array([[one[metric] for one in m] for m in per_member])
      before = np.array([[one[metric] for one in m] for m in base])
      row = _one(rows, metric=metric, identity=identity, attribute="(mean)")
      mean = values.mean(axis=1)
      np.testing.assert_allclose(row["mean"], mean.mean(), atol=1e-9)
      np.testing.assert_allclose(row["sd"], mean.std(ddof=1), atol=1e-9)
      if name == "none":
        assert np.isnan(row["change"])
        continue
      change = mean - before.mean(axis=1)
      np.testing.assert_allclose(row["change"], change.mean(), atol=1e-9)
      if np.ptp(change) > 1e-12:
        interval = scipy.stats.ttest_1samp(change, 0).confidence_interval()
        np.testing.assert_allclose(row["change_low"], interval.low, atol=1e-9)
      if name == "override" and how != "dense":
        assert set(rows["attribute"]) == {"(mean)"}
      elif name != "thresholds+override":
        row = _one(rows, metric=metric, identity=identity, attribute="B")
        np.testing.assert_allclose(row["mean"], values[:, 1].mean(), atol=1e-9)
  auc = _one(pruned, metric="auc", countermeasure="none", attribute="C")
  expected = [
    roc_auc_score(
      splits["test"]["labels"].to_numpy()[:, 2],
      splits["test"]["logits"].to_numpy()[member, :, 2],
    )
    for member in members
  ]
  np.testing.assert_allclose(auc["mean"], np.mean(expected))


def test_random_is_the_mean_over_draws(make_splits: MakeSplits) -> None:
  splits = make_splits(names=NAMES, examples=150)
  table = _at(
    analyze(splits).tables["countermeasures"],
    pruner="magnitude",
    selection="random",
    metric="accuracy",
  )
  logits = splits["test"]["logits"].to_numpy()
  labels = splits["test"]["labels"].to_numpy() == 1
  own = ((logits[1::2] > 0) == labels).mean(axis=(1, 2))
  dense = ((logits[::2] > 0) == labels).mean(axis=(1, 2))
  for how, right in (("dense", dense), ("human", 1.0), ("abstain", own)):
    for place, budget in enumerate(BUDGETS):
      share = paid(600)[place] / 600
      row = _one(table, countermeasure="override", override=how, budget=budget)
      expected = (1 - share) * own + share * right
      np.testing.assert_allclose(row["mean"], expected.mean(), atol=1e-9)


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_overrides_keep_every_example_and_help_by_hand(seed: int) -> None:
  rng = np.random.default_rng(seed)
  counts = rng.integers(0, 5, (3, 2, *STATES)).astype(float)
  total = counts.sum(axis=(2, 4, 5))
  right = [counts[..., 0, :].sum((2, 4)), counts[..., 1, :].sum((2, 4))]
  for share in (None, 0.3):
    before = right[0][..., 0] + right[1][..., 1]
    for budget in range(len(BUDGETS)):
      for how in ("dense", "human"):
        answers, _ = overridden(counts, how=how, budget=budget, share=share)
        np.testing.assert_allclose(answers.sum(axis=-1), total)
      hits = answers[..., 0, 0] + answers[..., 1, 1]
      assert np.all(hits >= before - 1e-9)
      before = hits if share is None else before
      answers, used = overridden(
        counts, how="abstain", budget=budget, share=share
      )
      kept = answers[0].sum(axis=(-2, -1)) / total[0].sum(axis=-1)
      np.testing.assert_allclose(kept, 1 - used)


def test_bands_pay_exactly_and_break_ties_by_place() -> None:
  band = bands(np.full((50, 4), -2.0), exclusive=False)
  sizes = np.bincount(band.ravel(), minlength=6)
  np.testing.assert_array_equal(np.cumsum(sizes)[:5], paid(200))
  assert np.all(np.diff(band.ravel()) >= 0)
  logits = np.random.default_rng(0).normal(size=(40, 3)) * 1e3
  whole = bands(logits, exclusive=True)
  assert whole.shape == (40, 1)
  ordered = np.sort(logits, axis=1)
  closest = np.argsort(ordered[:, 2] - ordered[:, 1])[: paid(40)[4]]
  assert set(np.flatnonzero(whole[:, 0] < 5)) == set(closest)


def test_classes_are_overridden_as_a_whole(make_splits: MakeSplits) -> None:
  splits = make_splits(multiclass=True, examples=200)
  table = analyze(splits).tables["countermeasures"]
  missing = _at(table, pruner="magnitude", metric="")
  assert dict(
    zip(missing["countermeasure"], missing["reason"], strict=True)
  ) == dict.fromkeys(
    ("thresholds", "group_thresholds", "thresholds+override"),
    "not available: exclusive classes have no thresholds",
  )
  logits = splits["test"]["logits"].to_numpy().astype(float)
  labels = splits["test"]["labels"].to_numpy()
  found = []
  for member in (1, 3, 5):
    p = np.exp(logits[member - 1])
    sure = (p / p.sum(axis=1, keepdims=True)).max(axis=1)
    chosen = np.argsort(sure)[:40]
    said = logits[member].argmax(axis=1)
    said[chosen] = logits[member - 1].argmax(axis=1)[chosen]
    found.append(np.mean((said == 1) == (labels == 1)))
  row = _one(
    table,
    pruner="magnitude",
    countermeasure="override",
    override="dense",
    selection="uncertain",
    budget=0.2,
    metric="accuracy",
    attribute="B",
  )
  np.testing.assert_allclose(row["mean"], np.mean(found))


def test_what_is_not_available_says_why(make_splits: MakeSplits) -> None:
  splits = make_splits()
  del splits["valid"]
  table = analyze(splits).tables["countermeasures"]
  missing = _at(table, metric="").set_index(["pruner", "countermeasure"])
  reason = missing["reason"]
  fit = "not available: no validation logits to fit thresholds on"
  dense = "not available: no dense population to take answers from"
  assert reason["magnitude"].to_dict() == dict.fromkeys(
    ("thresholds", "group_thresholds", "thresholds+override"), fit
  )
  assert reason["dense"].to_dict() == {
    "thresholds": fit,
    "group_thresholds": fit,
    "override": dense,
    "thresholds+override": fit,
  }
  splits = make_splits(
    [("dense", 0.0, "none", 0), ("magnitude", 0.9, "none", 1)]
  )
  table = analyze(splits).tables["countermeasures"]
  missing = _at(table, metric="", pruner="magnitude")
  assert set(missing["reason"]) == {
    "not available: no member has a dense partner"
  }
  single = _at(table, countermeasure="thresholds", metric="accuracy")
  assert single["change_low"].isna().all()
  assert set(single["reason"]) == {"one seed: no interval"}


def test_members_without_a_partner_and_without_labels(
  make_splits: MakeSplits, edit: Edit
) -> None:
  members = [
    *(("dense", 0.0, "none", seed) for seed in range(2)),
    *(("magnitude", 0.9, "none", seed) for seed in range(4)),
  ]

  def lose(labels: np.ndarray) -> np.ndarray:
    labels = labels.astype(float)
    labels[:, 1] = np.nan
    return labels

  splits = edit(make_splits(members), "valid", "labels", lose)
  table = _at(
    analyze(splits, options=Options(parity="paper")).tables["countermeasures"],
    pruner="magnitude",
    metric="accuracy",
  )
  override = _at(table, countermeasure="override", attribute="(mean)")
  assert set(override["n_seeds"]) == {2}
  drawn = _at(override, override="dense", selection="uncertain", budget=0.2)
  assert set(drawn["reason"]) == {
    "2 of 4 seeds have a value; mean over 2 of 3 attributes"
  }
  plain = _one(table, countermeasure="none", attribute="(mean)")
  assert plain["reason"] == "mean over 2 of 3 attributes"


def test_groups_without_validation_labels_use_the_overall_threshold(
  make_splits: MakeSplits, edit: Edit
) -> None:
  splits = edit(make_splits(), "valid", "identities", np.ones_like)
  table = _at(
    analyze(splits).tables["countermeasures"], pruner="dense", attribute="B"
  )
  for metric in ("accuracy", "balanced_accuracy"):
    logits = splits["test"]["logits"].to_numpy()[::2, :, 1]
    labels = splits["test"]["labels"].to_numpy()[:, 1]
    rows = np.ones(60, bool)
    cut = [_thresholds(splits, m, rows)[1] for m in (0, 2, 4)]
    score = {
      "accuracy": accuracy_score,
      "balanced_accuracy": balanced_accuracy_score,
    }[metric]
    expected = [
      score(labels, one > t) for one, t in zip(logits, cut, strict=True)
    ]
    row = _one(
      table, countermeasure="group_thresholds", fitted_on="G", metric=metric
    )
    np.testing.assert_allclose(row["mean"], np.mean(expected))


def test_no_identity(make_splits: MakeSplits) -> None:
  table = analyze(make_splits(identities=())).tables["countermeasures"]
  missing = _at(table, metric="", pruner="dense").set_index("countermeasure")
  assert (
    missing.loc["group_thresholds", "reason"]
    == "not available: no identity attribute"
  )
  assert not table["metric"].str.contains("gap").any()
