"""How the tables' rows are named: populations, cells, and an index of both."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import pandas as pd

from prunebias_jax.analysis.columns import (
  ALL,
  CELL,
  MEAN,
  OPTIONAL,
  POPULATION,
  TEXT,
)
from prunebias_jax.report.vocabulary import percent

Row = Mapping[str, Any]


class Population(NamedTuple):
  """Members that differ by seed only."""

  pruner: str
  sparsity: float
  quantization: str

  @property
  def series(self) -> tuple[str, str]:
    """What the populations along one line of a figure share."""
    return self.pruner, self.quantization

  @property
  def label(self) -> str:
    """As a reader names it: "dense", "95 % (gmp)"."""
    middle = "" if self.quantization == "none" else f", {self.quantization}"
    if self.sparsity == 0 and self.pruner == "dense":
      return f"dense{middle}"
    return f"{percent(self.sparsity)} % ({self.pruner}{middle})"


class Cell(NamedTuple):
  """One number of every member: a metric of an attribute and a group."""

  metric: str
  attribute: str = MEAN
  identity: str = ""
  value: str = ""
  rule: str = "default"

  @property
  def key(self) -> tuple[str, ...]:
    """The cell in the order of the tables' columns."""
    row = {
      "threshold_rule": self.rule,
      "metric": self.metric,
      "attribute": self.attribute,
      "identity": self.identity,
      "value": self.value,
    }
    return tuple(row[name] for name in CELL)


def rows_of(table: pd.DataFrame, population: Population) -> pd.DataFrame:
  """The rows of one population."""
  fits = pd.Series(True, index=table.index)
  for name, value in zip(POPULATION, population, strict=True):
    fits &= table[name] == value
  return table[fits]


def is_whole(table: pd.DataFrame) -> bool:
  """Whether a table has all the numbers that it could have."""
  numbers = [name for name in table if name not in (*TEXT, *OPTIONAL)]
  missing = table.loc[table[numbers].isna().any(axis=1)]
  names = missing["class" if "class" in missing else "attribute"]
  if "identity" not in missing:
    return bool((names == ALL).all())
  return all(
    name == ALL or name in identity.split("*")
    for name, identity in zip(names, missing["identity"], strict=True)
  )


class Index:
  """The rows of a table over seeds, by cell."""

  def __init__(self, table: pd.DataFrame) -> None:
    # Thousands of look-ups: lists are a hundred times faster than a frame.
    self._columns = {str(name): table[name].tolist() for name in table}
    cells = zip(*(self._columns[name] for name in CELL), strict=True)
    self._places: dict[tuple[str, ...], list[int]] = {}
    for place, key in enumerate(cells):
      self._places.setdefault(key, []).append(place)

  def rows(self, cell: Cell) -> dict[Population, Row]:
    """The rows of a cell by population."""
    found: dict[Population, Row] = {}
    for place in self._places.get(cell.key, []):
      row = {name: values[place] for name, values in self._columns.items()}
      found[Population(*(row[name] for name in POPULATION))] = row
    return found
