"""A checksummed cache of named arrays on disk, one folder for each key.

An entry is written whole into a temporary folder and then renamed, so it is
there completely or not at all; its arrays are memory-mapped when read. A file
is compared with its checksum when it is first read here, and again whenever its
size, times or inode are not those of the last comparison.
"""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
import hashlib
import json
import logging
import mmap
import os
from pathlib import Path
import shutil
import tempfile

import numpy as np

MANIFEST = "manifest.json"
# Bytes that one thread hashes. The checksum of a larger file is that of the
# checksums of its blocks.
BLOCK = 1 << 28
_PIECE = 1 << 20

log = logging.getLogger(__name__)


def directory() -> Path:
  """The cache's folder: $PRUNEBIAS_CACHE, else ~/.cache/prunebias_jax."""
  chosen = os.environ.get("PRUNEBIAS_CACHE")
  return Path(chosen) if chosen else Path.home() / ".cache" / "prunebias_jax"


def cached(
  name: str,
  key: Mapping[str, object],
  build: Callable[[Path], Mapping[str, np.ndarray]],
) -> dict[str, np.ndarray]:
  """Returns the arrays of `key`, built and stored at the first call.

  Args:
    name: what the entry holds, the first part of its folder's name.
    key: everything that shapes the arrays, a version of the code that makes
      them included; values must be JSON.
    build: makes the arrays by name. It is given the folder of the entry to
      be: what is too large for the memory may be made there, as a memory map of
      NAME.npy.

  Returns:
    The arrays by name, read-only memory maps. An entry whose files do not
    match their checksums is reported and built again.
  """
  text = json.dumps(key, sort_keys=True)
  entry = (
    directory() / f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
  )
  if entry.exists():
    if _intact(entry):
      return _load(entry)
    log.warning("%s is damaged and is built again", entry)
    shutil.rmtree(entry, ignore_errors=True)
  entry.parent.mkdir(parents=True, exist_ok=True)
  staging = Path(tempfile.mkdtemp(prefix=f".{entry.name}-", dir=entry.parent))
  try:
    files, stamps = {}, {}
    for array_name, array in build(staging).items():
      path = staging / f"{array_name}.npy"
      if isinstance(array, np.memmap) and Path(str(array.filename)) == path:
        array.flush()
      else:
        np.save(path, array, allow_pickle=False)
      stamps[path.name] = _stamp(path)
      files[path.name] = checksum(path)
    manifest = {"key": key, "sha256": files, "intact": stamps}
    (staging / MANIFEST).write_text(json.dumps(manifest, indent=1))
    staging.chmod(0o755)  # a temporary folder is its maker's alone
    try:
      staging.rename(entry)
    except OSError:
      # Another process finished the same entry first: its arrays are equal.
      if not _intact(entry):
        raise
  finally:
    shutil.rmtree(staging, ignore_errors=True)
  return _load(entry)


def release(array: np.ndarray) -> None:
  """Lets go of the pages that were read of an array of the cache.

  They stay in the system's page cache, but no longer count as memory of this
  process. Of any other array nothing is done.
  """
  mapped = array.base
  if (
    isinstance(array, np.memmap)
    and isinstance(mapped, mmap.mmap)
    and array.mode == "r"
  ):
    mapped.madvise(mmap.MADV_DONTNEED)


def _load(entry: Path) -> dict[str, np.ndarray]:
  names = json.loads((entry / MANIFEST).read_text())["sha256"]
  return {
    Path(name).stem: np.load(entry / name, mmap_mode="r") for name in names
  }


def _intact(entry: Path) -> bool:
  """Whether every file of the entry is there and matches its checksum."""
  try:
    manifest = json.loads((entry / MANIFEST).read_text())
    # Taken before: what changes meanwhile is compared again next time.
    stamps = {name: _stamp(entry / name) for name in manifest["sha256"]}
    if manifest.get("intact") == stamps:
      return True
    for name, digest in manifest["sha256"].items():
      if checksum(entry / name) != digest:
        return False
  except (OSError, ValueError, KeyError, TypeError, AttributeError):
    return False
  _remember(entry, {**manifest, "intact": stamps})
  return True


def _remember(entry: Path, manifest: Mapping[str, object]) -> None:
  """Replaces an entry's manifest."""
  staging = entry / f".{MANIFEST}.{os.getpid()}"
  try:
    staging.write_text(json.dumps(manifest, indent=1))
    staging.replace(entry / MANIFEST)
  except OSError as error:
    log.info(
      "%s cannot be written (%s): it is compared with its checksums at every "
      "start",
      entry,
      error.strerror,
    )


def _stamp(path: Path) -> list[int]:
  """What changes with a file: size, times of change, inode."""
  found = path.stat()
  return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]


def checksum(path: Path) -> str:
  """SHA-256 of a file; of its blocks' SHA-256 where it has more than one."""
  size = path.stat().st_size

  def of_block(first: int) -> bytes:
    digest, left = hashlib.sha256(), BLOCK
    with path.open("rb") as file:
      file.seek(first)
      while left and (piece := file.read(min(_PIECE, left))):
        digest.update(piece)
        left -= len(piece)
    return digest.digest()

  if size <= BLOCK:
    return of_block(0).hex()
  with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as threads:
    blocks = threads.map(of_block, range(0, size, BLOCK))
    return hashlib.sha256(b"".join(blocks)).hexdigest()
