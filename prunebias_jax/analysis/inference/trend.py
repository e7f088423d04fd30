"""Does the spread over seeds grow with sparsity? A trend over the levels.

Two levels are better compared by `pitman_morgan`. This test is this project's:
Brown and Forsythe's deviations from the median, permuted within seeds because
the levels of one seed are not independent.
"""

import dataclasses
import itertools
import math

import numpy as np

from prunebias_jax.analysis.inference.spread import ROUNDING
from prunebias_jax.errors import InputError

MOST_ARRANGEMENTS = 10_000
REACH = 0.05
# Two seeds lie equally far from their median, whatever they are: a pair of
# deviations is one observation and not two.
FEWEST_SEEDS = 3
CHUNK = 2**22


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trend:
  """How the spread over seeds moves along the levels; [cell] each.

  Attributes:
    slope: of |value - median of its level| on the level's rank, per level.
    p: two-sided, by permutation within seeds.
    seeds: the number of seeds, K.
    needs: the fewest seeds with which p is given, `fewest_trend_seeds`.
  """

  slope: np.ndarray
  p: np.ndarray
  seeds: int
  needs: int


def fewest_trend_seeds(levels: int, level: float = REACH) -> int:
  """The smallest K at which a two-sided p <= level can be reached.

  The steepest arrangement and its mirror image are 2 of (levels!)^K.

  Args:
    levels: the number of levels, at least 2.
    level: of the test, in (0, 1).

  Raises:
    InputError: fewer than two levels.
  """
  if levels < 2:
    raise InputError(f"{levels} levels; accepted for a trend: 2 or more")
  seeds = FEWEST_SEEDS
  while 2 * math.factorial(levels) ** -seeds > level:
    seeds += 1
  return seeds


def spread_trend(
  values: np.ndarray, *, draws: int = 9_999, seed: int = 0
) -> Trend:
  """Tests whether seeds scatter more, or less, from level to level.

  Under the null the deviations of a seed may stand at any of its levels. All
  arrangements of up to 10,000, else `draws` seeded ones and
  p = (1 + hits) / (1 + draws).

  Args:
    values: float64 [level, seed, cell], the levels in order, the same seeds
      in each.
    draws: how many arrangements are drawn where there are too many.
    seed: of the draws.

  Returns:
    The trend; p is NaN with fewer than `fewest_trend_seeds` seeds, and where
    no level has any spread.

  Raises:
    InputError: fewer than two levels.
  """
  levels, seeds, cells = values.shape
  needs = fewest_trend_seeds(levels)
  deviations = np.abs(values - np.median(values, axis=1, keepdims=True))
  scale = np.abs(values).max(axis=(0, 1))
  deviations[deviations <= ROUNDING * scale] = 0.0
  # [seed, level] in one axis, as the arrangements have them.
  flat = deviations.swapaxes(0, 1).reshape(seeds * levels, cells)
  ranks = np.arange(levels) - (levels - 1) / 2
  observed = np.tile(ranks, seeds) @ flat
  p = np.full(cells, np.nan)
  if seeds >= needs:
    spreading = np.flatnonzero(flat.any(axis=0))
    exact = math.factorial(levels) ** seeds <= MOST_ARRANGEMENTS
    arranged = (
      _all_arrangements(ranks, seeds)
      if exact
      else _drawn_arrangements(ranks, seeds, draws, seed)
    )
    hits = _hits(arranged, flat[:, spreading], np.abs(observed[spreading]))
    extra = 0 if exact else 1
    p[spreading] = (hits + extra) / (len(arranged) + extra)
  slope = observed / (seeds * (ranks**2).sum())
  return Trend(slope=slope, p=p, seeds=seeds, needs=needs)


def _hits(
  arranged: np.ndarray, deviations: np.ndarray, observed: np.ndarray
) -> np.ndarray:
  """How many arrangements are at least as steep: int [cell].

  Args:
    arranged: float64 [arrangement, seed and level], the levels' ranks.
    deviations: float64 [seed and level, cell].
    observed: float64 [cell], without its sign.
  """
  # The sums of one arrangement in two orders differ by rounding.
  reached = observed - ROUNDING * deviations.sum(axis=0)
  result = np.empty(len(observed), int)
  step = max(1, CHUNK // len(arranged))
  for start in range(0, len(observed), step):
    part = slice(start, start + step)
    sums = np.abs(arranged @ deviations[:, part])
    result[part] = np.count_nonzero(sums >= reached[part], axis=0)
  return result


def _all_arrangements(ranks: np.ndarray, seeds: int) -> np.ndarray:
  """Every order of the ranks in every seed: [arrangement, seed and level]."""
  orders = np.array(list(itertools.permutations(ranks)))
  chosen = np.indices((len(orders),) * seeds).reshape(seeds, -1).T
  return orders[chosen].reshape(len(chosen), -1)


def _drawn_arrangements(
  ranks: np.ndarray, seeds: int, draws: int, seed: int
) -> np.ndarray:
  """Random orders of the ranks in every seed, the same at every call."""
  rows = np.tile(ranks, (draws * seeds, 1))
  rng = np.random.default_rng(seed)
  return rng.permuted(rows, axis=1).reshape(draws, -1)
