"""What scripts/simulate_inference shows, with fewer replicates: the gate.

Bounds are coverage .95 +- .02 and size .05 +- .015 (discrete tests: at most
.065), each widened by three standard errors of a binomial share.
"""

from collections.abc import Callable
from pathlib import Path
import subprocess
import sys

import numpy as np
import pytest

from prunebias_jax.analysis.inference import (
  POOR,
  ExampleSums,
  Interval,
  bootstrap_interval,
  crossed_interval,
  mean_interval,
  paired_contrast,
  pitman_morgan,
  sd_interval,
  simulated_coverage,
  spread_trend,
  unlike_normal,
)
from prunebias_jax.analysis.inference.populations import (
  DISTRIBUTIONS,
  Answers,
  answers,
)

REPLICATES = 4000


def _coverage(low: np.ndarray, high: np.ndarray, truth: np.ndarray) -> float:
  return float(np.mean((low <= truth) & (truth <= high)))


def _assert_covers(interval: Interval, truth: np.ndarray | float) -> None:
  found = _coverage(interval.low, interval.high, np.asarray(truth))
  error = 3 * np.sqrt(0.95 * 0.05 / REPLICATES)
  assert 0.93 - error <= found <= 0.97 + error


def _assert_size(p: np.ndarray, *, discrete: bool = False) -> None:
  assert np.isfinite(p).mean() > 0.99
  found = np.mean(np.nan_to_num(p, nan=1.0) <= 0.05)
  error = 3 * np.sqrt(0.95 * 0.05 / REPLICATES)
  assert found <= 0.065 + error
  assert discrete or found >= 0.035 - error


@pytest.fixture(scope="module", params=[5, 10, 30])
def made(request: pytest.FixtureRequest) -> Answers:
  """Members that differ by a point, and 200 examples; two equal levels."""
  return answers(
    np.random.default_rng(request.param),
    seeds=request.param,
    examples=200,
    cells=REPLICATES,
    member_sds=(0.1, 0.1),
  )


def test_intervals_over_seeds_cover_on_a_fixed_test_set(made: Answers) -> None:
  compressed, dense = made.right.mean(axis=2)
  _assert_covers(mean_interval(compressed), made.given[0])
  _assert_covers(sd_interval(compressed), made.given_sd[0])
  contrast = paired_contrast(compressed, dense)
  _assert_covers(contrast.difference, 0.0)
  _assert_size(contrast.t_p)


def test_equal_spreads_are_rarely_called_unequal(made: Answers) -> None:
  compressed, dense = made.right.mean(axis=2)
  ratio = pitman_morgan(compressed, dense)
  _assert_size(ratio.p)
  limits = Interval(estimate=ratio.ratio, low=ratio.low, high=ratio.high)
  _assert_covers(limits, 1.0)


def test_crossed_interval_covers_where_examples_are_random_too(
  made: Answers,
) -> None:
  crossed = crossed_interval(ExampleSums.of(made.right[0]))
  both = Interval(estimate=crossed.estimate, low=crossed.low, high=crossed.high)
  _assert_covers(both, made.mean[0])
  # The t interval is about this test set only.
  alone = mean_interval(made.right[0].mean(axis=1))
  assert _coverage(alone.low, alone.high, made.mean[0]) < 0.85


def test_the_stated_truth_is_that_of_the_answers() -> None:
  rng = np.random.default_rng(0)
  made = answers(
    rng,
    seeds=200,
    examples=400,
    cells=50,
    member_sds=(0.3,),
    eases=(1.0,),
  )
  rates = made.right[0].mean(axis=1)
  error = rates.std(axis=0) / np.sqrt(200)
  assert np.mean(np.abs(rates.mean(axis=0) - made.given[0]) < 2 * error) > 0.8
  np.testing.assert_allclose(
    rates.var(axis=0).mean(), np.mean(made.given_sd**2), rtol=0.05
  )
  # An endless test set leaves the members only.
  large = answers(
    rng,
    seeds=500,
    examples=20_000,
    cells=1,
    member_sds=(0.3,),
    eases=(1.0,),
  )
  rates = large.right[0].mean(axis=1)
  np.testing.assert_allclose(rates.mean(), large.mean[0], atol=0.01)
  np.testing.assert_allclose(rates.var(), large.distribution[0], rtol=0.2)


@pytest.mark.parametrize("seeds", [5, 10, 30])
def test_ratio_of_variances_covers_under_normal_seeds(seeds: int) -> None:
  rng = np.random.default_rng(seeds)
  shared, one, two = rng.normal(size=(3, seeds, REPLICATES))
  dense = shared + one
  for ratio in (1.0, 4.0):
    found = pitman_morgan(np.sqrt(ratio) * (shared + two), dense)
    limits = Interval(estimate=found.ratio, low=found.low, high=found.high)
    _assert_covers(limits, ratio)
    if ratio == 1:
      _assert_size(found.p)


@pytest.mark.parametrize("seeds", [10, 30])
@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_discrete_tests_keep_their_size_whatever_the_seeds(
  seeds: int, name: str
) -> None:
  rng = np.random.default_rng(seeds)
  one, two = (DISTRIBUTIONS[name](rng, (seeds, REPLICATES)) for _ in range(2))
  result = paired_contrast(one, two)
  _assert_size(result.signflip_p, discrete=True)
  _assert_size(result.wilcoxon_p, discrete=True)


def _unrelated(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
  return rng.normal(size=shape)


def _chained(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
  """Levels whose neighbours are alike, r = .9."""
  values = rng.normal(size=shape)
  for level in range(1, len(values)):
    own = np.sqrt(1 - 0.9**2) * values[level]
    values[level] = 0.9 * values[level - 1] + own
  return values


@pytest.mark.parametrize("seeds", [6, 10, 30])
@pytest.mark.parametrize("draw", [_unrelated, _chained])
def test_trend_keeps_its_size_also_where_neighbours_are_alike(
  seeds: int,
  draw: Callable[[np.random.Generator, tuple[int, ...]], np.ndarray],
) -> None:
  values = draw(np.random.default_rng(seeds), (5, seeds, REPLICATES))
  _assert_size(spread_trend(values).p, discrete=True)


@pytest.mark.parametrize("statistic", ["mean", "sd"])
@pytest.mark.parametrize("method", ["percentile", "bca"])
def test_the_bootstraps_known_coverage_is_what_is_simulated(
  statistic: str, method: str
) -> None:
  rng = np.random.default_rng(0)
  values = rng.normal(size=(20, 2000))
  found = bootstrap_interval(
    values, statistic=statistic, method=method, draws=999
  )
  covered = _coverage(found.low, found.high, np.float64(statistic == "sd"))
  known = simulated_coverage(method, statistic, 20)
  assert abs(covered - known) < 0.025


def test_known_coverage_is_that_of_the_next_fewer_seeds() -> None:
  assert simulated_coverage("t", "mean", 2) > POOR
  assert simulated_coverage("percentile", "sd", 4) == 0
  assert simulated_coverage("percentile", "sd", 29) < POOR
  assert simulated_coverage("percentile", "sd", 29) == simulated_coverage(
    "percentile", "sd", 20
  )
  assert simulated_coverage("bca", "sd", 500) > POOR


@pytest.mark.parametrize("seeds", [4, 10, 50])
def test_normal_seeds_are_rarely_marked(seeds: int) -> None:
  values = 0.9 + 1e-3 * np.random.default_rng(1).normal(size=(seeds, 4000))
  assert 0.003 < np.mean(unlike_normal(values)) < 0.02


def test_seeds_of_which_one_collapsed_are_marked() -> None:
  values = np.random.default_rng(0).normal(size=(10, 200))
  values[3] -= 40
  assert unlike_normal(values).all()
  assert unlike_normal(-values).all()


def test_nothing_is_marked_without_seeds_or_spread() -> None:
  values = np.full((8, 1), 0.3)
  values[0] = 0.1 + 0.2
  assert not unlike_normal(values).any()
  assert not unlike_normal(np.array([[0.0], [0.0], [9.0]])).any()


@pytest.mark.slow
def test_the_script_prints_its_tables() -> None:
  script = Path(__file__).parents[2] / "scripts" / "simulate_inference"
  done = subprocess.run(
    [sys.executable, script, "--replicates", "20"],
    capture_output=True,
    text=True,
    check=True,
  )
  tables = [part for part in done.stdout.split("\n\n") if part[0] == "|"]
  assert len(tables) == 9
  for table in tables:
    columns = {line.count("|") for line in table.strip().splitlines()}
    assert len(columns) == 1
