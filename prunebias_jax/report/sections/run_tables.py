"""Tables that a run keeps of itself, beside its analysis."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from prunebias_jax.analysis.columns import POPULATION
from prunebias_jax.errors import InputError
from prunebias_jax.report.keys import Population

_TEXT = ("pruner", "quantization", "layer")


def read_table(path: Path, columns: Sequence[str]) -> pd.DataFrame:
  """A table of a run's own folder.

  Raises:
    InputError: it cannot be read, or lacks a column.
  """
  try:
    table = pd.read_csv(
      path,
      dtype=dict.fromkeys(_TEXT, str),
      keep_default_na=False,
      na_values={
        one: ["", "nan", "NaN"] for one in columns if one not in _TEXT
      },
    )
  except (ValueError, OSError) as error:
    raise InputError(f"{path.name} cannot be read: {error}") from error
  lacking = [one for one in columns if one not in table]
  if lacking:
    raise InputError(
      f"{path.name} has no column {', '.join(lacking)}; it needs "
      f"{', '.join(columns)}"
    )
  numbers = [one for one in columns if one not in _TEXT]
  try:
    return table.astype(dict.fromkeys(numbers, float))
  except ValueError as error:
    raise InputError(f"{path.name}: a number is expected: {error}") from error


def populations_of(table: pd.DataFrame) -> list[Population]:
  """The population of each row."""
  rows = zip(*(table[name] for name in POPULATION), strict=True)
  return [Population(*row) for row in rows]
