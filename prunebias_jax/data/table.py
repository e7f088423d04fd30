"""A folder of pictures and a table of what is known of them.

Each row of the table is an example: its id, picture, split, labels and identity
columns, by the column names that `data.table` gives. docs/data.md has a worked
example.
"""

import hashlib
import os
from pathlib import Path

import numpy as np
import pandas as pd

from prunebias_jax.config import Data
from prunebias_jax.data.dataset import SPLITS, Dataset
from prunebias_jax.data.groups import (
  binary_column,
  identity_columns,
  refuse_missing,
)
from prunebias_jax.data.pictures import cached_pictures
from prunebias_jax.data.views import chosen
from prunebias_jax.errors import InputError


def load(config: Data) -> Dataset:
  """Reads the table, and decodes the pictures at the first call.

  Args:
    config: root, table, size, identities, and numbers of examples to draw.

  Raises:
    InputError: a file, column or value that is missing or cannot be used.
  """
  file = _file(config)
  table = _read(file, config)
  identities = {name: table[name] for name in config.identities}
  groups = identity_columns(identities, str(file))
  names, labels = _labels(table, file, config)
  rows = {}
  for split in SPLITS:
    found = np.flatnonzero(table[config.table.split] == split)
    if not found.size:
      raise InputError(
        f"{file}: no example of split {split!r} in column "
        f"{config.table.split!r}"
      )
    rows[split] = found[chosen(len(found), split, config)]
  order = np.concatenate([*rows.values()])
  paths = table[config.table.path]
  return Dataset.from_arrays(
    name="table",
    images={one: _images(paths.iloc[rows[one]], one, config) for one in SPLITS},
    labels=labels[order],
    splits=table[config.table.split].to_numpy(str)[order],
    names=names,
    identities={name: column[order] for name, column in groups.items()},
    ids=table[config.table.id].to_numpy(str)[order],
  )


def _file(config: Data) -> Path:
  """The table's file."""
  if not config.root or not config.table.file:
    raise InputError(
      "data.name is 'table': data.root (the folder of pictures) and "
      "data.table.file are needed"
    )
  if not Path(config.root).is_dir():
    raise InputError(f"data.root is {config.root!r}; accepted: a folder")
  file = Path(config.root) / config.table.file
  if not file.is_file():
    raise InputError(
      f"{file} not found; data.table.file is looked for in data.root"
    )
  return file


def _read(file: Path, config: Data) -> pd.DataFrame:
  """The table with the columns that are needed, checked but for labels."""
  asked = config.table
  texts = (asked.id, asked.path, asked.split)
  try:
    if file.suffix == ".parquet":
      table = pd.read_parquet(file)
    else:
      # Ids such as 007 are no numbers.
      table = pd.read_csv(file, dtype=dict.fromkeys(texts, str))
  except (ValueError, OSError) as error:
    raise InputError(
      f"{file} is no table that can be read: {' '.join(str(error).split())}; "
      "accepted: CSV, or Parquet in a file *.parquet"
    ) from None
  # Where rows are longer than the header, pandas takes their beginning for an
  # index and moves the names.
  if file.suffix != ".parquet" and not isinstance(table.index, pd.RangeIndex):
    raise InputError(
      f"{file}: its rows have more cells than its first line has names; "
      "accepted: a name for every column"
    )
  classes = (asked.classes,) if asked.classes else ()
  for name in (*texts, *asked.labels, *classes, *config.identities):
    if name not in table:
      raise InputError(
        f"{file} has no column {name!r}; it has "
        f"{', '.join(map(str, table.columns))}"
      )
  for name in texts:
    refuse_missing(table[name], f"{file}: column {name!r}")
    table[name] = table[name].astype(str)
  double = table[asked.id][table[asked.id].duplicated()]
  if len(double):
    raise InputError(
      f"{file}: {asked.id} {double.iloc[0]!r} stands for more than one example"
    )
  unknown = table[asked.split][~table[asked.split].isin(SPLITS)]
  if len(unknown):
    raise InputError(
      f"{file}: unknown split {unknown.iloc[0]!r} in row {unknown.index[0] + 1}"
      f"; accepted: {', '.join(SPLITS)}"
    )
  return table


def _labels(
  table: pd.DataFrame, file: Path, config: Data
) -> tuple[tuple[str, ...], np.ndarray]:
  """Names and labels: attributes, or the classes of one column."""
  asked = config.table
  if bool(asked.labels) == bool(asked.classes):
    raise InputError(
      "data.table needs either labels (columns of 0 and 1) or classes (one "
      f"column); got {asked.labels} and {asked.classes!r}"
    )
  if asked.labels:
    columns = [
      binary_column(table[name], f"{file}: label {name!r}")
      for name in asked.labels
    ]
    return asked.labels, np.stack(columns, 1)
  what = f"{file}: column {asked.classes!r}"
  refuse_missing(table[asked.classes], what)
  codes, values = pd.factorize(table[asked.classes], sort=True)
  if len(values) < 2:
    raise InputError(f"{what} holds one class only, {values[0]!r}")
  return tuple(map(str, values)), codes.astype(np.int32)


def _images(paths: pd.Series, split: str, config: Data) -> np.ndarray:
  """The pictures; a file that changes is decoded again."""
  files = [os.path.join(config.root, path) for path in paths]
  digest = hashlib.sha256()
  for path, file in zip(paths, files, strict=True):
    try:
      found = os.stat(file)
    except OSError:
      raise InputError(
        f"{file} not found; data.table.path is looked for in data.root"
      ) from None
    digest.update(f"{path}\n{found.st_size} {found.st_mtime_ns}\n".encode())
  key = {"split": split, "files": digest.hexdigest()}
  return cached_pictures(f"table-{split}", key, files, size=config.stored_size)
