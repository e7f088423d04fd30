"""Spread over seeds, told from rounding: what all the inference builds on."""

import numpy as np

# A spread this small, relative to the values, is rounding.
ROUNDING = 1e-12


def seed_sd(values: np.ndarray, scale: np.ndarray | None = None) -> np.ndarray:
  """Sd with ddof 1; exactly 0 where the values differ by rounding only.

  Args:
    values: float64 [seed, cell], at least two seeds.
    scale: float64 [cell], the size of the numbers that the values were made
      from, where that is larger than the values: tells rounding from spread.

  Returns:
    float64 [cell].
  """
  if scale is None:
    scale = np.abs(values).max(axis=0)
  reach = values.max(axis=0) - values.min(axis=0)
  return np.where(reach <= ROUNDING * scale, 0.0, values.std(axis=0, ddof=1))


def positive(sd: np.ndarray) -> np.ndarray:
  """The sd, NaN where it is 0: such a spread makes no interval."""
  return np.where(sd > 0, sd, np.nan)


def correlation(first: np.ndarray, second: np.ndarray) -> np.ndarray:
  """Pearson over seeds.

  Args:
    first: float64 [seed, cell].
    second: float64 [seed, cell].

  Returns:
    float64 [cell]; NaN below three seeds, or where either side is the same in
    every seed.
  """
  seeds, cells = first.shape
  result = np.full(cells, np.nan)
  if seeds < 3:
    return result
  sds = seed_sd(first) * seed_sd(second)
  varying = sds > 0
  product = (first - first.mean(axis=0)) * (second - second.mean(axis=0))
  covariance = product.sum(axis=0) / (seeds - 1)
  result[varying] = np.clip(covariance[varying] / sds[varying], -1, 1)
  return result
