"""When masks are updated and how many weights each update prunes.

All of it is computed on the host in float64: a float32 sparsity would be off by
one weight in networks of ResNet-50's size.
"""

import numpy as np

from prunebias_jax.config import Pruning


def update_times(pruning: Pruning) -> list[int]:
  """When masks are updated: at the beginning of these epochs or steps."""
  return list(range(pruning.start, pruning.end, pruning.every))


def sparsities(pruning: Pruning, level: float) -> list[float]:
  """The sparsity after each mask update, as `pruning.schedule` has it."""
  if pruning.schedule == "constant":
    return [level] * len(update_times(pruning))
  return cubic(pruning, level)


def cubic(pruning: Pruning, level: float) -> list[float]:
  """The sparsity after each mask update.

  s(e) = s_T - (s_T - s_0) (1 - (e - e_0) / (e_1 - e_0))^3 at the update times
  e, with the end e_1 exclusive. (Zhu & Gupta 2017, as used by Iofinova et al.
  2023, who stop just short of s_T; here the last update reaches it.)

  Args:
    pruning: first time e_0, end e_1 and initial sparsity s_0.
    level: the final sparsity s_T. Where it is below s_0, it is s_0 too.

  Returns:
    One sparsity for each of `update_times`.
  """
  initial = min(pruning.initial, level)
  span = pruning.end - pruning.start
  rising = [
    level - (level - initial) * (1 - (time - pruning.start) / span) ** 3
    for time in update_times(pruning)
  ]
  return [*rising[:-1], level]


def prune_counts(
  pruning: Pruning, targets: np.ndarray, sizes: np.ndarray
) -> np.ndarray:
  """How many units are pruned after each update: int32 [update, level, pool].

  Args:
    pruning: the schedule.
    targets: final sparsities [level, pool].
    sizes: number of units of each pool [pool].

  Returns:
    round(s * size) for each sparsity s, halves to even.
  """
  shares = np.array(
    [[sparsities(pruning, target) for target in row] for row in targets],
    np.float64,
  )
  return np.rint(np.moveaxis(shares, -1, 0) * sizes).astype(np.int32)
