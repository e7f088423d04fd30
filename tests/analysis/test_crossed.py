import dataclasses
import itertools

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
import numpy as np
import pandas as pd
import pytest
import scipy.stats
from statsmodels.formula.api import ols
from statsmodels.stats.anova import anova_lm

from prunebias_jax.analysis.inference import (
  ExampleSums,
  crossed_interval,
  decompose,
  split_half,
)


def _right(seeds: int, examples: int, cells: int = 4) -> np.ndarray:
  """0/1 of members and examples that both differ: [seed, example, cell]."""
  rng = np.random.default_rng(seeds * examples)
  shape = (seeds, examples, cells)
  latent = rng.normal(size=(1, examples, cells)) * 2
  latent = latent + rng.normal(size=(seeds, 1, cells)) * 0.3
  return (latent + rng.normal(size=shape) > -1).astype(float)


def _anova(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Mean squares and df of seed, example and rest, by regression."""
  seed, example = np.indices(x.shape)
  table = pd.DataFrame(
    {"x": x.ravel(), "seed": seed.ravel(), "example": example.ravel()}
  )
  result = anova_lm(ols("x ~ C(seed) + C(example)", table).fit())
  return result["mean_sq"].to_numpy(), result["df"].to_numpy()


@pytest.mark.parametrize(("seeds", "examples"), [(2, 9), (5, 30), (7, 2)])
def test_crossed_interval_equals_an_analysis_of_variance(
  seeds: int, examples: int
) -> None:
  x = _right(seeds, examples)
  x[:, :, 1] = 40 + np.random.default_rng(0).normal(size=x.shape[:2])
  found = crossed_interval(ExampleSums.of(x), level=0.9)
  for cell in range(x.shape[2]):
    squares, df = _anova(x[:, :, cell])
    terms = squares * [1, 1, -1]
    if terms.sum() <= 0:
      assert np.isnan(found.se[cell])
      continue
    se = np.sqrt(terms.sum() / (seeds * examples))
    degrees = terms.sum() ** 2 / np.sum(terms**2 / df)
    low, high = scipy.stats.t.interval(0.9, degrees, x[:, :, cell].mean(), se)
    np.testing.assert_allclose(found.estimate[cell], x[:, :, cell].mean())
    np.testing.assert_allclose(found.se[cell], se, rtol=1e-8)
    np.testing.assert_allclose(found.df[cell], degrees, rtol=1e-7)
    np.testing.assert_allclose(found.low[cell], low, rtol=1e-7)
    np.testing.assert_allclose(found.high[cell], high, rtol=1e-7)


def test_crossed_standard_error_is_the_form_with_three_variances() -> None:
  x = _right(6, 40)
  member = x.mean(axis=1).var(axis=0, ddof=1)
  example = x.mean(axis=0).var(axis=0, ddof=1)
  rest = (
    x
    - x.mean(axis=1, keepdims=True)
    - x.mean(axis=0, keepdims=True)
    + x.mean(axis=(0, 1))
  )
  inter = (rest**2).sum(axis=(0, 1)) / (5 * 39)
  found = crossed_interval(ExampleSums.of(x))
  np.testing.assert_allclose(
    found.se**2, member / 6 + example / 40 - inter / 240, rtol=1e-9
  )


def test_members_that_agree_leave_the_examples_error() -> None:
  x = np.broadcast_to(_right(1, 50), (4, 50, 4))
  found = crossed_interval(ExampleSums.of(x))
  expected = scipy.stats.sem(x[0], axis=0)
  np.testing.assert_allclose(found.se, expected, rtol=1e-9)
  np.testing.assert_allclose(found.df, 49, rtol=1e-9)


def test_examples_that_agree_leave_the_members_error() -> None:
  x = np.broadcast_to(
    np.random.default_rng(0).normal(size=(6, 1, 3)), (6, 50, 3)
  )
  found = crossed_interval(ExampleSums.of(x))
  np.testing.assert_allclose(found.se, scipy.stats.sem(x[:, 0], axis=0))
  np.testing.assert_allclose(found.df, 5, rtol=1e-9)


def test_no_interval_where_nothing_can_be_told() -> None:
  # A constant, written in two ways.
  same = np.full((4, 50, 1), 0.3)
  same[1] = 0.1 + 0.2
  # Each member errs exactly where the other does not: SE^2 would be negative.
  opposed = np.array([[1.0, 0.0], [0.0, 1.0]])[:, :, None]
  for x in (same, opposed, _right(1, 20), _right(5, 1)):
    sums = ExampleSums.of(x)
    found = crossed_interval(sums)
    np.testing.assert_allclose(found.estimate, x.mean(axis=(0, 1)))
    for missing in (found.se, found.df, found.low, found.high):
      assert np.isnan(missing).all()
  one = decompose(ExampleSums.of(_right(1, 20)))
  assert np.isnan([one.observed, one.test_set, one.distribution]).all()
  alone = decompose(ExampleSums.of(_right(5, 1)))
  assert np.isfinite(alone.observed).all()
  assert np.isnan([alone.test_set, alone.distribution]).all()


def test_cells_may_have_different_numbers_of_examples() -> None:
  x = _right(5, 30)
  short = ExampleSums.of(x[:, :11])
  whole = ExampleSums.of(x)
  mixed = ExampleSums(
    **{
      field.name: np.concatenate(
        [
          getattr(short, field.name)[..., :2],
          getattr(whole, field.name)[..., 2:],
        ],
        axis=-1,
      )
      for field in dataclasses.fields(ExampleSums)
    }
  )
  for function in (crossed_interval, decompose):
    for field in dataclasses.fields(function(mixed)):
      np.testing.assert_array_equal(
        getattr(function(mixed), field.name),
        np.concatenate(
          [
            getattr(function(short), field.name)[:2],
            getattr(function(whole), field.name)[2:],
          ]
        ),
      )


@pytest.mark.parametrize(("seeds", "examples"), [(2, 12), (5, 30), (9, 2)])
def test_decomposition_equals_the_formula(seeds: int, examples: int) -> None:
  x = _right(seeds, examples)
  found = decompose(ExampleSums.of(x))
  observed = x.mean(axis=1).var(axis=0, ddof=1)
  of_examples = x.var(axis=0, ddof=1).mean(axis=0)
  distribution = (examples * observed - of_examples) / (examples - 1)
  np.testing.assert_allclose(found.observed, observed, atol=1e-12)
  np.testing.assert_allclose(found.distribution, distribution, atol=1e-12)
  np.testing.assert_allclose(
    found.test_set + found.distribution, found.observed, atol=1e-12
  )


def _halves(
  examples: int,
) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
  firsts = itertools.combinations(range(examples), examples // 2)
  everyone = set(range(examples))
  return [(one, tuple(everyone - set(one))) for one in firsts]


@settings(deadline=None, max_examples=30)
@given(hnp.arrays(np.float64, (3, 6, 2), elements=st.integers(-9, 9)))
def test_all_halves_of_a_mean_give_its_decomposition(x: np.ndarray) -> None:
  halves = _halves(6)
  first = np.stack([x[:, list(one)].mean(axis=1) for one, _ in halves])
  second = np.stack([x[:, list(two)].mean(axis=1) for _, two in halves])
  found = split_half(x.mean(axis=1), first, second)
  expected = decompose(ExampleSums.of(x))
  for field in dataclasses.fields(found):
    np.testing.assert_allclose(
      getattr(found, field.name), getattr(expected, field.name), atol=1e-9
    )


def test_split_half_equals_a_loop_of_covariances() -> None:
  rng = np.random.default_rng(0)
  observed = rng.normal(size=(5, 3))
  first, second = rng.normal(size=(2, 7, 5, 3))
  found = split_half(observed, first, second)
  for cell in range(3):
    covariance = [
      np.cov(a[:, cell], b[:, cell])[0, 1]
      for a, b in zip(first, second, strict=True)
    ]
    np.testing.assert_allclose(found.distribution[cell], np.mean(covariance))
  np.testing.assert_allclose(found.observed, observed.var(axis=0, ddof=1))
  np.testing.assert_allclose(
    found.test_set, found.observed - found.distribution
  )
  one = split_half(observed[:1], first[:, :1], second[:, :1])
  assert np.isnan([one.observed, one.test_set, one.distribution]).all()


def test_decomposition_is_unbiased() -> None:
  """Also where seeds differ by chance only; then half are negative."""
  rng = np.random.default_rng(0)
  replicates, seeds, examples = 4000, 5, 40
  for sd in (0.0, 0.3):
    difficulty = rng.normal(size=(1, examples, replicates))
    member = sd * rng.normal(size=(seeds, 1, replicates))
    noise = rng.normal(size=(seeds, examples, replicates))
    x = (difficulty + member + noise > 0).astype(float)
    found = decompose(ExampleSums.of(x)).distribution
    # P(right | member) = Phi(member / sqrt 2); its variance by quadrature.
    points = np.linspace(-8, 8, 4001)
    weight = scipy.stats.norm.pdf(points)
    weight /= weight.sum()
    right = scipy.stats.norm.cdf(sd * points / np.sqrt(2))
    truth = weight @ right**2 - (weight @ right) ** 2
    error = found.std() / np.sqrt(replicates)
    assert abs(found.mean() - truth) < 4 * error
    if sd == 0:
      assert 0.4 < np.mean(found < 0) < 0.7
