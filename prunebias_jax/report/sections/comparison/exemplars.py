"""Compression identified exemplars of both runs, beside what seeds alone do."""

import math

import numpy as np
import pandas as pd

from prunebias_jax.analysis.columns import ALL, EVERYONE, MEAN, POPULATION
from prunebias_jax.report.keys import Population
from prunebias_jax.report.page import Figure, draw_panel
from prunebias_jax.report.plots import Series, along_steps, span_of
from prunebias_jax.report.sections.comparison.runs import Comparison
from prunebias_jax.report.sections.exemplars.tables import told
from prunebias_jax.report.source import Source
from prunebias_jax.report.vocabulary import number, percent

SLUG = "comparison-exemplars"
_SIZES = ["n_dense", "n_compressed"]


def figure(comparison: Comparison) -> Figure:
  """The share of exemplars against sparsity, and the null's."""
  title = "Compression identified exemplars in both runs"
  caption = (
    "Share of the (example, output) pairs whose majority label over the seeds "
    "is another than that of dense, in each run against its own dense members, "
    "and the mean of its permutation null: what seeds alone would change. The "
    "share belongs to a whole population: there is no number of a single seed "
    "and no interval. It depends on the number of members, so only populations "
    "of equally many are drawn. With one member against one there is no null: "
    "to exchange them changes nothing."
  )
  data, reason = _numbers(comparison)
  if reason:
    return Figure(slug=SLUG, title=title, caption=caption, reason=reason)
  sizes = data[_SIZES].drop_duplicates().to_numpy(int).tolist()
  caption += " Members, compressed against dense: " + ", ".join(
    f"{compressed} against {dense}" for dense, compressed in sizes
  )
  steps = sorted(set(data["sparsity"]))
  series = [
    Series(
      label=str(label),
      place=np.array([steps.index(one) for one in part["sparsity"]], int),
      seeds=100 * part["share"].to_numpy(np.float64)[None],
      mean=np.full(len(part), np.nan),
      low=np.full(len(part), np.nan),
      high=np.full(len(part), np.nan),
    )
    for label, part in data.groupby("line", sort=False)
  ]
  words = "; ".join(
    f"{row['line']} at {percent(row['sparsity'])} %: "
    f"{number(100 * row['share'], 2)} %"
    for _, row in data.iterrows()
  )
  panel = draw_panel(
    lambda: along_steps(
      series,
      [percent(one) for one in steps],
      "Share of exemplars (%)",
      along="weights removed (%)",
      span=span_of(series, 0.0),
      reference=0.0,
    ),
    slug=SLUG,
    title=title,
    axis="Share of exemplars (%)",
    alt=f"Share of exemplars of both runs against sparsity. {words}.",
    data=data,
  )
  return Figure(slug=SLUG, title=title, caption=f"{caption}.", panels=(panel,))


def _numbers(comparison: Comparison) -> tuple[pd.DataFrame, str]:
  """Shares by line and sparsity, or why there are none."""
  empty = pd.DataFrame()
  if not comparison.ground.same_test:
    return empty, "Not available: the test sets are not the same, see above."
  if len({one.outputs for one in comparison.sources}) > 1 or set(
    comparison.ground.outputs
  ) != set(comparison.first.outputs):
    return empty, (
      "Not available: the shares of the two runs are means over other "
      "attributes or labels."
    )
  sides = [_shares(one) for one in comparison.sources]
  parts, unequal = [], []
  for match in comparison.matches:
    keys = [Population(*one) for one in (match.first, match.second)]
    if not all(key in side for key, side in zip(keys, sides, strict=True)):
      continue
    rows = [side[key] for key, side in zip(keys, sides, strict=True)]
    sizes = [tuple(int(row[name]) for name in _SIZES) for row in rows]
    if sizes[0] != sizes[1]:
      unequal.append(sizes)
      continue
    for name, row in zip(comparison.names, rows, strict=True):
      for ending, column in (("", "cie_share"), (", null", "null_mean")):
        if math.isnan(row[column]):
          continue
        parts.append(
          {
            "line": f"{name}{ending}",
            **{one: row[one] for one in (*POPULATION, *_SIZES)},
            "share": row[column],
          }
        )
  if unequal and not parts:
    (dense, compressed), (dense_2, compressed_2) = unequal[0]
    return empty, (
      "Not available: the share of exemplars depends on the number of members "
      f"({compressed} against {dense} in the first run, {compressed_2} against "
      f"{dense_2} in the second), so the runs' shares cannot be compared."
    )
  if not parts:
    return empty, (
      "Not available: the runs have no compressed population in common that "
      "has exemplars in both."
    )
  names = list(dict.fromkeys(str(row["line"]) for row in parts))
  parts.sort(key=lambda row: names.index(str(row["line"])))
  return pd.DataFrame(parts), ""


def _shares(source: Source) -> dict[Population, pd.Series]:
  """Rows of the table over all outputs and everyone, by population."""
  table = told(source.table("exemplar_tests"))
  # A single attribute has no mean beside it.
  names = [MEAN, ALL, *(source.outputs if len(source.outputs) == 1 else ())]
  rows = table[
    table["attribute"].isin(names)
    & (table["identity"] == EVERYONE)
    & table["cie_share"].notna()
  ]
  return {
    Population(*(row[name] for name in POPULATION)): row
    for _, row in rows.iterrows()
  }
