"""Tables over seeds: contrasts, power, trends and sources of variance."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower
import xarray as xr

from prunebias_jax.analysis import analyze

MakeSplits = Callable[..., dict[str, xr.Dataset]]
CELL = {
  "threshold_rule": "default",
  "metric": "accuracy",
  "attribute": "(mean)",
  "identity": "",
}


def _members(
  levels: tuple[float, ...], seeds: int
) -> list[tuple[str, float, str, int]]:
  return [
    ("magnitude" if level else "dense", level, "none", seed)
    for level in levels
    for seed in range(seeds)
  ]


def _one(table: pd.DataFrame, **where: object) -> pd.Series:
  for column, value in where.items():
    table = table[table[column] == value]
  assert len(table) == 1
  return table.iloc[0]


def _values(result: object, level: float) -> np.ndarray:
  """Mean accuracy over attributes of each member of a level."""
  arrays = result.arrays  # type: ignore[attr-defined]
  return (
    arrays["accuracy"]
    .isel(threshold_rule=0)
    .mean("attribute")
    .to_numpy()[arrays["sparsity"].to_numpy() == level]
  )


def _with(
  splits: dict[str, xr.Dataset], **coordinates: list[int]
) -> dict[str, xr.Dataset]:
  return {
    name: data.assign_coords(
      {key: ("member", value) for key, value in coordinates.items()}
    )
    if "logits" in data
    else data
    for name, data in splits.items()
  }


def test_variances_are_compared_on_the_pairs(make_splits: MakeSplits) -> None:
  result = analyze(make_splits(_members((0.0, 0.9), 7)))
  row = _one(result.tables["contrasts"], **CELL)
  dense, pruned = _values(result, 0.0), _values(result, 0.9)
  assert row["variance_ratio"] == pytest.approx(
    pruned.var(ddof=1) / dense.var(ddof=1)
  )
  # Equal variances: sums and differences are uncorrelated.
  oracle = scipy.stats.pearsonr(pruned + dense, pruned - dense).pvalue
  assert row["pitman_morgan_p"] == pytest.approx(oracle)
  assert (row["ratio_low"] <= 1 <= row["ratio_high"]) == (oracle > 0.05)


def test_p_is_adjusted_within_a_rule_and_metric(
  make_splits: MakeSplits,
) -> None:
  members = _members((0.0, 0.5, 0.9), 7)
  table = analyze(make_splits(members)).tables["contrasts"]
  family = table[
    (table["sparsity"] == 0.5)
    & (table["threshold_rule"] == "calibrated")
    & (table["metric"] == "false_negative_rate")
  ]
  for summary in (True, False):
    rows = family[(family["attribute"] == "(mean)") == summary]
    rows = rows[rows["t_p"].notna()]
    assert len(rows) > 5
    np.testing.assert_allclose(
      rows["p_adjusted"], multipletests(rows["t_p"], method="fdr_bh")[1]
    )


def test_unpaired_populations(make_splits: MakeSplits) -> None:
  splits = make_splits(_members((0.0, 0.9), 11))
  splits["test"].attrs["paired"] = False
  result = analyze(splits)
  row = _one(result.tables["contrasts"], **CELL)
  dense, pruned = _values(result, 0.0), _values(result, 0.9)
  welch = scipy.stats.ttest_ind(pruned, dense, equal_var=False)
  assert row["t_p"] == pytest.approx(welch.pvalue)
  ends = welch.confidence_interval()
  assert (row["low"], row["high"]) == pytest.approx((ends.low, ends.high))
  levene = scipy.stats.levene(pruned, dense, center="median").pvalue
  assert row["pitman_morgan_p"] == pytest.approx(levene)
  assert "unpaired: t_p is Welch's" in row["reason"]
  assert np.isnan(row["signflip_p"])
  assert np.isnan(row["correlation"])
  assert result.tables["power"].empty
  few = make_splits(_members((0.0, 0.9), 4))
  few["test"].attrs["paired"] = False
  row = _one(analyze(few).tables["contrasts"], **CELL)
  assert np.isfinite(row["t_p"])
  assert np.isnan(row["pitman_morgan_p"])
  assert "spread not tested: needs 10 seeds on either side" in row["reason"]


def test_one_dense_parent_for_all(make_splits: MakeSplits) -> None:
  members = [("dense", 0.0, "none", 0), *_members((0.9,), 8)]
  splits = _with(make_splits(members), parent_seed=[0] * 9)
  result = analyze(splits)
  row = _one(result.tables["contrasts"], **CELL)
  dense, pruned = _values(result, 0.0), _values(result, 0.9)
  oracle = scipy.stats.ttest_1samp(pruned, dense[0])
  assert row["t_p"] == pytest.approx(oracle.pvalue)
  assert row["n_seeds"] == 8
  assert np.isnan(row["variance_ratio"])
  assert "all share one dense member" in row["reason"]


def test_members_of_one_parent_are_averaged(make_splits: MakeSplits) -> None:
  members = [*_members((0.0,), 3), *_members((0.9,), 9)]
  parents = [0, 1, 2, *np.repeat(np.arange(3), 3).tolist()]
  result = analyze(_with(make_splits(members), parent_seed=parents))
  row = _one(result.tables["contrasts"], **CELL)
  dense, pruned = _values(result, 0.0), _values(result, 0.9)
  oracle = scipy.stats.ttest_rel(pruned.reshape(3, 3).mean(axis=1), dense)
  assert row["t_p"] == pytest.approx(oracle.pvalue)
  assert row["n_seeds"] == 3
  assert "n_seeds counts parents" in row["reason"]


def test_power_is_that_of_the_paired_differences(
  make_splits: MakeSplits,
) -> None:
  result = analyze(make_splits(_members((0.0, 0.9), 7)))
  table = result.tables["power"]
  difference = _values(result, 0.9) - _values(result, 0.0)
  sd = difference.std(ddof=1)
  power = TTestPower()
  for delta in (0.005, 0.02, 0.05):
    row = _one(table, delta=delta, **CELL)
    assert row["sd_difference"] == pytest.approx(sd)
    needed = int(row["n_seeds"])
    assert power.power(delta / sd, needed, 0.05) >= 0.8
    assert needed == 2 or power.power(delta / sd, needed - 1, 0.05) < 0.8
    assert row["n_low"] <= needed <= row["n_high"]
    seen = power.solve_power(nobs=7, alpha=0.05, power=0.8) * sd
    assert row["detectable_now"] == pytest.approx(seen, rel=1e-4)
    assert row["n_now"] == 7
  assert set(table["attribute"]) <= {"(mean)", "(all)"}
  assert not table["identity"].str.contains("*", regex=False).any()


def test_trend_of_the_spread(make_splits: MakeSplits) -> None:
  levels = (0.0, 0.5, 0.9)
  result = analyze(make_splits(_members(levels, 8)))
  table = result.tables["trends"]
  row = _one(table, **CELL)
  values = np.stack([_values(result, level) for level in levels])
  away = np.abs(values - np.median(values, axis=1, keepdims=True))
  assert row["slope"] == pytest.approx((away[2] - away[0]).mean() / 2)
  assert row["sd_first"] == pytest.approx(values[0].std(ddof=1))
  assert row["sd_last"] == pytest.approx(values[2].std(ddof=1))
  assert row["levels"] == "0 0.5 0.9"
  assert 0 < row["p"] <= 1
  assert row["pruner"] == "magnitude"
  # Two levels are left to the contrasts.
  assert analyze(make_splits(_members((0.0, 0.9), 8))).tables["trends"].empty


def test_few_seeds_have_no_trend(make_splits: MakeSplits) -> None:
  table = analyze(make_splits(_members((0.0, 0.5, 0.9), 4))).tables["trends"]
  row = _one(table, **CELL)
  assert np.isnan(row["p"])
  assert np.isfinite(row["slope"])
  assert "trend not tested: needs 6 seeds with a slope, has 4" in row["reason"]


@pytest.fixture
def crossed(make_splits: MakeSplits) -> dict[str, xr.Dataset]:
  """Three initialisations times four orders, which augmentation goes with."""
  splits = make_splits(_members((0.0, 0.9), 12))
  init, order = np.divmod(np.arange(12), 4)
  return _with(
    splits,
    seed_init=[*init, *init],
    seed_order=[*order, *order],
    seed_augment=[*(order + 10), *(order + 10)],
  )


def test_sources_of_variance(crossed: dict[str, xr.Dataset]) -> None:
  result = analyze(crossed)
  table = result.tables["sources"]
  values = _values(result, 0.9).reshape(3, 4)
  rows = {
    source: _one(table, source=source, sparsity=0.9, **CELL)
    for source in ("init", "order+augment", "init*order+augment")
  }
  # Two-way analysis of variance without replication.
  by_init, by_order = values.mean(axis=1), values.mean(axis=0)
  rest = values - by_init[:, None] - by_order + values.mean()
  residual = (rest**2).sum() / 6
  expected = {
    "init": (4 * by_init.var(ddof=1) - residual) / 4,
    "order+augment": (3 * by_order.var(ddof=1) - residual) / 3,
    "init*order+augment": residual,
  }
  for source, value in expected.items():
    assert rows[source]["variance"] == pytest.approx(value)
  assert "residual" in rows["init*order+augment"]["reason"]
  assert rows["init"]["n_levels"] == "3"
  assert rows["init*order+augment"]["n_levels"] == "3*4"


def test_crossed_designs_have_no_intervals(
  crossed: dict[str, xr.Dataset],
) -> None:
  tables = analyze(crossed).tables
  row = _one(tables["variance"], sparsity=0.9, **CELL)
  assert np.isfinite(row[["mean", "sd", "var_distribution"]].to_list()).all()
  assert row[["mean_low", "sd_low", "crossed_low"]].isna().all()
  assert row["interval"].startswith("not available: crossed seeds")
  assert "not independent" in row["reason"]
  row = _one(tables["contrasts"], sparsity=0.9, **CELL)
  assert np.isfinite(row["difference"])
  assert row[["low", "t_p", "p_adjusted", "pitman_morgan_p"]].isna().all()
  row = _one(tables["power"], delta=0.01, **CELL)
  assert row[["n_seeds", "detectable_now"]].isna().all()
  for name in ("attributes", "bias_amplification", "groups"):
    start = ["pruner", "sparsity", "quantization", "seed"]
    start += ["checkpoint", "split", "seed_init", "seed_order", "seed_augment"]
    assert tables[name].columns[:9].tolist() == start


def test_unbalanced_design(crossed: dict[str, xr.Dataset]) -> None:
  kept = np.delete(np.arange(24), 3)
  splits = {
    name: data.isel(member=kept) if "logits" in data else data
    for name, data in crossed.items()
  }
  table = analyze(splits).tables["sources"]
  row = _one(table, sparsity=0.0, **CELL)
  assert np.isnan(row["variance"])
  assert "not one member for each combination" in row["reason"]
  assert np.isfinite(
    _one(table, sparsity=0.9, source="init", **CELL)["variance"]
  )


def test_seeds_of_their_own_are_no_design(make_splits: MakeSplits) -> None:
  seeds = [*range(6), *range(6)]
  splits = _with(
    make_splits(_members((0.0, 0.9), 6)), seed_init=seeds, seed_order=seeds
  )
  tables = analyze(splits).tables
  assert tables["sources"].empty
  assert "seed_init" not in tables["attributes"]
  assert np.isfinite(_one(tables["variance"], sparsity=0.9, **CELL)["mean_low"])


def test_doubtful_intervals_are_marked(make_splits: MakeSplits) -> None:
  poor = "crossed: simulated coverage below 90 %"
  for seeds in (2, 3):
    table = analyze(make_splits(_members((0.0,), seeds))).tables["variance"]
    row = _one(table, **CELL)
    assert np.isfinite(row["crossed_low"])
    assert (poor in row["interval"]) == (seeds == 2)
  # One of eight seeds that collapses.
  splits = make_splits(_members((0.0,), 8), examples=200)
  logits = splits["test"]["logits"].to_numpy().copy()
  logits[3] = -logits[3]
  splits["test"]["logits"] = (splits["test"]["logits"].dims, logits)
  row = _one(analyze(splits).tables["variance"], **CELL)
  assert "do not look normal" in row["interval"]
