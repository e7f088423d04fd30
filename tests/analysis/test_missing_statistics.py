"""Missing labels: every metric is that of the examples that have one."""

from collections.abc import Callable, Mapping

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import (
  accuracy_score,
  balanced_accuracy_score,
  confusion_matrix,
  roc_auc_score,
)
import xarray as xr

from prunebias_jax.analysis import (
  Options,
  analyze,
  auc,
  calibrated_thresholds,
  confusion,
  ece,
)
from prunebias_jax.errors import InputError

Splits = dict[str, xr.Dataset]
MakeSplits = Callable[..., Splits]
MEMBERS = [
  (pruner, sparsity, "none", seed)
  for seed in range(2)
  for pruner, sparsity in (("dense", 0.0), ("magnitude", 0.9))
]
NAMES = ("A", "B", "C")
# What no label enters: the same, labels or not.
LABEL_FREE = (
  "predicted_positive",
  "uncertainty",
  "high_uncertainty",
  "entropy",
  "interdependence",
  "group_selection_rate",
  "demographic_parity_difference",
  "demographic_parity_ratio",
  "prediction_correlation",
)


def _labelled(data: xr.Dataset, labels: np.ndarray) -> xr.Dataset:
  return data.assign(labels=(data["labels"].dims, labels))


def _holes(splits: Mapping[str, xr.Dataset], share: float = 0.3) -> Splits:
  """The splits with a share of their labels missing."""
  rng = np.random.default_rng(7)
  found = {}
  for name, data in splits.items():
    labels = data["labels"].to_numpy().astype(np.float32)
    labels[rng.random(labels.shape) < share] = np.nan
    found[name] = _labelled(data, labels)
  return found


def _without(splits: Splits, split: str, place: object) -> Splits:
  """The splits without some labels of one of them."""
  labels = splits[split]["labels"].to_numpy().astype(np.float32)
  labels[place] = np.nan
  return {**splits, split: _labelled(splits[split], labels)}


def _rate(part: np.ndarray, whole: np.ndarray) -> float:
  return part.sum() / whole.sum() if whole.any() else np.nan


def _slow_threshold(z: np.ndarray, y: np.ndarray, parity: str) -> float:
  """No two logits are tied here."""
  ordered, k = sorted(z.tolist(), reverse=True), int(y.sum())
  return (
    ordered[k - 1] if parity == "paper" else (ordered[k - 1] + ordered[k]) / 2
  )


def _slow_ece(z: np.ndarray, y: np.ndarray) -> float:
  p = 1 / (1 + np.exp(-z.astype(float)))
  bins = np.floor(10 * p)
  return sum(
    np.mean(bins == b) * abs(y[bins == b].mean() - p[bins == b].mean())
    for b in np.unique(bins)
  )


def _slow_bias(
  yhat: np.ndarray,
  y: np.ndarray,
  group: np.ndarray,
  y_train: np.ndarray,
  group_train: np.ndarray,
  parity: str,
) -> float:
  rates = [y_train[group_train == value].mean() for value in (0, 1)]
  few = min(y[group == value].sum() for value in (0, 1)) < 10
  if parity == "paper" and (few or abs(rates[1] - rates[0]) < 0.1 * min(rates)):
    return np.nan
  side = group == (rates[1] > rates[0])
  return yhat[side].sum() / yhat.sum() - y[side].sum() / y.sum()


def _slow(
  splits: Splits, member: int, attribute: int, rule: str, parity: str
) -> dict[str, float]:
  """Every metric with labels, over rows that have one, by sklearn or hand."""
  known, z, groups = {}, {}, {}
  for name, data in splits.items():
    labels = data["labels"].to_numpy()[:, attribute]
    rows = ~np.isnan(labels)
    known[name] = labels[rows].astype(int)
    groups[name] = data["identities"].to_numpy()[rows]
    if name != "train":
      z[name] = data["logits"].to_numpy()[member, rows, attribute]
  y, group = known["test"], groups["test"]
  threshold = 0.0
  if rule == "calibrated":
    threshold = _slow_threshold(z["valid"], known["valid"], parity)
  yhat = (z["test"] > threshold).astype(int)
  rare = int(known["train"].mean() <= 0.5)
  found = {
    "accuracy": accuracy_score(y, yhat),
    "balanced_accuracy": balanced_accuracy_score(y, yhat),
    "auc": roc_auc_score(y, z["test"]),
    "ece": _slow_ece(z["test"], y),
    "tcb": np.mean(yhat == rare) / np.mean(y == rare),
    "threshold": threshold,
    "prevalence": known["train"].mean(),
  }
  for value in (0, 1):
    chosen = group[:, 1] == value
    counts = confusion_matrix(y[chosen], yhat[chosen], labels=[0, 1])
    (tn, fp), (fn, tp) = counts
    found |= {
      f"accuracy {value}": (tn + tp) / counts.sum(),
      f"false_positive_rate {value}": fp / (fp + tn),
      f"false_negative_rate {value}": fn / (fn + tp),
      f"n_positive {value}": fn + tp,
      f"n_negative {value}": tn + fp,
    }
  if NAMES[attribute] != "A":  # of the identity itself there is none
    for place, name in enumerate("AG"):
      found[f"bias {name}"] = _slow_bias(
        yhat,
        y,
        group[:, place],
        known["train"],
        groups["train"][:, place],
        parity,
      )
  return found


def _fast(
  arrays: xr.Dataset, member: int, attribute: int, rule: int
) -> dict[str, float]:
  """The same numbers of an analysis, by the names of `_slow`."""
  here = arrays.isel(member=member, threshold_rule=rule, attribute=attribute)
  metrics = (
    "accuracy",
    "balanced_accuracy",
    "auc",
    "ece",
    "tcb",
    "threshold",
    "prevalence",
  )
  found = {name: here[name].item() for name in metrics}
  identity, value = (
    arrays[f"group_{one}"].to_numpy() for one in ("identity", "value")
  )
  for one in ("0", "1"):
    place = int(np.flatnonzero((identity == "G") & (value == one))[0])
    for name in ("accuracy", "false_positive_rate", "false_negative_rate"):
      found[f"{name} {one}"] = here[f"group_{name}"].to_numpy()[place]
    for name in ("n_positive", "n_negative"):
      found[f"{name} {one}"] = here[name].to_numpy()[place]
  if NAMES[attribute] != "A":
    for place, name in enumerate(arrays["pair_identity"].to_numpy()):
      found[f"bias {name}"] = here["bias_amplification"].to_numpy()[place]
  return found


@pytest.mark.parametrize("parity", ["default", "paper"])
def test_every_metric_equals_a_loop_over_what_is_there(
  make_splits: MakeSplits, parity: str
) -> None:
  splits = make_splits(MEMBERS, examples=300)
  holes = _holes(splits)
  arrays = analyze(holes, options=Options(parity=parity)).arrays
  for member in range(len(MEMBERS)):
    for attribute in range(len(NAMES)):
      for number, rule in enumerate(("default", "calibrated")):
        expected = _slow(holes, member, attribute, rule, parity)
        found = _fast(arrays, member, attribute, number)
        assert set(found) == set(expected)
        for name, value in expected.items():
          np.testing.assert_allclose(
            found[name], value, rtol=1e-12, atol=1e-15, err_msg=name
          )


def test_what_needs_no_label_is_of_all_examples(
  make_splits: MakeSplits,
) -> None:
  splits = make_splits(MEMBERS)
  whole, holes = (analyze(one).arrays for one in (splits, _holes(splits)))
  for name in LABEL_FREE:
    # Under calibrated thresholds the validation labels have their say.
    np.testing.assert_array_equal(
      holes[name].sel(threshold_rule="default"),
      whole[name].sel(threshold_rule="default"),
    )


def _same(one: xr.Dataset, other: xr.Dataset, but: tuple[str, ...]) -> None:
  assert set(one) == set(other)
  for name in set(one) - set(but):
    np.testing.assert_array_equal(one[name], other[name], err_msg=str(name))


@settings(max_examples=15, deadline=None)
@given(extra=st.integers(1, 40), seed=st.integers(0, 1000))
def test_examples_without_a_label_change_nothing_that_needs_one(
  make_both: Callable[[int, int], tuple[Splits, Splits]], extra: int, seed: int
) -> None:
  before, after = (analyze(one).arrays for one in make_both(extra, seed))
  _same(before, after, (*LABEL_FREE, "flags", "n_examples", "n_missing"))
  said = [one["flags"] & (1024 | 2048 | 1 | 2) for one in (before, after)]
  np.testing.assert_array_equal(*said)


@pytest.fixture(scope="module")
def make_both() -> Callable[[int, int], tuple[Splits, Splits]]:
  """Splits with holes, and the same with unlabelled examples among them."""

  def make(extra: int, seed: int) -> tuple[Splits, Splits]:
    rng = np.random.default_rng(seed)
    one, other = {}, {}
    for name in ("train", "valid", "test"):
      count = 50
      labels = rng.integers(0, 2, (count, 3)).astype(np.float32)
      labels[rng.random(labels.shape) < 0.3] = np.nan
      group = rng.integers(0, 2, (count, 1), np.uint8)
      z = rng.normal(size=(2, count, 3)).astype(np.float32)
      # The new ones lie anywhere between the old.
      places = np.sort(rng.integers(0, count + 1, extra))
      more = {
        "labels": np.insert(labels, places, np.nan, axis=0),
        "identities": np.insert(group, places, rng.integers(0, 2), axis=0),
        "logits": np.insert(z, places, rng.normal(size=3), axis=1),
      }
      arrays = {"labels": labels, "identities": group, "logits": z}
      one[name], other[name] = _split(arrays, name), _split(more, name)
    return one, other

  return make


def _split(arrays: Mapping[str, np.ndarray], name: str) -> xr.Dataset:
  dimensions = {
    "labels": ("example", "attribute"),
    "identities": ("example", "identity"),
    "logits": ("member", "example", "attribute"),
  }
  data = xr.Dataset(
    {key: (dimensions[key], array) for key, array in arrays.items()},
    coords={
      "attribute": list(NAMES),
      "identity": ["G"],
      "pruner": ("member", ["dense", "magnitude"]),
      "sparsity": ("member", [0.0, 0.9]),
      "quantization": ("member", ["none", "none"]),
      "seed": ("member", [0, 0]),
    },
  )
  return data.drop_vars("logits") if name == "train" else data


def test_whole_labels_as_floats_are_the_same_to_the_last_bit(
  make_splits: MakeSplits,
) -> None:
  splits = make_splits(MEMBERS)
  one, other = analyze(splits), analyze(_holes(splits, share=0.0))
  _same(one.arrays, other.arrays, ())
  assert one.notes == other.notes
  for name, table in one.tables.items():
    pd.testing.assert_frame_equal(table, other.tables[name], check_exact=True)


def test_a_mask_without_holes_changes_no_bit() -> None:
  rng = np.random.default_rng(0)
  z = rng.normal(0, 3, (200, 5)).astype(np.float32)
  y = rng.random((200, 5)) < 0.4
  member = np.column_stack([np.ones(200), rng.integers(0, 2, (200, 3))])
  there = np.ones(y.shape, bool)
  p = 1 / (1 + np.exp(-z.astype(float)))
  np.testing.assert_array_equal(auc(z, y, there), auc(z, y))
  one, other = confusion(z > 0, y, member, there), confusion(z > 0, y, member)
  for name in ("true_positive", "predicted", "positive", "negative"):
    np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
  for parity in ("default", "paper"):
    np.testing.assert_array_equal(
      ece(p, y, present=there, parity=parity), ece(p, y, parity=parity)
    )
    masked, plain = (
      calibrated_thresholds(z, y.sum(0), present=mask, parity=parity)
      for mask in (there, None)
    )
    for name in ("value", "tied", "one_class", "no_label"):
      np.testing.assert_array_equal(getattr(masked, name), getattr(plain, name))


@pytest.mark.parametrize("parity", ["default", "paper"])
@pytest.mark.parametrize("kind", ["all positive", "all negative", "one label"])
def test_thresholds_of_few_labels(parity: str, kind: str) -> None:
  rng = np.random.default_rng(0)
  z = rng.normal(size=(20, 1))
  there = np.arange(20)[:, None] % 3 == 0
  y = np.full(z.shape, kind != "all negative") & there
  if kind == "one label":
    there = y = np.arange(20)[:, None] == 5
  masked = calibrated_thresholds(z, y.sum(0), present=there, parity=parity)
  rows = there[:, 0]
  plain = calibrated_thresholds(z[rows], y[rows].sum(0), parity=parity)
  for name in ("value", "tied", "one_class", "no_label"):
    np.testing.assert_array_equal(getattr(masked, name), getattr(plain, name))


def test_no_label_in_test(make_splits: MakeSplits) -> None:
  splits = make_splits(MEMBERS)
  result = analyze(_without(splits, "test", (slice(None), 1)))
  table = result.tables["attributes"]
  rows = table[table["attribute"] == "B"]
  assert rows[["accuracy", "auc", "tcb", "ece"]].isna().all(axis=None)
  needless = ["predicted_positive", "uncertainty", "entropy", "threshold"]
  assert rows[needless].notna().all(axis=None)
  assert set(rows["reason"]) == {"no label: what needs one is not available"}
  groups = result.tables["groups"]
  rows = groups[groups["attribute"] == "B"]
  assert rows["accuracy"].isna().all()
  assert rows["selection_rate"].notna().all()
  assert set(rows["reason"]) == {"no labels in the group"}
  bias = result.tables["bias_amplification"]
  rows = bias[bias["attribute"] == "B"]
  assert rows["bias_amplification"].isna().all()
  assert set(rows["reason"]) == {"a group has no label of the attribute"}
  # The others are as they were.
  whole = analyze(splits).tables["attributes"]
  pd.testing.assert_frame_equal(
    table[table["attribute"] != "B"], whole[whole["attribute"] != "B"]
  )
  assert (
    "Missing labels in test (60 examples): B 60. What is compared with labels "
    "leaves them out."
  ) in result.notes
  assert (
    "No test label of B: whatever needs one is not available there."
  ) in result.notes


def test_no_label_at_all_in_test(make_splits: MakeSplits) -> None:
  result = analyze(_without(make_splits(MEMBERS), "test", slice(None)))
  variance = result.tables["variance"].set_index("metric")["mean"]
  assert variance["accuracy"].isna().all()
  assert variance["uncertainty"].notna().all()
  assert any(
    note.startswith("No test label of A, B, C") for note in result.notes
  )


def test_no_label_to_calibrate_on(make_splits: MakeSplits) -> None:
  splits = make_splits(MEMBERS)
  result = analyze(_without(splits, "valid", (slice(None), 1)))
  table = result.tables["attributes"]
  rows = table[
    (table["attribute"] == "B") & (table["threshold_rule"] == "calibrated")
  ]
  decided = ["accuracy", "predicted_positive", "tcb", "interdependence"]
  assert rows[[*decided, "threshold"]].isna().all(axis=None)
  assert rows[["auc", "ece", "entropy"]].notna().all(axis=None)
  why = "not available: no validation label to calibrate a threshold on"
  assert set(rows["reason"]) == {why}
  for name in ("groups", "bias_amplification"):
    here = result.tables[name]
    here = here[
      (here["attribute"] == "B") & (here["threshold_rule"] == "calibrated")
    ]
    assert set(here["reason"]) == {why}
    number = "accuracy" if name == "groups" else name
    assert here[number].isna().all()
  rest = table[(table["threshold_rule"] == "default")]
  assert rest[["accuracy", "tcb"]].notna().all(axis=None)
  assert (
    "No validation label of B: calibrated thresholds are not available there."
  ) in result.notes


def test_no_label_in_train(make_splits: MakeSplits) -> None:
  result = analyze(_without(make_splits(MEMBERS), "train", (slice(None), 1)))
  table = result.tables["attributes"].set_index("attribute")
  assert table.loc["B", "tcb"].isna().all()
  assert table.loc[["A", "C"], "tcb"].notna().all()
  assert set(table.loc["B", "reason"]) == {"tcb not available: no train labels"}
  assert (
    "No train label of B: TCB and bias amplification are not available there."
  ) in result.notes


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_group_without_labels_is_not_an_empty_group(
  make_splits: MakeSplits, split: str
) -> None:
  splits = make_splits(MEMBERS)
  inside = splits[split]["identities"].to_numpy()[:, 1] == 1
  result = analyze(_without(splits, split, (inside, 2)))
  bias = result.tables["bias_amplification"]
  rows = bias[(bias["attribute"] == "C") & (bias["identity"] == "G")]
  assert rows["bias_amplification"].isna().all()
  assert rows["flags"].str.split(" ").map(set).ge({"no_labels"}).all()
  assert set(rows["reason"]) == {"a group has no label of the attribute"}
  assert bias[bias["attribute"] == "B"]["bias_amplification"].notna().all()
  assert any(
    note.startswith("In 1 of 6 (attribute, identity) cells no label is there")
    for note in result.notes
  )
  assert not any("train examples have one value" in one for one in result.notes)
  assert not any("No test example has" in one for one in result.notes)
  if split == "test":
    groups = result.tables["groups"]
    rows = groups[(groups["attribute"] == "C") & (groups["identity"] == "G")]
    assert set(rows.loc[rows["value"] == "1", "reason"]) == {
      "no labels in the group"
    }


def test_a_missing_class_is_refused(make_splits: MakeSplits) -> None:
  splits = make_splits(MEMBERS, multiclass=True)
  with pytest.raises(InputError, match="labels of the test split hold nan"):
    analyze(_without(splits, "test", 3))
