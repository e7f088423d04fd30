"""Interdependence and correlation of attributes' predictions and errors.

Reference: Iofinova et al. 2023 (interdependence: R^2 of a linear fit of one
attribute's binary predictions on those of all others). The closed form, what is
done with constant and collinear columns, and the correlations of pairs are this
project's.
"""

import dataclasses

import numpy as np

from prunebias_jax.analysis.parity import Parity
from prunebias_jax.analysis.rates import divide

WORST_CONDITION = 1e6
# R^2 this close to 1 is a linear combination up to rounding.
EXACT = 1e-12


@dataclasses.dataclass(frozen=True, kw_only=True)
class Interdependence:
  """R^2 of every attribute on the others, with what it rests on.

  Attributes:
    value: float64 [attribute] in [0, 1], or NaN.
    constant: bool [attribute]: predicted constant.
    combination: bool [attribute]: an exact linear combination of others.
    ill_conditioned: bool: the closed form was not used.
  """

  value: np.ndarray
  constant: np.ndarray
  combination: np.ndarray
  ill_conditioned: bool


def interdependence(
  predicted: np.ndarray, *, parity: Parity = "default"
) -> Interdependence:
  """R^2 of least squares (with intercept) of each column on all others.

  In closed form R^2_i = 1 - 1 / (R^-1)_ii, R the correlation matrix of the
  columns that vary; constant columns explain nothing and are left out. Above
  a condition number of 1e6 least squares on a QR factor replaces it.

  Args:
    predicted: bool [example, attribute].
    parity: what a constant column gets: NaN ("default"), or the 1 that the
      paper's fit reports for it ("paper").

  Returns:
    The values with flags. With one attribute there is nothing to regress on:
    NaN.
  """
  count, outputs = predicted.shape
  # Counts are whole, and exact in the shorter type while it can hold them.
  exact: np.dtype = np.dtype(np.float32 if count < 2**24 else np.float64)
  data: np.ndarray = predicted.astype(exact)
  sums = (np.ones(count, exact) @ data).astype(np.float64)
  constant = (sums == 0) | (sums == count)
  value = np.full(outputs, 1.0 if parity == "paper" else np.nan)
  combination = np.zeros(outputs, bool)
  ill_conditioned = False
  varying = np.flatnonzero(~constant)
  if outputs == 1:
    value = np.full(1, np.nan)
  elif varying.size:
    both = (data.T @ data).astype(np.float64)[np.ix_(varying, varying)]
    sums = sums[varying]
    # n^2 times the covariance, in whole numbers: nothing is rounded.
    covariance = count * both - np.outer(sums, sums)
    scale = np.sqrt(np.diag(covariance))
    correlation = covariance / np.outer(scale, scale)
    ill_conditioned = bool(np.linalg.cond(correlation) > WORST_CONDITION)
    if ill_conditioned:
      columns = data[:, varying].astype(np.float64)
      value[varying] = _by_least_squares((columns - sums / count) / scale)
      combination[varying] = value[varying] > 1 - EXACT
    else:
      inverse = np.linalg.inv(correlation)
      value[varying] = np.clip(1 - 1 / np.diag(inverse), 0, 1)
  return Interdependence(
    value=value,
    constant=constant,
    combination=combination,
    ill_conditioned=ill_conditioned,
  )


def pairwise_correlation(
  indicators: np.ndarray, present: np.ndarray | None = None
) -> np.ndarray:
  """Pearson correlation of each pair of columns (phi, as they are 0 and 1).

  Args:
    indicators: bool [example, attribute].
    present: bool [example, attribute], what counts: each pair goes over the
      examples where both do; None where all do.

  Returns:
    float64 [attribute, attribute], symmetric, in [-1, 1]; NaN where a column
    of the pair is constant.
  """
  # Whole numbers throughout: nothing is rounded before the square root.
  if present is None:
    data = indicators.astype(np.float64)
    count = np.full((data.shape[1],) * 2, float(len(data)))
    sums = np.broadcast_to(data.sum(axis=0)[:, None], count.shape)
  else:
    data = (indicators & present).astype(np.float64)
    mask = present.astype(np.float64)
    count, sums = mask.T @ mask, data.T @ mask
  covariance = count * (data.T @ data) - sums * sums.T
  variance = count * sums - sums**2
  scale = np.sqrt(variance) * np.sqrt(variance.T)
  return np.clip(divide(covariance, scale), -1, 1)


def _by_least_squares(centred: np.ndarray) -> np.ndarray:
  """R^2 of each column on the others: float64 [column].

  The triangular factor has the columns' lengths and angles, so the fits are
  made on it: one pass over the examples instead of one for each column.
  """
  factor: np.ndarray = np.linalg.qr(centred)[1]
  columns = factor.shape[1]
  result = np.empty(columns)
  for i in range(columns):
    others = np.delete(factor, i, axis=1)
    target = factor[:, i]
    weights = np.linalg.lstsq(others, target, rcond=None)[0]
    residual = target - others @ weights
    result[i] = 1 - (residual @ residual) / (target @ target)
  return np.clip(result, 0, 1)
