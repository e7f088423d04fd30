"""Tiny random splits that a network can learn from."""

import numpy as np

from prunebias_jax.data.dataset import SPLITS, Dataset, Split


def make_split(count, prefix, *, seed=0, size=8, channels=1, classes=0):
  """Random images whose brightness tells the first label."""
  rng = np.random.default_rng([seed, len(prefix), ord(prefix[0])])
  labels = rng.integers(0, 2, (count, 3)).astype(np.uint8)
  shape = (count, size, size, channels)
  shade = 60 + 120 * labels[:, 0, None, None, None]
  images = np.clip(shade + rng.normal(0, 40, shape), 0, 255).astype(np.uint8)
  return Split(
    images=images,
    labels=rng.integers(0, classes, count).astype(np.int32)
    if classes
    else labels,
    identities=labels[:, 2:],
    ids=np.array([f"{prefix}{index}" for index in range(count)]),
    truth={} if classes else {"margin": rng.normal(size=(count, 3))},
  )


def make_dataset(seed=0, counts=(48, 20, 30)):
  """A multi-label data set of such splits, of so many examples each."""
  return Dataset(
    name="tiny",
    task="multilabel",
    names=("a", "b", "c"),
    identity_names=("c",),
    splits={
      name: make_split(count, name, seed=seed)
      for name, count in zip(SPLITS, counts, strict=True)
    },
  )
