"""N:M patterns: of every M consecutive inputs of an output, N are kept.

The inputs of a kernel are its second last axis: [y, x, in, out] of a
convolution, [in, out] of a linear layer; every (y, x, out) has groups of its
own. Where M does not divide the inputs, the last group is filled up with inputs
that count as pruned first: a rest of g < M keeps min(g, N) at the end.

Reference: Mishra et al. 2021, "Accelerating Sparse Deep Neural Networks" (2:4).
"""

from collections.abc import Mapping

import jax
from jax import lax
import jax.numpy as jnp

from prunebias_jax.config import Pattern
from prunebias_jax.pruning.threshold import LOWEST, magnitude_order


def prune_groups(
  scores: jax.Array, alive: jax.Array, size: int, count: jax.Array
) -> jax.Array:
  """Prunes the `count` smallest scores of every group of inputs.

  What is pruned already stays pruned and counts first, so masks are nested;
  ties are broken by index.

  Args:
    scores: float32 [..., in, out]; their magnitudes are compared.
    alive: bool of the same shape, False where pruned already.
    size: inputs in a group.
    count: int32 [], how many of each are pruned in the end; of an incomplete
      group as many fewer as it has fewer inputs.

  Returns:
    The new mask, True where kept.
  """
  inputs = scores.shape[-2]
  order = jnp.moveaxis(magnitude_order(scores, alive), -2, -1)
  filling = [(0, 0)] * (order.ndim - 1) + [(0, -inputs % size)]
  order = jnp.pad(order, filling, constant_values=LOWEST - 1)
  order = order.reshape(*order.shape[:-1], -1, size)
  # Groups are small: counting what comes before beats sorting.
  pairs = (*order.shape, size)
  mine, other = order[..., :, None], order[..., None, :]
  earlier = lax.broadcasted_iota(
    jnp.int32, pairs, len(pairs) - 1
  ) < lax.broadcasted_iota(jnp.int32, pairs, len(pairs) - 2)
  before = (other < mine) | ((other == mine) & earlier)
  kept = before.sum(-1, dtype=jnp.int32) >= count
  kept = kept.reshape(*kept.shape[:-2], -1)[..., :inputs]
  return jnp.moveaxis(kept, -1, -2) & alive


def incomplete(
  pattern: Pattern, layers: Mapping[str, tuple[int, ...]]
) -> list[str]:
  """A text for every layer whose inputs the group's size does not divide."""
  return [
    f"{path} has {shape[-2]} inputs, and of the last {rest} keeps "
    f"{min(rest, pattern.kept)}"
    for path, shape in layers.items()
    if (rest := shape[-2] % pattern.group)
  ]
