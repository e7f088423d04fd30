"""How a sparsity is spread over layers, as a table made on the host.

A pool is what is compared with each other: all layers together (`global`), or
each layer by itself (`uniform`, `erk`). The table says how many units of each
pool a level prunes; it is made in float64, so that on the device levels are
nothing but integers. Units are weights, or whole output channels; with an N:M
pattern the one pool stands for every group, and its units are a group's inputs.
"""

from collections.abc import Mapping, Sequence
import math

import numpy as np

from prunebias_jax.config import Pruning
from prunebias_jax.errors import InputError
from prunebias_jax.pruning import schedule

# The shape of every prunable array by its path, in path order.
Layers = Mapping[str, tuple[int, ...]]


def pool_sizes(pruning: Pruning, layers: Layers) -> np.ndarray:
  """Number of units of each pool: int64 [pool]."""
  if pruning.pattern is not None:
    return np.array([pruning.pattern.group], np.int64)
  sizes = _unit_counts(pruning, layers)
  return sizes.sum(keepdims=True) if pruning.allocation == "global" else sizes


def count_table(
  pruning: Pruning, levels: Sequence[float], layers: Layers
) -> np.ndarray:
  """How many units are pruned after each update: int32 [update, level, pool].

  Args:
    pruning: structure, allocation and schedule; each pool follows the schedule
      to its own final sparsity.
    levels: final sparsities, shares of units.
    layers: shapes of the prunable arrays.

  Raises:
    InputError: a level that leaves some layer without channels.
  """
  sizes = pool_sizes(pruning, layers)
  table = schedule.prune_counts(
    pruning, _targets(pruning, levels, layers), sizes
  )
  if pruning.structure == "channels":
    _require_channels(pruning, levels, layers, table)
  return table


def _unit_counts(pruning: Pruning, layers: Layers) -> np.ndarray:
  """Number of units of each layer: int64 [layer]."""
  if pruning.structure == "channels":
    return np.array([shape[-1] for shape in layers.values()], np.int64)
  return np.array([math.prod(shape) for shape in layers.values()], np.int64)


def _require_channels(
  pruning: Pruning, levels: Sequence[float], layers: Layers, table: np.ndarray
) -> None:
  """Raises InputError where a layer could not keep a channel."""
  sizes = pool_sizes(pruning, layers)
  names = [*layers]
  most = sizes - 1
  if pruning.allocation == "global":
    names, most = [f"all {len(layers)} layers"], sizes - len(layers)
  for level, counts in zip(levels, table.max(0), strict=True):
    for name, count, size, limit in zip(
      names, counts, sizes, most, strict=True
    ):
      if count > limit:
        raise InputError(
          f"sweep.sparsities holds {level:g}, which prunes {count} of the "
          f"{size} channels of {name}; accepted with pruning.structure "
          f"'channels': up to {limit}, so that every layer keeps one"
        )


def _targets(
  pruning: Pruning, levels: Sequence[float], layers: Layers
) -> np.ndarray:
  """Final sparsity of every pool: float64 [level, pool]."""
  sizes = pool_sizes(pruning, layers)
  if pruning.allocation == "erk":
    shapes = list(layers.values())
    return np.array([1 - _erk_kept(shapes, sizes, s) / sizes for s in levels])
  return np.repeat(np.array(levels, np.float64)[:, None], len(sizes), 1)


def _erk_kept(
  shapes: Sequence[tuple[int, ...]], sizes: np.ndarray, level: float
) -> np.ndarray:
  """Units that each layer keeps, exactly round(level * n) fewer in all.

  The densities of `erk_densities` rarely give whole numbers: they are rounded
  down, and the layers with the largest remainders keep one more.
  """
  total = int(sizes.sum() - np.rint(level * sizes.sum()))
  wanted = erk_densities(shapes, total, sizes) * sizes
  # A product such as 7 * (3 / 7) may fall short of a whole number.
  kept = np.floor(wanted + 1e-6).astype(np.int64)
  order = np.argsort(-(wanted - kept), kind="stable")
  kept[order[: total - kept.sum()]] += 1
  return kept


def erk_densities(
  shapes: Sequence[tuple[int, ...]],
  total: float,
  sizes: np.ndarray | None = None,
) -> np.ndarray:
  """Share of its units that each layer keeps: float64 [layer].

  Erdos-Renyi-kernel: the density of a layer is proportional to
  (n_in + n_out + h + w) / (n_in n_out h w), for a linear layer to
  (n_in + n_out) / (n_in n_out): the sum of its dimensions over their product.
  Layers that would be denser than 1 are kept whole and the rest share what is
  left. (Evci et al. 2020, RigL, after Mocanu et al. 2018 for linear layers.)

  Args:
    shapes: shapes of the kernels.
    total: how many units are kept in all.
    sizes: units of each layer; by default its weights.
  """
  weights = np.array([math.prod(shape) for shape in shapes], np.float64)
  sizes = weights if sizes is None else sizes
  raw = np.array([sum(shape) for shape in shapes], np.float64) / weights
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
