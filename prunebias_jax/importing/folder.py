"""A folder of text files, one a member, as the first paper's code leaves them.

    <pruner>/<sparsity>/<run>                       all attributes together
    <strategy>/<attribute>/<sparsity>/<run>         a network an attribute
    <attribute>/<marker>/<sparsity>/<run>           the same, backdoored
    <attribute>/<marker>/<strategy>/<sparsity>/<run>

Each of these folders holds test_outputs*.txt and may hold valid_outputs*.txt: a
line an example, a number an attribute.

Reference: the layout that the public code of Iofinova, Peste and Alistarh 2023
("Bias in Pruned Vision Models") writes and reads; the reading is this
project's own.
"""

from collections.abc import Iterator, Mapping
import logging
import os
from pathlib import Path
import re

import numpy as np
import pandas as pd
import scipy.special

from prunebias_jax import store
from prunebias_jax.data.faces.attributes import IDENTITIES
from prunebias_jax.data.markers import MARKED
from prunebias_jax.errors import InputError, choose
from prunebias_jax.importing.foreign import (
  ASKED_PAIRINGS,
  NOT_FINITE,
  Foreign,
  check_members,
  origin,
  write,
)
from prunebias_jax.importing.layouts import Member, find_members
from prunebias_jax.importing.lists import Lists, read_lists, read_text, rows

log = logging.getLogger(__name__)

VALUES = ("logits", "probabilities")
MARKS_BY = ("name", "position")


def import_folder(
  folder: str | os.PathLike[str],
  workdir: str | os.PathLike[str],
  *,
  labels: str | os.PathLike[str],
  partition: str | os.PathLike[str],
  name: str | None = None,
  attribute: str | None = None,
  marker: str | None = None,
  values: str | None = None,
  marks_by: str = "name",
  pairing: str = "seed",
  skip_bad: bool = False,
) -> store.Run:
  """Makes a run of a folder of text files.

  Args:
    folder: the members' outputs.
    workdir: where the run goes; it must hold none.
    labels: CelebA's list_attr_celeba.txt, or another in its format.
    partition: CelebA's list_eval_partition.txt.
    name: the run's name; that of the folder by default.
    attribute: of networks of one attribute each: which.
    marker: of backdoored data: which.
    values: what the numbers are, "logits" or "probabilities"; None takes them
      for logits where some are outside [0, 1], and else refuses.
    marks_by: what backdoor_ids_*.txt hold, the images' "name" or "position" in
      the split, counted from 0.
    pairing: "seed", runs of equal number pair, or "none".
    skip_bad: leave out members whose logits are not finite.

  Returns:
    The run.

  Raises:
    InputError: whatever of it cannot be read, by file and line; nothing is
      written then.
  """
  if values is not None:
    choose(values, VALUES, "kind of values")
  choose(marks_by, MARKS_BY, "way of marking")
  choose(pairing, ASKED_PAIRINGS, "pairing")
  folder = Path(folder)
  if not folder.is_dir():
    raise InputError(f"{folder} is no folder")
  lists = read_lists(Path(labels), Path(partition))
  if "test" not in lists.ids:
    raise InputError(f"{partition} has no test images (2)")
  found = find_members(folder, lists.names, attribute, marker)
  foreign = _foreign(folder, found, lists, values, marks_by, pairing)
  name = folder.resolve().name if name is None else name
  return write(foreign, Path(workdir), name=name, skip_bad=skip_bad)


def _foreign(
  folder: Path,
  found: list[Member],
  lists: Lists,
  values: str | None,
  marks_by: str,
  pairing: str,
) -> Foreign:
  """The folder as a run, if its files fit together."""
  members = pd.DataFrame(
    {
      "pruner": [one.pruner for one in found],
      "sparsity": [one.sparsity for one in found],
      "quantization": "none",
      "seed": [one.seed for one in found],
    }
  )
  check_members(members)
  files = list(lists.files)
  marks = _marks(folder, found, lists, marks_by, files)
  attribute = found[0].attribute
  names = (attribute,) if attribute else lists.names
  outputs = [lists.names.index(name) for name in names]
  splits = {}
  for split, labels in lists.labels.items():
    if marks is not None and split not in marks:
      log.warning(
        "there is no backdoor_ids_%s.txt: the %s split is left out, for nobody "
        "knows which of it is marked",
        split,
        split,
      )
      continue
    identities = {
      name: labels[:, lists.names.index(name)]
      for name in IDENTITIES
      if name in lists.names
    }
    if marks is not None:
      identities[MARKED] = marks[split]
    none = np.zeros((len(labels), 0), np.uint8)
    splits[split] = store.labelled(
      labels=labels[:, outputs],
      identities=np.column_stack([none, *identities.values()]),
      ids=lists.ids[split],
      names=names,
      identity_names=tuple(identities),
    )
  evaluated = tuple(
    split
    for split in store.EVALUATED
    if split in splits and _outputs_of(found, split)
  )
  return Foreign(
    splits=splits,
    members=members,
    logits=_each(folder, found, lists, evaluated, len(names), values, files),
    evaluated=evaluated,
    dtype="float64",
    pairing=pairing,
    files=files,
    bad="probabilities of exactly 0 or 1, which have no finite logit"
    if values == "probabilities"
    else NOT_FINITE,
  )


def _outputs_of(found: list[Member], split: str) -> bool:
  """Whether the members have outputs of a split.

  Raises:
    InputError: only some of them have.
  """
  lacking = [one for one in found if split not in one.outputs]
  if lacking and len(lacking) < len(found):
    raise InputError(
      f"{lacking[0].directory} has no {split}_outputs*.txt, others have; "
      "accepted: of all or of none"
    )
  return not lacking


def _each(
  folder: Path,
  found: list[Member],
  lists: Lists,
  evaluated: tuple[str, ...],
  width: int,
  values: str | None,
  files: list[dict[str, str]],
) -> Iterator[Mapping[str, np.ndarray]]:
  """One member's logits after the other's."""
  is_logit = False
  for member in found:
    logits = {}
    for split in evaluated:
      path = member.outputs[split]
      shape = (len(lists.ids[split]), width)
      array, digest = read_outputs(path, shape)
      files.append(origin(path.relative_to(folder).as_posix(), digest))
      outside = array[(array < 0) | (array > 1)]
      is_logit |= bool(outside.size)
      if values == "probabilities":
        if outside.size:
          raise InputError(
            f"{path} holds {outside[0]:g}; accepted as probabilities: 0 to 1"
          )
        array = scipy.special.logit(array)
      logits[split] = array
    yield logits
  if values is None and not is_logit:
    raise InputError(
      f"{folder}: all numbers lie between 0 and 1, as those of logits hardly "
      "do; say which they are: --values logits or --values probabilities"
    )


def read_outputs(path: Path, shape: tuple[int, int]) -> tuple[np.ndarray, str]:
  """A member's numbers, a line an example; float64, and the file's SHA-256.

  Args:
    path: a text file; blanks or commas part its numbers.
    shape: [example, attribute] that is wanted.

  Raises:
    InputError: a line that is no such row, by its number, or another count.
  """
  text, found = read_text(path)
  # Python reads 1_0 and other scripts' digits as numbers.
  odd = re.search(r"_|[^\x00-\x7f]", text)
  if odd:
    number = text.count("\n", 0, odd.start()) + 1
    raise InputError(f"{path}, line {number}: {odd[0]!r} is in no number")
  array = np.empty(shape)
  last = 0
  for number, fields in rows(text, path, shape[1]):
    last = number
    if number > shape[0]:
      continue
    try:
      array[number - 1] = [float(one) for one in fields]
    except ValueError as error:
      raise InputError(f"{path}, line {number}: {error}") from None
  if last != shape[0]:
    raise InputError(
      f"{path} has {last} lines; accepted: {shape[0]}, one for each example of "
      "the split"
    )
  return array, found["sha256"]


def _marks(
  folder: Path,
  found: list[Member],
  lists: Lists,
  marks_by: str,
  files: list[dict[str, str]],
) -> dict[str, np.ndarray] | None:
  """Which examples are marked: uint8 [example] by split, where known.

  The lists may stand beside the outputs or in any folder above; those of all
  members must agree.

  Returns:
    None where the data are not backdoored.

  Raises:
    InputError: no list of the test split, lists that differ, or an image that
      is not in the split.
  """
  if not found[0].marker:
    return None
  marks = {}
  for split in lists.ids:
    name = f"backdoor_ids_{split}.txt"
    paths = {
      one.directory: _above(one.directory, folder, name) for one in found
    }
    if split == "test" and None in paths.values():
      raise InputError(
        f"{name} not found in {found[0].directory} or above; it says which "
        "images are marked"
      )
    known = {path: None for path in paths.values() if path is not None}
    if len(known) < 1 or None in paths.values():
      continue
    read = {path: read_text(path) for path in known}
    first = next(iter(read))
    for path, (text, one) in read.items():
      if text.split() != read[first][0].split():
        raise InputError(
          f"{path} marks other images than {first}; accepted: members that saw "
          "the same data"
        )
      files.append(origin(path.relative_to(folder).as_posix(), one["sha256"]))
    marks[split] = _marked(first, read[first][0], lists.ids[split], marks_by)
  return marks


def _above(directory: Path, folder: Path, name: str) -> Path | None:
  """The nearest file of a name in a directory or above it, up to the folder."""
  while True:
    if (directory / name).is_file():
      return directory / name
    if directory == folder:
      return None
    directory = directory.parent


def _marked(
  path: Path, text: str, ids: np.ndarray, marks_by: str
) -> np.ndarray:
  """The marked examples of a split: uint8 [example]."""
  marked = np.zeros(len(ids), np.uint8)
  place = {one: index for index, one in enumerate(ids.tolist())}
  if marks_by == "position":
    place = {str(index): index for index in range(len(ids))}
  for number, (one,) in rows(text, path, 1):
    if one not in place:
      what = "position" if marks_by == "position" else "image"
      raise InputError(
        f"{path}, line {number}: the split has no {what} {one!r}; --marks-by "
        "says what the lines are (name or position)"
      )
    marked[place[one]] = 1
  return marked
