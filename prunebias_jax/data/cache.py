"""A checksummed cache of named arrays on disk, one folder for each key.

An entry is written whole into a temporary folder and then renamed, so it is
there completely or not at all; its arrays are memory-mapped when read.
"""

from collections.abc import Callable, Mapping
import hashlib
import json
import logging
import os
from pathlib import Path
import shutil
import tempfile

import numpy as np

MANIFEST = "manifest.json"

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
    files = {}
    for array_name, array in build(staging).items():
      path = staging / f"{array_name}.npy"
      if isinstance(array, np.memmap) and Path(str(array.filename)) == path:
        array.flush()
      else:
        np.save(path, array, allow_pickle=False)
      files[path.name] = _sha256(path)
    manifest = {"key": key, "sha256": files}
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


def _load(entry: Path) -> dict[str, np.ndarray]:
  names = json.loads((entry / MANIFEST).read_text())["sha256"]
  return {
    Path(name).stem: np.load(entry / name, mmap_mode="r") for name in names
  }


def _intact(entry: Path) -> bool:
  """Whether every file of the entry is there and matches its checksum."""
  try:
    files = json.loads((entry / MANIFEST).read_text())["sha256"]
    return all(
      _sha256(entry / name) == digest for name, digest in files.items()
    )
  except (OSError, ValueError, KeyError, TypeError, AttributeError):
    return False


def _sha256(path: Path) -> str:
  with path.open("rb") as file:
    return hashlib.file_digest(file, "sha256").hexdigest()
