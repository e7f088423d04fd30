"""The ten sentences that a reader wants first, made from the tables.

Each is about the most compressed population against dense, on the test split
with the last parameters and default thresholds; intervals are over seeds, that
test split being fixed. Where a number is chosen as the largest of several, its
p-value and its interval are Bonferroni's over all of them.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd

from prunebias_jax.analysis.columns import MAIN, POPULATION, RULES, WHERE
from prunebias_jax.analysis.summary.changes import (
  bias,
  groups,
  of_metric,
  variance,
)
from prunebias_jax.analysis.summary.counts import exemplars, power, safety
from prunebias_jax.analysis.summary.sentence import Sentence, Source, Tables
from prunebias_jax.analysis.summary.words import PLAIN, POINTS

__all__ = ["Sentence", "summarise"]


def summarise(tables: Tables, level: float) -> list[Sentence]:
  """The ten sentences, in the order in which a reader asks.

  Args:
    tables: those of an analysis.
    level: coverage of its intervals.
  """
  main = {name: _main_rows(table) for name, table in tables.items()}
  contrasts = main["contrasts"]
  population = None
  if len(contrasts):
    order = contrasts.assign(quantized=contrasts["quantization"] != "none")
    order = order.sort_values(
      ["sparsity", "quantized"], ascending=[False, True], kind="stable"
    )
    first = order.iloc[0]
    population = tuple(first[key] for key in POPULATION)
  source = Source(tables=main, population=population, level=level)
  return [answer(source) for answer in ANSWERS]


def _main_rows(table: pd.DataFrame) -> pd.DataFrame:
  """The rows of the main evaluation under default thresholds."""
  keep = np.ones(len(table), bool)
  for column, value in (
    *zip(WHERE, MAIN, strict=True),
    ("threshold_rule", RULES[0]),
  ):
    if column in table:
      keep &= (table[column] == value).to_numpy()
  return table[keep]


ANSWERS: tuple[Callable[[Source], Sentence], ...] = (
  of_metric("accuracy", "Does accuracy hold?", "accuracy", POINTS),
  of_metric(
    "uncertainty",
    "Do outputs become less sure?",
    "the share of unsure outputs",
    POINTS,
  ),
  of_metric(
    "interdependence",
    "Do outputs depend more on each other?",
    "interdependence (R²)",
    PLAIN,
  ),
  of_metric(
    "tcb",
    "Are rare values predicted less often?",
    "the predicted share of the rarer value over its true share",
    PLAIN,
  ),
  bias,
  groups,
  variance,
  exemplars,
  safety,
  power,
)
