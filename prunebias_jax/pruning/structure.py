"""Which units a mask update removes: the lowest scores of each pool."""

from collections.abc import Mapping

import jax

from prunebias_jax.config import Pruning
from prunebias_jax.pruning.masks import Masks
from prunebias_jax.pruning.threshold import prune_smallest


def update_masks(
  pruning: Pruning,
  scores: Mapping[str, jax.Array],
  masks: Masks,
  counts: jax.Array,
) -> Masks:
  """Prunes the units of the smallest scores, pool by pool.

  Args:
    pruning: says what a pool is.
    scores: arrays by path; their magnitudes are compared.
    masks: the present masks by path; the new ones are nested in them.
    counts: int32 [pool], how many units are pruned in the end.
  """
  paths = sorted(masks)
  pools = [paths] if pruning.allocation == "global" else [[p] for p in paths]
  found: Masks = {}
  for place, pool in enumerate(pools):
    kept = prune_smallest(
      [scores[path] for path in pool],
      [masks[path] for path in pool],
      counts[place],
    )
    found.update(zip(pool, kept, strict=True))
  return found
