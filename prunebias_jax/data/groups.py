"""Columns of people's own data as binary identities and labels."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from prunebias_jax.errors import InputError

# Beyond this a column holds names or measurements, not groups.
MOST_GROUPS = 1000


def identity_columns(
  columns: Mapping[str, Any], where: str
) -> dict[str, np.ndarray]:
  """Identity attributes by name, each uint8 [example] in {0, 1}.

  A column of 0 and 1 is one identity of the column's name. Any other is taken
  as categories: one identity for each value, named column=value.

  Args:
    columns: values [example] by column name.
    where: what the columns belong to, for messages.

  Raises:
    InputError: a column with empty cells, with one value only, or with more
      than `MOST_GROUPS` values; two columns that make the same identity.
  """
  found: dict[str, np.ndarray] = {}
  for name, column in columns.items():
    what = f"{where}: identity {name!r}"
    array = np.asarray(column)
    if array.ndim != 1:
      raise InputError(
        f"{what} is of shape {array.shape}; accepted: a value for each example"
      )
    values = pd.Series(array)
    refuse_missing(values, what)
    groups = values.unique().tolist()
    groups.sort(key=lambda one: (isinstance(one, str), one))
    if len(groups) < 2:
      raise InputError(
        f"{what} is {_text(groups[0])} in every example; accepted: two or "
        "more values"
      )
    if len(groups) > MOST_GROUPS:
      raise InputError(
        f"{what} has {len(groups)} values; accepted: up to {MOST_GROUPS} groups"
      )
    if set(groups) <= {0, 1}:
      made = {name: values.to_numpy().astype(np.uint8)}
    else:
      made = {
        f"{name}={_text(group)}": (values == group).to_numpy(np.uint8)
        for group in groups
      }
    for one in made:
      if one in found:
        raise InputError(
          f"{where}: two columns make an identity {one!r}; rename one"
        )
    found |= made
  return found


def binary_column(column: Any, what: str) -> np.ndarray:
  """A label column as float32 [example] in {0, 1, NaN}.

  Empty cells are missing labels, NaN.

  Raises:
    InputError: other values, or empty cells only.
  """
  values = pd.Series(np.asarray(column))
  missing = values.isna()
  if missing.all():
    raise InputError(f"{what} is empty")
  # One word in it makes all of a CSV's column text.
  numbers = pd.to_numeric(values, errors="coerce").astype(float)
  wrong = values[~numbers.isin((0, 1)) & ~missing]
  if len(wrong):
    raise InputError(
      f"{what} holds {str(wrong.iloc[0])!r}; accepted: 0, 1 and empty cells"
    )
  return numbers.to_numpy(np.float32)


def refuse_missing(values: pd.Series, what: str) -> None:
  """Raises InputError where cells are empty, and says how many."""
  missing = int(values.isna().sum())
  if not len(values) or missing == len(values):
    raise InputError(f"{what} is empty")
  if missing:
    raise InputError(
      f"{what} has {missing} empty cells of {len(values)}; missing values are "
      "not accepted: leave those examples out, or fill them in"
    )


def _text(value: Any) -> str:
  """A value as part of a name: 3.0 as 3."""
  whole = isinstance(value, float) and value.is_integer()
  return str(int(value) if whole else value)
