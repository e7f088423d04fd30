"""Does the spread over seeds grow with sparsity? A trend over the levels.

Two levels are better compared by `pitman_morgan`. This test is this project's:
Brown and Forsythe's deviations from the median, a slope for each seed, and
sign flips of the slopes.
"""

import dataclasses

import numpy as np

from prunebias_jax.analysis.inference.signs import (
  DRAWS,
  REACH,
  fewest_pairs,
  signflip,
)
from prunebias_jax.analysis.inference.spread import ROUNDING
from prunebias_jax.errors import InputError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trend:
  """How the spread over seeds moves along the levels; [cell] each.

  Attributes:
    slope: of |value - median of its level| on the level's rank, per level.
    p: two-sided, by permutation within seeds.
    seeds: the number of seeds, K.
    nonzero: int [cell], the seeds whose own slope is not 0.
    needs: the fewest of these with which p is given, `fewest_trend_seeds`.
  """

  slope: np.ndarray
  p: np.ndarray
  seeds: int
  nonzero: np.ndarray
  needs: int


def fewest_trend_seeds(levels: int, level: float = REACH) -> int:
  """The smallest K at which a two-sided p <= level can be reached.

  Args:
    levels: the number of levels, at least 2; the answer is the same for all.
    level: of the test, in (0, 1).

  Raises:
    InputError: fewer than two levels.
  """
  if levels < 2:
    raise InputError(f"{levels} levels; accepted for a trend: 2 or more")
  return fewest_pairs(level)


def spread_trend(
  values: np.ndarray, *, draws: int = DRAWS, seed: int = 0
) -> Trend:
  """Tests whether seeds scatter more, or less, from level to level.

  A seed's deviations |value - median of its level| are permuted as a whole:
  its levels stay in order or are turned around, which flips the sign of its
  slope. Under the null both are as likely, also where neighbouring levels are
  more alike than distant ones, as those of one training are. (Free permutation
  within seeds takes all pairs of levels as equally alike: it rejects up to
  five times too often where they are not, see docs/statistics.md.) All
  arrangements of up to 13 seeds, else `draws` seeded ones.

  Args:
    values: float64 [level, seed, cell], the levels in order, the same seeds
      in each.
    draws: how many arrangements are drawn where there are too many.
    seed: of the draws.

  Returns:
    The trend; p is NaN with fewer than `fewest_trend_seeds` seeds whose slope
    is not 0.

  Raises:
    InputError: fewer than two levels.
  """
  levels, seeds, cells = values.shape
  needs = fewest_trend_seeds(levels)
  deviations = np.abs(values - np.median(values, axis=1, keepdims=True))
  scale = np.abs(values).max(axis=(0, 1))
  ranks = np.arange(levels) - (levels - 1) / 2
  slopes = np.tensordot(ranks, deviations, axes=1) / (ranks**2).sum()
  slopes[np.abs(slopes) <= ROUNDING * scale] = 0.0
  nonzero = np.count_nonzero(slopes, axis=0)
  enough = nonzero >= needs
  p = np.full(cells, np.nan)
  p[enough] = signflip(slopes[:, enough], draws=draws, seed=seed)
  return Trend(
    slope=slopes.mean(axis=0), p=p, seeds=seeds, nonzero=nonzero, needs=needs
  )
