"""Eight CPU devices, a cache of its own, and strict numerics for every test."""

import os

# Before jax is imported: a backend that has started keeps its devices.
os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=8"
os.environ["JAX_PLATFORMS"] = "cpu"

import jax
import numpy as np
import pytest

from prunebias_jax.data.dataset import Dataset, Split

jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture(autouse=True, scope="session")
def _compiled_once(tmp_path_factory):
  """Tests train the same tiny programs many times."""
  folder = tmp_path_factory.mktemp("compiled")
  jax.config.update("jax_compilation_cache_dir", str(folder))
  jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.3)
  jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory):
  """Tests neither read nor fill the user's cache."""
  with pytest.MonkeyPatch.context() as patch:
    patch.setenv("PRUNEBIAS_CACHE", str(tmp_path_factory.mktemp("cache")))
    yield


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


@pytest.fixture(scope="session")
def dataset():
  """A tiny multi-label data set: three attributes, the last an identity."""
  return Dataset(
    name="tiny",
    task="multilabel",
    names=("A", "B", "C"),
    identity_names=("C",),
    splits={
      "train": make_split(40, "train"),
      "valid": make_split(10, "valid"),
      "test": make_split(12, "test"),
    },
  )
