"""Eight CPU devices, a cache of its own, and strict numerics for every test."""

import os

# Before jax is imported: a backend that has started keeps its devices.
os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=8"
os.environ["JAX_PLATFORMS"] = "cpu"

from browsers import ARGUMENTS, MISSING, find_chromium
import jax
import pytest
from splits import make_split

from prunebias_jax.data.dataset import Dataset

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


@pytest.fixture(scope="module")
def chromium():
  """A browser of playwright; of a module, since its event loop holds others up.

  Where there is none the tests are skipped, and say what to do.
  """
  sync_api = pytest.importorskip(
    "playwright.sync_api", reason="needs the extra test"
  )
  path = find_chromium()
  if path is None:
    pytest.skip(MISSING)
  with sync_api.sync_playwright() as driver:
    found = driver.chromium.launch(executable_path=path, args=[*ARGUMENTS])
    yield found
    found.close()


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
