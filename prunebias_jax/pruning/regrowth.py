"""Masks that move: weights are dropped by magnitude and grown by gradient.

How many move is an integer made on the host, so that levels are nothing but
data on the device. Each layer moves weights of its own, whatever the allocation
of the first masks, so that the sparsity of every layer stays what it is.

Reference: Evci et al. 2020, "Rigging the Lottery" (RigL), algorithm 1. Two
things are this project's: a weight that is dropped does not come back in the
same update (the authors' code lets it), and no more are dropped than a layer
has pruned weights to grow.
"""

from collections.abc import Mapping
import math

import jax
import jax.numpy as jnp
import numpy as np

from prunebias_jax.config import Pruning
from prunebias_jax.pruning.allocation import Layers, pool_sizes
from prunebias_jax.pruning.masks import Masks
from prunebias_jax.pruning.schedule import update_times
from prunebias_jax.pruning.threshold import prune_smallest


def fraction(pruning: Pruning, time: int) -> float:
  """Share of a layer's kept weights that move at a time.

  alpha / 2 (1 + cos(pi t / T_end)), alpha = `pruning.regrow`, T_end =
  `pruning.end`. (Evci et al. 2020, section 3.)
  """
  return pruning.regrow / 2 * (1 + math.cos(math.pi * time / pruning.end))


def move_table(
  pruning: Pruning, counts: np.ndarray, layers: Layers
) -> np.ndarray:
  """How many weights move at each update: int32 [update, level, layer].

  Args:
    pruning: schedule and fraction.
    counts: pruned weights [level, pool]. Where all layers are one pool, each is
      taken to have its share of them.
    layers: shapes of the prunable arrays.

  Returns:
    round(fraction * kept), halves to even; at most the pruned weights.
  """
  sizes = np.array([math.prod(shape) for shape in layers.values()], np.int64)
  shares = counts / pool_sizes(pruning, layers)
  pruned = np.rint(shares * sizes)
  table = [
    np.minimum(np.rint(fraction(pruning, time) * (sizes - pruned)), pruned)
    for time in update_times(pruning)
  ]
  return np.array(table).astype(np.int32)


def move(
  weights: Mapping[str, jax.Array],
  gradients: Mapping[str, jax.Array],
  masks: Masks,
  moves: jax.Array,
) -> tuple[Masks, Masks]:
  """Drops the smallest weights of every layer and grows as many.

  Grown are those of the largest gradients among what was pruned before. Ties
  are broken by index.

  Args:
    weights: float32 arrays by path; their magnitudes are compared.
    gradients: of the loss, of the same shapes; their magnitudes are compared.
    masks: the present masks by path.
    moves: int32 [layer], in path order, how many weights move; fewer do where
      fewer are kept or pruned.

  Returns:
    The new masks, with as many True in each layer as before, and masks of what
    was grown.
  """
  found: Masks = {}
  grown: Masks = {}
  for place, path in enumerate(sorted(masks)):
    mask = masks[path]
    pruned = (~mask).sum(dtype=jnp.int32)
    count = jnp.minimum(moves[place], jnp.minimum(pruned, mask.size - pruned))
    left = _largest(weights[path], mask, mask.size - pruned - count)
    grown[path] = _largest(gradients[path], ~mask, count)
    found[path] = left | grown[path]
  return found, grown


def _largest(
  scores: jax.Array, among: jax.Array, count: jax.Array
) -> jax.Array:
  """The `count` largest magnitudes among some: bool of the same shape."""
  (kept,) = prune_smallest([scores], [among], scores.size - count)
  return kept
