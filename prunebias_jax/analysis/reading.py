"""An analysis read back; its tables not before they are asked for."""

from collections.abc import Iterator, Mapping
import contextlib
import csv
import dataclasses
import functools
import json
import os
from pathlib import Path

import pandas as pd
import xarray as xr

from prunebias_jax.analysis.columns import (
  GROUP_METRICS,
  MAIN,
  MEMBER,
  NULLABLE,
  PARENT,
  TABLES,
  TEXT,
  WHERE,
)
from prunebias_jax.analysis.lazy import Lazy
from prunebias_jax.analysis.results import (
  ARRAYS,
  EXAMPLES,
  NOTES,
  ROWS,
  SUMMARY,
  VARIABLES,
  Analysis,
  recover,
  with_text,
)
from prunebias_jax.analysis.summary import Sentence
from prunebias_jax.errors import InputError

# Tables that either a multi-label task or one of exclusive classes has.
OF_ONE_TASK = ("attributes", "classes", "correlations")
Groups = dict[tuple[str, str], str]  # checkpoint, split -> group
# What the arrays of any task hold.
_NEEDED = (
  *MEMBER,
  PARENT,
  "threshold_rule",
  "group_identity",
  "group_value",
  "pair_identity",
  "pair_value",
  "accuracy",
  "uncertainty",
  "tcb",
  "flags",
  "bias_amplification",
  "bias_amplification_flags",
  *(f"group_{name}" for name in GROUP_METRICS),
  "n_positive",
  "n_negative",
  "prevalence",
)
_UNREADABLE = (OSError, ValueError, KeyError, TypeError, RuntimeError)


def read(directory: str | os.PathLike[str]) -> Analysis:
  """Reads back what `Analysis.write` wrote.

  Notes, summary and the arrays of the members are read at once. Tables and
  `Analysis.examples`, which are large where a run has many examples, are read
  one by one when they are first asked for.

  Raises:
    InputError: the directory holds no analysis, or one of another layout; when
      a table is asked for: it is damaged, or another analysis has taken the
      place of this one.
  """
  directory = Path(directory)
  recover(directory)
  try:
    stamp = _stamp(directory)
    notes, summary = (
      json.loads((directory / name).read_text(encoding="utf-8"))
      for name in (NOTES, SUMMARY)
    )
    sentences = [Sentence(**one) for one in summary]
    if not sentences or not all(isinstance(one, str) for one in notes):
      name = NOTES if sentences else SUMMARY
      raise ValueError(f"{name} does not hold its sentences")
    arrays = _read_arrays(directory / ARRAYS)
    stored = Stored(directory, stamp, arrays.attrs.pop(ROWS, {}))
    _check_arrays(arrays)
    tables = [
      name
      for name in TABLES
      if name not in OF_ONE_TASK or (directory / f"{name}.csv").exists()
    ]
    for name in tables:
      _check_header(directory / f"{name}.csv")
    others, examples = _groups(directory / ARRAYS)
    return Analysis(
      tables=Lazy(tables, stored.table),
      arrays=arrays,
      notes=notes,
      summary=sentences,
      others={
        where: _read_arrays(directory / ARRAYS, group)
        for where, group in others.items()
      },
      examples=Lazy(examples, functools.partial(stored.group, examples)),
    )
  except _UNREADABLE as error:
    raise _unreadable(directory, error) from error


@dataclasses.dataclass(frozen=True)
class Stored:
  """The folder of one analysis, which may come to hold another.

  Attributes:
    directory: the folder.
    stamp: of the analysis that it held when it was opened.
    rows: how many rows were written into each table, where that is known.
  """

  directory: Path
  stamp: tuple[int, int]
  rows: Mapping[str, int]

  def table(self, name: str) -> pd.DataFrame:
    """One of its tables."""
    with self._reading():
      table = _read_table(self.directory / f"{name}.csv")
      written = self.rows.get(name, len(table))
      if len(table) != written:
        raise ValueError(f"{name}.csv has {len(table)} of {written} rows")
      return table

  def group(self, groups: Groups, where: tuple[str, str]) -> xr.Dataset:
    """The arrays of one evaluation; `groups` says where they are."""
    with self._reading():
      return _read_arrays(self.directory / ARRAYS, groups[where])

  @contextlib.contextmanager
  def _reading(self) -> Iterator[None]:
    """Refuses what is damaged, or of an analysis that came later."""
    try:
      yield
    except _UNREADABLE as error:
      self._check_stamp()
      raise _unreadable(self.directory, error) from error
    self._check_stamp()

  def _check_stamp(self) -> None:
    try:
      stamp = _stamp(self.directory)
    except OSError:
      stamp = None
    if stamp != self.stamp:
      raise InputError(
        f"{self.directory} was analysed anew since it was read; read it again"
      )


def _stamp(directory: Path) -> tuple[int, int]:
  """Tells one analysis from the next: the folder is replaced as a whole."""
  found = (directory / NOTES).stat()
  return found.st_ino, found.st_mtime_ns


def _unreadable(directory: Path, error: Exception) -> InputError:
  return InputError(
    f"{directory} holds no analysis that can be read: {error}; `prunebias "
    "analyze` makes it anew"
  )


def _groups(path: Path) -> tuple[Groups, Groups]:
  """The groups of other evaluations, and those of examples."""
  others: Groups = {}
  examples: Groups = {}
  for file in sorted(path.glob("*/zarr.json")):
    content = json.loads(file.read_text())
    if content["node_type"] == "group":
      checkpoint, split = (content["attributes"][name] for name in WHERE)
      name = file.parent.name
      kind = examples if name.startswith(EXAMPLES) else others
      kind[checkpoint, split] = name
  return others, examples


def _read_arrays(path: Path, group: str | None = None) -> xr.Dataset:
  """The arrays of one evaluation."""
  with xr.open_zarr(
    path, group=group, consolidated=False, chunks=None
  ) as stored:
    arrays = with_text(stored.load(), str)
  gone = set(arrays.attrs.pop(VARIABLES, ())) - set(arrays.variables)
  if gone:
    raise ValueError(f"{path.name} lacks {', '.join(sorted(gone))}")
  # What was written before there were others says nothing of it.
  return arrays.assign_attrs(
    {
      key: arrays.attrs.get(key, value)
      for key, value in zip(WHERE, MAIN, strict=True)
    }
  )


def _check_arrays(arrays: xr.Dataset) -> None:
  """Refuses arrays of an older layout, which did not say what they hold."""
  gone = [name for name in _NEEDED if name not in arrays.variables]
  if gone:
    raise ValueError(f"{ARRAYS} lacks {', '.join(gone)}")


def _check_header(path: Path) -> None:
  """Refuses a table that lacks a column."""
  with path.open(encoding="utf-8", newline="") as file:
    header = next(csv.reader(file), [])
  missing = [name for name in TABLES[path.stem] if name not in header]
  if missing:
    raise ValueError(f"{path.name} lacks {', '.join(missing)}")


def _read_table(path: Path) -> pd.DataFrame:
  """A table with "" for empty text and NaN for missing numbers."""
  types: dict[str, type[str] | str] = dict.fromkeys(TEXT, str)
  types |= dict.fromkeys(NULLABLE[path.stem], "Int64")
  numbers = set(TABLES[path.stem]) - set(TEXT)
  return pd.read_csv(
    path,
    dtype=types,
    keep_default_na=False,
    na_values={name: ["NaN"] for name in numbers},
  )
