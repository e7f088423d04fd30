"""The cache: built once, checked, rebuilt when damaged, never half there."""

import hashlib
import os
from pathlib import Path

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


def hashed(monkeypatch):
  """What is compared with its checksum from now on."""
  seen, real = [], cache.checksum

  def noting(path):
    seen.append(path.name)
    return real(path)

  monkeypatch.setattr(cache, "checksum", noting)
  return seen


def test_a_file_is_compared_once_and_when_it_changes(tmp_path, monkeypatch):
  calls = []
  cache.cached("thing", {}, build(calls))
  seen = hashed(monkeypatch)
  cache.cached("thing", {}, build(calls))
  assert not seen, "built here a moment ago"
  path = next(tmp_path.glob("thing-*/more.npy"))
  path.touch()
  for _ in range(2):
    cache.cached("thing", {}, build(calls))
  assert sorted(seen) == ["more.npy", "numbers.npy"]
  # As large as before, at the time of before.
  before = path.stat()
  path.write_bytes(path.read_bytes()[:-1] + b"x")
  os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
  cache.cached("thing", {}, build(calls))
  assert len(calls) == 2


def test_a_cache_that_is_read_only_is_compared_each_time(
  tmp_path, monkeypatch, caplog
):
  cache.cached("thing", {}, build([]))
  next(tmp_path.glob("thing-*/more.npy")).touch()

  def refuse(*_):
    raise OSError(30, "Read-only file system")

  seen = hashed(monkeypatch)
  monkeypatch.setattr(cache.Path, "write_text", refuse)
  with caplog.at_level("INFO"):
    for _ in range(2):
      cache.cached("thing", {}, build([]))
  assert len(seen) == 4
  assert "Read-only file system" in caplog.text


def test_large_files_have_the_checksum_of_their_blocks(tmp_path, monkeypatch):
  def sha(data):
    return hashlib.sha256(data)

  path = tmp_path / "x"
  monkeypatch.setattr(cache, "BLOCK", 8)
  for size, blocks in ((0, 1), (8, 1), (9, 2), (24, 3)):
    data = bytes(range(size))
    path.write_bytes(data)
    parts = [sha(data[8 * i : 8 * i + 8]) for i in range(blocks)]
    whole = sha(b"".join(part.digest() for part in parts))
    expected = parts[0] if blocks == 1 else whole
    assert cache.checksum(path) == expected.hexdigest()


def file_pages():
  """Bytes of this process that are pages of files."""
  status = Path("/proc/self/status").read_text()
  return 1024 * int(status.split("RssFile:")[1].split()[0])


def test_released_pages_count_no_longer_and_read_the_same():
  size = 1 << 26
  made = cache.cached("large", {}, lambda _: {"x": np.ones(size, np.uint8)})
  before = file_pages()
  assert int(made["x"].sum()) == size
  assert file_pages() - before > size / 2
  cache.release(made["x"])
  assert file_pages() - before < size / 4
  assert int(made["x"].sum()) == size


@pytest.mark.parametrize("mode", ["r+", "c"])
def test_what_could_be_lost_is_not_released(tmp_path, mode):
  np.save(tmp_path / "x.npy", np.zeros(9))
  array = np.load(tmp_path / "x.npy", mmap_mode=mode)
  array[3] = 1
  cache.release(array)
  cache.release(array[2:])
  cache.release(np.zeros(3))
  assert array[3] == 1
