"""Whether members agree: with each other, and with their dense ones."""

import numpy as np
import pandas as pd

from prunebias_jax.analysis.columns import RULES
from prunebias_jax.report.captions import interval_words, no_difference
from prunebias_jax.report.keys import Population, rows_of
from prunebias_jax.report.page import Figure, Panel, Row, Table, draw_panel
from prunebias_jax.report.plots import Points, forest
from prunebias_jax.report.source import Source
from prunebias_jax.report.vocabulary import count_of, number

ROWS = 12
_SLUG = "agreement"
_TITLE = "Where do pruned models decide otherwise than their dense ones?"
_SHARES = ("disagreement", "disagreement_dense")


def agreement_table(source: Source) -> Table:
  """Every population in one row, means over the attributes."""
  rows = _rows(source)
  shown = []
  for population in source.populations:
    own = rows_of(rows, population)
    shown.append(_row(source, population, own))
  plural = "attributes" if source.output == "attribute" else ""
  over = f"Means over the {plural} that have a value. " if plural else ""
  return Table(
    slug=_SLUG,
    title="Do the models agree?",
    head=(
      "Models",
      "Seeds",
      "Two seeds differ (%)",
      "Differ from dense (%)",
      "Pairs with dense",
      "Correlation of the errors",
    ),
    bands=(("", tuple(shown)),),
    note=(
      f"{over}Two seeds differ: share of test examples on which two members of "
      "a row decide differently, over all pairs of seeds. Differ from dense: "
      "on which a compressed member and its dense one do. Two dense seeds "
      "differ too: the one number means something only beside the other. "
      "Correlation of the errors: Pearson over the examples of being wrong, "
      "over all pairs of seeds; 1 where all seeds err alike; a seed that is "
      "always or never wrong has none. The means have no intervals."
    ),
  )


def agreement_figure(source: Source) -> Figure:
  """Attributes that change most often beyond what seeds differ by."""
  dense, sparsest = source.dense, source.sparsest
  reason = no_difference(source)
  number_of = source.pairs_with(sparsest) if sparsest is not None else 0
  pairs = count_of(number_of, "pair") if number_of else "the pairs"
  caption = (
    "Share of test examples on which two models decide differently, in %: a "
    f"compressed member and its dense one (mean over {pairs}, "
    f"{interval_words(source)}), two dense seeds, and two compressed seeds "
    "(means over all pairs of seeds, without interval). An arrow: the interval "
    "leaves the plot."
  )
  if reason or dense is None or sparsest is None:
    return Figure(slug=_SLUG, title=_TITLE, caption=caption, reason=reason)
  rows = _rows(source)
  table = rows_of(rows, sparsest).merge(
    rows_of(rows, dense)[["attribute", "disagreement"]],
    on="attribute",
    suffixes=("", "_of_dense"),
    validate="1:1",
  )
  many = len(table)
  beyond = table["disagreement_dense"] - table["disagreement_of_dense"]
  # With one seed dense does not disagree with itself: nothing to subtract.
  alone = beyond.isna().all()
  rank = table["disagreement_dense"] if alone else beyond
  table = table.assign(rank=rank).sort_values(
    ["rank", "attribute"], ascending=[False, True]
  )
  table = table[table["rank"].notna()].head(ROWS).drop(columns="rank")
  if many > len(table):
    caption += (
      f" The {len(table)} of {count_of(many, 'attribute')} with the largest "
      f"{'share' if alone else 'excess of the first over the second'}: chosen "
      "extremes overstate themselves. analysis/agreement.csv has all."
    )
  return Figure(
    slug=_SLUG,
    title=_TITLE,
    caption=caption,
    panels=(_panel(source, sparsest, table),),
  )


def _panel(
  source: Source, population: Population, table: pd.DataFrame
) -> Panel:
  slug = f"{_SLUG}-changed"
  title = f"Decisions that differ, {population.label}"
  if table.empty:
    return Panel(
      slug=slug, title=title, reason="Not available: no pair has a value."
    )
  none = np.full(len(table), np.nan)
  points = [
    Points(
      label=label,
      value=table[name].to_numpy(np.float64) * 100,
      low=table["low"].to_numpy(np.float64) * 100 if own else none,
      high=table["high"].to_numpy(np.float64) * 100 if own else none,
    )
    for label, name, own in (
      ("compressed and its dense", "disagreement_dense", True),
      ("two dense seeds", "disagreement_of_dense", False),
      ("two compressed seeds", "disagreement", False),
    )
    if table[name].notna().any()
  ]
  names = [
    "all examples" if name == "(all)" else name for name in table["attribute"]
  ]
  first = table.iloc[0]
  pairs = count_of(source.pairs_with(population), "pair")
  return draw_panel(
    lambda: forest(
      names, points, f"{title} (%)", along="share of test examples (%)"
    ),
    slug=slug,
    title=title,
    alt=f"{title}, over {pairs}, beside two dense and two compressed seeds. "
    f"First: {names[0]}, {number(first['disagreement_dense'] * 100, 2)} % "
    "differ from dense.",
    data=table,
  )


def _rows(source: Source) -> pd.DataFrame:
  table = source.table("agreement")
  return table[table["threshold_rule"] == RULES[0]]


def _row(source: Source, population: Population, own: pd.DataFrame) -> Row:
  """Means of the table's rows."""
  shares = [number(own[name].mean() * 100, 2) for name in _SHARES]
  known = own["error_correlation"].notna().sum()
  partial = "" if known in (0, len(own)) else f" ({known} of {len(own)})"
  return (
    population.label,
    str(source.size(population)),
    *shares,
    str(source.pairs_with(population)),
    number(own["error_correlation"].mean(), 2) + partial,
  )
