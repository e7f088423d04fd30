"""What the chapter on exemplars selects from its tables, and how it says so."""

import numpy as np
import pandas as pd

from prunebias_jax.analysis.columns import ALL, MEAN, POPULATION
from prunebias_jax.report.keys import Population
from prunebias_jax.report.source import Source
from prunebias_jax.report.vocabulary import (
  count_of,
  listed,
)

NO_EXEMPLARS = (
  "Not available: exemplars are found by comparing a compressed population "
  "with the dense one, and this run does not have both."
)
ONE_PAIR = (
  "With one pair of members an exchange changes nothing: seeds alone give what "
  "was observed, which says nothing about compression."
)
NO_NULL = (
  "With one pair of members an exchange gives what was observed: what seeds "
  "alone would change is not available."
)
MOST_PANELS = 6
FEW = 10  # examples or exemplars: fewer are marked


def overall(table: pd.DataFrame) -> pd.DataFrame:
  """The rows about all outputs: their mean, the classifier as a whole.

  Of a run of a single attribute these are its own.
  """
  there = set(table["attribute"].unique())
  whole = next((one for one in (MEAN, ALL) if one in there), None)
  return table if whole is None else table[table["attribute"] == whole]


def told(table: pd.DataFrame) -> pd.DataFrame:
  """The rows, without a null where it says nothing.

  To exchange the only two members gives what was observed: neither is that
  what seeds alone would change, nor the excess over it 0.
  """
  one = (table["n_dense"] == 1) & (table["n_compressed"] == 1)
  reason = [
    "; ".join(filter(None, ("no null of one member against one" * here, text)))
    for here, text in zip(one, table["reason"], strict=True)
  ]
  return table.assign(
    null_mean=table["null_mean"].mask(one),
    excess=table["excess"].mask(one),
    reason=reason,
  )


def single(table: pd.DataFrame) -> pd.DataFrame:
  """The rows about single attributes, or about a classifier as a whole."""
  return table[table["attribute"] != MEAN]


def everyone(table: pd.DataFrame) -> pd.DataFrame:
  """The rows that are about no group."""
  return table[table["identity"] == ""]


def rows_of(table: pd.DataFrame, population: Population) -> pd.DataFrame:
  """The rows of a population."""
  chosen = np.ones(len(table), bool)
  for name, value in zip(POPULATION, population, strict=True):
    chosen &= (table[name] == value).to_numpy()
  return table[chosen]


def compared(source: Source, table: pd.DataFrame) -> tuple[Population, ...]:
  """The compressed populations that a table has rows of."""
  keys = set(table[list(POPULATION)].itertuples(index=False, name=None))
  return tuple(one for one in source.compressed if one in keys)


def sparsest_of(
  source: Source, table: pd.DataFrame, most: int
) -> tuple[Population, ...]:
  """The highest levels of the first pruner, from low to high.

  The first pruner is that of `Source.sparsest`, if the table has it.
  """
  there = compared(source, table)
  if not there:
    return ()
  first = source.sparsest if source.sparsest in there else there[-1]
  return tuple(one for one in there if one.series == first.series)[-most:]


def averaged(source: Source) -> str:
  """What a row about all outputs is, for captions."""
  if source.output == "class":
    return "of all examples"
  if len(source.outputs) == 1:
    return f"of the attribute {source.outputs[0]}"
  return f"mean over the {len(source.outputs)} attributes"


def examples_text(source: Source) -> str:
  """How many examples there are."""
  return count_of(source.run.split("test").sizes["example"], "example")


def members_text(table: pd.DataFrame) -> str:
  """How many members are compared: "12 dense and 12 compressed members"."""
  ends = []
  for name, word in (("n_dense", "dense"), ("n_compressed", "compressed")):
    low, high = int(table[name].min()), int(table[name].max())
    ends.append(f"{low if low == high else f'{low} to {high}'} {word}")
  return f"{listed(ends)} members"


def why(table: pd.DataFrame) -> str:
  """What a table says of numbers that are missing, for a note."""
  parts = {
    part
    for text in table["reason"].unique()
    for part in text.split("; ")
    if part and not part.startswith("mean over")
  }
  return f" Missing: {'; '.join(sorted(parts))}." if parts else ""
