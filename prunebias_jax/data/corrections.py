"""Corrected labels and examples left out, from a table beside the data set.

`prunebias relabel` writes such a table from the verdicts of an audit; one made
by hand will do as well. Columns: example_id, attribute, label. A label is 0, 1
or empty (missing); an empty attribute leaves the example out. Of exclusive
classes the attribute is "(all)" and the label a class's name.
"""

import dataclasses

import numpy as np
import pandas as pd

from prunebias_jax.data.dataset import Dataset, Split, compact_labels
from prunebias_jax.errors import InputError

COLUMNS = ("example_id", "attribute", "label")
WHICH_CLASS = "(all)"


def read_corrections(file: str) -> pd.DataFrame:
  """Reads a table of corrections: all text, "" for empty cells.

  Raises:
    InputError: it cannot be read, lacks a column, or contradicts itself.
  """
  try:
    table = pd.read_csv(file, dtype=str, keep_default_na=False)
  except (OSError, ValueError) as error:
    reason = " ".join(str(error).split())
    raise InputError(
      f"data.corrections {file!r} cannot be read: {reason}"
    ) from None
  missing = [name for name in COLUMNS if name not in table]
  if missing:
    there = ", ".join(map(str, table))
    raise InputError(f"{file} has no column {missing[0]!r}; it has {there}")
  table = table[list(COLUMNS)]
  twice = table[table.duplicated(["example_id", "attribute"])]
  if len(twice):
    first = twice.iloc[0]
    raise InputError(
      f"{file}: {first['example_id'][:60]!r}, {first['attribute'][:60]!r} is "
      "there more than once"
    )
  return table


def corrected(dataset: Dataset, file: str) -> Dataset:
  """The data set with labels corrected and examples left out.

  An identity that is an attribute of the same name changes with it, but for a
  missing label: whoever is in a group stays there.

  Args:
    dataset: as it is loaded, before any view of it.
    file: the table, see above.

  Raises:
    InputError: an example, attribute or label that the data set does not have,
      or a split of which nothing is left.
  """
  table = read_corrections(file)
  left = {*table["example_id"]}
  splits = {}
  for name, split in dataset.splits.items():
    ids = {one: place for place, one in enumerate(split.ids.tolist())}
    mine = table[table["example_id"].isin(ids.keys())]
    left -= {*mine["example_id"]}
    splits[name] = split
    if len(mine):
      rows = mine["example_id"].map(ids).to_numpy()
      splits[name] = _corrected_split(dataset, split, mine, rows, file)
      if not len(splits[name]):
        raise InputError(f"{file} leaves no example of the {name} split")
  if left:
    raise InputError(
      f"{file}: the data set {dataset.name} has no example {min(left)[:60]!r}"
    )
  return dataclasses.replace(dataset, splits=splits)


def _corrected_split(
  dataset: Dataset,
  split: Split,
  table: pd.DataFrame,
  rows: np.ndarray,
  file: str,
) -> Split:
  """One split with the corrections of its examples."""
  labels = split.labels.copy()
  if dataset.task == "multilabel":
    labels = labels.astype(np.float32)
  identities = split.identities.copy()
  keep = np.ones(len(split), bool)
  cells = zip(rows, table["attribute"], table["label"], strict=True)
  for row, attribute, label in cells:
    if attribute == "":
      keep[row] = False
    elif dataset.task == "multiclass":
      labels[row] = _class(dataset, attribute, label, file)
    else:
      column, value = _cell(dataset, attribute, label, file)
      labels[row, column] = value
      if attribute in dataset.identity_names and not np.isnan(value):
        identities[row, dataset.identity_names.index(attribute)] = value
  if dataset.task == "multilabel":
    labels = compact_labels(labels)
  split = dataclasses.replace(
    split, labels=labels, identities=identities, corrected=len(table)
  )
  return split if keep.all() else _kept(split, keep)


def _kept(split: Split, keep: np.ndarray) -> Split:
  """Some examples of a split; their images are copied."""
  return dataclasses.replace(
    split,
    images=np.asarray(split.images[keep]),
    labels=split.labels[keep],
    identities=split.identities[keep],
    ids=split.ids[keep],
    truth={name: values[keep] for name, values in split.truth.items()},
    marked=None if split.marked is None else split.marked[keep],
  )


def _cell(
  dataset: Dataset, attribute: str, label: str, file: str
) -> tuple[int, float]:
  """Column and value of a corrected attribute."""
  if attribute not in dataset.names:
    raise InputError(
      f"{file}: the data set {dataset.name} has no attribute {attribute[:60]!r}"
    )
  if label not in ("", "0", "1"):
    raise InputError(
      f"{file}: label {label[:60]!r} of {attribute!r}; accepted: 0, 1 or empty"
    )
  return dataset.names.index(attribute), float(label) if label else np.nan


def _class(dataset: Dataset, attribute: str, label: str, file: str) -> int:
  """A corrected class."""
  if attribute != WHICH_CLASS or label not in dataset.names:
    raise InputError(
      f"{file}: {attribute[:60]!r} with label {label[:60]!r}; accepted of "
      f"exclusive classes: {WHICH_CLASS!r} with one of "
      f"{', '.join(dataset.names)[:200]}"
    )
  return dataset.names.index(label)
