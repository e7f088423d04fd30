"""Pictures decoded once, by all cores, into the memory-mapped cache."""

from collections.abc import Callable, Mapping, Sequence
import functools
import itertools
import json
import logging
import math
import os
from pathlib import Path
import shutil
import subprocess
import sys
from typing import Any

import numpy as np

from prunebias_jax.data import cache, decoder
from prunebias_jax.errors import InputError

log = logging.getLogger(__name__)

# Fewer pictures than this are decoded sooner than a process starts.
FEW = 2000


def cached_pictures(
  name: str,
  key: Mapping[str, object],
  sources: Sequence[Any],
  *,
  size: int | None,
  channels: int = 3,
  shards: Sequence[str] = (),
  feature: str = "image",
  named: Callable[[Any], str] = str,
) -> np.ndarray:
  """The pictures of one split, decoded at the first call.

  Args:
    name: the first part of the cache entry's name.
    key: what tells these pictures from others; size, channels and the resizer
      are added here.
    sources: files, or numbers of records in `shards`.
    size: height and width; None keeps the pictures' own, which must be equal.
    channels: 1 (gray) or 3 (colours).
    shards: array_record files that hold the records.
    feature: the name of the picture in a record.
    named: a source as a message names it.

  Returns:
    uint8 [example, y, x, channel], a read-only memory map.

  Raises:
    InputError: sources that are no pictures or of different sizes, or too
      little room for them; nothing is kept.
  """
  full_key = {
    **key,
    "size": size,
    "channels": channels,
    "resizer": decoder.RESIZER,
  }
  whole = decoder.Job(
    output="",
    first=0,
    sources=sources,
    shards=shards,
    feature=feature,
    size=size,
  )
  build = functools.partial(_build, whole, channels, named)
  return cache.cached(f"{name}-{size or 'own'}", full_key, build)["images"]


def _build(
  whole: decoder.Job, channels: int, named: Callable[[Any], str], folder: Path
) -> dict[str, np.ndarray]:
  """Decodes into a file in the folder, so that memory stays flat."""
  sources, size = whole["sources"], whole["size"]
  try:
    shape = (
      decoder.shape_of_first(whole, channels)
      if size is None
      else (size, size, channels)
    )
  except ValueError as error:
    raise InputError(f"{named(sources[0])} {error}") from None
  _require_room(folder, len(sources) * math.prod(shape))
  path = folder / "images.npy"
  images = np.lib.format.open_memmap(
    path, "w+", np.uint8, (len(sources), *shape)
  )
  processes = len(os.sched_getaffinity(0)) if len(sources) >= FEW else 1
  ends = np.linspace(0, len(sources), processes + 1).astype(int).tolist()
  jobs: list[decoder.Job] = [
    {**whole, "output": str(path), "first": a, "sources": sources[a:b]}
    for a, b in itertools.pairwise(ends)
  ]
  bad = decoder.run(jobs[0]) if processes == 1 else _in_processes(jobs)
  if bad:
    source, why = bad[0]
    more = f" ({len(bad)} such in all)" if len(bad) > 1 else ""
    raise InputError(f"{named(source)} {why}{more}")
  return {"images": images}


def _require_room(folder: Path, needed: int) -> None:
  """Refuses to fill a disk.

  Raises:
    InputError: less room than is needed, in bytes.
  """
  free = shutil.disk_usage(folder).free
  if free < needed:
    raise InputError(
      f"{folder.parent} has {free / 1e9:.1f} GB free and the decoded pictures "
      f"need {needed / 1e9:.1f}; PRUNEBIAS_CACHE may name another folder"
    )


def _in_processes(jobs: Sequence[decoder.Job]) -> list[tuple[Any, str]]:
  """Runs every job in a process of its own; what they found to be bad."""
  log.info(
    "decoding %d pictures in %d processes",
    sum(len(job["sources"]) for job in jobs),
    len(jobs),
  )
  # -P: this folder's modules must not stand in for others of their names.
  command = [sys.executable, "-P", str(decoder.__file__)]
  running: list[subprocess.Popen[str]] = []
  try:
    for job in jobs:
      process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
      )
      running.append(process)
      assert process.stdin is not None
      json.dump(job, process.stdin)
      process.stdin.close()
    found = []
    for process in running:
      assert process.stdout is not None
      text = process.stdout.read()
      if process.wait():
        raise RuntimeError(
          f"a decoding process ended with {process.returncode}"
        )
      found += json.loads(text)
    return found
  finally:
    for process in running:
      process.kill()
      process.wait()
      for pipe in (process.stdin, process.stdout):
        if pipe is not None:
          pipe.close()
