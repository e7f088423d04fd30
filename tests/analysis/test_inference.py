import itertools

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
import numpy as np
import pytest
import scipy.stats
import statsmodels.stats.weightstats

from prunebias_jax.analysis import mean_interval, paired_contrast, sd_interval
from prunebias_jax.analysis.inference import fewest_pairs, signflip, wilcoxon


def _pairs(
  seeds: int, cells: int = 6, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
  rng = np.random.default_rng(seed)
  dense = rng.normal(size=(seeds, cells))
  shift = np.linspace(-1, 1, cells)
  return dense + shift + 0.5 * rng.normal(size=dense.shape), dense


@pytest.mark.parametrize("seeds", [2, 5, 30])
@pytest.mark.parametrize("level", [0.9, 0.95])
def test_mean_interval_equals_statsmodels(seeds: int, level: float) -> None:
  values = _pairs(seeds)[0]
  result = mean_interval(values, level=level)
  oracle = statsmodels.stats.weightstats.DescrStatsW(values)
  low, high = oracle.tconfint_mean(1 - level)
  np.testing.assert_allclose(result.estimate, values.mean(axis=0))
  np.testing.assert_allclose(result.low, low)
  np.testing.assert_allclose(result.high, high)


@pytest.mark.parametrize("seeds", [2, 5, 30])
def test_sd_interval_equals_the_textbook_formula(seeds: int) -> None:
  values = _pairs(seeds)[0]
  result = sd_interval(values, level=0.9)
  for cell in range(values.shape[1]):
    variance = np.var(values[:, cell], ddof=1)
    chi2 = scipy.stats.chi2(seeds - 1)
    np.testing.assert_allclose(result.estimate[cell], variance**0.5)
    np.testing.assert_allclose(
      [result.low[cell], result.high[cell]],
      [
        ((seeds - 1) * variance / chi2.ppf(0.95)) ** 0.5,
        ((seeds - 1) * variance / chi2.ppf(0.05)) ** 0.5,
      ],
    )


def test_one_seed_has_a_mean_and_no_interval() -> None:
  values = np.array([[0.25, 0.5]])
  mean, sd = mean_interval(values), sd_interval(values)
  np.testing.assert_array_equal(mean.estimate, values[0])
  for missing in (mean.low, mean.high, sd.estimate, sd.low, sd.high):
    assert np.isnan(missing).all()


def test_equal_seeds_have_an_sd_of_exactly_zero() -> None:
  values = np.array([[0.1 + 0.2], [0.3], [0.3]])
  assert sd_interval(values).estimate == [0]


def test_equal_seeds_make_no_interval() -> None:
  values = np.full((5, 1), 0.3)
  for interval in (mean_interval(values), sd_interval(values)):
    assert np.isfinite(interval.estimate).all()
    assert np.isnan(interval.low).all()
    assert np.isnan(interval.high).all()
  shifted = paired_contrast(values - 0.1, values)
  assert shifted.sd == [0]
  assert np.isnan(shifted.difference.low).all()
  assert np.isnan(shifted.difference.high).all()


@pytest.mark.parametrize("seeds", [2, 7, 20])
def test_contrast_equals_scipy(seeds: int) -> None:
  compressed, dense = _pairs(seeds)
  result = paired_contrast(compressed, dense, level=0.9)
  oracle = scipy.stats.ttest_rel(compressed, dense)
  interval = oracle.confidence_interval(0.9)
  np.testing.assert_allclose(result.t_p, oracle.pvalue)
  np.testing.assert_allclose(result.difference.low, interval.low)
  np.testing.assert_allclose(result.difference.high, interval.high)
  np.testing.assert_allclose(result.sd, (compressed - dense).std(0, ddof=1))
  if seeds >= 3:
    expected = scipy.stats.pearsonr(compressed, dense, axis=0).statistic
    np.testing.assert_allclose(result.correlation, expected)


@pytest.mark.parametrize("seeds", [6, 9])
def test_signflip_equals_a_loop_and_scipy(seeds: int) -> None:
  compressed, dense = _pairs(seeds)
  differences = compressed - dense
  oracle = scipy.stats.permutation_test(
    (compressed, dense),
    lambda x, y, axis: np.abs(np.mean(x - y, axis=axis)),
    permutation_type="samples",
    alternative="greater",
    n_resamples=np.inf,
    vectorized=True,
  )
  found = signflip(differences)
  np.testing.assert_allclose(found, oracle.pvalue)
  arrangements = list(itertools.product((1, -1), repeat=seeds))
  for cell, d in enumerate(differences.T):
    reached = abs(d.sum()) - 1e-12
    hits = sum(abs(np.dot(signs, d)) >= reached for signs in arrangements)
    assert found[cell] == hits / len(arrangements)


def test_signflip_counts_tied_sums_whatever_their_rounding() -> None:
  # Half of the arrangements of equal sizes tie with others; +-.1 adds up
  # differently in different orders.
  differences = np.array([[0.1], [0.1], [0.1], [0.1], [0.1], [-0.1]])
  assert signflip(differences) == [14 / 64]


def test_signflip_of_many_seeds_is_near_the_normal_limit() -> None:
  compressed, dense = _pairs(30)
  found = signflip(compressed - dense)
  expected = scipy.stats.ttest_rel(compressed, dense).pvalue
  np.testing.assert_allclose(found, expected, atol=0.02)
  np.testing.assert_array_equal(found, signflip(compressed - dense))
  assert np.all(found >= 1 / 10_000)


@pytest.mark.parametrize("seeds", [6, 10])
def test_wilcoxon_equals_scipy_exact(seeds: int) -> None:
  compressed, dense = _pairs(seeds)
  expected = scipy.stats.wilcoxon(compressed, dense, method="exact", axis=0)
  np.testing.assert_allclose(wilcoxon(compressed - dense), expected.pvalue)


def test_wilcoxon_with_ties_and_zeros_equals_scipy_by_permutation() -> None:
  rng = np.random.default_rng(3)
  differences = rng.integers(-3, 5, (8, 12)) / 8
  method = scipy.stats.PermutationMethod(n_resamples=np.inf)
  found = wilcoxon(differences)
  for cell, d in enumerate(differences.T):
    expected = scipy.stats.wilcoxon(d[d != 0], method=method).pvalue
    np.testing.assert_allclose(found[cell], expected)


def test_wilcoxon_of_many_seeds_equals_scipys_approximation() -> None:
  rng = np.random.default_rng(4)
  differences = np.round(rng.normal(0.2, 1, (30, 5)), 1)
  expected = [
    scipy.stats.wilcoxon(d, method="asymptotic").pvalue for d in differences.T
  ]
  np.testing.assert_allclose(wilcoxon(differences), expected)


@pytest.mark.parametrize("seeds", [8, 20])
def test_no_difference_at_all(seeds: int) -> None:
  dense = _pairs(seeds)[1]
  result = paired_contrast(dense, dense)
  np.testing.assert_array_equal(result.difference.estimate, 0)
  np.testing.assert_array_equal(result.nonzero, 0)
  assert np.isnan(result.signflip_p).all()
  assert np.isnan(result.wilcoxon_p).all()
  np.testing.assert_array_equal(signflip(dense - dense), 1)
  np.testing.assert_array_equal(wilcoxon(dense - dense), 1)
  np.testing.assert_allclose(result.correlation, 1)
  assert np.isnan(result.t_p).all()


def test_differences_that_agree_up_to_rounding_have_no_spread() -> None:
  dense = np.arange(1, 8)[:, None] / 10
  result = paired_contrast(dense - 0.1, dense)
  assert result.sd == [0]
  assert np.isnan(result.t_p).all()
  # All seven lie on one side, and are one tie.
  np.testing.assert_allclose(result.wilcoxon_p, 2 / 2**7)
  np.testing.assert_allclose(result.signflip_p, 2 / 2**7)


def test_discrete_tests_start_where_they_can_reach_one_in_twenty() -> None:
  assert fewest_pairs() == 6
  for seeds, available in ((1, False), (5, False), (6, True)):
    result = paired_contrast(*_pairs(seeds))
    for p in (result.signflip_p, result.wilcoxon_p):
      assert np.isfinite(p).all() == available
  one_sided = np.ones((6, 1))
  assert signflip(one_sided) == [2 / 64]
  assert signflip(one_sided) <= 0.05 < signflip(one_sided[1:])


def test_pairs_without_a_difference_do_not_count_towards_the_fewest() -> None:
  differences = np.zeros((20, 2))
  differences[:5, 0] = 1
  differences[:6, 1] = 1
  result = paired_contrast(differences, np.zeros((20, 2)))
  np.testing.assert_array_equal(result.nonzero, [5, 6])
  np.testing.assert_array_equal(np.isnan(result.wilcoxon_p), [True, False])
  np.testing.assert_array_equal(np.isnan(result.signflip_p), [True, False])


def test_zeros_do_not_turn_the_exact_tests_into_approximations() -> None:
  rng = np.random.default_rng(2)
  few = rng.choice([-2.0, -1.0, 1.0, 3.0], (8, 20))
  many = np.zeros((20, 20))
  for cell in range(20):
    many[rng.permutation(20)[:8], cell] = few[:, cell]
  np.testing.assert_allclose(wilcoxon(many), wilcoxon(few))
  np.testing.assert_allclose(signflip(many), signflip(few))
  # All on one side is the most that eight differences can say.
  one_sided = np.zeros((20, 1))
  one_sided[:8] = 1
  assert wilcoxon(one_sided) == [2 / 2**8]


def test_tied_rates_stay_tied_whatever_their_rounding() -> None:
  # Of 5120 examples: 49 and 98 more or fewer right.
  compressed = np.array([5120, 3199, 3188, 4504, 4990, 4729, 4407])
  dense = np.array([5071, 3150, 3090, 4455, 4892, 4680, 4456])
  result = paired_contrast(compressed[:, None] / 5120, dense[:, None] / 5120)
  expected = wilcoxon((compressed - dense)[:, None].astype(float))
  assert result.wilcoxon_p == expected == [0.09375]


def test_correlation_needs_three_pairs_and_spread() -> None:
  assert np.isnan(paired_contrast(*_pairs(2)).correlation).all()
  compressed, dense = _pairs(5)
  dense[:, 0] = 0.5
  correlation = paired_contrast(compressed, dense).correlation
  assert np.isnan(correlation[0])
  assert np.isfinite(correlation[1:]).all()


@settings(deadline=None, max_examples=40)
@given(
  hnp.arrays(
    np.int64,
    st.tuples(st.integers(6, 8), st.just(2)),
    elements=st.integers(-50, 50),
  )
)
def test_tests_do_not_care_which_side_is_called_dense(
  differences: np.ndarray,
) -> None:
  values = differences / 100
  zeros = np.zeros(values.shape)
  forward = paired_contrast(values, zeros)
  backward = paired_contrast(zeros, values)
  np.testing.assert_array_equal(forward.signflip_p, backward.signflip_p)
  np.testing.assert_array_equal(forward.wilcoxon_p, backward.wilcoxon_p)
  enough = np.count_nonzero(differences, axis=0) >= fewest_pairs()
  np.testing.assert_array_equal(np.isfinite(forward.signflip_p), enough)
  given_p = forward.signflip_p[enough]
  assert np.all((given_p > 0) & (given_p <= 1))


@pytest.mark.parametrize("seeds", [2, 5, 10])
def test_intervals_cover_as_often_as_they_say_under_normal_seeds(
  seeds: int,
) -> None:
  replicates = 20_000
  rng = np.random.default_rng(seeds)
  values = rng.normal(3.0, 2.0, (seeds, replicates))
  # Five standard errors of a binomial share.
  tolerance = 5 * np.sqrt(0.95 * 0.05 / replicates)
  for interval, truth in (
    (mean_interval(values), 3.0),
    (sd_interval(values), 2.0),
  ):
    covered = np.mean((interval.low <= truth) & (truth <= interval.high))
    assert abs(covered - 0.95) < tolerance


@pytest.mark.parametrize("seeds", [6, 9, 14, 20])
@pytest.mark.parametrize("share", [0.25, 0.5, 1.0])
def test_discrete_tests_keep_their_size_with_zeros_and_ties(
  seeds: int, share: float
) -> None:
  """Under an exchangeable null, every difference being of one size."""
  rng = np.random.default_rng(seeds)
  differences = rng.choice([-0.125, 0.125], (seeds, 2000))
  differences[rng.random(differences.shape) > share] = 0
  result = paired_contrast(differences, np.zeros(differences.shape))
  for p in (result.signflip_p, result.wilcoxon_p):
    assert np.mean(np.nan_to_num(p, nan=1.0) <= 0.05) <= 0.065


@pytest.mark.parametrize("seeds", [5, 10])
def test_normal_differences_have_their_coverage_and_size(seeds: int) -> None:
  rng = np.random.default_rng(seeds)
  values = rng.normal(0.0, 2.0, (seeds, 4000))
  result = paired_contrast(values, np.zeros(values.shape))
  covered = (result.difference.low <= 0) & (result.difference.high >= 0)
  assert abs(np.mean(covered) - 0.95) < 0.02
  assert abs(np.mean(result.t_p <= 0.05) - 0.05) < 0.015


def test_tests_have_their_size_under_the_null() -> None:
  compressed, dense = np.random.default_rng(0).normal(size=(2, 8, 4000))
  result = paired_contrast(compressed, dense)
  tolerance = 5 * np.sqrt(0.05 * 0.95 / 4000)
  assert abs(np.mean(result.t_p <= 0.05) - 0.05) < tolerance
  assert np.mean(result.signflip_p <= 0.05) < 0.05 + tolerance
  assert np.mean(result.wilcoxon_p <= 0.05) < 0.05 + tolerance
