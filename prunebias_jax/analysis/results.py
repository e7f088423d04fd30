"""What an analysis is made of, arrays, tables and notes, and writing it."""

from collections.abc import Iterator, Mapping, Sequence
import contextlib
import dataclasses
import fcntl
import functools
import json
import os
from pathlib import Path
import shutil
from typing import Any, Self

import numpy as np
import pandas as pd
import xarray as xr

from prunebias_jax.analysis.columns import MAIN
from prunebias_jax.analysis.csv_files import write_csv
from prunebias_jax.analysis.display import analysis_html
from prunebias_jax.analysis.lazy import Lazy
from prunebias_jax.analysis.summary import Sentence
from prunebias_jax.errors import InputError

ARRAYS = "analysis.zarr"
NOTES = "notes.json"
SUMMARY = "summary.json"
EXAMPLES = "examples-"  # groups of `Analysis.examples` begin so
# Attributes in analysis.zarr that say what was written: whoever reads it can
# tell what is gone.
ROWS = "rows"  # of each table
VARIABLES = "variables"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Analysis:
  """The numbers of a run.

  Attributes:
    tables: data frames by the names in `columns.TABLES`, with those columns;
      "attributes" or "classes", never both. Of an analysis that was read from
      disk each is read when it is first asked for.
    arrays: the same numbers of the members, as arrays [member,
      threshold_rule, attribute, ...] (or class), with the coordinates of the
      members, groups and pairs; attributes: parity, level and the bits of the
      flags. They are those of the last parameters on the test split.
    others: the arrays of every other evaluation, by checkpoint and split.
    notes: what is not available and why, one sentence each.
    summary: the answers that a reader wants first, about the same evaluation
      as `arrays`.
    examples: what the compressed populations make of each example, by
      checkpoint and split, those of ("last", "valid") too: variables
      [population, example, attribute], see `exemplars.examples`.
  """

  tables: Mapping[str, pd.DataFrame]
  arrays: xr.Dataset
  notes: list[str]
  summary: list[Sentence]
  others: dict[tuple[str, str], xr.Dataset] = dataclasses.field(
    default_factory=dict
  )
  examples: Mapping[tuple[str, str], xr.Dataset] = dataclasses.field(
    default_factory=dict
  )

  def _repr_html_(self) -> str:
    return analysis_html(
      self.tables,
      self.arrays,
      [*(one.text for one in self.summary), *self.notes],
    )

  def at(self, checkpoint: str, split: str) -> Self:
    """The numbers of one evaluation, as if there were no other.

    Raises:
      InputError: there is no such evaluation.
    """
    there = {MAIN: self.arrays, **self.others}
    if (checkpoint, split) not in there:
      raise InputError(
        f"no numbers of split {split!r}, checkpoint {checkpoint!r}; there are: "
        + ", ".join(f"{name} ({which})" for which, name in there)
      )
    where = (checkpoint, split)
    return dataclasses.replace(
      self,
      tables=Lazy(self.tables, functools.partial(_rows_of, self.tables, where)),
      arrays=there[where],
      others={},
      examples=Lazy(
        [key for key in self.examples if key == where],
        self.examples.__getitem__,
      ),
    )

  def write(self, directory: str | os.PathLike[str]) -> None:
    """Writes a CSV for each table, analysis.zarr, notes.json and summary.json.

    All of it goes to a hidden folder beside `directory`, which then takes the
    place of what was there: a failure leaves the previous analysis as it was.
    Of two processes the second waits, and its analysis is the one that stays.

    Args:
      directory: the analysis folder; it is replaced as a whole.

    Raises:
      OSError: it cannot be written, for want of space or of rights.
    """
    directory = Path(directory)
    directory.parent.mkdir(parents=True, exist_ok=True)
    with alone_in(directory.parent):
      self._write(directory)

  def _write(self, directory: Path) -> None:
    """Writes the folder; no other process does meanwhile."""
    staging = directory.with_name(f".{directory.name}.partial")
    shutil.rmtree(staging, ignore_errors=True)
    try:
      staging.mkdir()
      for name, table in self.tables.items():
        write_csv(table, staging / f"{name}.csv")
      groups: dict[str | None, xr.Dataset] = {
        None if where == MAIN else _group(where): arrays
        for where, arrays in {MAIN: self.arrays, **self.others}.items()
      }
      for where, examples in self.examples.items():
        groups[EXAMPLES + _group(where)] = examples
      rows = {name: len(table) for name, table in self.tables.items()}
      groups[None] = self.arrays.assign_attrs({ROWS: rows})
      for group, arrays in groups.items():
        _storable(arrays).to_zarr(
          staging / ARRAYS,
          group=group,
          mode="w-",
          consolidated=False,
          zarr_format=3,
        )
      _write_json(staging / NOTES, self.notes)
      _write_json(staging / SUMMARY, [one.as_json() for one in self.summary])
      recover(directory)
      swap(staging, directory)
    finally:
      shutil.rmtree(staging, ignore_errors=True)


def _rows_of(
  tables: Mapping[str, pd.DataFrame], where: tuple[str, str], name: str
) -> pd.DataFrame:
  """The rows of one evaluation in a table."""
  table = tables[name]
  chosen = (table["checkpoint"] == where[0]) & (table["split"] == where[1])
  return table[chosen].reset_index(drop=True)


def recover(directory: Path) -> None:
  """Puts back the analysis that an interrupted `Analysis.write` moved away."""
  previous = _previous(directory)
  if previous.is_dir() and not directory.exists():
    previous.rename(directory)


def _group(where: tuple[str, str]) -> str:
  """The group of an evaluation in analysis.zarr."""
  return "-".join(where).replace(":", "-")


def _write_json(path: Path, values: Sequence[Any]) -> None:
  text = json.dumps(values, indent=1, ensure_ascii=False, allow_nan=False)
  path.write_text(text + "\n", encoding="utf-8")


def _storable(data: xr.Dataset) -> xr.Dataset:
  """Text as variable-length strings, the text type that zarr v3 specifies."""
  names = sorted(map(str, data.variables))
  return with_text(data, np.dtypes.StringDType()).assign_attrs(
    {VARIABLES: names}
  )


def with_text(
  data: xr.Dataset, dtype: type[str] | np.dtypes.StringDType
) -> xr.Dataset:
  """The data with every text variable as another text type."""
  return data.assign_coords(
    {
      name: (variable.dims, np.array(variable.to_numpy().tolist(), dtype))
      for name, variable in data.coords.items()
      if variable.dtype.kind in "UOT"
    }
  )


@contextlib.contextmanager
def alone_in(folder: Path) -> Iterator[None]:
  """Holds a folder against whoever else writes results into it."""
  opened = os.open(folder, os.O_RDONLY)
  try:
    fcntl.flock(opened, fcntl.LOCK_EX)
    yield
  finally:
    os.close(opened)


def swap(staging: Path, directory: Path) -> None:
  """Puts `staging` where `directory` was; puts that back on failure."""
  previous = _previous(directory)
  shutil.rmtree(previous, ignore_errors=True)
  had_previous = directory.exists()
  if had_previous:
    directory.rename(previous)
  try:
    staging.rename(directory)
  except OSError:
    if had_previous:
      previous.rename(directory)
    raise
  shutil.rmtree(previous, ignore_errors=True)


def _previous(directory: Path) -> Path:
  """Where the analysis is that another is taking the place of."""
  return directory.with_name(f".{directory.name}.previous")
