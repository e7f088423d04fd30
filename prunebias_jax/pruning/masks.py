"""Masks: which weights of a model are kept.

A mask tree maps the path of every prunable array ("conv0/kernel") to a bool
array of its shape, True where the weight is kept. Prunable are the kernels of
convolutions and linear layers but for those that the config excludes; biases
and normalisation are never pruned. Where whole output channels are pruned, the
layer that gives the outputs is none of them.
"""

from collections.abc import Mapping
import fnmatch
from typing import Any

from flax import traverse_util
import jax
import jax.numpy as jnp

from prunebias_jax.config import Pruning
from prunebias_jax.errors import InputError

Params = Mapping[str, Any]
Masks = dict[str, jax.Array]

HEAD = "head/kernel"  # of every network here


def prunable(
  params: Params, pruning: Pruning | None = None
) -> dict[str, jax.Array]:
  """The prunable arrays of a model by their path, in path order.

  Args:
    params: the model's parameters, or their shapes.
    pruning: says what is excluded; nothing where it is None.

  Raises:
    InputError: a pattern that no kernel has, or nothing is left.
  """
  flat = traverse_util.flatten_dict(params, sep="/")
  paths = [path for path in sorted(flat) if path.split("/")[-1] == "kernel"]
  left = _included(paths, pruning.exclude if pruning else ())
  if pruning and pruning.structure == "channels":
    left = _without_outputs(paths, left, pruning)
  return {path: flat[path] for path in left}


def _included(paths: list[str], patterns: tuple[str, ...]) -> list[str]:
  """The paths that no pattern matches."""
  excluded: set[str] = set()
  for pattern in patterns:
    found = fnmatch.filter(paths, pattern)
    if not found:
      raise InputError(
        f"pruning.exclude holds {pattern!r}, which matches no kernel; "
        f"accepted: patterns over {', '.join(paths)}"
      )
    excluded.update(found)
  left = [path for path in paths if path not in excluded]
  if patterns and not left:
    raise InputError(
      f"pruning.exclude is {patterns}, which leaves nothing to prune; "
      f"accepted: patterns that leave some of {', '.join(paths)}"
    )
  return left


def _without_outputs(
  paths: list[str], left: list[str], pruning: Pruning
) -> list[str]:
  """The paths but the one whose channels are the outputs."""
  if HEAD not in paths and not pruning.exclude:
    raise InputError(
      "pruning.structure is 'channels', which must spare the outputs, but no "
      f"layer is called {HEAD}; accepted: pruning.exclude with the last layer "
      f"among {', '.join(paths)}"
    )
  hidden = [path for path in left if path != HEAD]
  if not hidden:
    raise InputError(
      "pruning.structure is 'channels', which leaves nothing to prune but the "
      f"outputs ({HEAD}); accepted: a network with other kernels"
    )
  return hidden


def count_prunable(params: Params, pruning: Pruning | None = None) -> int:
  """Number of prunable weights; `params` may be shapes only."""
  return sum(array.size for array in prunable(params, pruning).values())


def full_masks(params: Params, pruning: Pruning | None = None) -> Masks:
  """Masks that keep everything."""
  return jax.tree.map(
    lambda x: jnp.ones(x.shape, bool), prunable(params, pruning)
  )


def apply_masks(params: Params, masks: Masks) -> Params:
  """The parameters with every pruned weight exactly zero."""
  flat = traverse_util.flatten_dict(params, sep="/")
  for path, mask in masks.items():
    flat[path] = jnp.where(mask, flat[path], 0)
  return traverse_util.unflatten_dict(flat, sep="/")
