"""Which numbers the chapter on variance is about, and what they rest on."""

from collections.abc import Sequence
import dataclasses
import re

import numpy as np
import pandas as pd

from prunebias_jax.analysis.columns import POPULATION
from prunebias_jax.analysis.inference import MARK
from prunebias_jax.analysis.variance.spread import NOT_INDEPENDENT
from prunebias_jax.report.captions import NO_COMPRESSED, NO_DENSE, NO_PAIRS
from prunebias_jax.report.keys import Cell, Population, Row
from prunebias_jax.report.source import Source
from prunebias_jax.report.vocabulary import METRICS, Metric

# Values by name: a row of a table.
Numbers = Row
# More panels or lines than this are hard to tell apart.
MOST = 6
# More rows than this are hard to read in a drawing.
MOST_ROWS = 24
GAP = Metric(
  name="equal_opportunity_difference",
  title="FNR gap",
  unit="points",
  change_unit="points",
  scale=100,
  decimals=2,
  meaning="largest minus smallest false negative rate of an identity's groups",
)
ODDS = Metric(
  name="equalized_odds_difference",
  title="FNR or FPR gap",
  unit="points",
  change_unit="points",
  scale=100,
  decimals=2,
  meaning="the larger one of the gaps in false negative and in false positive "
  "rate between an identity's groups",
)
ONE_SEED = (
  "Not available: every population has one seed, and one seed does not tell "
  "how far the next one would lie. Train with more `seeds`."
)
ONE_PAIR = (
  "Not available: no population has two pairs of a pruned and a dense member, "
  "and a spread of differences needs two."
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shown:
  """One number of every member, and its name."""

  name: str
  metric: Metric
  cell: Cell

  @property
  def words(self) -> str:
    """The name as in a sentence."""
    first, _, rest = self.name.partition(": ")
    first = first.replace("Bias ampl.", "bias amplification")
    first = first.replace("Accuracy", "accuracy")
    return f"{first} by {rest}" if rest else first

  @property
  def spread_unit(self) -> str:
    """The unit of an sd, as a bracket for an axis."""
    unit = self.metric.change_unit
    return f" ({unit})" if unit else ""

  def with_unit(self, value: float) -> str:
    """A distance between two values, in words."""
    text = f"{value * self.metric.scale:.{self.metric.decimals}f}"
    unit = self.metric.change_unit
    return f"{text} {unit}" if unit else text


def overall(source: Source) -> list[Shown]:
  """Accuracy, AUC and TCB."""
  return [
    Shown(name=METRICS[name].title, metric=METRICS[name], cell=cell)
    for name in ("accuracy", "auc", "tcb")
    for cell in (source.overall(name),)
  ]


def amplifications(source: Source) -> list[Shown]:
  """Bias amplification of every identity."""
  metric = METRICS["bias_amplification"]
  return [
    Shown(
      name=f"Bias ampl.: {source.group_name(identity, value)}",
      metric=metric,
      cell=Cell(metric.name, identity=identity, value=value),
    )
    for identity, value in source.pairs
  ]


def gaps(source: Source, metric: Metric = GAP) -> list[Shown]:
  """A gap between the groups of every identity."""
  return [
    Shown(
      name=f"{metric.title}: {identity}",
      metric=metric,
      cell=Cell(metric.name, identity=identity),
    )
    for identity in identities(source)
  ]


def rates(source: Source) -> list[Shown]:
  """False negative and false positive rate of every group."""
  return [
    Shown(
      name=f"{short}: {source.group_name(identity, value)}",
      metric=METRICS[name],
      cell=Cell(name, identity=identity, value=value),
    )
    for name, short in (
      ("false_negative_rate", "FNR"),
      ("false_positive_rate", "FPR"),
    )
    for identity, value in source.groups
    if identity and "*" not in identity
  ]


def identities(source: Source) -> list[str]:
  """The identities that make groups, without crossings."""
  names = (name for name, _ in source.groups if name and "*" not in name)
  return list(dict.fromkeys(names))


def series_of(source: Source) -> list[tuple[Population, ...]]:
  """The compressed populations of each pruner and quantization."""
  found: dict[tuple[str, str], list[Population]] = {}
  for one in source.compressed:
    found.setdefault(one.series, []).append(one)
  return [tuple(one) for one in found.values()]


def series_name(populations: Sequence[Population]) -> str:
  """What compressed populations of one series share, in words."""
  pruner, quantization = populations[0].series
  return pruner if quantization == "none" else f"{pruner}, {quantization}"


def why_no_pairs(source: Source, *, least: int = 1) -> str:
  """Why nothing can be compared with dense; "" where something can.

  Args:
    source: the numbers.
    least: the number of pairs that are needed.
  """
  if not source.compressed:
    return NO_COMPRESSED
  if source.dense is None:
    return NO_DENSE
  pairs = max(source.pairs_with(one) for one in source.compressed)
  if not pairs:
    return NO_PAIRS
  if pairs < least:
    return ONE_SEED if source.most_seeds == 1 else ONE_PAIR
  return ""


def averaged(row: Row) -> str:
  """How many outputs a mean leaves: "13 of 40"; "" where it leaves none out."""
  found = re.search(r"mean over (\d+ of \d+)", str(row["reason"]))
  return found[1] if found else ""


def is_doubtful(row: Row) -> bool:
  """Whether the analysis marks the seeds of a row as unlike normal ones."""
  text = f"{row.get('interval', '')}; {row['reason']}"
  return MARK.partition(":")[0] in text


def is_crossed(source: Source, population: Population, cell: Cell) -> bool:
  """Whether members share seeds by purpose, and are not independent."""
  row = source.summary(cell).get(population)
  return row is not None and NOT_INDEPENDENT in str(row["interval"])


def records(table: pd.DataFrame) -> list[Row]:
  """The rows of a table, each by its columns' names."""
  names = [str(name) for name in table]
  return [
    dict(zip(names, row, strict=True))
    for row in table.itertuples(index=False, name=None)
  ]


def of_population(table: pd.DataFrame, population: Population) -> pd.DataFrame:
  """The rows of one population."""
  if table.empty:
    return table
  masks = [
    (table[name] == one).to_numpy()
    for name, one in zip(POPULATION, population, strict=True)
  ]
  return table[np.logical_and.reduce(masks)]


def spread(populations: Sequence[Population]) -> list[Population]:
  """Populations to draw: all, or some from the first to the last."""
  if len(populations) <= MOST:
    return [*populations]
  last = len(populations) - 1
  return [populations[i * last // (MOST - 1)] for i in range(MOST)]
