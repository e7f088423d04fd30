"""Exact tests of paired differences by flipping their signs.

Fisher's randomisation test of the mean and Wilcoxon's signed ranks. A
difference of 0 has no sign and says nothing in either.
"""

import numpy as np
import scipy.stats

from prunebias_jax.analysis.inference.spread import ROUNDING

# Up to 13 signs all arrangements are visited, above about as many are drawn.
MOST_SIGNS = 13
DRAWS = 9_999
REACH = 0.05
CHUNK = 2**22


def fewest_pairs(level: float = REACH) -> int:
  """The smallest K at which a two-sided sign test can reach p <= level.

  All K differences on one side and its mirror image are 2 of 2^K arrangements;
  a difference of 0 has no side and does not count.
  """
  pairs = 1
  while 2.0 ** (1 - pairs) > level:
    pairs += 1
  return pairs


def signflip(
  differences: np.ndarray, *, draws: int = DRAWS, seed: int = 0
) -> np.ndarray:
  """Two-sided sign-flip permutation test that the differences centre on 0.

  Under the null every difference is as likely as its negative. The statistic
  is |sum of the differences|. Differences of 0 are the same under either sign
  and dropped. All arrangements of up to 13 signs, else seeded draws with
  p = (1 + hits) / (1 + draws).

  Args:
    differences: float64 [seed, cell].
    draws: how many arrangements are drawn where there are too many.
    seed: of the draws.

  Returns:
    float64 [cell] in (0, 1]; 1 where all differences are 0.
  """
  order = np.argsort(differences == 0, axis=0, kind="stable")
  packed = np.take_along_axis(differences, order, axis=0)
  nonzero = np.count_nonzero(differences, axis=0)
  result = np.ones(differences.shape[1])
  for count in np.unique(nonzero[nonzero > 0]).tolist():
    cells = np.flatnonzero(nonzero == count)
    result[cells] = _flipped(packed[:count, cells], draws, seed)
  return result


def wilcoxon(
  differences: np.ndarray, scale: np.ndarray | None = None
) -> np.ndarray:
  """Two-sided signed-rank test; zeros dropped, ties by midranks.

  With up to 13 differences other than 0 it is the exact test given the ties:
  the sign-flip test of the signed ranks (scipy's exact distribution where
  nothing is tied). Above, the normal approximation without continuity
  correction.

  Args:
    differences: float64 [seed, cell].
    scale: float64 [cell], as for `mean_interval`: differences whose sizes
      agree up to rounding are tied.

  Returns:
    float64 [cell] in (0, 1]; 1 where all differences are 0.
  """
  zero = differences == 0
  tolerance = np.zeros(differences.shape[1])
  if scale is not None:
    tolerance = ROUNDING * scale
  # Below every size, so that the zeros get the first ranks for themselves.
  sizes = np.where(zero, -1.0 - tolerance, np.abs(differences))
  zeros = np.count_nonzero(zero, axis=0)
  ranks = scipy.stats.rankdata(_merged(sizes, tolerance), axis=0) - zeros
  signed = np.sign(differences) * np.where(zero, 0, ranks)
  result = np.empty(differences.shape[1])
  exact = len(differences) - zeros <= MOST_SIGNS
  result[exact] = signflip(signed[:, exact])
  # Each rank is a coin flip of variance rank^2: no correction for ties needed.
  rest = signed[:, ~exact]
  z = rest.sum(axis=0) / np.sqrt((rest**2).sum(axis=0))
  result[~exact] = 2 * scipy.stats.norm.sf(np.abs(z))
  return result


def _merged(sizes: np.ndarray, tolerance: np.ndarray) -> np.ndarray:
  """Ordinal places of the sizes, neighbours within the tolerance being equal.

  Args:
    sizes: float64 [seed, cell].
    tolerance: float64 [cell].

  Returns:
    int [seed, cell], for their order and their ties.
  """
  order = np.argsort(sizes, axis=0)
  gaps = np.diff(np.take_along_axis(sizes, order, axis=0), axis=0) > tolerance
  groups = np.zeros(sizes.shape, int)
  groups[1:] = np.cumsum(gaps, axis=0)
  result = np.empty_like(groups)
  np.put_along_axis(result, order, groups, axis=0)
  return result


def _flipped(differences: np.ndarray, draws: int, seed: int) -> np.ndarray:
  """The share of sign arrangements at least as extreme: float64 [cell].

  Args:
    differences: float64 [seed, cell], none of them 0.
    draws: see `signflip`.
    seed: see `signflip`.
  """
  pairs, cells = differences.shape
  exact = pairs <= MOST_SIGNS
  signs = _all_signs(pairs) if exact else _drawn_signs(pairs, draws, seed)
  observed = np.abs(differences.sum(axis=0))
  # The sums of one arrangement in two orders differ by rounding.
  reached = observed - ROUNDING * np.abs(differences).sum(axis=0)
  hits = np.empty(cells)
  step = max(1, CHUNK // len(signs))
  for start in range(0, cells, step):
    part = slice(start, start + step)
    sums = np.abs(signs @ differences[:, part])
    hits[part] = np.count_nonzero(sums >= reached[part], axis=0)
  return hits / len(signs) if exact else (1 + hits) / (1 + len(signs))


def _all_signs(pairs: int) -> np.ndarray:
  """Half of all arrangements of signs; the mirrored half counts the same."""
  codes = np.arange(2 ** (pairs - 1))[:, None]
  return 1.0 - 2.0 * ((codes >> np.arange(pairs)) & 1)


def _drawn_signs(pairs: int, draws: int, seed: int) -> np.ndarray:
  """Random arrangements of signs, the same at every call."""
  rng = np.random.default_rng(seed)
  return 1.0 - 2.0 * rng.integers(0, 2, (draws, pairs))
