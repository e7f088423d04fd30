"""How many seeds a change needs, and the smallest change some seeds show.

The paired, two-sided t test under normal differences, by the noncentral t
distribution.
"""

import functools

import numpy as np
import scipy.optimize
import scipy.special
import scipy.stats

from prunebias_jax.errors import InputError

# A noncentral t shifted by more has less than 1e-11 in its smaller tail.
FAR = 7.0
MOST_TABLED = 256
# Beyond, the bisection would lose whole numbers.
MOST_SEEDS = 2.0**40


def power_of(
  sd: np.ndarray,
  delta: float,
  seeds: int | np.ndarray,
  *,
  level: float = 0.95,
) -> np.ndarray:
  """The chance that a mean paired difference of `delta` is found.

  Args:
    sd: float64 [cell], sd of the paired differences.
    delta: the difference, above 0.
    seeds: the number of pairs, at least 2; one or int [cell].
    level: 1 minus the size of the test, in (0, 1).

  Returns:
    float64 [cell]; NaN where sd is NaN or 0 (a spread that was not seen).

  Raises:
    InputError: a delta that is not above 0.
  """
  _check_delta(delta)
  effect = delta / _usable(sd)
  return _power(effect, np.broadcast_to(seeds, effect.shape), level)


def seeds_needed(
  sd: np.ndarray, delta: float, *, power: float = 0.8, level: float = 0.95
) -> np.ndarray:
  """The fewest pairs with which `delta` is found with the given power.

  Args:
    sd: float64 [cell], sd of the paired differences.
    delta: the mean difference that shall be found, above 0.
    power: the chance to find it, above the size of the test and below 1.
    level: 1 minus the size of the test, in (0, 1).

  Returns:
    float64 [cell], whole, at least 2; NaN where sd is NaN or 0, infinite where
    more than 2^40 are needed.

  Raises:
    InputError: a delta that is not above 0, a power out of range.
  """
  _check_delta(delta)
  _check_power(power, level)
  effect = delta / _usable(sd)
  result = np.full(effect.shape, np.nan)
  # Most answers are in a table of what 2, 3, ... pairs can find.
  table = _effects(power, level)
  few = effect >= table[-1]
  result[few] = 2 + np.searchsorted(-table, -effect[few])
  many = effect < table[-1]
  hopeless = _power(effect, np.full(effect.shape, MOST_SEEDS), level) < power
  result[hopeless], many = np.inf, many & ~hopeless
  result[many] = _bisected(effect[many], power, level)
  return result


def detectable(
  sd: np.ndarray,
  seeds: int | np.ndarray,
  *,
  power: float = 0.8,
  level: float = 0.95,
) -> np.ndarray:
  """The smallest mean difference that is found with the given power.

  Args:
    sd: float64 [cell], sd of the paired differences.
    seeds: the number of pairs; one or int [cell].
    power: the chance to find it, above the size of the test and below 1.
    level: 1 minus the size of the test, in (0, 1).

  Returns:
    float64 [cell]; NaN where sd is NaN or 0, and with fewer than 2 pairs.

  Raises:
    InputError: a power out of range.
  """
  _check_power(power, level)
  sd = _usable(sd)
  counts, which = np.unique(
    np.broadcast_to(seeds, sd.shape), return_inverse=True
  )
  effects = np.array([_effect(int(count), power, level) for count in counts])
  return sd * effects[which]


def _effect(seeds: int, power: float, level: float) -> float:
  """The difference in units of its sd that is found; NaN below 2 pairs."""
  if seeds < 2:
    return np.nan

  def excess(effect: float) -> float:
    found = _power(np.array([effect]), np.array([seeds]), level)
    return float(found[0]) - power

  top = 1.0
  while excess(top) < 0:
    top *= 2
  return float(scipy.optimize.brentq(excess, 0.0, top, xtol=1e-13, rtol=1e-13))


@functools.lru_cache(maxsize=8)
def _effects(power: float, level: float) -> np.ndarray:
  """`_effect` of 2 to MOST_TABLED pairs, descending."""
  counts = range(2, MOST_TABLED + 1)
  return np.array([_effect(count, power, level) for count in counts])


def _bisected(effect: np.ndarray, power: float, level: float) -> np.ndarray:
  """The fewest pairs, where these are more than MOST_TABLED: float64 [cell].

  Args:
    effect: float64 [cell], the difference over its sd.
    power: see `seeds_needed`.
    level: see `seeds_needed`.
  """
  low = np.full(effect.shape, float(MOST_TABLED))  # not enough
  high = 2 * low
  while np.any(short := _power(effect, high, level) < power):
    low, high = np.where(short, high, low), np.where(short, 2 * high, high)
  while np.any(high - low > 1):
    middle = np.ceil((low + high) / 2)
    enough = _power(effect, middle, level) >= power
    low = np.where(enough, low, middle)
    high = np.where(enough, middle, high)
  return high


def _power(effect: np.ndarray, seeds: np.ndarray, level: float) -> np.ndarray:
  """Power of the two-sided t test: float64 [cell].

  Args:
    effect: float64 [cell], the difference over its sd.
    seeds: int [cell], at least 2.
    level: 1 minus the size of the test.
  """
  df = seeds - 1.0
  bound = scipy.stats.t.ppf((1 + level) / 2, df)
  shift = effect * np.sqrt(seeds)
  near = shift < FAR
  # Of |t|, as that of t^2, which keeps both tails; far out scipy's gives NaN.
  squared = np.where(near, shift, 0.0) ** 2
  both = 1 - scipy.special.ncfdtr(1.0, df, squared, bound**2)
  far = np.where(near, FAR, shift)
  return np.where(near, both, scipy.stats.nct.sf(bound, df, far))


def _usable(sd: np.ndarray) -> np.ndarray:
  """The sd, NaN where it is 0."""
  return np.where(sd > 0, sd, np.nan)


def _check_delta(delta: float) -> None:
  if not 0 < delta < np.inf:
    raise InputError(f"delta {delta}; accepted: finite and above 0")


def _check_power(power: float, level: float) -> None:
  if not 1 - level < power < 1:
    raise InputError(
      f"power {power}; accepted: above {1 - level:.3g} and below 1"
    )
