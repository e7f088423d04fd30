"""Many tests at once: adjusted p-values that leave out what is missing."""

import numpy as np
import scipy.stats


def benjamini_hochberg(p: np.ndarray) -> np.ndarray:
  """Adjusts for the false discovery rate (Benjamini and Hochberg 1995).

  Right for independent tests and for many positively dependent ones, such as
  those of attributes that share seeds.

  Args:
    p: float64 [test], in [0, 1] or NaN.

  Returns:
    float64 [test]; NaN where p is, such tests do not count.
  """
  given = np.isfinite(p)
  result = np.full(p.shape, np.nan)
  if given.any():
    result[given] = scipy.stats.false_discovery_control(p[given])
  return result


def holm(p: np.ndarray) -> np.ndarray:
  """Adjusts for the chance of any false rejection (Holm 1979).

  Right whatever the tests have to do with each other.

  Args:
    p: float64 [test], in [0, 1] or NaN.

  Returns:
    float64 [test]; NaN where p is, such tests do not count.
  """
  places = np.flatnonzero(np.isfinite(p))
  order = places[np.argsort(p[places], kind="stable")]
  factors = np.arange(len(order), 0, -1)
  result = np.full(p.shape, np.nan)
  result[order] = np.minimum(np.maximum.accumulate(p[order] * factors), 1.0)
  return result
