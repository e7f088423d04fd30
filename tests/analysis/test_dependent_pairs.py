"""Pairs that are not independent: shared dense members, crossed seeds."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from prunebias_jax.analysis import Analysis, analyze
from prunebias_jax.analysis.cells import CROSSED_DESIGN, SHARED_PARENTS
from prunebias_jax.analysis.parents import FEW_PARENTS, ONE_PARENT

MakeSplits = Callable[..., dict[str, xr.Dataset]]
SEEDS = 6
MEMBERS = [
  (pruner, sparsity, "none", seed)
  for seed in range(SEEDS)
  for pruner, sparsity in (("dense", 0.0), ("mag", 0.5), ("mag", 0.9))
]
ENDS = {
  "group_changes": ("low", "high", "relative_low", "relative_high"),
  "class_tests": ("low", "high", "p", "p_adjusted"),
  "agreement": ("low", "high"),
  "correlations": ("low", "high"),
  "safety": ("lower", "upper", "p_safe", "p_not_safe"),
  "countermeasures": ("change_low", "change_high"),
}
# They average the pairs of one dense member.
AVERAGED = ("group_changes", "class_tests", "safety")


def _analysed(
  make_splits: MakeSplits, **coordinates: Callable[[np.ndarray], np.ndarray]
) -> Analysis:
  splits = make_splits(MEMBERS, examples=80)
  seed = np.array([member[3] for member in MEMBERS])
  for name in ("valid", "test"):
    splits[name] = splits[name].assign_coords(
      {key: ("member", of(seed)) for key, of in coordinates.items()}
    )
  return analyze(splits)


def _pruned(found: Analysis, name: str) -> pd.DataFrame:
  table = found.tables[name]
  return table[table["pruner"] == "mag"]


def test_crossed_seeds_have_no_intervals(make_splits: MakeSplits) -> None:
  found = _analysed(
    make_splits,
    seed_init=lambda seed: seed % 3,
    seed_order=lambda seed: seed // 3,
    seed_augment=lambda seed: seed,
  )
  for name, ends in ENDS.items():
    rows = _pruned(found, name)
    assert len(rows)
    assert rows[list(ends)].isna().all(axis=None), name
    assert rows["reason"].str.contains(CROSSED_DESIGN, regex=False).any(), name
  assert set(_pruned(found, "safety")["verdict"]) <= {
    "undecided",
    "not available",
  }


@pytest.mark.parametrize("name", ENDS)
def test_pairs_of_one_parent_are_averaged_or_have_no_intervals(
  make_splits: MakeSplits, name: str
) -> None:
  rows = _pruned(
    _analysed(make_splits, parent_seed=lambda seed: seed % 3), name
  )
  given = rows[list(ENDS[name])].notna().any(axis=None)
  assert given == (name in AVERAGED)
  note = FEW_PARENTS if name in AVERAGED else SHARED_PARENTS
  assert rows["reason"].str.contains(note, regex=False).any()


def test_one_dense_member_for_all_is_said(make_splits: MakeSplits) -> None:
  found = _analysed(make_splits, parent_seed=np.zeros_like)
  for name, ends in ENDS.items():
    rows = _pruned(found, name)
    given = rows[rows[ends[0]].notna()]
    assert len(given), name
    assert given["reason"].str.contains(ONE_PARENT, regex=False).all(), name
  assert set(_pruned(found, "class_tests")["n_dense"]) == {1}
