"""Logits and labels in one .npz file, as any framework can write it."""

from collections.abc import Iterator
import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from prunebias_jax import store
from prunebias_jax.errors import InputError, choose
from prunebias_jax.importing.columns import (
  group_columns,
  read_identities,
  read_labels,
  read_names,
  texts,
)
from prunebias_jax.importing.foreign import (
  ASKED_PAIRINGS,
  Foreign,
  check_ids,
  check_members,
  origin,
  write,
)
from prunebias_jax.settings import unknown

PRECISIONS = ("float16", "float32", "float64")
REQUIRED = ("test_logits", "test_labels", "pruner", "sparsity", "seed")
MEMBER_COLUMNS = (
  "pruner",
  "sparsity",
  "quantization",
  "seed",
  *store.MEMBER_SEEDS,
  store.PARENT,
)
KEYS = (
  *(f"{split}_logits" for split in store.EVALUATED),
  *(
    f"{split}_{what}"
    for what in ("labels", "example_ids", "groups")
    for split in store.SPLITS
  ),
  "example_ids",
  "attribute_names",
  "class_names",
  "identity_names",
  "group_names",
  *MEMBER_COLUMNS,
  "paired",
)

Arrays = dict[str, np.ndarray]


def import_archive(
  file: str | os.PathLike[str],
  workdir: str | os.PathLike[str],
  *,
  name: str | None = None,
  pairing: str | None = None,
  skip_bad: bool = False,
) -> store.Run:
  """Makes a run of a file of logits and labels.

  Args:
    file: an .npz file with the keys of docs/importing.md.
    workdir: where the run goes; it must hold none.
    name: the run's name; that of the file by default.
    pairing: "seed" or "none", where the file has no `paired` or `parent_seed`.
    skip_bad: leave out members whose logits are not finite.

  Returns:
    The run.

  Raises:
    InputError: a file that cannot be read or whose arrays do not fit together;
      nothing is written then.
  """
  if pairing is not None:
    choose(pairing, ASKED_PAIRINGS, "pairing")
  path = Path(file)
  found = _read(path)
  with path.open("rb") as opened:
    digest = hashlib.file_digest(opened, "sha256").hexdigest()
  try:
    foreign = _foreign(found, pairing)
  except InputError as error:
    raise InputError(f"{path}: {error}") from None
  foreign.files.append(origin(path.name, digest))
  name = path.stem if name is None else name
  return write(foreign, Path(workdir), name=name, skip_bad=skip_bad)


def _read(path: Path) -> Arrays:
  """All arrays of the file; nothing in it is ever unpickled."""
  if not path.is_file():
    raise InputError(f"{path} not found")
  try:
    # Opened here: numpy leaves a file open that is no archive.
    with path.open("rb") as file:
      opened = np.load(file, allow_pickle=False)
      if isinstance(opened, np.ndarray):
        raise InputError(f"{path} holds a single array; accepted: .npz")
      keys = opened.files
      for key in keys:
        if key not in KEYS:
          raise InputError(f"{path}: {unknown(key, [*KEYS])}")
      missing = [key for key in REQUIRED if key not in keys]
      if missing:
        raise InputError(
          f"{path} lacks {', '.join(missing)}; needed are {', '.join(REQUIRED)}"
        )
      return {key: _entry(opened, key, path) for key in keys}
  except InputError:
    raise
  except Exception as error:
    # Whatever a damaged archive makes numpy and zipfile raise.
    text = " ".join(str(error).split()) or type(error).__name__
    if "allow_pickle" in text:  # so numpy takes whatever it does not know
      text = "it is no archive of NumPy"
    raise InputError(f"{path} is no .npz that can be read: {text}") from None


def _entry(opened: Any, key: str, path: Path) -> np.ndarray:
  """One array of the file."""
  try:
    return opened[key]
  except ValueError as error:
    if "allow_pickle" not in str(error):
      raise
    raise InputError(
      f"{path}: {key} is an array of Python objects, which are not read; "
      "accepted: numbers, and text as numpy.array(..., dtype=str)"
    ) from None


def _foreign(found: Arrays, pairing: str | None) -> Foreign:
  """The file's arrays as a run, if they fit together."""
  logits = _logits(found)
  count, _, outputs = logits["test"].shape
  exclusive = found["test_labels"].ndim == 1
  names = read_names(found, outputs, exclusive)
  labels = {
    split: read_labels(
      found[f"{split}_labels"], f"{split}_labels", names, exclusive
    )
    for split in store.SPLITS
    if f"{split}_labels" in found
  }
  for split, array in logits.items():
    if split not in labels:
      raise InputError(f"there are {split}_logits without {split}_labels")
    if len(labels[split]) != array.shape[1]:
      raise InputError(
        f"{split}_logits are of {array.shape[1]} examples, {split}_labels of "
        f"{len(labels[split])}"
      )
  ids = _ids(found, {split: len(one) for split, one in labels.items()})
  identity_names, identities = read_identities(
    found, labels, names, exclusive, group_columns(found, labels)
  )
  members = _members(found, count)
  return Foreign(
    splits={
      split: store.labelled(
        labels=labels[split],
        identities=identities[split],
        ids=ids[split],
        names=names,
        identity_names=identity_names,
      )
      for split in labels
    },
    members=members,
    logits=_each(logits, count),
    evaluated=tuple(logits),
    dtype=logits["test"].dtype.name,
    pairing=_pairing(found, pairing),
    files=[],
  )


def _each(logits: Arrays, count: int) -> Iterator[Arrays]:
  """One member's logits after the other's."""
  for index in range(count):
    yield {split: array[index] for split, array in logits.items()}


def _logits(found: Arrays) -> Arrays:
  """Logits [member, example, output] by split, in the precision given."""
  logits = {
    split: found[f"{split}_logits"]
    for split in store.EVALUATED
    if f"{split}_logits" in found
  }
  test = logits["test"]
  # Test first, with which validation is compared.
  for split, array in reversed(logits.items()):
    if array.ndim != 3 or not array.size:
      raise InputError(
        f"{split}_logits are of shape {array.shape}; accepted: [member, "
        "example, attribute], or [member, example, class]"
      )
    if array.dtype.name not in PRECISIONS:
      raise InputError(
        f"{split}_logits are {array.dtype}; accepted: {', '.join(PRECISIONS)}"
      )
    if array.dtype.name != test.dtype.name:
      raise InputError(
        f"{split}_logits are {array.dtype}, test_logits {test.dtype}; "
        "accepted: one precision"
      )
    if array.shape[::2] != test.shape[::2]:
      raise InputError(
        f"{split}_logits are of {array.shape[0]} members and {array.shape[2]} "
        f"outputs, test_logits of {test.shape[0]} and {test.shape[2]}"
      )
  return logits


def _ids(found: Arrays, counts: dict[str, int]) -> Arrays:
  """Ids of the examples by split: str [example]."""
  if "example_ids" in found:
    if "test_example_ids" in found:
      raise InputError(
        "example_ids are those of test; give them or test_example_ids"
      )
    found = {**found, "test_example_ids": found["example_ids"]}
  ids = {}
  for split in store.SPLITS:
    key = f"{split}_example_ids"
    if key in found and split not in counts:
      raise InputError(f"there are {key} without {split}_labels")
    if split not in counts:
      continue
    if key not in found:
      ids[split] = np.array([f"{split}-{i}" for i in range(counts[split])])
      continue
    array = found[key]
    if array.shape != (counts[split],):
      raise InputError(
        f"{key} are of shape {array.shape}; accepted: one for each of "
        f"{counts[split]} examples"
      )
    # Numbers are names too.
    one = array.astype(str) if array.dtype.kind in "iu" else texts(array, key)
    ids[split] = np.array(one, str)
  check_ids(ids)
  return ids


def _members(found: Arrays, count: int) -> pd.DataFrame:
  """The member axis."""
  columns: dict[str, Any] = {}
  for key in MEMBER_COLUMNS:
    if key not in found:
      continue
    array = found[key]
    if array.shape != (count,):
      raise InputError(
        f"{key} is of shape {array.shape}; accepted: one for each of {count} "
        "members"
      )
    if key in ("pruner", "quantization"):
      columns[key] = texts(array, key)
    elif key == "sparsity":
      columns[key] = _sparsities(array)
    else:
      columns[key] = _whole_numbers(
        array, key, -1 if key == store.PARENT else 0
      )
  columns.setdefault("quantization", ["none"] * count)
  members = pd.DataFrame(columns)
  check_members(members)
  order = [key for key in MEMBER_COLUMNS if key in members]
  return members[order]


def _sparsities(array: np.ndarray) -> list[float]:
  """Sparsities as they were meant: float32(.95) is .95."""
  if array.dtype.kind not in "fiu":
    raise InputError(f"sparsity is {array.dtype}; accepted: numbers")
  return [float(str(one)) for one in array]


def _whole_numbers(array: np.ndarray, key: str, least: int) -> np.ndarray:
  """Seeds: int64 [member]."""
  if array.dtype.kind not in "iu":
    raise InputError(f"{key} is {array.dtype}; accepted: whole numbers")
  most = np.iinfo(np.int64).max
  for one in array.tolist():
    if not least <= one <= most:
      raise InputError(f"{key} holds {one}; accepted: {least} to {most}")
  return array.astype(np.int64)


def _pairing(found: Arrays, asked: str | None) -> str:
  """Who pairs with whom: by the file, else as asked, else by seed."""
  said = [key for key in ("paired", store.PARENT) if key in found]
  if said and asked is not None:
    raise InputError(f"the file has {said[0]}: pairing cannot be chosen")
  if "paired" not in found:
    return store.PARENT if said else asked or "seed"
  paired = found["paired"]
  if (
    paired.shape != () or paired.dtype.kind not in "biu" or paired not in (0, 1)
  ):
    raise InputError(f"paired is {paired!r}; accepted: one bool")
  if store.PARENT in found:
    if not paired:
      raise InputError("paired is False, but there is parent_seed")
    return store.PARENT
  return "seed" if paired else "none"
