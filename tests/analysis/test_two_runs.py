"""Two runs against each other, against scipy and by hand."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.stats
import xarray as xr

from prunebias_jax.analysis.cells import Cells
from prunebias_jax.analysis.comparison import (
  COLUMNS,
  PAIRED,
  WELCH,
  Joined,
  common_ground,
  comparison_table,
)
from prunebias_jax.analysis.comparison.joined import _matches
from prunebias_jax.analysis.comparison.table import CHANGE, VALUE
from prunebias_jax.analysis.inference import sd_ratio
from prunebias_jax.errors import InputError

NAMES = ("A", "B")
Key = tuple[str, float, int, int]  # pruner, sparsity, seed, parent


def _population(
  pruner: str, sparsity: float, seeds: Sequence[int]
) -> list[Key]:
  return [(pruner, sparsity, seed, seed) for seed in seeds]


def _joined(first: Sequence[Key], second: Sequence[Key]) -> Joined:
  """Random accuracies of two attributes for the members of two runs."""
  members = pd.DataFrame(
    [(*key, run) for run, keys in enumerate((first, second)) for key in keys],
    columns=["pruner", "sparsity", "seed", "parent_seed", "run"],
  ).assign(quantization="none")
  rng = np.random.default_rng(3)
  values = rng.normal(0.8, 0.05, (len(members), 1, len(NAMES)))
  cells = Cells(
    values=values,
    blocks=pd.DataFrame(
      [("default", "accuracy", "", "")],
      columns=["threshold_rule", "metric", "identity", "value"],
    ),
    whole=np.zeros((len(members), 0)),
    whole_key=pd.DataFrame(),
    names=NAMES,
    output="attribute",
  )
  return Joined(cells=cells, members=members, matches=_matches(members))


def _row(
  table: pd.DataFrame, sparsity: float, quantity: str, attribute: str
) -> Any:
  rows = table[
    (table["sparsity"] == sparsity)
    & (table["quantity"] == quantity)
    & (table["attribute"] == attribute)
  ]
  assert len(rows) == 1
  return rows.iloc[0]


def test_the_ratio_of_sds_is_that_of_the_f_distribution() -> None:
  rng = np.random.default_rng(0)
  first, second = rng.normal(size=(5, 7)), rng.normal(size=(9, 7))
  found = sd_ratio(first, second, level=0.9)
  ratio = first.var(axis=0, ddof=1) / second.var(axis=0, ddof=1)
  np.testing.assert_allclose(found.estimate**2, ratio)
  # At its ends the observed ratio is at a tail of 5 %.
  np.testing.assert_allclose(scipy.stats.f.sf(ratio / found.low**2, 4, 8), 0.05)
  np.testing.assert_allclose(
    scipy.stats.f.cdf(ratio / found.high**2, 4, 8), 0.05
  )


def test_the_ratio_of_sds_needs_spread_and_seeds() -> None:
  values = np.random.default_rng(0).normal(size=(4, 1))
  still = np.ones((4, 1))
  assert np.isnan(sd_ratio(values[:1], values).estimate).all()
  assert np.isnan(sd_ratio(values, still).estimate).all()
  found = sd_ratio(still, values)
  assert found.estimate == 0
  assert np.isnan([found.low, found.high]).all()


def test_unrelated_seeds_are_compared_by_welch() -> None:
  first = _population("dense", 0.0, range(5))
  second = _population("dense", 0.0, range(7))
  joined = _joined(first, second)
  joined.cells.values[2, 0, 0] = np.nan
  table = comparison_table(joined, by_seed=False, level=0.9)
  assert tuple(table) == COLUMNS
  for place, name in enumerate(NAMES):
    row = _row(table, 0.0, VALUE, name)
    mine, other = np.split(joined.cells.values[:, 0, place], [5])
    mine = mine[np.isfinite(mine)]
    expected = scipy.stats.ttest_ind(other, mine, equal_var=False)
    ends = expected.confidence_interval(0.9)
    assert row["method"] == WELCH
    assert (row["n_first"], row["n_second"]) == (len(mine), 7)
    assert row["difference"] == pytest.approx(other.mean() - mine.mean())
    assert row["p"] == pytest.approx(expected.pvalue)
    assert (row["low"], row["high"]) == pytest.approx((ends.low, ends.high))
    assert row["sd_ratio"] == pytest.approx(
      other.std(ddof=1) / mine.std(ddof=1)
    )
    assert np.isnan(row["sd_ratio_p"])
    assert "needs 10 seeds in each run" in row["reason"]
  assert "4 of 5 seeds of the first run" in _row(table, 0.0, VALUE, "A").reason


def test_a_mean_goes_over_what_both_runs_have() -> None:
  dense = _population("dense", 0.0, range(3))
  joined = _joined(dense, dense)
  joined.cells.values[4, 0, 0] = np.nan
  row = _row(comparison_table(joined, by_seed=False), 0.0, VALUE, "(mean)")
  mine, other = np.split(joined.cells.values[:, 0, 1], [3])
  assert row["mean_first"] == pytest.approx(mine.mean())
  assert row["mean_second"] == pytest.approx(other.mean())
  assert "mean over 1 of 2 attributes" in row["reason"]


def test_equal_seeds_pair_whatever_their_order() -> None:
  seeds = list(range(6))
  joined = _joined(
    _population("dense", 0.0, seeds), _population("dense", 0.0, seeds[::-1])
  )
  table = comparison_table(joined, by_seed=True)
  row = _row(table, 0.0, VALUE, "A")
  mine, other = np.split(joined.cells.values[:, 0, 0], [6])
  expected = scipy.stats.ttest_rel(other[::-1], mine)
  ends = expected.confidence_interval(0.95)
  assert row["method"] == PAIRED
  assert row["p"] == pytest.approx(expected.pvalue)
  assert (row["low"], row["high"]) == pytest.approx((ends.low, ends.high))
  assert 0 < row["sd_ratio_p"] <= 1


def test_other_seeds_do_not_pair_even_if_asked_to() -> None:
  joined = _joined(
    _population("dense", 0.0, (0, 1, 2)), _population("dense", 0.0, (0, 1, 3))
  )
  row = _row(comparison_table(joined, by_seed=True), 0.0, VALUE, "A")
  assert row["method"] == WELCH
  assert "the seeds are not the same in both runs" in row["reason"]


@pytest.mark.parametrize("by_seed", [False, True])
def test_changes_are_compared_by_their_seeds(by_seed: bool) -> None:
  run = [
    *_population("dense", 0.0, range(5)),
    *_population("gmp", 0.9, range(5)),
  ]
  joined = _joined(run, run)
  table = comparison_table(joined, by_seed=by_seed)
  row = _row(table, 0.9, CHANGE, "B")
  dense, pruned, dense_2, pruned_2 = np.split(joined.cells.values[:, 0, 1], 4)
  mine, other = pruned - dense, pruned_2 - dense_2
  expected = (
    scipy.stats.ttest_rel(other, mine)
    if by_seed
    else scipy.stats.ttest_ind(other, mine, equal_var=False)
  )
  assert row["mean_first"] == pytest.approx(mine.mean())
  assert row["mean_second"] == pytest.approx(other.mean())
  assert row["p"] == pytest.approx(expected.pvalue)
  assert set(table[table["sparsity"] == 0]["quantity"]) == {VALUE}


def test_changes_of_members_that_do_not_pair_are_not_available() -> None:
  first = [
    *_population("dense", 0.0, range(3)),
    *[("gmp", 0.9, seed, -1) for seed in range(3)],
  ]
  second = [
    *_population("dense", 0.0, range(3)),
    *_population("gmp", 0.9, range(3)),
  ]
  table = comparison_table(_joined(first, second), by_seed=False)
  row = _row(table, 0.9, CHANGE, "A")
  assert np.isnan(row["difference"])
  assert np.isfinite(row["mean_second"])
  assert "no member of the first run pairs with a dense one" in row["reason"]


def test_members_of_one_dense_parent_are_averaged() -> None:
  first = [
    *_population("dense", 0.0, (0, 1)),
    ("gmp", 0.9, 0, 0),
    ("gmp", 0.9, 1, 0),
    ("gmp", 0.9, 2, 1),
    ("gmp", 0.9, 3, 1),
  ]
  second = [
    *_population("dense", 0.0, range(4)),
    *_population("gmp", 0.9, range(4)),
  ]
  table = comparison_table(_joined(first, second), by_seed=False)
  row = _row(table, 0.9, CHANGE, "A")
  assert (row["n_first"], row["n_second"]) == (2, 4)
  assert np.isfinite(row["low"])
  assert np.isnan(_row(table, 0.9, VALUE, "A")["low"])


def test_a_run_with_one_pruner_meets_one_with_another() -> None:
  dense = _population("dense", 0.0, range(2))
  one, other, third = (
    _population(name, 0.9, range(2)) for name in ("gmp", "one-shot", "random")
  )
  single = _joined([*dense, *one], [*dense, *other]).matches
  assert [(a.first[0], a.second[0]) for a in single] == [
    ("dense", "dense"),
    ("gmp", "one-shot"),
  ]
  several = _joined([*dense, *one], [*dense, *other, *third]).matches
  assert [a.first[0] for a in several] == ["dense"]


def _split(
  labels: np.ndarray,
  names: Sequence[str] = NAMES,
  ids: Sequence[str] = ("x", "y", "z"),
  groups: Sequence[int] = (0, 1, 1),
) -> xr.Dataset:
  exclusive = labels.ndim == 1
  dimension = "class" if exclusive else "attribute"
  return xr.Dataset(
    {
      "labels": (("example",) if exclusive else ("example", dimension), labels),
      "identities": (("example", "identity"), np.array(groups)[:, None]),
    },
    {"example": list(ids), dimension: list(names), "identity": ["G"]},
  )


LABELS = np.array([[0, 1], [1, 1], [0, 0]])


def test_the_order_of_the_examples_does_not_matter() -> None:
  back = _split(LABELS[::-1], ids="zyx", groups=(1, 1, 0))
  found = common_ground(_split(LABELS), back)
  assert found.outputs == NAMES
  assert found.identities == ("G",)
  assert found.same_test
  assert found.reasons == ()


def test_other_examples_are_said() -> None:
  found = common_ground(_split(LABELS), _split(LABELS, ids="xyw"))
  assert not found.same_test
  assert "not the same examples" in found.reasons[0]


def test_attributes_of_other_labels_are_left_out() -> None:
  changed = LABELS.copy()
  changed[0, 1] = 0
  found = common_ground(_split(LABELS), _split(changed))
  assert found.same_test
  assert found.outputs == ("A",)
  assert (
    "labels of B are not the same in both runs (1 differ)" in (found.reasons[0])
  )
  none = common_ground(_split(LABELS), _split(1 - LABELS))
  assert not none.same_test
  assert none.outputs == NAMES


def test_a_missing_label_is_the_same_in_both_only_if_both_lack_it() -> None:
  missing = LABELS.astype(np.float32)
  missing[1, 0] = np.nan
  assert common_ground(_split(missing), _split(missing)).outputs == NAMES
  assert common_ground(_split(LABELS), _split(missing)).outputs == ("B",)


def test_groups_of_other_examples_are_left_out() -> None:
  found = common_ground(_split(LABELS), _split(LABELS, groups=(1, 1, 1)))
  assert found.identities == ()
  assert "Groups of G are not compared" in found.reasons[0]


def test_attributes_that_one_run_has_alone_are_said() -> None:
  found = common_ground(_split(LABELS), _split(LABELS[:, :1], names="A"))
  assert found.outputs == ("A",)
  assert "Only one of the runs predicts B" in found.reasons[0]


def test_classes_are_compared_by_name() -> None:
  first = _split(np.array([0, 1, 1]), names=("cat", "dog"))
  second = _split(np.array([1, 0, 0]), names=("dog", "cat"))
  assert common_ground(first, second).same_test
  third = _split(np.array([1, 1, 0]), names=("dog", "cat"))
  assert not common_ground(first, third).same_test


@pytest.mark.parametrize(
  ("second", "message"),
  [
    (_split(LABELS, names=("C", "D")), "one predicts A, B, the other C, D"),
    (_split(np.array([0, 1, 1])), "different tasks"),
  ],
)
def test_nothing_in_common_is_refused(second: xr.Dataset, message: str) -> None:
  with pytest.raises(InputError, match=message):
    common_ground(_split(LABELS), second)


def test_other_classes_are_refused() -> None:
  first = _split(np.array([0, 1, 1]), names=("cat", "dog"))
  second = _split(np.array([0, 1, 1]), names=("cat", "cow"))
  with pytest.raises(InputError, match="other classes"):
    common_ground(first, second)
