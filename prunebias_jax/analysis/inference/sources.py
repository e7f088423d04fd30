"""Where the variance over seeds comes from, in a crossed design.

One member for each combination of, say, an initialisation and a data order.
Components by the ANOVA method of moments (Searle, Casella and McCulloch 1992,
chapter 4): unbiased, so that they may be negative.
"""

from collections.abc import Sequence
import dataclasses
import itertools
import math

import numpy as np

from prunebias_jax.errors import InputError

FEWEST_LEVELS = 3


@dataclasses.dataclass(frozen=True, kw_only=True)
class Components:
  """Components of variance, a row for each source.

  Attributes:
    sources: the factors' names, then their interactions ("init*order"); the
      last one is the residual: nothing was repeated to tell them apart.
    df: int [source], degrees of freedom of the mean squares.
    mean_squares: float64 [source, cell].
    variance: float64 [source, cell], the components; may be negative.
    reasons: why a source has none; "" where it has.
  """

  sources: tuple[str, ...]
  df: np.ndarray
  mean_squares: np.ndarray
  variance: np.ndarray
  reasons: tuple[str, ...]


def components(values: np.ndarray, factors: Sequence[str]) -> Components:
  """Components of variance of a balanced crossed design of random factors.

  With A, B, C the numbers of levels, MS_a has the expectation
  v_abc + C v_ab + B v_ac + B C v_a and so on; the equations are solved from
  the highest interaction down.

  Args:
    values: float64 [level of the first factor, of the second, (of the third,)
      cell], one member for each combination, finite.
    factors: the names of the two or three factors.

  Returns:
    The components. NaN with a reason for a factor with fewer than 3 levels
    and its interactions, and for all where a factor has one level only.

  Raises:
    InputError: not two or three factors, or another number of axes.
  """
  if len(factors) not in (2, 3) or values.ndim != len(factors) + 1:
    raise InputError(
      f"{len(factors)} factors of values with {values.ndim} axes; accepted: "
      "2 or 3 factors, an axis for each and one for the cells"
    )
  sizes = values.shape[:-1]
  subsets = [
    subset
    for order in range(1, len(sizes) + 1)
    for subset in itertools.combinations(range(len(sizes)), order)
  ]
  df = np.array([math.prod(sizes[i] - 1 for i in s) for s in subsets])
  squares = np.stack([_mean_square(values, subset) for subset in subsets])
  reasons = tuple(_reason(subset, sizes, factors) for subset in subsets)
  variance = np.full(squares.shape, np.nan)
  for row, subset in enumerate(subsets):
    if reasons[row]:
      continue
    signed = [
      (-1) ** (len(other) - len(subset)) * squares[place]
      for place, other in enumerate(subsets)
      if set(subset) <= set(other)
    ]
    repeats = math.prod(sizes) / math.prod(sizes[i] for i in subset)
    variance[row] = np.sum(signed, axis=0) / repeats
  return Components(
    sources=tuple("*".join(factors[i] for i in s) for s in subsets),
    df=df,
    mean_squares=squares,
    variance=variance,
    reasons=reasons,
  )


def _mean_square(values: np.ndarray, subset: tuple[int, ...]) -> np.ndarray:
  """Mean square of a factor or interaction: float64 [cell].

  NaN where a factor of it has one level.
  """
  sizes = values.shape[:-1]
  effect = values
  for axis in range(len(sizes)):
    mean = effect.mean(axis=axis, keepdims=True)
    effect = effect - mean if axis in subset else mean
  df = math.prod(sizes[i] - 1 for i in subset)
  if df == 0:
    return np.full(values.shape[-1], np.nan)
  repeats = math.prod(sizes) / math.prod(sizes[i] for i in subset)
  return (effect**2).sum(axis=tuple(range(len(sizes)))) * repeats / df


def _reason(
  subset: tuple[int, ...], sizes: tuple[int, ...], factors: Sequence[str]
) -> str:
  """Why a source has no component; "" where it has one."""
  alone = [i for i, size in enumerate(sizes) if size == 1]
  short = alone or [i for i in subset if sizes[i] < FEWEST_LEVELS]
  return "; ".join(
    f"{factors[i]}: needs {FEWEST_LEVELS} levels, has {sizes[i]}" for i in short
  )
