"""What an analysis is made of: arrays, tables and notes; on disk and back."""

from collections.abc import Iterator, Sequence
import contextlib
import dataclasses
import fcntl
import json
import os
from pathlib import Path
import shutil
from typing import Any, Self

import numpy as np
import pandas as pd
import xarray as xr

from prunebias_jax.analysis.cells import crossed_factors
from prunebias_jax.analysis.columns import (
  DIRECTIONAL_METRICS,
  GROUP_METRICS,
  MAIN,
  MEMBER,
  NULLABLE,
  PARENT,
  PURPOSES,
  RULES,
  TABLES,
  TEXT,
  WHERE,
)
from prunebias_jax.analysis.correlation import pairwise_correlation
from prunebias_jax.analysis.csv_files import write_csv
from prunebias_jax.analysis.display import analysis_html
from prunebias_jax.analysis.evidence import Evidence
from prunebias_jax.analysis.flags import AttributeFlag, BiasFlag, DirectionFlag
from prunebias_jax.analysis.measure import Arrays
from prunebias_jax.analysis.summary import Sentence
from prunebias_jax.errors import InputError

ARRAYS = "analysis.zarr"
NOTES = "notes.json"
SUMMARY = "summary.json"
# Tables that either a multi-label task or one of exclusive classes has.
OF_ONE_TASK = ("attributes", "classes", "correlations")
EXAMPLES = "examples-"  # groups of `Analysis.examples` begin so
# The dimensions of each variable after [member, threshold_rule].
OUTPUT = "output"  # stands for "attribute" or "class"
DIMENSIONS: dict[str, tuple[str, ...]] = {
  "accuracy": (OUTPUT,),
  "auc": (OUTPUT,),
  "predicted_positive": (OUTPUT,),
  "uncertainty": (OUTPUT,),
  "high_uncertainty": (OUTPUT,),
  "entropy": (OUTPUT,),
  "interdependence": (OUTPUT,),
  "tcb": (OUTPUT,),
  "ece": (OUTPUT,),
  "ece_sweep": (OUTPUT,),
  "threshold": (OUTPUT,),
  "balanced_accuracy": (OUTPUT,),
  "recall": (OUTPUT,),
  "false_positive_rate": (OUTPUT,),
  "flags": (OUTPUT,),
  "bias_amplification": (OUTPUT, "pair"),
  "bias_amplification_flags": (OUTPUT, "pair"),
  **{f"group_{name}": (OUTPUT, "group") for name in GROUP_METRICS},
  "prediction_correlation": (OUTPUT, "other"),
  "error_correlation": (OUTPUT, "other"),
  **{name: ("identity",) for name in DIRECTIONAL_METRICS},
  "directional_flags": ("identity",),
  "overall_accuracy": (),
  "overall_uncertainty": (),
  "overall_entropy": (),
  "overall_ece": (),
  "overall_ece_sweep": (),
  "overall_balanced_accuracy": (),
  "overall_group_accuracy": ("group",),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Analysis:
  """The numbers of a run.

  Attributes:
    tables: data frames by the names in `columns.TABLES`, with those columns;
      "attributes" or "classes", never both.
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

  tables: dict[str, pd.DataFrame]
  arrays: xr.Dataset
  notes: list[str]
  summary: list[Sentence]
  others: dict[tuple[str, str], xr.Dataset] = dataclasses.field(
    default_factory=dict
  )
  examples: dict[tuple[str, str], xr.Dataset] = dataclasses.field(
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
    tables = {
      name: table[
        (table["checkpoint"] == checkpoint) & (table["split"] == split)
      ].reset_index(drop=True)
      for name, table in self.tables.items()
    }
    return dataclasses.replace(
      self,
      tables=tables,
      arrays=there[where],
      others={},
      examples={key: one for key, one in self.examples.items() if key == where},
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
    with _alone_in(directory.parent):
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
      _swap(staging, directory)
    finally:
      shutil.rmtree(staging, ignore_errors=True)


def read(directory: str | os.PathLike[str]) -> Analysis:
  """Reads back what `Analysis.write` wrote.

  Raises:
    InputError: the directory holds no analysis, or one of another layout.
  """
  directory = Path(directory)
  recover(directory)
  try:
    notes, summary = (
      json.loads((directory / name).read_text(encoding="utf-8"))
      for name in (NOTES, SUMMARY)
    )
    sentences = [Sentence(**one) for one in summary]
    tables = {
      name: _read_table(directory / f"{name}.csv")
      for name in TABLES
      if name not in OF_ONE_TASK or (directory / f"{name}.csv").exists()
    }
    arrays = _read_arrays(directory / ARRAYS)
    groups = [
      file.parent.name
      for file in sorted((directory / ARRAYS).glob("*/zarr.json"))
      if json.loads(file.read_text())["node_type"] == "group"
    ]
    others, examples = (
      [
        _read_arrays(directory / ARRAYS, name)
        for name in groups
        if name.startswith(EXAMPLES) == wanted
      ]
      for wanted in (False, True)
    )
  except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
    raise InputError(
      f"{directory} holds no analysis that can be read: {error}; `prunebias "
      "analyze` makes it anew"
    ) from error
  return Analysis(
    tables=tables,
    arrays=arrays,
    notes=notes,
    summary=sentences,
    others={_where(one): one for one in others},
    examples={_where(one): one for one in examples},
  )


def recover(directory: Path) -> None:
  """Puts back the analysis that an interrupted `Analysis.write` moved away."""
  previous = _previous(directory)
  if previous.is_dir() and not directory.exists():
    previous.rename(directory)


def assemble(
  measured: Sequence[Sequence[Arrays]], evidence: Evidence
) -> xr.Dataset:
  """Stacks the arrays of all members and rules, and names every axis.

  Args:
    measured: for each member, the arrays of each rule, from `measure`.
    evidence: what they were measured on.
  """
  facts, members = evidence.facts, evidence.members
  data = xr.Dataset(
    attrs={
      **dict(zip(WHERE, evidence.where, strict=True)),
      **dataclasses.asdict(evidence.options),
      "left_out": list(evidence.left_out),
    }
  )
  for name in measured[0][0]:
    stacked = np.array([[rule[name] for rule in rules] for rules in measured])
    dimensions = [
      facts.output if dimension == OUTPUT else dimension
      for dimension in DIMENSIONS[name]
    ]
    data[name] = (("member", "threshold_rule", *dimensions), stacked)
  for name, flags in (
    ("flags", AttributeFlag),
    ("bias_amplification_flags", BiasFlag),
    ("directional_flags", DirectionFlag),
  ):
    data[name].attrs["flag_masks"] = [int(flag) for flag in flags]
    data[name].attrs["flag_meanings"] = " ".join(
      str(flag.name).lower() for flag in flags
    )
  for name, count in facts.label_counts().items():
    data[name] = ((facts.output, "group"), count.astype(np.int64))
  if not facts.exclusive:
    among_labels = pairwise_correlation(facts.labels, facts.present)
    data["label_correlation"] = ((facts.output, "other"), among_labels)
    data = data.assign_coords(other=list(facts.names))
  sizes = facts.groups.membership.sum(axis=0).astype(np.int64)
  data["n_examples"] = (("group",), sizes)
  for name in ("n_labels", "n_missing"):
    counts = np.array(list(getattr(facts, name).values()))
    data[name] = (("labels_of", facts.output), counts)
  data["prevalence"] = ((facts.output,), facts.prevalence)
  return data.assign_coords(
    {
      **{
        key: ("member", members[key].to_numpy())
        for key in (*MEMBER, PARENT, *_purposes(evidence))
      },
      "threshold_rule": list(RULES[: len(measured[0])]),
      facts.output: list(facts.names),
      "identity": np.array(facts.identity_names, str),
      "labels_of": list(facts.n_labels),
      "group_identity": ("group", list(facts.groups.identity)),
      "group_value": ("group", list(facts.groups.value)),
      "pair_identity": ("pair", np.array(facts.pairs.identity, str)),
      "pair_value": ("pair", np.array(facts.pairs.value, str)),
    }
  )


def _purposes(evidence: Evidence) -> tuple[str, ...]:
  """The seeds by purpose, in a crossed design; else a member has one seed."""
  members = evidence.members
  crossed = any(
    crossed_factors(members.iloc[places])
    for places in evidence.populations().values()
  )
  return tuple(key for key in PURPOSES if crossed and key in members)


def _group(where: tuple[str, str]) -> str:
  """The group of an evaluation in analysis.zarr."""
  return "-".join(where).replace(":", "-")


def _where(arrays: xr.Dataset) -> tuple[str, str]:
  """The evaluation that arrays are of."""
  return arrays.attrs["checkpoint"], arrays.attrs["split"]


def _read_arrays(path: Path, group: str | None = None) -> xr.Dataset:
  """The arrays of one evaluation."""
  with xr.open_zarr(
    path, group=group, consolidated=False, chunks=None
  ) as stored:
    arrays = _with_text(stored.load(), str)
  # What was written before there were others says nothing of it.
  return arrays.assign_attrs(
    {
      key: arrays.attrs.get(key, value)
      for key, value in zip(WHERE, MAIN, strict=True)
    }
  )


def _write_json(path: Path, values: Sequence[Any]) -> None:
  text = json.dumps(values, indent=1, ensure_ascii=False, allow_nan=False)
  path.write_text(text + "\n", encoding="utf-8")


def _read_table(path: Path) -> pd.DataFrame:
  """A table with "" for empty text and NaN for missing numbers."""
  types: dict[str, type[str] | str] = dict.fromkeys(TEXT, str)
  types |= dict.fromkeys(NULLABLE[path.stem], "Int64")
  numbers = set(TABLES[path.stem]) - set(TEXT)
  table = pd.read_csv(
    path,
    dtype=types,
    keep_default_na=False,
    na_values={name: ["NaN"] for name in numbers},
  )
  missing = [name for name in TABLES[path.stem] if name not in table]
  if missing:
    raise ValueError(f"{path.name} lacks {', '.join(missing)}")
  return table


def _storable(data: xr.Dataset) -> xr.Dataset:
  """Text as variable-length strings, the text type that zarr v3 specifies."""
  return _with_text(data, np.dtypes.StringDType())


def _with_text(
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
def _alone_in(folder: Path) -> Iterator[None]:
  """Holds a folder against whoever else writes an analysis into it."""
  opened = os.open(folder, os.O_RDONLY)
  try:
    fcntl.flock(opened, fcntl.LOCK_EX)
    yield
  finally:
    os.close(opened)


def _swap(staging: Path, directory: Path) -> None:
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
