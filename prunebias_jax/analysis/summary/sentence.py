"""A sentence with its numbers, and the rows that sentences are made of."""

from collections.abc import Mapping, Sequence
import dataclasses
import math
from typing import Any

import numpy as np
import pandas as pd

from prunebias_jax.analysis.checks import population_text
from prunebias_jax.analysis.columns import POPULATION, TABLES

Tables = Mapping[str, pd.DataFrame]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sentence:
  """An answer in words, with the numbers in it.

  Attributes:
    question: what it answers.
    text: the answer; where there is none, "Not available" and why.
    numbers: what the text says, by the names of the tables' columns; empty
      where there is no answer.
    source: the table that the numbers are from.
  """

  question: str
  text: str
  numbers: Mapping[str, Any]
  source: str

  def as_json(self) -> dict[str, Any]:
    """JSON values: a number that is not there is None."""
    numbers = {
      name: None if isinstance(one, float) and not math.isfinite(one) else one
      for name, one in self.numbers.items()
    }
    return {**dataclasses.asdict(self), "numbers": numbers}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Source:
  """The rows that the sentences are made of.

  Attributes:
    tables: the rows of the test split, last parameters, default thresholds.
    population: the most compressed population that is compared with dense:
      the highest sparsity, and there the first that is not quantized.
    level: coverage of the intervals.
  """

  tables: Tables
  population: tuple[str, float, str] | None
  level: float

  def rows(self, table: str, **cell: Any) -> pd.DataFrame:
    """The population's rows of a table with these values."""
    if self.population is None or table not in self.tables:
      return pd.DataFrame(columns=list(TABLES[table]))
    found = self.tables[table]
    wanted = dict(zip(POPULATION, self.population, strict=True)) | cell
    keep = np.ones(len(found), bool)
    for column, value in wanted.items():
      keep &= (found[column] == value).to_numpy()
    return found[keep]

  @property
  def coverage(self) -> str:
    """The level in words: "95 %"."""
    return f"{100 * self.level:g} %"

  @property
  def name(self) -> str:
    """The population in words."""
    assert self.population is not None
    return population_text(*self.population)


def unavailable(
  question: str, table: str, source: Source, reason: str = ""
) -> Sentence:
  """A sentence that says that there is no answer."""
  reason = reason or f"{table}.csv has no such row"
  if source.population is None:
    reason = "no compressed member pairs with a dense one"
  return Sentence(
    question=question,
    text=f"Not available: {reason}.",
    numbers={},
    source=table,
  )


def why_not(rows: pd.DataFrame) -> str:
  """Why rows of groups have no value, or that there are no groups."""
  if rows.empty:
    return "there are no groups to compare"
  return next((one for one in rows["reason"].tolist() if one), "")


def numbers_of(row: pd.Series, columns: Sequence[str]) -> dict[str, Any]:
  """What a row says, by column, with what it is about."""
  about = [
    name
    for name in (*POPULATION, "metric", "attribute", "identity", "value")
    if name in row
  ]
  return {
    name: row[name].item() if hasattr(row[name], "item") else row[name]
    for name in (*about, *columns)
  }
