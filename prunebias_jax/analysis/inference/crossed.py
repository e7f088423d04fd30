"""Members and examples both random: what a test-set mean is worth.

x[k, i] is what member k makes of example i (1 where it is right, say), and
x[k, i] = mean + member k + example i + the rest, all random: two crossed
factors without replication. Everything follows from three sums, so that
members can be streamed.
"""

import dataclasses

import numpy as np
import scipy.stats

from prunebias_jax.analysis.inference.spread import seed_sd

# Sums of squares this small, relative to the values' own, are rounding.
ROUNDING = 1e-13


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExampleSums:
  """All that is needed of x [seed, example, cell]; float64.

  Attributes:
    member_means: [seed, cell], mean over examples.
    examples: [cell], their number n.
    squared_means: [cell], sum over examples of (mean over seeds)^2.
    squares: [cell], sum over seeds and examples of x^2.
  """

  member_means: np.ndarray
  examples: np.ndarray
  squared_means: np.ndarray
  squares: np.ndarray

  @classmethod
  def of(cls, x: np.ndarray) -> "ExampleSums":
    """The sums of float64 [seed, example, cell], at least one of each."""
    return cls(
      member_means=x.mean(axis=1),
      examples=np.full(x.shape[2], float(x.shape[1])),
      squared_means=(x.mean(axis=0) ** 2).sum(axis=0),
      squares=(x**2).sum(axis=(0, 1)),
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Crossed:
  """A mean over members and examples, both random; float64 [cell] each.

  Attributes:
    estimate: the mean.
    se: its standard error.
    df: Satterthwaite's degrees of freedom.
    low: lower end of the t interval.
    high: upper end.
  """

  estimate: np.ndarray
  se: np.ndarray
  df: np.ndarray
  low: np.ndarray
  high: np.ndarray


@dataclasses.dataclass(frozen=True, kw_only=True)
class Decomposition:
  """Where the variance over seeds comes from; float64 [cell] each.

  Attributes:
    observed: variance (ddof 1) over seeds of the metric on this test set.
    test_set: the part that another test set of this size would draw anew.
    distribution: the part that would remain on an endless test set. An
      unbiased estimate: it is negative half the time where there is none.
  """

  observed: np.ndarray
  test_set: np.ndarray
  distribution: np.ndarray


def crossed_interval(sums: ExampleSums, *, level: float = 0.95) -> Crossed:
  """The mean with an interval about other seeds and other test examples.

  With the mean squares of members (df K - 1), examples (n - 1) and the rest
  ((K - 1)(n - 1)),

      SE^2 = (MS_members + MS_examples - MS_rest) / (K n)
           = s_member^2 / K + s_example^2 / n - s_rest^2 / (K n)

  is unbiased for the variance of the mean: the rest is in each of the other
  two, and counts once. Satterthwaite (1946): each mean square varies by
  2 MS^2 / df, so that SE^2 has about

      df = (MS_members + MS_examples - MS_rest)^2
           / sum of MS^2 / df over the three

  degrees of freedom. The subtraction makes that rough where the rest is most
  of it; docs/statistics.md has simulated coverages.

  Args:
    sums: of one population.
    level: coverage of the interval, in (0, 1).

  Returns:
    The interval. All but the estimate is NaN with one seed or one example,
    and where SE^2 is not above 0, which says that it cannot be told.
  """
  seeds = len(sums.member_means)
  n = sums.examples
  estimate = sums.member_means.mean(axis=0)
  members, examples, rest = _mean_squares(sums)
  combined = members + examples - rest
  good = combined > 0  # NaN is not
  se, df, half = np.full((3, len(estimate)), np.nan)
  parts = (
    members**2 / max(seeds - 1, 1)
    + (examples**2 + rest**2 / max(seeds - 1, 1)) / np.maximum(n - 1, 1)
  )[good]
  se[good] = np.sqrt(combined[good] / (seeds * n[good]))
  df[good] = combined[good] ** 2 / parts
  half[good] = se[good] * scipy.stats.t.ppf((1 + level) / 2, df[good])
  return Crossed(
    estimate=estimate,
    se=se,
    df=df,
    low=estimate - half,
    high=estimate + half,
  )


def decompose(sums: ExampleSums) -> Decomposition:
  """Splits the variance over seeds of a mean over test examples.

  With V the observed variance and v the mean over examples of each one's
  variance over seeds, the distribution-wise variance is (n V - v) / (n - 1)
  (Jordan 2023), which is the members' component of variance of the crossed
  design.

  Args:
    sums: of one population.

  Returns:
    The decomposition; all NaN with one seed, the parts with one example.
  """
  seeds = len(sums.member_means)
  n = sums.examples
  missing = np.full(n.shape, np.nan)
  if seeds < 2:
    return Decomposition(
      observed=missing, test_set=missing, distribution=missing
    )
  observed = seed_sd(sums.member_means) ** 2
  of_examples = (sums.squares - seeds * sums.squared_means) / (seeds - 1)
  test_set = np.divide(
    of_examples / np.maximum(n, 1) - observed, n - 1, out=missing, where=n > 1
  )
  return Decomposition(
    observed=observed, test_set=test_set, distribution=observed - test_set
  )


def split_half(
  observed: np.ndarray, first: np.ndarray, second: np.ndarray
) -> Decomposition:
  """The decomposition of any metric, from halves of the test set.

  Disjoint halves share the members but no example: their covariance over
  seeds, averaged over random splits, is the distribution-wise variance. For a
  mean over examples it tends to what `decompose` gives; for other metrics it
  is that of the metric on half a test set. This project's.

  Args:
    observed: float64 [seed, cell], on the whole test set.
    first: float64 [split, seed, cell], on one half of each split.
    second: float64 [split, seed, cell], on the other.

  Returns:
    The decomposition; NaN with one seed.
  """
  seeds, cells = observed.shape
  if seeds < 2:
    missing = np.full(cells, np.nan)
    return Decomposition(
      observed=missing, test_set=missing, distribution=missing
    )
  variance = seed_sd(observed) ** 2
  away = [one - one.mean(axis=1, keepdims=True) for one in (first, second)]
  covariance = (away[0] * away[1]).sum(axis=1) / (seeds - 1)
  distribution = covariance.mean(axis=0)
  return Decomposition(
    observed=variance,
    test_set=variance - distribution,
    distribution=distribution,
  )


def _mean_squares(
  sums: ExampleSums,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Of members, examples and the rest: float64 [cell] each.

  NaN with one seed or one example.
  """
  seeds = len(sums.member_means)
  n = sums.examples
  missing = np.full(n.shape, np.nan)
  if seeds < 2:
    return missing, missing, missing
  grand = sums.member_means.mean(axis=0)
  members = n * (seeds - 1) * seed_sd(sums.member_means) ** 2
  size = seeds * sums.squared_means
  examples = size - seeds * n * grand**2
  examples = np.where(examples <= ROUNDING * size, 0.0, examples)
  rest = sums.squares - size - members
  rest = np.where(rest <= ROUNDING * sums.squares, 0.0, rest)
  degrees = np.where(n > 1, n - 1, np.nan)
  return (
    np.where(n > 1, members / (seeds - 1), np.nan),
    examples / degrees,
    rest / ((seeds - 1) * degrees),
  )
