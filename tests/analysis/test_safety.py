from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pandas as pd
import pytest
import scipy.stats
from statsmodels.stats.multitest import multipletests
import xarray as xr

from prunebias_jax.analysis import Options, analyze
from prunebias_jax.analysis.criteria import judge
from prunebias_jax.errors import InputError

Splits = dict[str, xr.Dataset]
MakeSplits = Callable[..., Splits]
Edit = Callable[..., Splits]
MARGIN = 0.01


def _judged(changes: np.ndarray, dense: float = 0.3):
  """Of changes [level, pair, cell]."""
  before = np.full(changes.shape, dense)
  return judge(list(before), list(before + changes), margin=MARGIN)


@pytest.mark.parametrize("pairs", [2, 8])
def test_bounds_and_p_equal_scipy_and_statsmodels(pairs: int) -> None:
  rng = np.random.default_rng(pairs)
  changes = rng.normal(0.008, 0.006, (4, pairs, 3))
  safety = _judged(changes)
  for cell in range(3):
    less, greater = [], []
    for level in range(4):
      sample = changes[level, :, cell]
      test = scipy.stats.ttest_1samp(sample, MARGIN, alternative="less")
      less.append(test.pvalue)
      np.testing.assert_allclose(
        safety.upper[level, cell],
        test.confidence_interval(0.95).high,
        atol=1e-9,
      )
      test = scipy.stats.ttest_1samp(sample, MARGIN, alternative="greater")
      greater.append(test.pvalue)
      np.testing.assert_allclose(
        safety.lower[level, cell],
        test.confidence_interval(0.95).low,
        atol=1e-9,
      )
      np.testing.assert_allclose(safety.change[level, cell], sample.mean())
    for p, own in ((less, safety.p_safe), (greater, safety.p_not_safe)):
      expected = multipletests(p, method="holm")[1]
      np.testing.assert_allclose(own[:, cell], expected, atol=1e-9)


def test_verdicts() -> None:
  spread = np.array([-0.001, 0.0, 0.001])
  means = [
    [0.0, 0.0, 0.0, 0.1, 0.0],
    [0.001, 0.01, 0.1, 0.0, 0.0],
    [0.0, 0.0, 0.0, 0.1, 0.0],
  ]
  changes = np.array(means)[:, None] + spread[:, None]
  changes[:, :, 4] = np.array([-0.02, 0.0, 0.02])  # noisy
  verdict = _judged(changes).verdict.T.tolist()
  assert verdict == [
    ["safe", "safe", "safe"],
    ["safe", "undecided", "undecided"],  # small above an undecided level
    ["safe", "not safe", "undecided"],
    ["not safe", "undecided", "not safe"],
    ["undecided", "undecided", "undecided"],
  ]


def test_a_degraded_seed_makes_bounds_doubtful() -> None:
  changes = np.random.default_rng(0).normal(0, 1e-3, (2, 12, 2))
  changes[1, 5, 1] = 0.05
  changes[1, 7, 1] = np.nan
  doubtful = _judged(changes).doubtful.tolist()
  assert doubtful == [[False, False], [False, True]]


def test_no_difference_seen_is_not_safe() -> None:
  for pairs in (1, 5):
    safety = _judged(np.zeros((2, pairs, 1)))
    assert set(safety.verdict.ravel()) == {"undecided"}
    assert np.isnan(safety.upper).all()


def test_a_pair_without_a_value_cannot_be_safe() -> None:
  changes = np.random.default_rng(0).normal(0, 1e-4, (2, 6, 2))
  changes[0, 3, 0] = np.nan
  changes[:, :, 1] = np.nan
  safety = _judged(changes)
  assert safety.verdict.T.tolist() == [["undecided"] * 2, ["not available"] * 2]
  assert safety.pairs[:, 0].tolist() == [5, 6]


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.5, 4.0))
def test_verdicts_keep_their_order(seed: int, factor: float) -> None:
  rng = np.random.default_rng(seed)
  changes = rng.normal(0.01, 0.02, (4, 1, 6)) + rng.normal(0, 0.004, (4, 5, 6))
  safe = _judged(changes).verdict == "safe"
  # Above a level that is not safe none is.
  assert np.all(safe[1:] <= safe[:-1])
  before = np.zeros(changes.shape)
  wider = judge(list(before), list(changes), margin=MARGIN * (1 + factor))
  assert np.all((wider.verdict == "safe") >= safe)


@pytest.mark.parametrize("pairs", [3, 5, 10])
@pytest.mark.parametrize("shared", [0.0, 0.8])
@pytest.mark.parametrize("first", [0.0, MARGIN])
def test_false_safe_is_rare_when_the_change_is_the_margin(
  pairs: int, shared: float, first: float
) -> None:
  """The lower levels are harmless or at the margin; levels share seeds."""
  rng = np.random.default_rng(7)
  cells, levels = 4000, 4
  noise = rng.normal(size=(levels, pairs, cells)) * np.sqrt(1 - shared)
  noise += rng.normal(size=(1, pairs, cells)) * np.sqrt(shared)
  truth = np.array([first, first, MARGIN, MARGIN])
  verdict = _judged(truth[:, None, None] + 0.004 * noise).verdict
  tolerance = 3 * np.sqrt(0.05 * 0.95 / cells)
  false = (verdict[truth >= MARGIN] == "safe").any(axis=0)
  assert false.mean() <= 0.05 + tolerance
  wrong = (verdict[truth <= MARGIN] == "not safe").any(axis=0)
  assert wrong.mean() <= 0.05 + tolerance


def test_safe_is_found_where_seeds_are_many() -> None:
  rng = np.random.default_rng(3)
  verdict = _judged(rng.normal(0, 0.004, (3, 10, 500))).verdict
  assert (verdict == "safe").all(axis=0).mean() > 0.95


def _members(levels: list[float], seeds: int) -> list[tuple]:
  return [
    ("magnitude" if level else "dense", level, "none", seed)
    for level in (0.0, *levels)
    for seed in range(seeds)
  ]


def _at(table: pd.DataFrame, **where: object) -> pd.DataFrame:
  for column, value in where.items():
    table = table[table[column] == value]
  return table


def test_table_is_of_the_members_own_numbers(make_splits: MakeSplits) -> None:
  splits = make_splits(_members([0.5, 0.9], 4), examples=300)
  tables = analyze(splits, options=Options(safe_margin=0.05)).tables
  source = tables["bias_amplification"]
  where = {"threshold_rule": "calibrated", "attribute": "B"}
  rows = _at(
    tables["safety"], metric="abs_bias_amplification", identity="G", **where
  ).sort_values("sparsity")
  assert rows["sparsity"].tolist() == [0.5, 0.9]
  for row in rows.itertuples():
    sides = [
      _at(source, sparsity=sparsity, identity="G", **where)
      .sort_values("seed")["bias_amplification"]
      .abs()
      .to_numpy()
      for sparsity in (row.sparsity, 0.0)
    ]
    np.testing.assert_allclose(row.change, np.mean(sides[0] - sides[1]))
    test = scipy.stats.ttest_1samp(
      sides[0] - sides[1], 0.05, alternative="less"
    )
    np.testing.assert_allclose(
      row.upper, test.confidence_interval().high, atol=1e-9
    )
    assert row.n_seeds == 4
    assert row.sentence.startswith(
      "B, |bias amplification| by G = 1 (magnitude, calibrated thresholds, "
      "margin 0.05): "
    )
  logs = _at(tables["attributes"], **where)
  change = [
    _at(logs, sparsity=sparsity)["tcb"].map(lambda one: abs(np.log(one))).mean()
    for sparsity in (0.9, 0.0)
  ]
  row = _at(tables["safety"], metric="abs_log_tcb", sparsity=0.9, **where)
  np.testing.assert_allclose(row["change"], change[0] - change[1])
  same = _at(tables["safety"], identity="A", attribute="A")
  assert set(same["verdict"]) == {"not available"}
  assert same["change"].isna().all()


def test_a_collapse_is_neither_safe_nor_lost_from_the_mean(
  make_splits: MakeSplits, edit: Edit
) -> None:
  members = _members([0.9], 5)
  rng = np.random.default_rng(0)

  def barely(logits: np.ndarray) -> np.ndarray:
    logits[5:] = logits[:5] + rng.normal(size=logits[:5].shape) * 0.01
    logits[7, :, 1] = -9.0  # predicts no B at all
    return logits

  splits = edit(make_splits(members, examples=900), "test", "logits", barely)
  safety = analyze(splits, options=Options(safe_margin=0.05)).tables["safety"]
  where = {"threshold_rule": "default", "identity": "G"}
  rows = _at(safety, **where).set_index("attribute")
  assert rows.loc["C", "verdict"] == "safe"
  assert rows.loc["C", "safe_up_to"] == 0.9
  for name in ("B", "(mean)"):
    assert rows.loc[name, "verdict"] == "undecided"
    assert (
      "4 of 5 pairs have a value: cannot be safe" in rows.loc[name, "reason"]
    )
  tcb = _at(safety, metric="abs_log_tcb", attribute="B")
  assert "safe" not in set(_at(tcb, threshold_rule="default")["verdict"])


def test_one_seed_is_undecided_and_no_dense_is_no_row(
  make_splits: MakeSplits,
) -> None:
  table = analyze(make_splits(_members([0.9], 1))).tables["safety"]
  assert set(table["verdict"]) == {"undecided", "not available"}
  undecided = _at(table, verdict="undecided")
  assert undecided["reason"].str.contains("needs two pairs").all()
  assert undecided["sentence"].str.contains("undecided with 1 seed at").all()
  table = analyze(make_splits([("magnitude", 0.9, "none", 0)])).tables["safety"]
  assert table.empty


@pytest.mark.parametrize("margin", [0.0, -1.0, np.inf, np.nan])
def test_margin_is_checked(margin: float) -> None:
  with pytest.raises(InputError, match="safe_margin"):
    Options(safe_margin=margin)
