"""Intervals over seeds that do not look normal are marked in every table."""

from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr

from prunebias_jax.analysis import analyze
from prunebias_jax.analysis.inference import MARK, unlike_normal


@pytest.mark.parametrize("paired", [True, False])
def test_one_seed_of_twelve_that_collapses(
  make_splits: Callable[..., dict[str, xr.Dataset]], paired: bool
) -> None:
  members = [
    (pruner, sparsity, "none", seed)
    for pruner, sparsity in (("dense", 0.0), ("magnitude", 0.9))
    for seed in range(12)
  ]
  splits = make_splits(members, examples=200)
  values = splits["test"]["logits"].to_numpy().copy()
  # In B all is positive; A is predicted as C is.
  values[-1, :, 1] = 10.0
  values[-1, :, 0] = values[-1, :, 2]
  splits["test"]["logits"] = (splits["test"]["logits"].dims, values)
  for name in ("valid", "test"):
    splits[name].attrs["paired"] = paired
  tables = analyze(splits).tables
  for name, spoilt, sound, of in (
    ("class_tests", "B", "C", {}),
    ("group_changes", "B", "C", {"rate": "error", "identity": ""}),
    ("agreement", "B", "C", {}),
    ("correlations", "A", "B", {"of": "predictions", "other": "C"}),
  ):
    table = tables[name]
    where = {"pruner": "magnitude", "threshold_rule": "default", **of}
    for column, value in where.items():
      table = table[table[column] == value]
    there = table.set_index("attribute")
    expected = paired or name == "class_tests"
    assert (MARK in there.loc[spoilt, "reason"]) == expected, name
    assert np.isfinite(there.loc[spoilt, "low"]) == expected, name
    assert MARK not in there.loc[sound, "reason"], name


def test_seeds_without_a_value_are_left_out() -> None:
  rng = np.random.default_rng(0)
  values = rng.normal(size=(9, 40))
  values[0, ::2] = 30.0
  holes = np.insert(values, [2, 5, 9], np.nan, axis=0)
  holes[:, :4] = np.nan
  expected = unlike_normal(values)
  assert {*expected[4:]} == {False, True}
  expected[:4] = False
  np.testing.assert_array_equal(unlike_normal(holes), expected)
