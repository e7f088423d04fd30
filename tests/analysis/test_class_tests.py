from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import scipy.stats
import xarray as xr

from prunebias_jax.analysis import Options, analyze
from prunebias_jax.analysis.class_tests import (
  PAIRED,
  PAPER,
  UNPAIRED,
  class_test,
)

MakeSplits = Callable[..., dict[str, xr.Dataset]]
Edit = Callable[..., dict[str, xr.Dataset]]


def _members(seeds: int) -> list[tuple[str, float, str, int]]:
  return [
    (pruner, sparsity, "none", seed)
    for pruner, sparsity in (("dense", 0.0), ("magnitude", 0.9))
    for seed in range(seeds)
  ]


def _recalls(
  splits: dict[str, xr.Dataset], multiclass: bool
) -> tuple[np.ndarray, np.ndarray]:
  """Recall and accuracy [member, class], by masks."""
  test = splits["test"]
  logits, labels = test["logits"].to_numpy(), test["labels"].to_numpy()
  if multiclass:
    predicted = logits.argmax(2)
    recall = [
      [(one == c)[labels == c].mean() for c in range(3)] for one in predicted
    ]
    accuracy = [[(one == labels).mean()] * 3 for one in predicted]
  else:
    predicted = logits > 0
    recall = [
      [one[labels[:, a] == 1, a].mean() for a in range(3)] for one in predicted
    ]
    accuracy = [(one == labels).mean(0) for one in predicted]
  return np.array(recall), np.array(accuracy)


@pytest.mark.parametrize("multiclass", [False, True])
@pytest.mark.parametrize("parity", ["default", "paper"])
def test_equals_scipy(
  make_splits: MakeSplits, multiclass: bool, parity: str
) -> None:
  splits = make_splits(_members(6), multiclass=multiclass)
  options = Options(parity=parity, level=0.9)
  table = analyze(splits, options=options).tables["class_tests"]
  table = table[table["threshold_rule"] == "default"]
  recall, accuracy = _recalls(splits, multiclass)
  if parity == "paper":
    shifts = [recall[g] - accuracy[g].mean(0) for g in (slice(6), slice(6, 12))]
    oracle = scipy.stats.ttest_ind(shifts[1], shifts[0], equal_var=False)
  else:
    shifts = [recall[g] - accuracy[g] for g in (slice(6), slice(6, 12))]
    oracle = scipy.stats.ttest_rel(shifts[1], shifts[0])
  interval = oracle.confidence_interval(0.9)
  for column, expected in (
    ("shift_dense", shifts[0].mean(0)),
    ("shift_compressed", shifts[1].mean(0)),
    ("difference", shifts[1].mean(0) - shifts[0].mean(0)),
    ("low", interval.low),
    ("high", interval.high),
    ("p", oracle.pvalue),
    ("p_adjusted", scipy.stats.false_discovery_control(oracle.pvalue)),
  ):
    np.testing.assert_allclose(table[column], expected, atol=1e-12)
  assert set(table["test"]) == {PAPER if parity == "paper" else PAIRED}
  assert set(table["n_dense"]) == {6} == set(table["n_compressed"])


def test_unpaired_populations_of_unequal_size(make_splits: MakeSplits) -> None:
  members = [("dense", 0.0, "none", seed) for seed in range(5)]
  members += [("magnitude", 0.9, "none", seed) for seed in range(5, 12)]
  splits = make_splits(members, multiclass=True)
  table = analyze(splits).tables["class_tests"]
  recall, accuracy = _recalls(splits, multiclass=True)
  shift = recall - accuracy
  oracle = scipy.stats.ttest_ind(shift[5:], shift[:5], equal_var=False)
  np.testing.assert_allclose(table["p"], oracle.pvalue)
  assert set(table["test"]) == {UNPAIRED}
  assert (table["n_dense"].iloc[0], table["n_compressed"].iloc[0]) == (5, 7)


def test_negatives_say_the_same_as_positives(make_splits: MakeSplits) -> None:
  splits = make_splits(_members(5))
  test = splits["test"]
  flipped = {
    name: data.assign(labels=1 - data["labels"])
    for name, data in splits.items()
  }
  flipped["test"] = flipped["test"].assign(logits=-test["logits"])
  both = []
  for one in (splits, flipped):
    one = {name: data for name, data in one.items() if name != "valid"}
    both.append(analyze(one).tables["class_tests"]["p"])
  np.testing.assert_allclose(*both, rtol=1e-9)


def test_what_cannot_be_had(make_splits: MakeSplits, edit: Edit) -> None:
  def clear(labels: np.ndarray) -> np.ndarray:
    labels[:, 0], labels[:, 1] = 0, 1
    return labels

  splits = edit(make_splits(), "test", "labels", clear)
  table = analyze(splits).tables["class_tests"].set_index("attribute")
  assert table["p"][["A", "B"]].isna().all()
  assert table["p"]["C"].notna().all()
  assert set(table["reason"]["A"]) == {"no example of it"}
  assert set(table["reason"]["B"]) == {
    "all examples are of it; not available: the same in every seed"
  }
  # What is missing does not count among the tests.
  np.testing.assert_array_equal(table["p"]["C"], table["p_adjusted"]["C"])
  single = analyze(make_splits(_members(1))).tables["class_tests"]
  assert set(single["reason"]) == {"not available: one seed"}
  dense = make_splits([("dense", 0.0, "none", 0)])
  assert analyze(dense).tables["class_tests"].empty


def _drawn(
  rng: np.random.Generator, effect: float
) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
  """4,000 classes' recalls and accuracies of 10 pairs of seeds.

  What a seed does to all classes alike is large; the first side's recalls lie
  higher by `effect` than the accuracy accounts for.
  """
  shared = 0.02 * rng.normal(size=(10, 4000))
  sides = []
  for gain in (effect, 0.0):
    accuracy = 0.8 + shared + 0.02 * rng.normal(size=shared.shape)
    recall = accuracy + gain + 0.01 * rng.normal(size=shared.shape)
    sides.append((recall, accuracy))
  return (sides[0][0], sides[1][0]), (sides[0][1], sides[1][1])


def test_size_and_power() -> None:
  rng = np.random.default_rng(0)
  size, power = {}, {}
  for effect, found in ((0.0, size), (0.012, power)):
    recall, accuracy = _drawn(rng, effect)
    for pairs, parity in (
      (True, "default"),
      (False, "default"),
      (False, "paper"),
    ):
      p = class_test(recall, accuracy, pairs=pairs, parity=parity)["p"]
      found[pairs, parity] = np.mean(p < 0.05)
  assert abs(size[True, "default"] - 0.05) < 0.02
  assert abs(size[False, "default"] - 0.05) < 0.02
  # The published test sees the class through what seeds do to all classes.
  assert size[False, "paper"] < 0.04
  assert power[True, "default"] > 0.6
  assert power[False, "default"] > 0.6
  assert power[False, "paper"] < 0.3


def test_adjusted_p_values_are_monotonic() -> None:
  recall, accuracy = _drawn(np.random.default_rng(1), 0.0)
  found = class_test(recall, accuracy, pairs=True)
  table = pd.DataFrame(found).sort_values("p")
  assert table["p_adjusted"].is_monotonic_increasing
  assert (table["p_adjusted"] >= table["p"]).all()
