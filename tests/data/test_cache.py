"""The cache: built once, checked, rebuilt when damaged, never half there."""

import numpy as np
import pytest

from prunebias_jax.data import cache


@pytest.fixture(autouse=True)
def _empty(tmp_path, monkeypatch):
  monkeypatch.setenv("PRUNEBIAS_CACHE", str(tmp_path))


def build(calls):
  def make(_):
    calls.append(1)
    return {"numbers": np.arange(5), "more": np.eye(2)}

  return make


def test_built_once_for_each_key():
  calls = []
  for key in ({"a": 1}, {"a": 1}, {"a": 2}):
    arrays = cache.cached("thing", key, build(calls))
    np.testing.assert_array_equal(arrays["numbers"], np.arange(5))
    np.testing.assert_array_equal(arrays["more"], np.eye(2))
  assert len(calls) == 2


def test_arrays_are_read_only_memory_maps():
  for _ in ("built", "read"):
    for array in cache.cached("thing", {}, build([])).values():
      assert isinstance(array, np.memmap)
      assert array.mode == "r"
      assert not array.flags.writeable


@pytest.mark.parametrize(
  "damage",
  [
    lambda entry: (entry / "more.npy").write_bytes(b"x"),
    lambda entry: (entry / "more.npy").unlink(),
    lambda entry: (entry / cache.MANIFEST).unlink(),
    lambda entry: (entry / cache.MANIFEST).write_text("3"),
  ],
)
def test_a_damaged_entry_is_built_again(damage, tmp_path, caplog):
  calls = []
  cache.cached("thing", {}, build(calls))
  damage(next(tmp_path.glob("thing-*")))
  arrays = cache.cached("thing", {}, build(calls))
  np.testing.assert_array_equal(arrays["more"], np.eye(2))
  assert len(calls) == 2
  assert "damaged" in caplog.text


def test_a_failed_build_leaves_nothing(tmp_path):
  def fail(_):
    raise RuntimeError("no")

  with pytest.raises(RuntimeError):
    cache.cached("thing", {}, fail)
  assert not list(tmp_path.iterdir())


def test_an_array_made_in_the_folder_is_kept_there():
  def make(folder):
    made = np.lib.format.open_memmap(folder / "x.npy", "w+", np.uint8, (3, 2))
    made[:] = 7
    return {"x": made, "y": made[:1]}

  for _ in ("built", "read"):
    found = cache.cached("mapped", {}, make)
    np.testing.assert_array_equal(found["x"], np.full((3, 2), 7))
    np.testing.assert_array_equal(found["y"], np.full((1, 2), 7))
