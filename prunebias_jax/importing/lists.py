"""CelebA's official lists: attributes and splits of every image.

    list_attr_celeba.txt     count; the attributes' names; then for each image
                             its file name and -1 or 1 for each attribute
    list_eval_partition.txt  for each image its file name and 0 (train),
                             1 (valid) or 2 (test)

Reference: Liu, Luo, Wang and Tang 2015, "Deep Learning Face Attributes in the
Wild".
"""

from collections.abc import Iterator
import dataclasses
import hashlib
from pathlib import Path
import re

import numpy as np

from prunebias_jax.errors import InputError
from prunebias_jax.importing.foreign import check_texts, origin
from prunebias_jax.store import SPLITS


@dataclasses.dataclass(frozen=True, kw_only=True)
class Lists:
  """What the lists say.

  Attributes:
    names: the attributes.
    ids: str [example] by split, in the order of the partition.
    labels: uint8 [example, attribute] by split.
    files: `origin` of the two files.
  """

  names: tuple[str, ...]
  ids: dict[str, np.ndarray]
  labels: dict[str, np.ndarray]
  files: list[dict[str, str]]


def read_lists(attributes: Path, partition: Path) -> Lists:
  """Reads the two lists.

  Raises:
    InputError: a file that is not there, a line of another form (by its
      number), a wrong count, or images that only one of the files has.
  """
  names, order, labels, first = _read_attributes(attributes)
  ids: dict[str, list[str]] = {split: [] for split in SPLITS}
  text, second = read_text(partition)
  seen = set()
  for number, fields in rows(text, partition, 2):
    one, split = fields
    if split not in ("0", "1", "2"):
      raise InputError(
        f"{partition}, line {number}: split {split!r}; accepted: 0 (train), 1 "
        "(valid) and 2 (test)"
      )
    if one in seen:
      raise InputError(f"{partition}, line {number}: {one} is there twice")
    if one not in order:
      raise InputError(
        f"{partition}, line {number}: {one} is not in {attributes}"
      )
    seen.add(one)
    ids[SPLITS[int(split)]].append(one)
  if len(seen) != len(order):
    missing = next(one for one in order if one not in seen)
    raise InputError(
      f"{partition} has {len(seen)} images, {attributes} {len(order)}: "
      f"{missing} is in the latter only"
    )
  return Lists(
    names=names,
    ids={split: np.array(found, str) for split, found in ids.items() if found},
    labels={
      split: labels[[order[one] for one in found]]
      for split, found in ids.items()
      if found
    },
    files=[first, second],
  )


def read_text(path: Path) -> tuple[str, dict[str, str]]:
  """A text file's content, and its `origin`.

  Raises:
    InputError: it is not there, or no text.
  """
  if not path.is_file():
    raise InputError(f"{path} not found")
  content = path.read_bytes()
  try:
    text = content.decode("utf-8")
  except UnicodeDecodeError:
    raise InputError(f"{path} is no text") from None
  return text, origin(path.name, hashlib.sha256(content).hexdigest())


def rows(
  text: str, path: Path, width: int, first: int = 1
) -> Iterator[tuple[int, list[str]]]:
  """The fields of each line, with its number; commas count as blanks.

  Args:
    text: what the file holds.
    path: the file.
    width: how many fields a line has.
    first: the number of the first line that is taken.

  Raises:
    InputError: a line of another width, by its number.
  """
  for number, line in enumerate(text.splitlines(), 1):
    if number < first:
      continue
    fields = line.replace(",", " ").split()
    if len(fields) != width:
      raise InputError(
        f"{path}, line {number}: {len(fields)} fields; accepted: {width}"
      )
    yield number, fields


def _read_attributes(
  path: Path,
) -> tuple[tuple[str, ...], dict[str, int], np.ndarray, dict[str, str]]:
  """Names, place by image, uint8 [image, attribute] and the file's origin."""
  text, found = read_text(path)
  count, _, rest = text.partition("\n")
  names = tuple(rest.partition("\n")[0].split())
  # More digits than Python makes a number of are no number of images.
  if not re.fullmatch(r"\d{1,18}", count.strip()) or not names:
    raise InputError(
      f"{path}: line 1 is {count.strip()[:40]!r}; accepted: the number of "
      "images, and on line 2 the attributes' names"
    )
  check_texts(names, f"{path}, line 2")
  if len(set(names)) != len(names):
    raise InputError(f"{path}, line 2: an attribute is there twice")
  total = int(count)
  # As many as there are lines: the count may be anything.
  labels = np.zeros((text.count("\n") + 1, len(names)), np.uint8)
  order: dict[str, int] = {}
  signs = {"-1": 0, "1": 1}
  for number, (one, *values) in rows(text, path, len(names) + 1, first=3):
    if one in order:
      raise InputError(f"{path}, line {number}: {one} is there twice")
    try:
      labels[len(order)] = [signs[value] for value in values]
    except KeyError as error:
      raise InputError(
        f"{path}, line {number}: label {error}; accepted: -1 and 1"
      ) from None
    order[one] = len(order)
  if len(order) != total:
    raise InputError(
      f"{path} announces {total} images on line 1 and has {len(order)}"
    )
  return names, order, labels[:total], found
