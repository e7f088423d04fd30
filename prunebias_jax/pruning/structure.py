"""Which units a mask update removes: the lowest scores of each pool.

Units are what is pruned together: single weights, the weights of N:M groups, or
whole output channels. A pool is what is compared with each other: all layers
together (`global`), or each layer by itself (`uniform`, `erk`); N:M groups are
all treated alike, as one pool.
"""

from collections.abc import Mapping
import logging

import jax

from prunebias_jax.config import Pruning
from prunebias_jax.errors import InputError
from prunebias_jax.pruning import channels, patterns
from prunebias_jax.pruning.masks import Masks
from prunebias_jax.pruning.threshold import prune_smallest

log = logging.getLogger(__name__)


def update_masks(
  pruning: Pruning,
  scores: Mapping[str, jax.Array],
  masks: Masks,
  counts: jax.Array,
) -> Masks:
  """Prunes the units of the smallest scores, pool by pool.

  Args:
    pruning: says what units and pools are.
    scores: arrays by path; their magnitudes are compared.
    masks: the present masks by path; the new ones are nested in them.
    counts: int32 [pool], how many units are pruned in the end; for N:M of every
      group.
  """
  if pruning.pattern is not None:
    size = pruning.pattern.group
    return {
      path: patterns.prune_groups(scores[path], mask, size, counts[0])
      for path, mask in masks.items()
    }
  if pruning.structure == "channels":
    alive = channels.alive_channels(masks)
    shares = {
      path: channels.channel_scores(scores[path], alive[path]) for path in alive
    }
    kept = _prune_pools(pruning, shares, alive, counts)
    return channels.channel_masks(kept, masks)
  return _prune_pools(pruning, scores, masks, counts)


def _prune_pools(
  pruning: Pruning,
  scores: Mapping[str, jax.Array],
  alive: Masks,
  counts: jax.Array,
) -> Masks:
  """Which units are kept, by path; one score for each unit."""
  paths = sorted(alive)
  pools = [paths] if pruning.allocation == "global" else [[p] for p in paths]
  found: Masks = {}
  for place, pool in enumerate(pools):
    kept = prune_smallest(
      [scores[path] for path in pool],
      [alive[path] for path in pool],
      counts[place],
    )
    found.update(zip(pool, kept, strict=True))
  return found


def unit_shape(pruning: Pruning, shape: tuple[int, ...]) -> tuple[int, ...]:
  """Shape of one score for each unit of a kernel, to be broadcast over it."""
  if pruning.structure == "channels":
    return (*(1 for _ in shape[:-1]), shape[-1])
  return shape


def require_axes(
  pruning: Pruning, layers: Mapping[str, tuple[int, ...]]
) -> None:
  """Refuses kernels without inputs and outputs where structure needs them.

  Raises:
    InputError: a kernel of fewer than two axes.
  """
  for path, shape in layers.items():
    if pruning.structure != "unstructured" and len(shape) < 2:
      raise InputError(
        f"pruning.structure is {pruning.structure!r}, but {path} is "
        f"{list(shape)}; accepted: kernels [..., in, out], or name it in "
        "pruning.exclude"
      )


def log_incomplete(
  pruning: Pruning, layers: Mapping[str, tuple[int, ...]]
) -> None:
  """Says which layers an N:M pattern does not divide."""
  pattern = pruning.pattern
  found = patterns.incomplete(pattern, layers) if pattern else []
  if found:
    log.warning(
      "pruning.structure %s does not divide the inputs of every layer: %s",
      pruning.structure,
      "; ".join(found),
    )
