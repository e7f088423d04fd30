"""Where pruning left its holes: sparsity of each layer, overlap of masks."""

import itertools

import numpy as np
import pandas as pd

from prunebias_jax import store
from prunebias_jax.training.parameters import load_parameters, parameters_path

POPULATION = ["pruner", "sparsity", "quantization"]


def layer_table(run: store.Run) -> pd.DataFrame:
  """Sparsity of every layer, and how far the seeds agree on what is kept.

  Args:
    run: a run that keeps parameters.

  Returns:
    One row for each population and layer: weights; sparsity_mean, sparsity_min
    and sparsity_max over seeds; overlap, the mean over pairs of seeds of
    |kept by both| / |kept by either| (Jaccard index; this project), NaN with
    one seed; overlap_by_chance, the same for masks of that sparsity drawn
    independently, s the share kept: s / (2 - s).
  """
  members = run.trained()
  usable = members[members["done"] & ~members["diverged"]]
  rows = []
  for key, group in usable.groupby(POPULATION, sort=False):
    indices = [
      int(index)
      for index in group.index
      if parameters_path(run.path, int(index)).exists()
    ]
    masks = [load_parameters(run.path, index)["masks"] for index in indices]
    for layer in masks[0] if masks else ():
      kept = np.stack([np.asarray(one[layer]).ravel() for one in masks])
      rows.append(
        {**dict(zip(POPULATION, key, strict=True)), "layer": layer}
        | _describe(kept)
      )
  return pd.DataFrame(rows)


def _describe(kept: np.ndarray) -> dict[str, float]:
  """The numbers of one layer from its masks [seed, weight]."""
  share = kept.mean(1)
  pairs = [
    (one & other).sum() / max((one | other).sum(), 1)
    for one, other in itertools.combinations(kept, 2)
  ]
  chance = share.mean() / (2 - share.mean())
  return {
    "weights": kept.shape[1],
    "sparsity_mean": 1 - share.mean(),
    "sparsity_min": 1 - share.max(),
    "sparsity_max": 1 - share.min(),
    "overlap": float(np.mean(pairs)) if pairs else float("nan"),
    "overlap_by_chance": chance,
  }
