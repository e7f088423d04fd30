"""Spread of two populations and of several levels; Welch."""

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
import numpy as np
import pytest
import scipy.stats

from prunebias_jax.analysis.inference import (
  brown_forsythe,
  fewest_trend_seeds,
  pitman_morgan,
  spread_trend,
  welch,
)
from prunebias_jax.errors import InputError


def _pairs(seeds: int, cells: int = 6) -> tuple[np.ndarray, np.ndarray]:
  rng = np.random.default_rng(seeds)
  dense = 0.9 + 0.01 * rng.normal(size=(seeds, cells))
  share = np.linspace(-2, 2, cells)
  return share * dense + 0.02 * rng.normal(size=dense.shape), dense


@pytest.mark.parametrize("seeds", [3, 5, 30])
def test_pitman_morgan_is_the_correlation_of_sums_and_differences(
  seeds: int,
) -> None:
  compressed, dense = _pairs(seeds)
  found = pitman_morgan(compressed, dense)
  ratio = compressed.var(axis=0, ddof=1) / dense.var(axis=0, ddof=1)
  np.testing.assert_allclose(found.ratio, ratio, rtol=1e-9)
  oracle = scipy.stats.pearsonr(compressed - dense, compressed + dense, axis=0)
  np.testing.assert_allclose(found.p, oracle.pvalue, rtol=1e-9)


@pytest.mark.parametrize("level", [0.8, 0.95])
@pytest.mark.parametrize("seeds", [3, 5, 30])
def test_pitman_morgan_interval_holds_the_ratios_that_are_not_rejected(
  seeds: int, level: float
) -> None:
  compressed, dense = _pairs(seeds)
  found = pitman_morgan(compressed, dense, level=level)
  for end in (found.low, found.high):
    scaled = compressed / np.sqrt(end)
    p = scipy.stats.pearsonr(scaled - dense, scaled + dense, axis=0).pvalue
    np.testing.assert_allclose(p, 1 - level, rtol=1e-6)
  assert np.all((found.low < found.ratio) & (found.ratio < found.high))


def test_pitman_morgan_without_enough_to_judge_by() -> None:
  rng = np.random.default_rng(0)
  dense = rng.normal(size=(6, 4))
  compressed = rng.normal(size=(6, 4))
  dense[:, 0] = 0.3
  compressed[:, 1] = 0.3
  compressed[:, 2] = 1 - 2 * dense[:, 2]
  found = pitman_morgan(compressed, dense)
  np.testing.assert_allclose(found.ratio[:3], [np.nan, 0, 4])
  for missing in (found.low, found.high, found.p):
    np.testing.assert_array_equal(np.isnan(missing), [1, 1, 1, 0])
  two = pitman_morgan(compressed[:2], dense[:2])
  assert np.isnan([two.ratio, two.low, two.high, two.p]).all()


@settings(deadline=None, max_examples=40)
@given(
  hnp.arrays(np.float64, (2, 7, 2), elements=st.integers(-50, 50)),
)
def test_pitman_morgan_turned_around_is_the_inverse(
  values: np.ndarray,
) -> None:
  forward = pitman_morgan(values[0], values[1])
  backward = pitman_morgan(values[1], values[0])
  np.testing.assert_allclose(forward.p, backward.p, rtol=1e-9)
  np.testing.assert_allclose(forward.low * backward.high, 1 + 0 * forward.p)


def _trend_by_loop(values: np.ndarray) -> tuple[float, float]:
  """One cell: [level, seed]."""
  levels, seeds = values.shape
  away = np.abs(values - np.median(values, axis=1)[:, None])
  ranks = np.arange(levels)

  def slope(shown: np.ndarray) -> float:
    x = np.repeat(ranks, seeds)
    return scipy.stats.linregress(x, shown.ravel()).slope

  observed = slope(away)
  hits = 0
  for turned in itertools.product((False, True), repeat=seeds):
    shown = np.where(turned, away[::-1], away)
    hits += abs(slope(shown)) >= abs(observed) - 1e-12
  return observed, hits / 2**seeds


@pytest.mark.parametrize("levels", [2, 3, 5])
@pytest.mark.parametrize("seeds", [6, 7])
def test_trend_equals_a_loop_over_all_arrangements(
  levels: int, seeds: int
) -> None:
  rng = np.random.default_rng(levels)
  values = rng.normal(size=(levels, seeds, 3))
  values *= np.linspace(1, 2, levels)[:, None, None]
  # Many ties, as of a rate of few examples.
  values[:, :, 2] = np.round(values[:, :, 2])
  found = spread_trend(values)
  for cell in range(3):
    slope, p = _trend_by_loop(values[:, :, cell])
    np.testing.assert_allclose(found.slope[cell], slope, atol=1e-12)
    if found.nonzero[cell] >= 6:
      np.testing.assert_allclose(found.p[cell], p)


def test_trend_finds_a_spread_that_grows_and_one_that_shrinks() -> None:
  rng = np.random.default_rng(0)
  growing = rng.normal(size=(4, 30, 50)) * np.arange(1, 5)[:, None, None]
  for values, sign in ((growing, 1), (growing[::-1], -1)):
    found = spread_trend(values)
    assert np.all(np.sign(found.slope) == sign)
    assert np.mean(found.p <= 0.05) > 0.9


def test_trend_needs_seeds_with_a_slope() -> None:
  rng = np.random.default_rng(0)
  five = spread_trend(rng.normal(size=(3, 5, 2)))
  assert five.needs == fewest_trend_seeds(3) == 6
  assert np.isfinite(five.slope).all()
  assert np.isnan(five.p).all()
  values = np.full((3, 8, 2), 0.3)
  values[0] = 0.1 + 0.2
  values[2, :7, 1] += np.arange(7)
  found = spread_trend(values)
  # The median of the last level is that of one seed.
  np.testing.assert_array_equal(found.nonzero, [0, 8])
  np.testing.assert_array_equal(np.isnan(found.p), [True, False])


def test_one_level_has_no_trend() -> None:
  with pytest.raises(InputError, match="1 levels"):
    spread_trend(np.zeros((1, 8, 2)))


@pytest.mark.parametrize(("first", "second"), [(2, 2), (5, 9), (30, 12)])
def test_welch_equals_scipy(first: int, second: int) -> None:
  rng = np.random.default_rng(first)
  one = rng.normal(0.2, 1.0, (first, 5))
  two = rng.normal(0.0, 3.0, (second, 5))
  found = welch(one, two, level=0.9)
  oracle = scipy.stats.ttest_ind(one, two, equal_var=False)
  interval = oracle.confidence_interval(0.9)
  np.testing.assert_allclose(found.p, oracle.pvalue, rtol=1e-9)
  np.testing.assert_allclose(found.df, oracle.df, rtol=1e-9)
  np.testing.assert_allclose(found.difference.low, interval.low, atol=1e-9)
  np.testing.assert_allclose(found.difference.high, interval.high, atol=1e-9)
  np.testing.assert_allclose(
    found.difference.estimate, one.mean(axis=0) - two.mean(axis=0)
  )


def test_welch_without_seeds_or_spread() -> None:
  rng = np.random.default_rng(0)
  one = rng.normal(size=(5, 2))
  alone = welch(one[:1], one)
  assert np.isfinite(alone.difference.estimate).all()
  assert np.isnan([alone.p, alone.df, alone.difference.low]).all()
  one[:, 0] = 0.5
  flat = welch(one, np.full((4, 2), 0.25))
  np.testing.assert_array_equal(np.isnan(flat.p), [True, False])
  np.testing.assert_array_equal(np.isnan(flat.difference.high), [True, False])
  # One side without spread has the degrees of freedom of the other.
  np.testing.assert_allclose(flat.df[1], 4)


@pytest.mark.parametrize(("first", "second"), [(10, 10), (13, 30)])
def test_brown_forsythe_equals_scipy(first: int, second: int) -> None:
  rng = np.random.default_rng(first)
  one = rng.normal(0.2, 1.0, (first, 5))
  two = np.round(rng.normal(0.0, 2.0, (second, 5)), 1)
  found = brown_forsythe(one, two)
  for cell in range(5):
    oracle = scipy.stats.levene(one[:, cell], two[:, cell], center="median")
    np.testing.assert_allclose(found[cell], oracle.pvalue, rtol=1e-9)


def test_brown_forsythe_needs_ten_seeds_and_spread() -> None:
  rng = np.random.default_rng(0)
  one = rng.normal(size=(10, 2))
  assert np.isnan(brown_forsythe(one[:9], one)).all()
  one[:, 0] = 0.5
  found = brown_forsythe(one, np.full((12, 2), 0.25))
  np.testing.assert_array_equal(np.isnan(found), [True, False])
