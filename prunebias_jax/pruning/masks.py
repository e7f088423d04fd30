"""Masks: which weights of a model are kept.

A mask tree maps the path of every prunable array ("conv0/kernel") to a bool
array of its shape, True where the weight is kept. Prunable are the kernels of
convolutions and linear layers; biases and normalisation are never pruned.
"""

from collections.abc import Mapping
from typing import Any

from flax import traverse_util
import jax
import jax.numpy as jnp

from prunebias_jax.pruning.threshold import prune_smallest

Params = Mapping[str, Any]
Masks = dict[str, jax.Array]


def prunable(params: Params) -> dict[str, jax.Array]:
  """The prunable arrays of a model by their path, in path order."""
  flat = traverse_util.flatten_dict(params, sep="/")
  return {
    path: flat[path] for path in sorted(flat) if path.split("/")[-1] == "kernel"
  }


def count_prunable(params: Params) -> int:
  """Number of prunable weights; `params` may be shapes only."""
  return sum(array.size for array in prunable(params).values())


def full_masks(params: Params) -> Masks:
  """Masks that keep everything."""
  return jax.tree.map(lambda x: jnp.ones(x.shape, bool), prunable(params))


def apply_masks(params: Params, masks: Masks) -> Params:
  """The parameters with every pruned weight exactly zero."""
  flat = traverse_util.flatten_dict(params, sep="/")
  for path, mask in masks.items():
    flat[path] = jnp.where(mask, flat[path], 0)
  return traverse_util.unflatten_dict(flat, sep="/")


def global_magnitude(params: Params, masks: Masks, count: jax.Array) -> Masks:
  """Prunes the smallest magnitudes over all layers together.

  Args:
    params: the model's parameters.
    masks: the present masks; the new ones are nested in them.
    count: int32 [], number of zeros in the end.
  """
  weights = prunable(params)
  kept = prune_smallest([*weights.values()], [*masks.values()], count)
  return dict(zip(weights, kept, strict=True))
