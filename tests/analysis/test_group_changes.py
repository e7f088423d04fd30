from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pandas as pd
import pytest
import scipy.stats
import xarray as xr

from prunebias_jax.analysis import Options, analyze
from prunebias_jax.analysis.relative import ratio_of_means

MakeSplits = Callable[..., dict[str, xr.Dataset]]
Edit = Callable[..., dict[str, xr.Dataset]]


def _members(seeds: int) -> list[tuple[str, float, str, int]]:
  return [
    (pruner, sparsity, "none", seed)
    for pruner, sparsity in (("dense", 0.0), ("magnitude", 0.9))
    for seed in range(seeds)
  ]


def _row(table: pd.DataFrame, **where: object) -> pd.Series:
  for column, value in where.items():
    table = table[table[column] == value]
  assert len(table) == 1
  return table.iloc[0]


@settings(max_examples=100, deadline=None)
@given(
  seeds=st.integers(2, 12),
  seed=st.integers(0, 10_000),
  spread=st.sampled_from([1e-6, 0.01, 0.2]),
  level=st.sampled_from([0.8, 0.95]),
)
def test_the_ends_are_where_the_t_test_just_rejects(
  seeds: int, seed: int, spread: float, level: float
) -> None:
  rng = np.random.default_rng(seed)
  below = 1 + spread * rng.normal(size=(seeds, 4))
  above = 0.5 * below + spread * rng.normal(size=(seeds, 4))
  found = ratio_of_means(above, below, level=level)
  np.testing.assert_allclose(
    found.ratio.estimate, above.mean(0) / below.mean(0), rtol=1e-12
  )
  t = np.abs(below.mean(0)) / (below.std(0, ddof=1) / np.sqrt(seeds))
  edge = scipy.stats.t.ppf((1 + level) / 2, seeds - 1)
  np.testing.assert_array_equal(found.unbounded, t <= edge)
  bounded = ~found.unbounded
  for end in (found.ratio.low, found.ratio.high):
    rest = above - end * below
    p = scipy.stats.ttest_1samp(rest, 0).pvalue
    np.testing.assert_allclose(p[bounded], 1 - level, rtol=1e-6)
  assert np.isnan(found.ratio.low[~bounded]).all()
  inside = found.ratio.estimate[bounded]
  assert (found.ratio.low[bounded] <= inside).all()
  assert (inside <= found.ratio.high[bounded]).all()


@pytest.mark.parametrize("seeds", [5, 10, 30])
def test_coverage(seeds: int) -> None:
  # Rates as they are: seeds share a part, the dense rate is a few sd from 0.
  rng = np.random.default_rng(seeds)
  shared = rng.normal(size=(seeds, 4000))
  below = 0.1 + 0.015 * (0.6 * shared + 0.8 * rng.normal(size=shared.shape))
  above = 0.15 + 0.03 * (0.6 * shared + 0.8 * rng.normal(size=shared.shape))
  found = ratio_of_means(above, below).ratio
  covered = (found.low < 1.5) & (found.high > 1.5)
  assert abs(covered.mean() - 0.95) < 0.015
  small = ratio_of_means(above, below - 0.1)
  # Of a mean of 0 most intervals are unbounded; they would cover as well.
  assert small.unbounded.mean() > 0.9


def test_ratios_that_make_no_interval() -> None:
  below = np.array([[0.2, 0.0, 0.1, 0.3], [0.4, 0.0, 0.1, -0.3]])
  above = np.array([[0.1, 0.3, 0.2, 0.3], [0.2, 0.1, 0.2, 0.1]])
  found = ratio_of_means(above, below)
  np.testing.assert_allclose(found.ratio.estimate[[0, 2]], [0.5, 2])
  assert np.isnan(found.ratio.estimate[[1, 3]]).all()
  assert np.isnan([found.ratio.low, found.ratio.high]).all()
  np.testing.assert_array_equal(found.unbounded, [True, False, False, False])
  alone = ratio_of_means(above[:1], below[:1])
  np.testing.assert_allclose(alone.ratio.estimate[0], 0.5)
  assert np.isnan(alone.ratio.low).all()


@pytest.mark.parametrize("multiclass", [False, True])
def test_rows_equal_groups(make_splits: MakeSplits, multiclass: bool) -> None:
  splits = make_splits(_members(6), multiclass=multiclass, examples=120)
  tables = analyze(splits, options=Options(level=0.9)).tables
  columns = {
    "error": lambda one: 1 - one["accuracy"],
    "false_positive_rate": lambda one: one["false_positive_rate"],
    "false_negative_rate": lambda one: one["false_negative_rate"],
    "true_positive_rate": lambda one: 1 - one["false_negative_rate"],
    "selection_rate": lambda one: one["selection_rate"],
  }
  cell = {
    "threshold_rule": "default",
    "attribute": "B",
    "identity": "A*G",
    "value": "1*0",
  }
  source = tables["groups"]
  for key, value in cell.items():
    source = source[source[key] == value]
  for rate, of in columns.items():
    row = _row(tables["group_changes"], rate=rate, **cell)
    dense, compressed = (
      of(source[source["pruner"] == pruner].sort_values("seed")).to_numpy()
      for pruner in ("dense", "magnitude")
    )
    difference = compressed - dense
    t = scipy.stats.ttest_1samp(difference, 0).confidence_interval(0.9)
    ratio = ratio_of_means(compressed[:, None], dense[:, None], level=0.9).ratio
    np.testing.assert_allclose(
      row[["dense", "compressed", "change", "low", "high"]].astype(float),
      [
        dense.mean(),
        compressed.mean(),
        100 * difference.mean(),
        100 * t.low,
        100 * t.high,
      ],
    )
    np.testing.assert_allclose(
      row[["relative", "relative_low", "relative_high"]].astype(float),
      [
        100 * (compressed.mean() - dense.mean()) / dense.mean(),
        100 * (ratio.low[0] - 1),
        100 * (ratio.high[0] - 1),
      ],
    )
    assert row["n_seeds"] == 6
    assert row["n_positive"] == source["n_positive"].iloc[0]
  if multiclass:
    row = _row(
      tables["group_changes"], attribute="(all)", identity="G", value="1"
    )
    assert row["rate"] == "error"
    assert pd.isna(row["n_positive"])


def test_what_cannot_be_had(make_splits: MakeSplits, edit: Edit) -> None:
  splits = make_splits()

  def clear(labels: np.ndarray) -> np.ndarray:
    labels[:, 0] = 0
    return labels

  splits = edit(splits, "test", "labels", clear)
  splits["test"]["logits"][:, :, 1] = -1.0
  table = analyze(splits).tables["group_changes"]
  table = table[table["threshold_rule"] == "default"]
  everyone = {"identity": "", "value": ""}
  row = _row(table, attribute="A", rate="false_negative_rate", **everyone)
  assert np.isnan(row["dense"])
  assert row["reason"] == "no positives in the group"
  row = _row(table, attribute="B", rate="selection_rate", **everyone)
  assert row["dense"] == 0 == row["change"]
  assert np.isnan(row["relative"])
  assert row["reason"] == (
    "relative change not available: the dense rate is 0; "
    "no interval of the change: the same in every seed"
  )
  row = _row(table, attribute="B", rate="false_negative_rate", **everyone)
  assert row["relative"] == 0
  assert np.isnan(row["relative_low"])
  assert row["reason"].endswith("relative change: the same in every seed")


def test_without_pairs_there_are_no_intervals(
  make_splits: MakeSplits,
) -> None:
  members = [("dense", 0.0, "none", 0), ("magnitude", 0.9, "none", 1)]
  tables = analyze(make_splits(members)).tables
  table = tables["group_changes"]
  assert len(table)
  assert table[["low", "relative_high"]].isna().all(axis=None)
  assert table["reason"].str.endswith("no intervals: no seed pairs").all()
  row = _row(
    table,
    threshold_rule="default",
    attribute="A",
    rate="selection_rate",
    identity="",
  )
  np.testing.assert_allclose(
    row["relative"], 100 * (row["compressed"] / row["dense"] - 1)
  )
  alone = analyze(make_splits(members[1:])).tables["group_changes"]
  assert alone.empty
