"""What the countermeasures are, and what each changes, in numbers."""

import dataclasses

import pandas as pd

from prunebias_jax.report.page import Row, Table
from prunebias_jax.report.sections.countermeasures.rows import (
  GAPS,
  MEASURES,
  Measure,
  identity_biases,
  mean_rows,
  overall,
  unavailable,
)
from prunebias_jax.report.sections.families import families
from prunebias_jax.report.source import Population, Source
from prunebias_jax.report.vocabulary import NOT_AVAILABLE, Metric, percent

_FAMILIES = 3
_BUDGET = 0.05
_WORDS = (
  (
    "none",
    "nothing",
    "an attribute is predicted where its probability is above 1/2, of "
    "exclusive classes the likeliest",
    "nothing",
    "the model",
  ),
  (
    "thresholds",
    "thresholds by attribute",
    "each attribute's threshold is set so that as many are predicted on the "
    "validation split as are positive there",
    "validation labels",
    "the model",
  ),
  (
    "group_thresholds",
    "thresholds by group",
    "the same for each value of one identity",
    "validation labels and groups",
    "the model, and the group of every example",
  ),
  (
    "override",
    "override",
    "the answers of which the dense partner is least sure are replaced: by "
    "the dense partner's, a human's, or none",
    "nothing (the dense partner's probabilities on the examples themselves)",
    "the model and its dense partner; for some a human",
  ),
  (
    "thresholds+override",
    "both",
    "the same override of the answers under thresholds by attribute",
    "validation labels",
    "as override",
  ),
)


def words(source: Source) -> Table:
  """What was tried, on what it was fitted, and whether it is there."""
  population = source.sparsest or source.populations[-1]
  return Table(
    slug="countermeasures",
    title="What was tried",
    head=("countermeasure", "what it does", "fitted on", "needs", "here"),
    bands=(
      (
        "",
        tuple(
          (
            name,
            what,
            fitted,
            needs,
            unavailable(source, key, population) or "shown",
          )
          for key, name, what, fitted, needs in _WORDS
        ),
      ),
    ),
    texts=5,
    note="All is measured on the test split, which nothing is fitted on.",
  )


def changes(source: Source) -> Table:
  """Every metric under every countermeasure at the highest levels."""
  populations = [one.sparsest for one in families(source)[:_FAMILIES]]
  table = Table(
    slug="countermeasure-changes",
    title="What each countermeasure changes at the highest sparsity",
    head=(
      "countermeasure",
      "mean",
      "change",
      f"{percent(source.level)} % interval",
      "seeds",
      "care",
    ),
    folded=True,
  )
  if not populations:
    populations = [source.populations[-1]]
  identities = dict.fromkeys(identity for identity, _ in source.pairs)
  measures = [
    *overall(),
    *identity_biases(source),
    *(
      Measure(metric=metric, identity=identity)
      for metric in GAPS
      for identity in identities
    ),
  ]
  bands = [
    (
      f"{measure.title(source)} ({MEASURES[measure.metric].unit}), "
      f"{population.label}",
      _rows(source, population, measure),
    )
    for population in populations
    for measure in measures
  ]
  return dataclasses.replace(
    table,
    bands=tuple((title, rows) for title, rows in bands if rows),
    note=(
      "Means over seeds and over the outputs that have a value in every seed "
      "and under every countermeasure; the change is the paired one against "
      "nothing. Its t interval takes seeds as random and their changes as "
      "normal, the examples as fixed; nothing is corrected for the number of "
      f"rows. Overrides of {percent(_BUDGET)} % of all answers; thresholds by "
      "the groups of another identity, other shares and other levels are in "
      "analysis/countermeasures.csv."
    ),
  )


def _rows(
  source: Source, population: Population, measure: Measure
) -> tuple[Row, ...]:
  """One metric of one population."""
  rows = mean_rows(source, measure, population)
  kept = (rows["budget"] == 0) | (rows["budget"] == _BUDGET)
  if measure.identity:
    kept &= rows["fitted_on"].isin(("", measure.identity))
  metric = MEASURES[measure.metric]
  return tuple(_row(row, metric) for _, row in rows[kept].iterrows())


def _row(row: pd.Series, metric: Metric) -> Row:
  names = {key: name for key, name, *_ in _WORDS}
  name = names[str(row["countermeasure"])]
  if row["fitted_on"]:
    name = f"{name}: {row['fitted_on']}"
  if row["override"]:
    name += f", {row['override']}, {row['selection']}"
  is_base = row["countermeasure"] == "none"
  return (
    name,
    metric.text(float(row["mean"])),
    "" if is_base else metric.change(float(row["change"])),
    ""
    if is_base
    else metric.change_interval(
      float(row["change_low"]), float(row["change_high"])
    ),
    str(row["n_seeds"]) if row["n_seeds"] else NOT_AVAILABLE,
    str(row["reason"]),
  )
