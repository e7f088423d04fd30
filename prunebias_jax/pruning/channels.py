"""Whole output channels as units: a kernel's last axis.

A pruned channel has a kernel of zeros; its bias and normalisation stay, so that
it gives a constant, which a deployment can fold into what follows.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp


def channel_scores(scores: jax.Array, alive: jax.Array) -> jax.Array:
  """Score of every output channel, comparable between layers: float32 [out].

  The sum of the magnitudes of a channel's scores (for magnitude its L1 norm, Li
  et al. 2017, "Pruning Filters for Efficient ConvNets"), divided by the mean
  over the layer's channels, pruned ones included (this project; Molchanov et
  al. 2017 divide by the layer's L2 norm, which sends wide layers first). The
  best channel left has an infinite score: a layer without channels would cut
  the network in two.

  Args:
    scores: [..., out].
    alive: bool [out], False where pruned already.
  """
  sums = jnp.abs(scores).sum(tuple(range(scores.ndim - 1)))
  shares = sums / jnp.maximum(sums.mean(), jnp.finfo(sums.dtype).tiny)
  best = jnp.argmax(jnp.where(alive, shares, -1))
  return jnp.where(jnp.arange(len(shares)) == best, jnp.inf, shares)


def alive_channels(masks: Mapping[str, jax.Array]) -> dict[str, jax.Array]:
  """Which output channels have weights left: bool [out] by path."""
  return {
    path: mask.any(tuple(range(mask.ndim - 1))) for path, mask in masks.items()
  }


def channel_masks(
  kept: Mapping[str, jax.Array], masks: Mapping[str, jax.Array]
) -> dict[str, jax.Array]:
  """Masks of weights [..., out] from those of channels [out], by path."""
  return {
    path: mask & kept[path].reshape((1,) * (mask.ndim - 1) + (-1,))
    for path, mask in masks.items()
  }
