from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest
import scipy.stats
from statsmodels.stats.power import TTestPower

from prunebias_jax.analysis.inference import (
  detectable,
  paired_contrast,
  power_of,
  seeds_needed,
)
from prunebias_jax.errors import InputError


@pytest.mark.parametrize("seeds", [2, 3, 5, 30, 192])
@pytest.mark.parametrize("level", [0.9, 0.95, 0.99])
def test_power_equals_statsmodels(seeds: int, level: float) -> None:
  sd = np.array([0.5, 1.0, 3.0, 20.0])
  found = power_of(sd, 1.5, seeds, level=level)
  for cell in range(len(sd)):
    test = TTestPower()
    effect = 1.5 / sd[cell]
    expected = test.power(effect, seeds, (1 - level) / 2, alternative="larger")
    if effect * seeds**0.5 < 5:  # its other tail is NaN where it is nothing
      expected = test.power(effect, seeds, 1 - level)
    np.testing.assert_allclose(found[cell], expected, rtol=1e-9)


def test_power_equals_an_integral_over_the_chi_square() -> None:
  """Not by anybody's noncentral t."""
  seeds, effect = 6, 1.3
  bound = scipy.stats.t.ppf(0.975, seeds - 1)
  shares = (np.arange(200_000) + 0.5) / 200_000
  root = np.sqrt(scipy.stats.chi2.ppf(shares, seeds - 1) / (seeds - 1))
  shift = effect * np.sqrt(seeds)
  upper = scipy.stats.norm.sf(bound * root - shift)
  lower = scipy.stats.norm.cdf(-bound * root - shift)
  found = power_of(np.array([1.0]), effect, seeds)
  np.testing.assert_allclose(found, np.mean(upper + lower), rtol=1e-6)


@pytest.mark.parametrize("power", [0.5, 0.8, 0.95])
def test_seeds_needed_is_the_first_that_suffices(power: float) -> None:
  sd = np.concatenate([np.linspace(0.05, 3, 40), [40.0, 300.0, 1e5]])
  found = seeds_needed(sd, 1.0, power=power)
  assert np.all(found >= 2)
  assert np.all(power_of(sd, 1.0, found) >= power)
  more = found > 2
  assert np.all(power_of(sd[more], 1.0, found[more] - 1) < power)


@pytest.mark.parametrize("seeds", [2, 3, 10, 192])
def test_detectable_has_the_power_asked_for(seeds: int) -> None:
  sd = np.array([1e-4, 1.0, 50.0])
  for power, level in ((0.8, 0.95), (0.99, 0.9)):
    deltas = detectable(sd, seeds, power=power, level=level)
    for cell in range(3):
      found = power_of(sd[[cell]], deltas[cell], seeds, level=level)
      np.testing.assert_allclose(found, power, atol=1e-9)


@settings(deadline=None, max_examples=40)
@given(st.integers(2, 60), st.sampled_from([0.6, 0.8, 0.99]))
def test_what_is_detectable_needs_as_many_seeds(
  seeds: int, power: float
) -> None:
  sd = np.array([2.0])
  delta = detectable(sd, seeds, power=power)[0]
  assert seeds_needed(sd, delta * (1 + 1e-9), power=power) == seeds
  if seeds > 2:
    assert seeds_needed(sd, delta * (1 - 1e-6), power=power) == seeds + 1


def test_each_cell_may_have_its_own_number_of_seeds() -> None:
  sd = np.array([1.0, 1.0, 1.0, np.nan, 0.0])
  seeds = np.array([1, 5, 30, 5, 5])
  found = detectable(sd, seeds)
  np.testing.assert_array_equal(np.isnan(found), [1, 0, 0, 1, 1])
  np.testing.assert_allclose(found[1], detectable(sd[:1], 5)[0])
  np.testing.assert_allclose(found[2], detectable(sd[:1], 30)[0])


def test_more_seeds_than_can_be_counted_are_infinite() -> None:
  needed = seeds_needed(np.array([1e5, 1e8, 1e17, 1e300]), 1.0)
  assert np.isfinite(needed[0])
  assert np.all(np.isposinf(needed[1:]))


def test_a_spread_that_was_not_seen_tells_nothing() -> None:
  sd = np.array([0.0, np.nan, 1.0])
  for found in (seeds_needed(sd, 0.5), power_of(sd, 0.5, 9)):
    np.testing.assert_array_equal(np.isnan(found), [True, True, False])


@pytest.mark.parametrize("delta", [0.0, -1.0, np.nan, np.inf])
def test_a_change_that_is_not_above_zero_is_refused(delta: float) -> None:
  with pytest.raises(InputError, match="delta"):
    seeds_needed(np.ones(1), delta)
  with pytest.raises(InputError, match="delta"):
    power_of(np.ones(1), delta, 5)


@pytest.mark.parametrize("power", [0.0, 0.05, 1.0, np.nan])
def test_a_power_that_no_test_has_is_refused(power: float) -> None:
  with pytest.raises(InputError, match=r"accepted: above 0\.05 and below 1"):
    detectable(np.ones(1), 5, power=power)


@pytest.mark.parametrize("seeds", [3, 10])
def test_power_is_the_share_of_simulated_rejections(seeds: int) -> None:
  rng = np.random.default_rng(seeds)
  delta = detectable(np.array([2.0]), seeds)[0]
  values = rng.normal(delta, 2.0, (seeds, 4000))
  result = paired_contrast(values, np.zeros(values.shape))
  assert abs(np.mean(result.t_p <= 0.05) - 0.8) < 4 * np.sqrt(0.16 / 4000)
