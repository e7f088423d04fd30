"""How a sparsity is spread over layers, as a table made on the host.

A pool is what is compared with each other: all layers together (`global`), or
each layer by itself (`uniform`, `erk`). The table says how many units (weights)
of each pool a level prunes; it is made in float64, so that on the device
levels are nothing but integers.
"""

from collections.abc import Mapping, Sequence
import math

import numpy as np

from prunebias_jax.config import Pruning
from prunebias_jax.pruning import schedule

# The shape of every prunable array by its path, in path order.
Layers = Mapping[str, tuple[int, ...]]


def pool_sizes(pruning: Pruning, layers: Layers) -> np.ndarray:
  """Number of units of each pool: int64 [pool]."""
  sizes = np.array([math.prod(shape) for shape in layers.values()], np.int64)
  return sizes.sum(keepdims=True) if pruning.allocation == "global" else sizes


def count_table(
  pruning: Pruning, levels: Sequence[float], layers: Layers
) -> np.ndarray:
  """How many units are pruned after each update: int32 [update, level, pool].

  Args:
    pruning: allocation and schedule; each pool follows the schedule to its own
      final sparsity.
    levels: final sparsities.
    layers: shapes of the prunable arrays.
  """
  sizes = pool_sizes(pruning, layers)
  return schedule.prune_counts(
    pruning, _targets(pruning, levels, layers), sizes
  )


def _targets(
  pruning: Pruning, levels: Sequence[float], layers: Layers
) -> np.ndarray:
  """Final sparsity of every pool: float64 [level, pool]."""
  sizes = pool_sizes(pruning, layers)
  if pruning.allocation == "erk":
    shapes = list(layers.values())
    return np.array([1 - _erk_kept(shapes, s) / sizes for s in levels])
  return np.repeat(np.array(levels, np.float64)[:, None], len(sizes), 1)


def _erk_kept(shapes: Sequence[tuple[int, ...]], level: float) -> np.ndarray:
  """Weights that each layer keeps, exactly round(level * n) fewer in all.

  The densities of `erk_densities` rarely give whole numbers: they are rounded
  down, and the layers with the largest remainders keep one more.
  """
  sizes = np.array([math.prod(shape) for shape in shapes], np.int64)
  total = int(sizes.sum() - np.rint(level * sizes.sum()))
  wanted = erk_densities(shapes, total) * sizes
  # A product such as 7 * (3 / 7) may fall short of a whole number.
  kept = np.floor(wanted + 1e-6).astype(np.int64)
  order = np.argsort(-(wanted - kept), kind="stable")
  kept[order[: total - kept.sum()]] += 1
  return kept


def erk_densities(
  shapes: Sequence[tuple[int, ...]], total: float
) -> np.ndarray:
  """Share of the weights that each layer keeps: float64 [layer].

  Erdos-Renyi-kernel: the density of a layer is proportional to
  (n_in + n_out + h + w) / (n_in n_out h w), for a linear layer to
  (n_in + n_out) / (n_in n_out): the sum of its dimensions over their product.
  Layers that would be denser than 1 are kept whole and the rest share what is
  left. (Evci et al. 2020, RigL, after Mocanu et al. 2018 for linear layers.)

  Args:
    shapes: shapes of the kernels.
    total: how many weights are kept in all.
  """
  sizes = np.array([math.prod(shape) for shape in shapes], np.float64)
  raw = np.array([sum(shape) for shape in shapes], np.float64) / sizes
  whole = np.zeros(len(sizes), bool)
  densities = np.ones(len(sizes))
  while not whole.all():
    left = total - sizes[whole].sum()
    scale = left / (raw * sizes)[~whole].sum()
    densities = np.where(whole, 1.0, scale * raw)
    over = densities > 1
    if not over.any():
      break
    whole |= over
    densities = np.where(whole, 1.0, densities)
  return densities
