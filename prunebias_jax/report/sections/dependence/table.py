"""The pairs of attributes whose correlation changed most."""

from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd

from prunebias_jax.report.captions import interval_words, no_difference
from prunebias_jax.report.keys import Population
from prunebias_jax.report.page import Row, Table
from prunebias_jax.report.sections.dependence.correlations import (
  ERRORS,
  PREDICTIONS,
  Pairs,
)
from prunebias_jax.report.source import Source
from prunebias_jax.report.vocabulary import (
  NOT_AVAILABLE,
  count_of,
  number,
  percent,
)

SHOWN = 5  # pairs in either direction
LEVELS = 3
_KINDS = {
  PREDICTIONS: "predictions",
  ERRORS: "errors (being wrong in both)",
}


def correlation_table(pairs: Pairs, of: str) -> Table:
  """What changed most against dense, at the highest sparsities.

  Args:
    pairs: the correlations.
    of: `PREDICTIONS` or `ERRORS`.
  """
  source = pairs.source
  slug = f"correlation-changes-{of}"
  title = f"Which correlations of the {_KINDS[of]} changed most?"
  chosen = _levels(source)
  reason = pairs.reason or no_difference(source)
  if reason:
    return Table(slug=slug, title=title, reason=reason)
  labels = ("Labels",) if of == PREDICTIONS else ()
  level = percent(source.level)
  note = (
    "Change: compressed − dense, mean of the paired differences, "
    f"{interval_words(source)}; dense and compressed: means over their own "
    "seeds. "
    f"The {SHOWN} largest changes in either direction, of the pairs that have "
    "a value in all pairs of seeds: chosen extremes overstate themselves, and "
    "the intervals are not adjusted for the choice. analysis/correlations.csv "
    "has all pairs of attributes, pruners and levels."
  )
  return Table(
    slug=slug,
    title=title,
    head=(
      "Attributes",
      *labels,
      "Dense",
      "Compressed",
      "Change",
      f"{level} % interval",
      "Pairs of seeds",
    ),
    bands=tuple(_band(pairs, of, one) for one in chosen),
    note=note,
    folded=of == ERRORS,
  )


def _levels(source: Source) -> list[Population]:
  """The sparsest of what is pruned like the sparsest, and pairs with dense."""
  sparsest = source.sparsest
  return [
    one
    for one in reversed(source.compressed)
    if sparsest is not None
    and one.series == sparsest.series
    and source.pairs_with(one)
  ][:LEVELS]


def _band(
  pairs: Pairs, of: str, population: Population
) -> tuple[str, tuple[Row, ...]]:
  """A population's changes, the most positive first."""
  source = pairs.source
  dense = source.dense_of(population)
  assert dense is not None  # it pairs
  rows = pairs.of(of, population).merge(
    pairs.of(of, dense)[["attribute", "other", "correlation"]],
    on=["attribute", "other"],
    suffixes=("", "_dense"),
    validate="1:1",
  )
  ranked = rows[
    (rows["n_pairs"] == source.pairs_with(population)) & rows["change"].notna()
  ].sort_values(["change", "attribute", "other"], ascending=[False, True, True])
  up = ranked[ranked["change"] > 0].head(SHOWN)
  down = ranked[ranked["change"] < 0].tail(SHOWN)
  title = (
    f"{population.label}: {len(ranked):,} of {count_of(len(rows), 'pair')} "
    "have a value in all pairs of seeds"
  )
  return title, tuple(
    _row(row, of) for row in pd.concat([up, down]).to_dict("records")
  )


def _row(row: Mapping[Hashable, Any], of: str) -> Row:
  columns = ["correlation_dense", "correlation"]
  columns[:0] = ["labels"] if of == PREDICTIONS else []
  low, high = float(row["low"]), float(row["high"])
  interval = NOT_AVAILABLE
  if low == low and high == high:
    interval = f"[{number(low, 2, sign=True)}, {number(high, 2, sign=True)}]"
  return (
    f"{row['attribute']} · {row['other']}",
    *(number(float(row[name]), 2, sign=True) for name in columns),
    number(float(row["change"]), 2, sign=True),
    interval,
    str(row["n_pairs"]),
  )
