"""Which intervals cover less than they say, as far as simulation can tell.

The numbers are those of scripts/simulate_inference (docs/statistics.md has the
tables); which interval is marked when is this project's.
"""

import functools

import numpy as np

# An interval of 95 % whose simulated coverage is below this is to be marked.
POOR = 0.90
MARK = "the seeds do not look normal: the interval may cover far less"

# Coverage of 95 % intervals under normal seeds, by the number of seeds; of
# "crossed" the smallest over several spreads of members and examples.
SIMULATED: dict[tuple[str, str], dict[int, float]] = {
  ("t", "mean"): {2: 0.95},
  ("chi-square", "sd"): {2: 0.95},
  ("crossed", "mean"): {2: 0.868, 3: 0.912, 5: 0.935, 10: 0.935, 30: 0.941},
  ("percentile", "mean"): {5: 0.837, 10: 0.902, 20: 0.929, 50: 0.940},
  ("bca", "mean"): {5: 0.834, 10: 0.896, 20: 0.928, 50: 0.938},
  ("percentile", "sd"): {5: 0.651, 10: 0.779, 20: 0.858, 30: 0.883, 50: 0.915},
  ("bca", "sd"): {5: 0.652, 10: 0.830, 20: 0.892, 30: 0.911, 50: 0.925},
}

# How rarely normal seeds are called unlike normal, for skewness and kurtosis
# each.
RARE = 0.005
FEWEST_SEEDS = 4
DRAWS = 20_000


def simulated_coverage(method: str, statistic: str, seeds: int) -> float:
  """What a 95 % interval covers under normal seeds.

  Args:
    method: "t", "chi-square", "crossed", "percentile" or "bca".
    statistic: "mean" or "sd".
    seeds: the number of seeds, K.

  Returns:
    The share at the largest simulated K that is not above `seeds`, so rather
    too little than too much; 0 where that is below all of them.
  """
  known = SIMULATED[method, statistic]
  return max((share for k, share in known.items() if k <= seeds), default=0.0)


def unlike_normal(values: np.ndarray) -> np.ndarray:
  """Whether seeds are more skewed or heavy-tailed than normal ones would be.

  Beyond what one normal sample in about 150 of this size shows. With few
  seeds a collapse that one in ten suffers is mostly not among them, and then
  nothing is marked: a mark says that an interval is doubtful, no mark does not
  say that it is good.

  Args:
    values: float64 [seed, cell]; NaN where a seed has no value.

  Returns:
    bool [cell]; False with fewer than 4 seeds or without spread.
  """
  unlike = np.zeros(values.shape[1], bool)
  counts = np.isfinite(values).sum(axis=0)
  ordered = np.sort(values, axis=0)  # NaN come last
  for count in np.unique(counts[counts >= FEWEST_SEEDS]).tolist():
    cells = counts == count
    bounds = np.array(_bounds(count))[:, None]
    unlike[cells] = (_shape(ordered[:count, cells]) > bounds).any(axis=0)
  return unlike


@functools.lru_cache(maxsize=64)
def _bounds(seeds: int) -> tuple[float, float]:
  """Skewness (without sign) and kurtosis that normal samples rarely exceed."""
  drawn = np.random.default_rng(0).normal(size=(seeds, DRAWS))
  skewness, kurtosis = np.quantile(_shape(drawn), 1 - RARE, axis=1)
  return float(skewness), float(kurtosis)


def _shape(values: np.ndarray) -> np.ndarray:
  """Skewness without its sign, and kurtosis: float64 [2, cell].

  0 without spread.
  """
  away = values - values.mean(axis=0)
  size = np.abs(away).max(axis=0)
  spreading = size > 1e-12 * np.abs(values).max(axis=0)
  away = away / np.where(spreading, size, 1.0)
  second = np.where(spreading, (away**2).mean(axis=0), 1.0)
  skewness = np.abs((away**3).mean(axis=0)) / second**1.5
  kurtosis = (away**4).mean(axis=0) / second**2
  return np.where(spreading, np.stack([skewness, kurtosis]), 0.0)
