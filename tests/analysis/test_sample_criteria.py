from collections.abc import Callable
import itertools

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pandas as pd
import pytest
import scipy.special
from sklearn.metrics import roc_auc_score
import xarray as xr

from prunebias_jax.analysis import Options, analyze
from prunebias_jax.analysis.criteria import find, rank
from prunebias_jax.analysis.criteria.review import BUDGETS, review_size
from prunebias_jax.analysis.exemplars.votes import modal, votes_of

Splits = dict[str, xr.Dataset]
MakeSplits = Callable[..., Splits]
Edit = Callable[..., Splits]


def _found(scores: np.ndarray, events: np.ndarray, trials: int):
  order = np.argsort(scores)
  return find(
    rank(scores[order]),
    events[order][:, None].astype(float),
    np.array([events.sum()], float),
    np.array([trials], float),
  )


def _recall_over_all_orders(scores, events, budget: float) -> float:
  """Mean recall over every order that sorts the scores."""
  size = review_size(len(scores), budget)
  orders = [
    order
    for order in itertools.permutations(range(len(scores)))
    if np.all(np.diff(scores[list(order)]) <= 0)
  ]
  return float(
    np.mean([events[list(order[:size])].sum() for order in orders])
    / events.sum()
  )


@settings(deadline=None)
@given(
  st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 2)), min_size=2, max_size=40
  )
)
def test_auroc_of_trials_equals_sklearn_on_repeated_examples(
  rows: list[tuple[int, int]],
) -> None:
  scores, events = np.array(rows, float).T
  found = _found(scores, events, 2)
  if events.sum() in (0, 2 * len(rows)):
    assert np.isnan(found.auroc[0])
    return
  labels = np.concatenate([events >= 1, events >= 2])
  expected = roc_auc_score(labels, np.tile(scores, 2))
  np.testing.assert_allclose(found.auroc[0], expected, atol=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_recall_draws_ties_at_random(seed: int) -> None:
  rng = np.random.default_rng(seed)
  scores = rng.integers(0, 3, 7).astype(float)
  events = np.array([1, *rng.integers(0, 2, 6)], float)
  found = _found(scores, events, 1)
  for place, budget in enumerate(BUDGETS):
    np.testing.assert_allclose(
      found.recall[0, place],
      _recall_over_all_orders(scores, events, budget),
      atol=1e-12,
    )


@pytest.mark.parametrize("trials", [1, 3])
def test_a_constant_score_finds_as_much_as_chance(trials: int) -> None:
  events = np.random.default_rng(0).integers(0, trials + 1, 200)
  found = _found(np.zeros(200), events, trials)
  np.testing.assert_allclose(found.auroc, 0.5, atol=1e-12)
  np.testing.assert_allclose(found.recall[0], BUDGETS, atol=1e-12)


def test_review_size() -> None:
  assert [review_size(n, 0.05) for n in (1, 29, 30, 70)] == [1, 1, 2, 4]


def _modal(logits: np.ndarray) -> np.ndarray:
  """The default rule, slowly."""
  result = np.zeros(logits.shape[1], bool)
  for example, column in enumerate(logits.T):
    votes = np.count_nonzero(column > 0)
    mean = np.mean(scipy.special.expit(column))
    result[example] = 2 * votes > len(column) or (
      2 * votes == len(column) and mean > 0.5
    )
  return result


def _top(scores: np.ndarray, events: np.ndarray, share: float) -> float:
  """Recall without ties."""
  size = review_size(len(scores), share)
  chosen = np.argsort(-scores)[:size]
  return float(events[chosen].sum() / events.sum())


def _at(table: pd.DataFrame, **where: object) -> pd.DataFrame:
  for column, value in where.items():
    table = table[table[column] == value]
  return table


def _row(table: pd.DataFrame, **where: object) -> pd.Series:
  table = _at(table, **where)
  assert len(table) == 1, table
  return table.iloc[0]


@pytest.mark.parametrize("seeds", [3, 4])
@pytest.mark.parametrize("missing", [False, True])
def test_table_equals_a_slow_one(
  make_splits: MakeSplits, edit: Edit, seeds: int, missing: bool
) -> None:
  members = [
    (pruner, sparsity, "none", seed)
    for seed in range(seeds)
    for pruner, sparsity in (("dense", 0.0), ("magnitude", 0.9))
  ]
  splits = make_splits(members, examples=120)
  if missing:

    def lose(labels: np.ndarray) -> np.ndarray:
      labels = labels.astype(float)
      labels[::3, 1] = np.nan
      return labels

    splits = edit(splits, "test", "labels", lose)
  table = analyze(splits).tables["sample_criteria"]
  test = splits["test"]
  logits = test["logits"].to_numpy().astype(float)
  dense, pruned = logits[::2, :, 1], logits[1::2, :, 1]
  labels = test["labels"].to_numpy()[:, 1]
  p = scipy.special.expit(dense)
  own = np.where(_modal(dense), p > 0.5, p < 0.5)
  scores = {
    "uncertainty": np.mean(0.5 - np.abs(p - 0.5), axis=0),
    "entropy": np.mean(scipy.special.entr([p, 1 - p]).sum(0), 0) / np.log(2),
    "ensemble_variance": p.var(axis=0, ddof=1),
    "seed_share": 1 - own.mean(axis=0),
  }
  flip = (_modal(dense) != _modal(pruned)).astype(float)
  wrong = (pruned > 0) != (labels == 1)
  for value in ("", "1"):
    inside = np.ones(len(labels), bool)
    if value:
      inside = test["identities"].to_numpy()[:, 1] == 1
    known = inside & ~np.isnan(labels.astype(float))
    for criterion, score in scores.items():
      where = {
        "attribute": "B",
        "identity": "G" if value else "",
        "value": value,
        "criterion": criterion,
      }
      row = _row(table, target="flip", **where)
      assert row["n"] == inside.sum()
      np.testing.assert_allclose(row["base_rate"], flip[inside].mean())
      np.testing.assert_allclose(
        row["auroc"], roc_auc_score(flip[inside], score[inside]), atol=1e-9
      )
      near = scores["uncertainty"][inside] > 0.1
      np.testing.assert_allclose(row["susceptible"], near.mean())
      np.testing.assert_allclose(
        row["susceptible_recall"], flip[inside][near].sum() / flip[inside].sum()
      )
      np.testing.assert_allclose(
        row["susceptible_lift"], row["susceptible_recall"] / near.mean()
      )
      row = _row(table, target="error", **where)
      assert row["n"] == known.sum()
      np.testing.assert_allclose(row["base_rate"], wrong[:, known].mean())
      np.testing.assert_allclose(
        row["auroc"],
        roc_auc_score(wrong[:, known].ravel(), np.tile(score[known], seeds)),
        atol=1e-9,
      )
      if criterion != "seed_share":  # the others have no ties
        errors = wrong[:, known].sum(axis=0)
        expected = _top(score[known], errors, 0.1)
        np.testing.assert_allclose(row["recall_10"], expected, atol=1e-9)
        size = review_size(known.sum(), 0.1) / known.sum()
        np.testing.assert_allclose(row["lift_10"], expected / size, atol=1e-9)
  mean = _row(
    table,
    attribute="(mean)",
    identity="",
    target="error",
    criterion="entropy",
  )
  singles = table[
    (table["identity"] == "")
    & (table["target"] == "error")
    & (table["criterion"] == "entropy")
    & (table["attribute"] != "(mean)")
  ]
  np.testing.assert_allclose(mean["auroc"], singles["auroc"].mean())


def test_classes_are_judged_as_a_whole(make_splits: MakeSplits) -> None:
  splits = make_splits(multiclass=True, examples=150)
  table = analyze(splits).tables["sample_criteria"]
  assert set(table["attribute"]) == {"(all)"}
  logits = splits["test"]["logits"].to_numpy().astype(float)
  labels = splits["test"]["labels"].to_numpy()
  p = scipy.special.softmax(logits[::2], axis=2)
  wrong = logits[1::2].argmax(axis=2) != labels
  scores = {
    "uncertainty": np.mean(1 - p.max(axis=2), axis=0),
    "entropy": scipy.special.entr(p).sum(axis=2).mean(axis=0),
    "ensemble_variance": p.var(axis=0).sum(axis=1),
  }
  votes = np.stack([np.bincount(v, minlength=3) for v in p.argmax(2).T])
  scores["seed_share"] = 1 - votes.max(axis=1) / 3
  for criterion, score in scores.items():
    row = _row(table, identity="", target="error", criterion=criterion)
    np.testing.assert_allclose(
      row["auroc"],
      roc_auc_score(wrong.ravel(), np.tile(score, 3)),
      atol=1e-9,
    )


def test_ties_of_the_modal_label_follow_the_parity(
  make_splits: MakeSplits, edit: Edit
) -> None:
  members = [
    (pruner, sparsity, "none", seed)
    for pruner, sparsity in (("dense", 0.0), ("magnitude", 0.9))
    for seed in range(2)
  ]

  def set_logits(logits: np.ndarray) -> np.ndarray:
    logits[:] = -4.0
    logits[2, 0], logits[3, 0] = 1.0, -2.0  # tied, mean p below 1/2
    logits[2, 1], logits[3, 1] = 2.0, -1.0  # tied, mean p above 1/2
    return logits

  splits = edit(make_splits(members), "test", "logits", set_logits)
  for parity, flips in (("default", 1), ("paper", 2)):
    table = analyze(splits, options=Options(parity=parity)).tables[
      "sample_criteria"
    ]
    row = _row(
      table,
      attribute="A",
      identity="",
      target="flip",
      criterion="uncertainty",
    )
    np.testing.assert_allclose(row["base_rate"], flips / row["n"])


@pytest.mark.parametrize("parity", ["default", "paper"])
@pytest.mark.parametrize("multiclass", [False, True])
def test_flips_are_the_exemplars(
  make_splits: MakeSplits, edit: Edit, parity: str, multiclass: bool
) -> None:
  """With so many ties that the rule matters."""
  members = [
    (pruner, sparsity, "none", seed)
    for pruner, sparsity in (("dense", 0.0), ("magnitude", 0.9))
    for seed in range(4)
  ]
  splits = edit(
    make_splits(members, multiclass=multiclass, examples=400),
    "test",
    "logits",
    np.rint,
  )
  tables = analyze(splits, options=Options(parity=parity)).tables
  logits = splits["test"]["logits"].to_numpy()
  labels = [
    modal(votes_of(part, exclusive=multiclass), parity)[0]
    for part in (logits[:4], logits[4:])
  ]
  flips = np.mean(labels[0] != labels[1], axis=0)
  rows = _at(
    tables["sample_criteria"],
    identity="",
    target="flip",
    criterion="entropy",
  )
  rows = rows[rows["attribute"] != "(mean)"]
  np.testing.assert_allclose(rows["base_rate"], flips)


def test_what_cannot_be_judged_says_why(
  make_splits: MakeSplits, edit: Edit
) -> None:
  members = [("dense", 0.0, "none", 0), ("dense", 0.0, "float16", 0)]

  def copy(logits: np.ndarray) -> np.ndarray:
    logits[1] = logits[0]
    return logits

  splits = edit(make_splits(members), "test", "logits", copy)
  splits = edit(splits, "test", "identities", np.ones_like)
  table = analyze(splits).tables["sample_criteria"]
  where = {"attribute": "B", "criterion": "uncertainty"}
  row = _row(table, identity="", target="flip", **where)
  assert row["reason"] == "nothing to find"
  assert np.isnan(row["auroc"])
  assert row["base_rate"] == 0
  row = _row(table, identity="G", value="0", target="flip", **where)
  assert row["reason"] == "no example (an error needs a label)"
  single = table[table["criterion"] == "seed_share"]
  assert single["auroc"].isna().all()
  assert single["reason"].str.contains("one dense member|no example").all()
  dense = make_splits([("dense", 0.0, "none", 0)])
  assert analyze(dense).tables["sample_criteria"].empty
