"""CelebA with its official splits, through tensorflow-datasets' own builder.

`data.root` holds either the five official files or what tensorflow-datasets
prepared of them (`celeb_a`, as array_record). The files are verified, then
prepared into the cache by the real builder, offline and without TensorFlow.

Reference: Liu, Luo, Wang and Tang 2015, "Deep Learning Face Attributes in the
Wild".
"""

from collections.abc import Iterator, Mapping
import contextlib
import hashlib
import logging
from pathlib import Path
import shutil
import tempfile
from typing import Any
import zipfile

import numpy as np

from prunebias_jax.config import Data
from prunebias_jax.data import cache
from prunebias_jax.data.dataset import Dataset
from prunebias_jax.data.faces.attributes import IDENTITIES, NAMES
from prunebias_jax.data.groups import identity_columns
from prunebias_jax.data.records import Records, open_prepared
from prunebias_jax.data.tfds import Part, read_columns, split_column
from prunebias_jax.data.views import chosen
from prunebias_jax.errors import InputError, choose

BUILDER = "celeb_a"
SPLITS = {"train": "train", "valid": "validation", "test": "test"}

log = logging.getLogger(__name__)


def load(config: Data) -> Dataset:
  """Reads CelebA; it is prepared and decoded at the first call.

  Args:
    config: root, size, identities (of the 40 attributes; none takes Male,
      Young, Chubby and Pale_Skin), and numbers of examples to draw.

  Returns:
    The data set; ids are CelebA's file names.

  Raises:
    InputError: files that are missing, cut off or not the official ones.
  """
  for name in config.identities:
    choose(name, NAMES, "identity in data.identities")
  builder = open_prepared(BUILDER, str(_prepared(config.root)))
  parts, ids, before = {}, [], 0
  for split, name in SPLITS.items():
    count = builder.info.splits[name].num_examples
    rows = chosen(count, split, config)
    parts[split] = Part(Records(builder, name), rows)
    names = file_names(name, before, count)
    ids += [names[row] for row in rows]
    before += count
  columns = read_columns(parts, tuple(f"attributes/{one}" for one in NAMES))
  labels = np.stack([columns[f"attributes/{one}"] for one in NAMES], 1)
  identities = {
    one: labels[:, NAMES.index(one)] for one in config.identities or IDENTITIES
  }
  return Dataset.from_arrays(
    name="celeba",
    images={
      split: part.records.images(
        part.rows, feature="image", size=config.stored_size, channels=3
      )
      for split, part in parts.items()
    },
    labels=labels,
    splits=split_column(parts),
    names=NAMES,
    identities=identity_columns(identities, "celeba"),
    ids=ids,
  )


def file_names(split: str, before: int, count: int) -> list[str]:
  """CelebA's file names of a prepared split, in the order of its records.

  The official splits are consecutive files, and tensorflow-datasets orders the
  records of a split by a hash of the split's and the file's name.

  Args:
    split: "train", "validation" or "test".
    before: how many files the splits before have.
    count: how many this one has.
  """
  from tensorflow_datasets.core import hashing

  hasher = hashing.Hasher(split)
  names = [f"{before + 1 + number:06d}.jpg" for number in range(count)]
  return sorted(names, key=hasher.hash_key)


def official_files(builder: Any) -> dict[str, tuple[int, str]]:
  """(bytes, SHA-256) of the official files by name, as the builder has them."""
  return {
    info.filename: (info.size, info.checksum)
    for info in builder.url_infos.values()
  }


def _prepared(root: str) -> Path:
  """The data_dir that CelebA is prepared in; prepares it from the files."""
  folder = Path(root)
  if not root or not folder.is_dir():
    raise InputError(
      f"data.root is {root!r}; accepted: the folder with CelebA's five "
      f"official files, or one that tensorflow-datasets prepared {BUILDER} in"
    )
  if (folder / BUILDER).is_dir():
    return folder
  import tensorflow_datasets as tfds

  files = official_files(tfds.builder_cls(BUILDER))
  digest = hashlib.sha256(repr(sorted(files.items())).encode()).hexdigest()
  target = cache.directory() / f"celeb_a-prepared-{digest[:16]}"
  if target.exists():
    return target
  _verify(folder, files)
  target.parent.mkdir(parents=True, exist_ok=True)
  staging = Path(tempfile.mkdtemp(prefix=".celeb_a-", dir=target.parent))
  try:
    builder = tfds.builder(
      BUILDER, data_dir=staging, file_format="array_record"
    )
    log.info("preparing CelebA from %s (once)", folder)
    _prepare(builder, folder, staging / "downloads")
    staging.chmod(0o755)
    try:
      staging.rename(target)
    except OSError:
      # Another process was first; what it made is equal.
      if not target.exists():
        raise
    return target
  finally:
    shutil.rmtree(staging, ignore_errors=True)


def _verify(folder: Path, files: Mapping[str, tuple[int, str]]) -> None:
  """Names every file that is missing, cut off or another one."""
  sizes = {one.stat().st_size: one.name for one in folder.iterdir()}
  wrong = []
  for name, (size, checksum) in sorted(files.items()):
    path = folder / name
    if not path.is_file():
      like = sizes.get(size)
      wrong.append(f"{name} is missing" + (f" (is it {like}?)" if like else ""))
    elif path.stat().st_size != size:
      wrong.append(f"{name} has {path.stat().st_size} bytes, not {size}")
    else:
      with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
      if found != checksum:
        wrong.append(f"{name} has the SHA-256 {found}, not {checksum}")
  if wrong:
    raise InputError(
      f"CelebA in {folder}: {'; '.join(wrong)}; accepted: the official files"
    )


def _prepare(builder: Any, folder: Path, scratch: Path) -> None:
  """Runs the builder on local files, in place of its downloads."""
  import tensorflow_datasets as tfds

  class LocalFiles(tfds.download.DownloadManager):
    """Finds each file in the folder; opens archives without TensorFlow."""

    def download(self, url_or_urls: Mapping[str, str]) -> dict[str, Path]:
      return {
        name: folder / builder.url_infos[url].filename
        for name, url in url_or_urls.items()
      }

    def iter_archive(self, resource: Path) -> Iterator[tuple[str, Any]]:
      archive = archives.enter_context(zipfile.ZipFile(resource))
      for member in archive.infolist():
        if not member.is_dir():
          yield member.filename, _Member(archive, member.filename)

  with contextlib.ExitStack() as archives:
    builder._make_download_manager = lambda **_: LocalFiles(
      download_dir=scratch, dataset_name=builder.name
    )
    builder.download_and_prepare(
      download_config=tfds.download.DownloadConfig(try_download_gcs=False)
    )


class _Member:
  """A file in an archive that is read when the builder asks for it."""

  def __init__(self, archive: zipfile.ZipFile, name: str) -> None:
    self._archive, self._name = archive, name

  def read(self) -> bytes:
    return self._archive.read(self._name)
