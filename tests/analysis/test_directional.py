from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import scipy.stats
import xarray as xr

from prunebias_jax.analysis import Options, analyze, calibrated_thresholds

Splits = dict[str, xr.Dataset]
MakeSplits = Callable[..., Splits]
Edit = Callable[..., Splits]
NAMES = ("attribute_to_task", "task_to_attribute", "mals")


def _share(of: np.ndarray, among: np.ndarray) -> float:
  return float(of[among].mean()) if among.any() else np.nan


def _slow(
  splits: Splits,
  predicted: np.ndarray,
  identity: int,
  names: list[str],
  parity: str = "default",
) -> list[float]:
  """By masks, one pair of a group and an output after the other."""
  labels, train = (
    splits[name]["labels"].to_numpy() for name in ("test", "train")
  )
  if labels.ndim == 1:
    labels, train = (
      one[:, None] == np.arange(len(names)) for one in (labels, train)
    )
  who, train_who = (
    splits[name]["identities"].to_numpy()[:, identity]
    for name in ("test", "train")
  )
  own = str(splits["test"]["identity"].to_numpy()[identity])
  values = sorted({0, 1} | set(who) | set(train_who))
  to_task, to_attribute, mals = [], [], []
  for t, name in enumerate(names):
    if name == own:
      continue
    gained = []
    there, train_there = (~np.isnan(one[:, t]) for one in (labels, train))
    positive, train_positive = (one[:, t] == 1 for one in (labels, train))
    for value in values:
      inside, train_inside = who == value, train_who == value
      rate = _share(train_positive, train_inside & train_there)
      overall = _share(train_positive, train_there)
      sign = np.sign(rate - overall)
      if parity == "paper" and sign == 0:
        sign = -1
      to_task.append(
        sign
        * (
          _share(predicted[:, t], inside & there)
          - _share(positive, inside & there)
        )
      )
      guess = inside
      if own in names:
        guess = predicted[:, names.index(own)] == bool(value)
        to_attribute.append(
          sign * (_share(guess, positive) - _share(inside, positive))
        )
      bias = _share(train_inside, train_positive)
      if bias > 1 / len(values):
        gained.append(_share(guess, predicted[:, t] & there) - bias)
    if train_positive.any() and (predicted[:, t] & there).any():
      mals.append(sum(gained))
  return [
    float(np.nanmean(one)) if np.isfinite(one).any() else np.nan
    for one in (to_task, to_attribute, mals)
  ]


def _numbers(table: pd.DataFrame, **where: object) -> np.ndarray:
  for column, value in where.items():
    table = table[table[column] == value]
  assert len(table) == 1
  return table[[*NAMES]].to_numpy(np.float64)[0]


@pytest.mark.parametrize("parity", ["default", "paper"])
@pytest.mark.parametrize(
  "case", ["plain", "missing labels", "many values", "classes", "independent"]
)
def test_equals_loops(
  make_splits: MakeSplits, edit: Edit, case: str, parity: str
) -> None:
  splits = make_splits(multiclass=case == "classes")
  rng = np.random.default_rng(1)
  if case == "missing labels":
    for split in ("train", "test"):
      splits = edit(
        splits,
        split,
        "labels",
        lambda labels: np.where(rng.random(labels.shape) < 0.3, np.nan, labels),
      )
  elif case == "many values":
    for split in ("train", "test"):
      splits = edit(
        splits,
        split,
        "identities",
        lambda identities: np.stack(
          [identities[:, 0], rng.integers(0, 4, len(identities))], axis=1
        ),
      )
  elif case == "independent":
    # Train rates of B that are equal in both groups of G.
    def level(labels: np.ndarray) -> np.ndarray:
      labels[:, 1] = np.arange(len(labels)) % 2
      return labels

    splits = edit(splits, "train", "labels", level)
    splits = edit(
      splits,
      "train",
      "identities",
      lambda one: np.stack([one[:, 0], np.arange(len(one)) // 2 % 2], axis=1),
    )
  table = analyze(splits, options=Options(parity=parity)).tables["directional"]
  test = splits["test"]
  for place, logits in enumerate(test["logits"].to_numpy()):
    predicted = logits > 0
    if case == "classes":
      predicted = logits.argmax(1)[:, None] == np.arange(3)
    for i, identity in enumerate(("A", "G")):
      names = [f"class {name}" if case == "classes" else name for name in "ABC"]
      found = _numbers(
        table,
        threshold_rule="default",
        identity=identity,
        pruner=test["pruner"].to_numpy()[place],
        seed=test["seed"].to_numpy()[place],
      )
      expected = _slow(splits, predicted, i, names, parity)
      np.testing.assert_allclose(found, expected, atol=1e-12)
      assert np.isnan(found[1]) == (identity == "G" or case == "classes")


def test_calibrated_thresholds_and_the_reason(make_splits: MakeSplits) -> None:
  splits = make_splits()
  table = analyze(splits).tables["directional"]
  valid, test = splits["valid"], splits["test"]
  thresholds = calibrated_thresholds(
    valid["logits"].to_numpy()[0], valid["labels"].to_numpy().sum(0)
  ).value
  where = {"pruner": "dense", "seed": 0, "threshold_rule": "calibrated"}
  np.testing.assert_allclose(
    _numbers(table, identity="A", **where),
    _slow(splits, test["logits"].to_numpy()[0] > thresholds, 0, list("ABC")),
    atol=1e-12,
  )
  reasons = table.set_index("identity")["reason"]
  assert set(reasons["A"]) == {""}
  assert all("the identity is not predicted" in text for text in reasons["G"])


def test_perfect_predictions_amplify_nothing(make_splits: MakeSplits) -> None:
  splits = make_splits()
  test = splits["test"]
  # The identity A is here what is labelled A.
  test["identities"][:, 0] = test["labels"].to_numpy()[:, 0]
  test["logits"][:] = np.where(test["labels"].to_numpy(), 1e30, -1e30)
  table = analyze(splits).tables["directional"]
  rows = table[table["threshold_rule"] == "default"]
  assert (rows["attribute_to_task"] == 0).all()
  assert (
    rows[rows["identity"] == "A"]["task_to_attribute"].abs() < 1e-15
  ).all()


def test_what_cannot_be_had(make_splits: MakeSplits, edit: Edit) -> None:
  splits = make_splits()
  table = analyze({"test": splits["test"]}).tables["directional"]
  assert table[[*NAMES]].isna().all(axis=None)
  assert table["reason"].str.startswith("no train labels").all()
  single = make_splits(names=("A",), identities=("A",))
  table = analyze(single).tables["directional"]
  assert table[[*NAMES]].isna().all(axis=None)
  assert set(table["reason"]) == {"there is no other attribute"}
  alone = edit(splits, "test", "identities", np.ones_like)
  table = analyze(alone).tables["directional"]
  assert table["attribute_to_task"].notna().all()
  assert table["reason"].str.contains("mean without the rates").all()

  def forget(labels: np.ndarray) -> np.ndarray:
    return np.where(np.arange(3) == 0, np.nan, labels)

  unlabelled = analyze(edit(splits, "valid", "labels", forget))
  table = unlabelled.tables["directional"]
  row = table[
    (table["threshold_rule"] == "calibrated") & (table["identity"] == "A")
  ]
  assert row["task_to_attribute"].isna().all()
  assert row["attribute_to_task"].notna().all()
  assert row["reason"].str.contains("identity's threshold").all()
  assert "mals" in row.iloc[0]["reason"]


def test_over_seeds_by_t(make_splits: MakeSplits) -> None:
  tables = analyze(make_splits()).tables
  source = tables["directional"]
  values = source[
    (source["pruner"] == "magnitude")
    & (source["identity"] == "A")
    & (source["threshold_rule"] == "calibrated")
  ]["task_to_attribute"]
  rows = tables["variance"]
  row = rows[
    (rows["pruner"] == "magnitude")
    & (rows["metric"] == "task_to_attribute")
    & (rows["identity"] == "A")
    & (rows["threshold_rule"] == "calibrated")
  ].iloc[0]
  assert row["attribute"] == "(all)"
  interval = scipy.stats.ttest_1samp(values, 0).confidence_interval(0.95)
  np.testing.assert_allclose(
    [row["mean"], row["mean_low"], row["mean_high"]],
    [values.mean(), interval.low, interval.high],
  )
