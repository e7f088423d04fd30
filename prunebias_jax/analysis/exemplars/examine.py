"""The exemplars of one evaluation, population by population."""

import dataclasses

import numpy as np
import pandas as pd
import xarray as xr

from prunebias_jax.analysis.cells import Population
from prunebias_jax.analysis.checks import population_text
from prunebias_jax.analysis.columns import TABLES, WHERE
from prunebias_jax.analysis.evidence import Evidence
from prunebias_jax.analysis.exemplars.comparison import (
  Comparison,
  comparisons,
  truths,
)
from prunebias_jax.analysis.exemplars.examples import (
  example_arrays,
  exemplars_table,
  shown,
)
from prunebias_jax.analysis.exemplars.over_indexing import OverIndexing
from prunebias_jax.analysis.exemplars.sets import sets_table
from prunebias_jax.analysis.exemplars.shares import shares_table
from prunebias_jax.analysis.exemplars.tally import Tally, tally
from prunebias_jax.analysis.exemplars.usefulness import (
  dense_rankings,
  queue_table,
)
from prunebias_jax.analysis.exemplars.votes import Votes

BY_POPULATION = (
  "exemplar_tests",
  "exemplar_accuracy",
  "over_indexing",
  "queue",
)
NAMES = ("exemplars", *BY_POPULATION)
NAMED = 5


@dataclasses.dataclass(frozen=True, kw_only=True)
class Exemplars:
  """The exemplars of one evaluation.

  Attributes:
    tables: by the names in `columns.TABLES`.
    examples: variables [population, example, attribute]; None where nothing
      is compared.
    notes: what is not available and why.
  """

  tables: dict[str, pd.DataFrame]
  examples: xr.Dataset | None
  notes: list[str]


def examine(evidence: Evidence) -> Exemplars:
  """Compares each compressed population with its dense one.

  Args:
    evidence: the evaluation; logits are read one population at a time.
  """
  where = xr.Dataset(attrs=dict(zip(WHERE, evidence.where, strict=True)))
  truth = truths(evidence)
  reasons: dict[Population, str] = {}
  missing: list[str] = []
  kept: list[dict[str, np.ndarray]] = []
  parts: dict[str, list[pd.DataFrame]] = {name: [] for name in BY_POPULATION}
  dense: Votes | None = None
  for comparison in comparisons(evidence):
    if comparison.sides.dense is not dense:
      dense = comparison.sides.dense
      rankings = dense_rankings(dense, truth)
    over = OverIndexing(evidence, comparison)
    counts = _counted(evidence, comparison, truth, over)
    for name, table in (
      ("exemplar_tests", shares_table(evidence, comparison, counts, where)),
      (
        "exemplar_accuracy",
        sets_table(
          evidence, comparison, counts, rankings["dense_margin"][1], where
        ),
      ),
      ("over_indexing", over.table(where)),
      ("queue", queue_table(evidence, comparison, rankings, where)),
    ):
      parts[name].append(table)
    exchange = comparison.sides.exchange
    reasons[comparison.population] = comparison.reason
    if exchange is None or exchange.reason:
      missing.append(population_text(*comparison.population))
    kept.append(shown(comparison))
  if not reasons:
    empty = {name: pd.DataFrame(columns=list(TABLES[name])) for name in NAMES}
    return Exemplars(tables=empty, examples=None, notes=[])
  examples = example_arrays(evidence, list(reasons), kept)
  return Exemplars(
    tables={
      "exemplars": exemplars_table(examples, list(reasons.values())),
      **{
        name: pd.concat(found, ignore_index=True)
        for name, found in parts.items()
      },
    },
    examples=examples,
    notes=_notes(missing),
  )


def _counted(
  evidence: Evidence,
  comparison: Comparison,
  truth: np.ndarray,
  over: OverIndexing,
) -> Tally | None:
  """The null's counts; None where there is no null."""
  exchange = comparison.sides.exchange
  if exchange is None:
    return None
  membership = evidence.facts.groups.membership.astype(np.float32)
  return tally(
    comparison.sides, exchange, membership, truth, over.columns, over.take
  )


def _notes(missing: list[str]) -> list[str]:
  """One sentence on the populations without permutation tests."""
  if not missing:
    return []
  named = "; ".join(missing[:NAMED])
  rest = len(missing) - NAMED
  return [
    "The permutation tests of exemplars are not available in "
    f"{named}{f' and {rest} more' if rest > 0 else ''}: too few members that "
    "can change sides (the column `reason` of exemplar_tests.csv)."
  ]
