"""Compressed members that share dense parents: no table takes them as pairs."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from prunebias_jax.analysis import analyze
from prunebias_jax.analysis.parents import (
  FEW_PARENTS,
  ONE_PARENT,
  by_parent,
  note_of,
)

MakeSplits = Callable[..., dict[str, xr.Dataset]]
MEMBERS = [
  *(("dense", 0.0, "none", seed) for seed in range(3)),
  *(("mag", 0.9, "none", seed) for seed in range(6)),
]


def _tables(
  make_splits: MakeSplits, parents: list[int]
) -> dict[str, pd.DataFrame]:
  """Of three dense members and six compressed ones with these parents."""
  splits = make_splits(MEMBERS, examples=120)
  for name in ("valid", "test"):
    splits[name] = splits[name].assign_coords(
      parent_seed=("member", np.array([0, 1, 2, *parents]))
    )
  return analyze(splits).tables


def _everyone(table: pd.DataFrame, **cell: str) -> pd.DataFrame:
  cell = {"threshold_rule": "default", "identity": "", **cell}
  for column, value in cell.items():
    if column in table:
      table = table[table[column] == value]
  return table.set_index("attribute").loc[["A", "B", "C"]]


def test_means_over_each_parent_are_compared(make_splits: MakeSplits) -> None:
  tables = _tables(make_splits, [0, 0, 1, 1, 2, 2])
  contrast = _everyone(tables["contrasts"], metric="accuracy")
  change = _everyone(tables["group_changes"], rate="error")
  assert (contrast["n_seeds"] == 3).all()
  assert (change["n_seeds"] == 3).all()
  np.testing.assert_allclose(change["low"], -100 * contrast["high"])
  np.testing.assert_allclose(change["high"], -100 * contrast["low"])
  safety = tables["safety"]
  assert set(safety[safety["n_seeds"] > 0]["n_seeds"]) == {3}
  recall = _everyone(tables["class_tests"])
  miss = _everyone(tables["contrasts"], metric="false_negative_rate")
  np.testing.assert_allclose(
    recall["difference"], -miss["difference"] - contrast["difference"]
  )
  for name in ("group_changes", "class_tests"):
    assert tables[name]["reason"].str.contains(FEW_PARENTS).any()


def test_one_parent_is_said(make_splits: MakeSplits) -> None:
  tables = _tables(make_splits, [1] * 6)
  for name in ("contrasts", "group_changes", "class_tests", "safety"):
    assert tables[name]["reason"].str.contains(ONE_PARENT).any(), name


@pytest.mark.parametrize(
  ("dense", "note", "expected"),
  [
    ([7, 8, 9], "", [1.0, 2.0, np.nan]),
    ([7, 7, 7], ONE_PARENT, [1.0, 2.0, np.nan]),
    ([7, 7, 9], FEW_PARENTS, [1.5, np.nan]),
    ([9, 7, 9], FEW_PARENTS, [2.0, np.nan]),
  ],
)
def test_by_parent(dense: list[int], note: str, expected: list[float]) -> None:
  pairs = np.array([[0, dense[0]], [1, dense[1]], [2, dense[2]]])
  assert note_of(pairs) == note
  np.testing.assert_array_equal(
    by_parent(np.array([1.0, 2.0, np.nan]), pairs), expected
  )
  assert note_of(pairs[:0]) == ""
