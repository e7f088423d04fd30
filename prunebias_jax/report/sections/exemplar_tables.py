"""What the chapter on exemplars selects from its tables, and how it says so."""

from collections.abc import Callable, Sequence, Sized

from matplotlib.figure import Figure as Drawing
import numpy as np
import pandas as pd

from prunebias_jax.analysis.columns import ALL, MEAN, POPULATION
from prunebias_jax.report.keys import Population
from prunebias_jax.report.page import Panel, draw_panel, slug_of
from prunebias_jax.report.plots import Series, along_steps, span_of
from prunebias_jax.report.source import Source
from prunebias_jax.report.vocabulary import (
  NOT_AVAILABLE,
  count_of,
  listed,
  percent,
)

NO_EXEMPLARS = (
  "Not available: exemplars are found by comparing a compressed population "
  "with the dense one, and this run does not have both."
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
  return f" {NOT_AVAILABLE}: {'; '.join(sorted(parts))}." if parts else ""


def level_panels(
  source: Source,
  table: pd.DataFrame,
  columns: Sequence[tuple[str, str]],
  *,
  slug: str,
  title: str,
) -> tuple[Panel, ...]:
  """Shares against sparsity, a panel for each pruner and quantization.

  Args:
    source: knows the populations.
    table: one row a population.
    columns: of the table, in [0, 1], with their names in the legend.
    slug: begins those of the panels.
    title: of every panel, with its unit.
  """
  there = compared(source, table)
  steps = sorted({one.sparsity for one in there})
  parts = {
    series: table[
      (table["pruner"] == series[0]) & (table["quantization"] == series[1])
    ].sort_values("sparsity")
    for series in dict.fromkeys(one.series for one in there)
  }
  lines = {
    series: [_line(rows, name, label, steps) for name, label in columns]
    for series, rows in parts.items()
  }
  span = span_of([one for some in lines.values() for one in some], 0)
  return tuple(
    draw_panel(
      _drawing(lines[series], steps, _titled(title, series, parts), span),
      slug=slug_of(slug, *series),
      title=_titled(title, series, parts),
      alt=_words(_titled(title, series, parts), columns, rows),
      data=rows.reset_index(drop=True),
    )
    for series, rows in list(parts.items())[:MOST_PANELS]
  )


def _titled(title: str, series: tuple[str, str], among: Sized) -> str:
  if len(among) == 1:
    return title
  name = series[0] if series[1] == "none" else ", ".join(series)
  return f"{name}: {title}"


def _line(
  rows: pd.DataFrame, name: str, label: str, steps: Sequence[float]
) -> Series:
  values = 100 * rows[name].to_numpy(np.float64)
  nothing = np.full(len(values), np.nan)
  return Series(
    label=label,
    place=np.array([steps.index(one) for one in rows["sparsity"]], int),
    seeds=values[None],
    mean=values,
    low=nothing,
    high=nothing,
  )


def _drawing(
  lines: Sequence[Series],
  steps: Sequence[float],
  title: str,
  span: tuple[float, float],
) -> Callable[[], Drawing]:
  return lambda: along_steps(
    lines,
    [percent(one) for one in steps],
    title,
    along="weights removed (%)",
    span=span,
  )


def _words(
  title: str, columns: Sequence[tuple[str, str]], rows: pd.DataFrame
) -> str:
  """A panel in words."""
  said = [
    f"{label}: "
    + ", ".join(
      f"{100 * value:.2f} at {percent(level)} %"
      for value, level in zip(rows[name], rows["sparsity"], strict=True)
      if np.isfinite(value)
    )
    for name, label in columns
  ]
  return f"{title} against the share of weights removed. {'. '.join(said)}."
