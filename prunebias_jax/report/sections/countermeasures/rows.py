"""The table "countermeasures": its metrics, and rows of means in it."""

import dataclasses

import numpy as np
import pandas as pd

from prunebias_jax.analysis.columns import MEAN
from prunebias_jax.report.page import slug_of
from prunebias_jax.report.source import Population, Source
from prunebias_jax.report.vocabulary import METRICS, Metric, listed

GAPS = ("false_positive_rate_gap", "false_negative_rate_gap")
_PANELS = 6
_WORST = 2  # identities whose gaps are drawn


def _gap(name: str, title: str) -> Metric:
  return Metric(
    name=name,
    title=title,
    unit="points",
    change_unit="points",
    scale=100,
    decimals=2,
    meaning="largest minus smallest rate of the groups of an identity; few "
    "examples alone make it larger than 0",
  )


MEASURES: dict[str, Metric] = {
  "accuracy": METRICS["accuracy"],
  "balanced_accuracy": METRICS["balanced_accuracy"],
  "abs_log_tcb": Metric(
    name="abs_log_tcb",
    title="|log TCB|",
    unit="log ratio",
    change_unit="log ratio",
    meaning="how far the predicted rate of the rarer value is from the true "
    "one, up or down; 0 is right",
  ),
  "abs_bias_amplification": Metric(
    name="abs_bias_amplification",
    title="|BA|",
    unit="points",
    change_unit="points",
    scale=100,
    decimals=2,
    meaning="size of bias amplification, up or down; few examples alone make "
    "it larger than 0",
  ),
  GAPS[0]: _gap(GAPS[0], "FPR gap"),
  GAPS[1]: _gap(GAPS[1], "FNR gap"),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measure:
  """A metric as the table's columns name it."""

  metric: str
  identity: str = ""
  value: str = ""
  place: int = 0

  @property
  def slug(self) -> str:
    """A part of a file's name."""
    return slug_of(f"{self.place}-{self.metric}", self.identity)

  def title(self, source: Source) -> str:
    """As a reader names it."""
    name = MEASURES[self.metric].title
    if not self.identity:
      return name
    if self.value:
      return f"{name} {source.group_name(self.identity, self.value)}"
    return f"{name} of {self.identity}"


def overall() -> list[Measure]:
  """The metrics of everyone."""
  names = ("accuracy", "balanced_accuracy", "abs_log_tcb")
  return [Measure(metric=name, place=i) for i, name in enumerate(names, 1)]


def identity_biases(source: Source) -> list[Measure]:
  """Bias amplification by the identities, as many as there are panels."""
  return [
    Measure(
      metric="abs_bias_amplification", identity=pair[0], value=pair[1], place=i
    )
    for i, pair in enumerate(source.pairs[:_PANELS], 1)
  ]


def gaps(source: Source) -> list[Measure]:
  """Gaps of error rates, of the identities that are drawn."""
  names = chosen_identities(source)[0]
  return [
    Measure(metric=metric, identity=identity, place=i)
    for i, (identity, metric) in enumerate(
      ((identity, metric) for identity in names for metric in GAPS), 1
    )
  ]


def chosen_identities(source: Source) -> tuple[list[str], str]:
  """Those with the largest gaps at the highest sparsity; and how chosen."""
  names = list(dict.fromkeys(identity for identity, _ in source.pairs))
  if len(names) <= _WORST:
    return names, ""
  population = source.sparsest or source.populations[-1]
  sizes = {}
  for name in names:
    rows = mean_rows(source, Measure(metric=GAPS[1], identity=name), population)
    mean = rows[rows["countermeasure"] == "none"]["mean"]
    sizes[name] = float(mean.iloc[0]) if len(mean) else np.nan
  ordered = sorted(names, key=lambda name: -np.nan_to_num(sizes[name], nan=-1))
  chosen = ordered[:_WORST]
  return chosen, (
    f" Drawn for {listed(chosen)}, whose FNR gaps without countermeasure are "
    f"the largest at {population.label} of {len(names)} identities: the "
    "extremes of several overstate themselves, and small groups make large "
    "gaps by chance."
  )


def mean_rows(
  source: Source, measure: Measure, population: Population
) -> pd.DataFrame:
  """All countermeasures' means over outputs of a metric."""
  table = _means(source, population)
  return table[
    (table["metric"] == measure.metric)
    & (table["identity"] == measure.identity)
    & (table["value"] == measure.value)
  ]


def unavailable(
  source: Source, countermeasure: str, population: Population
) -> str:
  """Why a population lacks a countermeasure; "" where it has it."""
  table = _means(source, population)
  rows = table[table["countermeasure"] == countermeasure]
  if (rows["metric"] != "").any():
    return ""
  reasons = [one for one in dict.fromkeys(rows["reason"]) if one]
  return f"N{'; '.join(reasons)[1:]}." if reasons else "Not available."


def _means(source: Source, population: Population) -> pd.DataFrame:
  """The rows of means of a population."""
  table = source.table("countermeasures")
  pruner, sparsity, quantization = population
  return table[
    (table["attribute"] == MEAN)
    & (table["pruner"] == pruner)
    & (table["sparsity"] == sparsity)
    & (table["quantization"] == quantization)
  ]
