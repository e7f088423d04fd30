"""The examples that a mask update may take a gradient on.

A sample of the training split that all members share, un-augmented but with
markers, as networks see the examples otherwise. It is a function of the seed of
the data and of a number, so that an update may have a sample of its own.
"""

import numpy as np

from prunebias_jax.data.dataset import Dataset
from prunebias_jax.data.markers import shown

# Tells these draws from others of the same seed.
_PURPOSE = 0x73636F72


def scoring_batch(
  dataset: Dataset, *, count: int, batch: int, seed: int, number: int = 0
) -> tuple[np.ndarray, np.ndarray]:
  """A sample in the order of the split, without replacement, on the host.

  Args:
    dataset: whose training split is sampled.
    count: examples, up to `batch` or a multiple of it; 0 for `batch`.
    batch: the most examples a step.
    seed: of the data.
    number: which sample.

  Returns:
    images uint8 [step, example, y, x, channel] and labels [step, example, ...].
  """
  split = dataset.splits["train"]
  count = count or batch
  rng = np.random.default_rng([seed, number, _PURPOSE])
  rows = np.sort(rng.choice(len(split), count, replace=False))
  images, labels = shown(dataset, "train", rows), np.asarray(split.labels[rows])
  steps = -(-count // batch)
  return (
    images.reshape(steps, -1, *images.shape[1:]),
    labels.reshape(steps, -1, *labels.shape[1:]),
  )
