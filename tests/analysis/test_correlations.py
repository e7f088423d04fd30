from collections.abc import Callable
import itertools

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
import numpy as np
import pandas as pd
import pytest
import scipy.stats
from sklearn.metrics import matthews_corrcoef
import xarray as xr

from prunebias_jax.analysis import analyze
from prunebias_jax.analysis.correlation import pairwise_correlation
from prunebias_jax.analysis.correlations import mean_of_available
from prunebias_jax.analysis.inference import mean_interval

MakeSplits = Callable[..., dict[str, xr.Dataset]]
Edit = Callable[..., dict[str, xr.Dataset]]


def _row(table: pd.DataFrame, **where: object) -> pd.Series:
  for column, value in where.items():
    table = table[table[column] == value]
  assert len(table) == 1
  return table.iloc[0]


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_equals_scikit_learn_pair_by_pair(data: st.DataObject) -> None:
  shape = (data.draw(st.integers(1, 15)), 3)
  one, present = data.draw(hnp.arrays(bool, (2, *shape)))
  found = pairwise_correlation(one, present)
  for i, j in itertools.product(range(3), repeat=2):
    both = present[:, i] & present[:, j]
    first, second = one[both, i], one[both, j]
    constant = len({*first}) < 2 or len({*second}) < 2
    expected = np.nan if constant else matthews_corrcoef(first, second)
    np.testing.assert_allclose(found[i, j], expected, atol=1e-12)
  everything = np.ones_like(present)
  np.testing.assert_array_equal(
    pairwise_correlation(one), pairwise_correlation(one, everything)
  )


@settings(max_examples=50, deadline=None)
@given(hnp.arrays(float, (4, 3), elements=st.floats(-1, 1) | st.just(np.nan)))
def test_the_interval_is_that_of_the_seeds_with_a_value(
  values: np.ndarray,
) -> None:
  count, found = mean_of_available(values, level=0.8)
  for cell, column in enumerate(values.T):
    there = column[np.isfinite(column)]
    assert count[cell] == len(there)
    if len(there):
      # Where all values are tiny, their own size tells rounding from spread.
      one = mean_interval(there[:, None], level=0.8, scale=np.ones(1))
      for name in ("estimate", "low", "high"):
        np.testing.assert_allclose(
          getattr(found, name)[cell], getattr(one, name)[0], atol=1e-9
        )
    else:
      assert np.isnan(found.estimate[cell])


@pytest.mark.parametrize("of", ["predictions", "errors"])
def test_table(make_splits: MakeSplits, of: str) -> None:
  splits = make_splits()
  result = analyze(splits)
  test = splits["test"]
  labels = test["labels"].to_numpy()
  marks = test["logits"].to_numpy() > 0
  if of == "errors":
    marks = marks != labels
  each = np.array([np.corrcoef(one[:, 0], one[:, 2])[0, 1] for one in marks])
  dense, here = (
    each[test["pruner"].to_numpy() == name] for name in ("dense", "magnitude")
  )
  cell = {
    "pruner": "magnitude",
    "threshold_rule": "default",
    "of": of,
    "attribute": "A",
    "other": "C",
  }
  row = _row(result.tables["correlations"], **cell)
  change = scipy.stats.ttest_rel(here, dense).confidence_interval(0.95)
  np.testing.assert_allclose(
    row[["labels", "correlation", "change", "low", "high"]].astype(float),
    [
      np.corrcoef(labels[:, 0], labels[:, 2])[0, 1],
      here.mean(),
      np.mean(here - dense),
      change.low,
      change.high,
    ],
  )
  assert (row["n_seeds"], row["n_pairs"], row["reason"]) == (3, 3, "")
  own = _row(result.tables["correlations"], **{**cell, "pruner": "dense"})
  assert own["n_pairs"] == 0
  assert np.isnan(own["change"])
  assert len(result.tables["correlations"]) == 2 * 2 * 2 * 3
  stored = result.arrays[f"{of.removesuffix('s')}_correlation"]
  np.testing.assert_allclose(
    stored.sel(attribute="C", other="A", threshold_rule="default"), each
  )


def test_what_cannot_be_had(make_splits: MakeSplits, edit: Edit) -> None:
  splits = make_splits()
  splits["test"]["logits"][0, :, 0] = -1.0
  table = analyze(splits).tables["correlations"]
  cell = {
    "pruner": "dense",
    "threshold_rule": "default",
    "of": "predictions",
    "attribute": "A",
    "other": "B",
  }
  row = _row(table, **cell)
  assert row["n_seeds"] == 2
  assert row["reason"] == "2 of 3 seeds have a value"
  row = _row(table, **{**cell, "pruner": "magnitude"})
  assert row["n_pairs"] == 2
  assert row["reason"] == "2 of 3 pairs have one"
  splits["test"]["logits"][:, :, 0] = -1.0
  row = _row(analyze(splits).tables["correlations"], **cell)
  assert np.isnan(row["correlation"])
  assert "constant in every seed" in row["reason"]

  def forget(labels: np.ndarray) -> np.ndarray:
    return np.where(np.arange(3) == 1, np.nan, labels)

  def same(labels: np.ndarray) -> np.ndarray:
    return np.where(np.arange(3) == 2, 1, labels)

  holes = edit(make_splits(), "valid", "labels", forget)
  table = analyze(edit(holes, "test", "labels", same)).tables["correlations"]
  row = _row(table, **{**cell, "threshold_rule": "calibrated"})
  assert np.isnan(row["correlation"])
  assert "no validation label" in row["reason"]
  assert np.isfinite(_row(table, **cell)["correlation"])
  alike = _row(table, **{**cell, "other": "C"})
  assert np.isnan(alike["labels"])
  assert alike["reason"].startswith("labels not available: one of the two is")
  one = analyze(make_splits(names=("A",), identities=("A",)))
  assert one.tables["correlations"].empty
  assert "correlations" not in analyze(make_splits(multiclass=True)).tables
