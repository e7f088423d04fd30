"""Latent scores to margins to labels: who looks like what, and label noise.

An example's 40 scores are correlated standard normals (a Gaussian factor
copula). A score less its attribute's threshold is the margin; exclusions act on
margins; a positive margin is a positive clean label. Thresholds are calibrated
after the exclusions, so the clean rates are the published ones. Label noise
flips labels near the boundary most, and as many up as down.
"""

import dataclasses
import functools
from typing import NamedTuple

import numpy as np
import scipy.stats

from prunebias_jax.data.faces import attributes

# Examples are drawn in blocks of this many, each from its own generator: what
# an example looks like does not depend on how many are made.
BLOCK = 1024

_CALIBRATION = 1 << 17
_CALIBRATION_SEED = 20151207
# Within this distance (standard deviations of a score) flips fall off by e.
_FLIP_REACH = 0.3


@dataclasses.dataclass(frozen=True, kw_only=True)
class Population:
  """The distribution that faces are drawn from.

  Attributes:
    mixing: float64 [attribute, source], scores = mixing @ standard normals.
    thresholds: float64 [attribute].
    flip_scale: float64 [2, attribute], the factor of the flip probability of
      labels that are 0 and that are 1.
  """

  mixing: np.ndarray
  thresholds: np.ndarray
  flip_scale: np.ndarray


class Block(NamedTuple):
  """Drawn examples, before they are pictures.

  Attributes:
    margins: float32 [example, attribute], after exclusions.
    clean: uint8 [example, attribute], 1 where the margin is positive.
    flipped: uint8 [example, attribute], 1 where the noisy label differs.
    style: float32 [example, style] in [0, 1), what no attribute says.
    grain: uint32 [example], seeds of the sensor noise.
  """

  margins: np.ndarray
  clean: np.ndarray
  flipped: np.ndarray
  style: np.ndarray
  grain: np.ndarray


@functools.lru_cache(maxsize=4)
def fit(
  *,
  label_noise: float = 0.0,
  link: tuple[str, str, float] | None = None,
) -> Population:
  """Calibrates thresholds and label noise; deterministic.

  Args:
    label_noise: mean share of labels flipped, in [0, .5).
    link: (identity, attribute, correlation) of the pair of latent scores whose
      correlation is set, or None.

  Returns:
    The population: clean rates as published, and noisy rates too while
    `label_noise` is below about .19 (`flip_shares`).
  """
  mixing = mixing_matrix()
  if link is not None:
    mixing = linked(mixing, *link)
  generator = np.random.default_rng(_CALIBRATION_SEED)
  sources = generator.standard_normal(
    (_CALIBRATION, mixing.shape[1]), dtype=np.float32
  )
  scores = sources @ mixing.T.astype(np.float32)
  thresholds = _calibrated_thresholds(scores)
  margins = exclude(scores - thresholds.astype(np.float32))
  return Population(
    mixing=mixing,
    thresholds=thresholds,
    flip_scale=_flip_scale(margins, flip_shares(label_noise)),
  )


def mixing_matrix() -> np.ndarray:
  """float64 [attribute, source]: rows of unit norm, factors then own parts."""
  shared = attributes.loadings()
  own = np.sqrt(1 - np.square(shared).sum(axis=1))
  return np.concatenate([shared, np.diag(own)], axis=1)


def linked(
  mixing: np.ndarray, identity: str, attribute: str, correlation: float
) -> np.ndarray:
  """Sets the correlation of two latent scores exactly.

  Only the attribute's row changes: its part that is uncorrelated with the
  identity's score stays as it is, up to its length. So every correlation among
  the other scores stays, as do the attribute's partial correlations with them
  given the identity, and the matrix is a covariance by construction.

  Args:
    mixing: float64 [attribute, source], rows of unit norm.
    identity: the score that stays.
    attribute: the score that moves.
    correlation: of the two, in (-1, 1).

  Returns:
    The changed matrix, rows of unit norm.
  """
  anchor = mixing[attributes.INDEX[identity]]
  moved = mixing[attributes.INDEX[attribute]]
  rest = moved - (moved @ anchor) * anchor
  rest = rest / np.linalg.norm(rest)
  mixing = mixing.copy()
  mixing[attributes.INDEX[attribute]] = (
    correlation * anchor + np.sqrt(1 - correlation**2) * rest
  )
  return mixing


def exclude(margins: np.ndarray) -> np.ndarray:
  """Margins [example, attribute] after the exclusions of `attributes`.

  The margin of one of several rivals is at most its lead over the best other,
  so it stays the distance to the nearest boundary; one that is overruled is at
  most minus the margin of what overrules it.
  """
  result = margins.copy()
  for family in attributes.RIVALS:
    columns = [attributes.INDEX[name] for name in family]
    for column in columns:
      others = [other for other in columns if other != column]
      best = margins[:, others].max(axis=1)
      result[:, column] -= np.maximum(best, 0)
  for winner, losers in attributes.OVERRULES:
    cap = -result[:, attributes.INDEX[winner]]
    for loser in losers:
      column = attributes.INDEX[loser]
      result[:, column] = np.minimum(result[:, column], cap)
  return result


def flip_shares(label_noise: float) -> np.ndarray:
  """Shares of the labels that are 0 and that are 1 to flip: [2, attribute].

  The same share of the rarer value flips in every attribute, and as many of
  the other value, so the rates stay. When half of the rarer values flip (a
  mean share of .19), only more of the commoner ones are left to flip, and the
  rates move towards .5.
  """
  positive = attributes.rates()
  rare = np.minimum(positive, 1 - positive)
  half = rare.mean()
  of_rare = np.minimum(0.5, 0.5 * label_noise / half) * np.ones_like(rare)
  of_common = of_rare * rare / (1 - rare)
  beyond = max(0.0, label_noise - half) / (0.5 - half)
  of_common += beyond * (0.5 - of_common)
  of_one = np.where(positive <= 0.5, of_rare, of_common)
  of_zero = np.where(positive <= 0.5, of_common, of_rare)
  return np.stack([of_zero, of_one])


def draw_block(
  population: Population, seed: tuple[int, ...], styles: int
) -> Block:
  """Draws `BLOCK` examples.

  Args:
    population: what `fit` returned.
    seed: of the data set, the split and the block.
    styles: number of style values of an example.
  """
  generator = np.random.default_rng(seed)
  sources = generator.standard_normal(
    (BLOCK, population.mixing.shape[1]), dtype=np.float32
  )
  scores = sources @ population.mixing.T.astype(np.float32)
  margins = exclude(scores - population.thresholds.astype(np.float32))
  clean = margins > 0
  scale = np.where(clean, population.flip_scale[1], population.flip_scale[0])
  flipped = generator.random(margins.shape) < _flip_probability(margins, scale)
  return Block(
    margins=margins,
    clean=clean.astype(np.uint8),
    flipped=flipped.astype(np.uint8),
    style=generator.random((BLOCK, styles), dtype=np.float32),
    grain=generator.integers(0, 2**32, BLOCK, dtype=np.uint32),
  )


def _calibrated_thresholds(scores: np.ndarray) -> np.ndarray:
  """Thresholds [attribute] that give the published rates after exclusions.

  A score that no exclusion touches has the normal quantile. For the others a
  fixed point: shift each threshold by the quantile that should be at 0.
  """
  rates = attributes.rates()
  thresholds = scipy.stats.norm.ppf(1 - rates)
  names = {name for family in attributes.RIVALS for name in family}
  names |= {name for _, losers in attributes.OVERRULES for name in losers}
  touched = sorted(attributes.INDEX[name] for name in names)
  for _ in range(30):
    margins = exclude(scores - thresholds.astype(np.float32))
    shifts = [
      np.quantile(margins[:, column], 1 - rates[column]) for column in touched
    ]
    thresholds[touched] += shifts
    if np.max(np.abs(shifts)) < 1e-3:
      break
  # Rounded, so that the last bits of a matrix product, which may depend on the
  # number of threads, change no threshold.
  return np.round(thresholds, 4)


def _flip_probability(margins: np.ndarray, scale: np.ndarray) -> np.ndarray:
  """min(1/2, scale exp(-|margin| / reach)): at the boundary a coin's toss."""
  return np.minimum(0.5, scale * np.exp(-np.abs(margins) / _FLIP_REACH))


def _flip_scale(margins: np.ndarray, shares: np.ndarray) -> np.ndarray:
  """Solves for the scales [2, attribute] that flip these shares."""
  closeness = np.exp(-np.abs(margins) / _FLIP_REACH)
  scales = np.zeros_like(shares)
  for column in range(margins.shape[1]):
    for value in (0, 1):
      near = closeness[(margins[:, column] > 0) == value, column]
      scales[value, column] = _solve_scale(near, shares[value, column])
  return scales


def _solve_scale(closeness: np.ndarray, share: float) -> float:
  """The s with mean(min(1/2, s closeness)) = share; exact, by sorting.

  With the k closest examples at 1/2, s = (n share - k / 2) / sum of the rest;
  the right k is the first for which s closeness <= 1/2 beyond it.
  """
  ordered = np.sort(closeness.astype(np.float64))[::-1]
  count = len(ordered)
  rest = np.cumsum(ordered[::-1])[::-1]
  scale = (count * share - 0.5 * np.arange(count)) / rest
  fits = scale * ordered <= 0.5
  return float(scale[np.argmax(fits)]) if fits.any() else np.inf
