from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
import numpy as np
import pytest
import scipy.stats

from prunebias_jax.analysis.inference import bootstrap_interval, sd_interval
from prunebias_jax.errors import InputError

STATISTICS = {
  "mean": np.mean,
  "sd": lambda x, axis: np.std(x, axis=axis, ddof=1),
}


def _cells(seeds: int) -> np.ndarray:
  """Normal, skewed, far from 0, of very different sizes."""
  rng = np.random.default_rng(seeds)
  return np.stack(
    [
      rng.normal(size=seeds),
      rng.lognormal(size=seeds),
      0.9 + 1e-4 * rng.normal(size=seeds),
      1e6 * rng.standard_t(2, size=seeds),
      1e-6 * rng.gamma(0.5, size=seeds),
    ],
    axis=1,
  )


@pytest.mark.parametrize("seeds", [12, 20, 33])
@pytest.mark.parametrize("statistic", ["mean", "sd"])
@pytest.mark.parametrize("method", ["percentile", "bca"])
@pytest.mark.parametrize("level", [0.8, 0.95])
def test_equals_scipy_with_the_same_draws(
  seeds: int, statistic: str, method: str, level: float
) -> None:
  values = _cells(seeds)
  found = bootstrap_interval(
    values,
    statistic=statistic,
    method=method,
    level=level,
    draws=999,
    seed=5,
    fewest=3,
  )
  expected = scipy.stats.bootstrap(
    (values,),
    STATISTICS[statistic],
    n_resamples=999,
    confidence_level=level,
    method={"percentile": "percentile", "bca": "BCa"}[method],
    rng=np.random.default_rng(5),
  ).confidence_interval
  estimate = STATISTICS[statistic](values, axis=0)
  np.testing.assert_allclose(found.estimate, estimate, rtol=1e-12)
  np.testing.assert_allclose(found.low, expected.low, rtol=1e-9)
  np.testing.assert_allclose(found.high, expected.high, rtol=1e-9)


@pytest.mark.parametrize("seeds", [4, 32])
@pytest.mark.parametrize("statistic", ["mean", "sd"])
def test_equals_scipy_where_draws_tie_with_the_estimate(
  statistic: str, seeds: int
) -> None:
  # Three values, exact in binary: many draws have the very mean observed.
  rng = np.random.default_rng(1)
  values = rng.choice([0.25, 0.5, 0.625], (seeds, 4))
  values[:3] = [[0.25], [0.5], [0.625]]
  found = bootstrap_interval(
    values, statistic=statistic, method="bca", fewest=4
  )
  for cell in range(4):
    expected = scipy.stats.bootstrap(
      (values[:, cell],),
      STATISTICS[statistic],
      method="BCa",
      rng=np.random.default_rng(0),
    ).confidence_interval
    np.testing.assert_allclose(found.low[cell], expected.low, atol=1e-9)
    np.testing.assert_allclose(found.high[cell], expected.high, atol=1e-9)


def test_few_seeds_have_no_interval_unless_asked_for() -> None:
  values = _cells(19)
  found = bootstrap_interval(values, statistic="sd", method="bca", draws=99)
  np.testing.assert_allclose(found.estimate, values.std(axis=0, ddof=1))
  assert np.isnan([found.low, found.high]).all()
  asked = bootstrap_interval(
    values, statistic="sd", method="bca", draws=99, fewest=19
  )
  assert np.isfinite([asked.low, asked.high]).all()


@pytest.mark.parametrize("seeds", [1, 2, 25])
@pytest.mark.parametrize("statistic", ["mean", "sd"])
def test_no_interval_without_spread(seeds: int, statistic: str) -> None:
  # Equal up to rounding.
  values = np.full((seeds, 1), 0.3)
  values[0] = 0.1 + 0.2
  found = bootstrap_interval(
    values, statistic=statistic, method="bca", fewest=1, draws=99
  )
  assert np.isnan([found.low, found.high]).all()
  same = sd_interval(values).estimate
  expected = values.mean(axis=0) if statistic == "mean" else same
  np.testing.assert_array_equal(found.estimate, expected)


@settings(deadline=None, max_examples=20)
@given(
  hnp.arrays(np.float64, (20, 2), elements=st.integers(-40, 40)),
  st.sampled_from(["mean", "sd"]),
  st.sampled_from(["percentile", "bca"]),
)
def test_moves_and_stretches_with_the_values(
  values: np.ndarray, statistic: str, method: str
) -> None:
  def ends(shown: np.ndarray) -> np.ndarray:
    found = bootstrap_interval(
      shown, statistic=statistic, method=method, draws=199
    )
    return np.stack([found.low, found.high])

  shift = 7.0 if statistic == "mean" else 0.0
  np.testing.assert_allclose(
    ends(4 * values + 7), 4 * ends(values) + shift, atol=1e-9
  )


def test_draws_of_equal_seeds_have_no_spread() -> None:
  values = np.full((20, 1), 0.3)
  values[0] = 0.9
  found = bootstrap_interval(values, statistic="sd", method="percentile")
  assert found.low == [0]


def test_unknown_names_are_refused() -> None:
  with pytest.raises(InputError, match="unknown statistic 'median'"):
    bootstrap_interval(_cells(20), statistic="median", method="bca")
  with pytest.raises(InputError, match="unknown method 't'"):
    bootstrap_interval(_cells(20), statistic="mean", method="t")
