"""Numbers of how the error rates of groups change against dense."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from prunebias_jax.analysis.bias import FEW_POSITIVES
from prunebias_jax.analysis.columns import POPULATION, RULES
from prunebias_jax.analysis.relative import ratio_of_means
from prunebias_jax.report.sections.groups.table import (
  RATES,
  group_sizes,
  span_text,
)
from prunebias_jax.report.sections.run_tables import populations_of
from prunebias_jax.report.source import Population, Source
from prunebias_jax.report.vocabulary import Metric

# More marks than this in a row are hard to tell apart.
MARKS = 4
WORST = 10
# A form of change: its columns in the table "group_changes", and its unit.
FORMS = (
  ("absolute", ("change", "low", "high"), "points"),
  ("relative", ("relative", "relative_low", "relative_high"), "% of dense"),
)
# What the rates go over.
COUNTED = {
  RATES[0].title: "examples",
  RATES[1].title: "negatives",
  RATES[2].title: "positives",
}


def drawn_populations(source: Source) -> tuple[Population, ...]:
  """The populations that are compared with dense, at most `MARKS`.

  Of one pruner from the lowest to the highest sparsity, of several the
  highest of each; quantized ones only where there are no others.
  """
  paired = [one for one in source.compressed if source.pairs_with(one)]
  plain = [one for one in paired if one.quantization == "none"]
  found = plain or paired
  if len({one.series for one in found}) > 1:
    found = list({one.series: one for one in found}.values())
  places = np.linspace(0, len(found) - 1, min(MARKS, len(found)))
  return tuple(found[place] for place in places.round().astype(int))


def mean_changes(
  source: Source, rate: Metric, populations: Sequence[Population]
) -> pd.DataFrame:
  """A rate over all outputs against dense, by population and group.

  Returns:
    The columns of the table "group_changes", in its units, without attribute;
    and "name", of the group, and "n", the examples that the rate goes over,
    the smallest to the largest number over outputs and populations.
  """
  rows = []
  for identity, value in source.groups:
    counts = [
      _counted(source, rate, one, identity, value) for one in populations
    ]
    ends = [end for one in counts if one for end in (one[0], one[-1])]
    span = range(min(ends), max(ends) + 1) if ends else range(0)
    few = bool(span) and span[0] < FEW_POSITIVES
    name = source.group_name(identity, value) + "*" * few
    rows += [
      _mean_change(source, rate, population, identity, value)
      | {"name": name, "n": span_text(span)}
      for population in populations
    ]
  table = pd.DataFrame(rows)
  if len(rows):
    # By population first, as the tables are.
    order = [list(populations).index(one) for one in populations_of(table)]
    table = table.iloc[np.argsort(order, kind="stable")]
  return table.reset_index(drop=True)


def worst_changes(
  source: Source, rate: Metric, population: Population
) -> tuple[pd.DataFrame, dict[str, int]]:
  """The rows of "group_changes" whose rate rises most, without crossings.

  Returns:
    At most `WORST` rows, the largest rise first, with "name" and "n"; and how
    many rows were ranked, rose and fell, had few examples, had no value.
  """
  table = _group_changes(source, rate.name, population)
  count = "n_negative" if rate is RATES[1] else "n_positive"
  valued = table["change"].notna()
  valued &= table["n_seeds"] == source.pairs_with(population)
  # A group without one such example has no value: it is not few.
  few = valued & (table[count] < FEW_POSITIVES).fillna(False).astype(bool)
  ranked = table[valued & ~few]
  found = ranked[ranked["change"] > 0]
  found = found.sort_values("change", ascending=False, kind="stable")
  found = found.head(WORST)
  columns = (found[name] for name in ("attribute", "identity", "value"))
  names = [
    f"{output} · {source.group_name(identity, value)}"
    for output, identity, value in zip(*columns, strict=True)
  ]
  counts = {
    "ranked": len(ranked),
    "rose": int((ranked["change"] > 0).sum()),
    "fell": int((ranked["change"] < 0).sum()),
    "few": int(few.sum()),
    "empty": int((~valued).sum()),
  }
  notes = [f"{one:,}" for one in found[count]]
  return found.assign(name=names, n=notes), counts


def _group_changes(
  source: Source, rate: str, population: Population
) -> pd.DataFrame:
  """Rows of "group_changes" of single outputs and single identities."""
  table = source.table("group_changes")
  keep = (table["rate"] == rate) & (table["threshold_rule"] == RULES[0])
  for name, value in zip(POPULATION, population, strict=True):
    keep &= table[name] == value
  keep &= (table["identity"] != "") & ~table["identity"].str.contains(
    "*", regex=False
  )
  return table[keep]


def _mean_change(
  source: Source,
  rate: Metric,
  population: Population,
  identity: str,
  value: str,
) -> dict[str, object]:
  cell = source.overall(rate.name, identity=identity, value=value)
  contrast = source.contrast(cell).get(population)
  paired = source.paired(cell, population)
  paired = 1 - paired if rate.complement else paired
  row: dict[str, object] = dict(zip(POPULATION, population, strict=True))
  row |= {
    "identity": identity,
    "value": value,
    "rate": rate.title.lower().replace(" ", "_"),
    "n_seeds": paired.shape[1],
  }
  numbers = ("dense", "compressed", *(name for one in FORMS for name in one[1]))
  row |= dict.fromkeys(numbers, np.nan)
  if contrast is None or not paired.size:
    return row | {"reason": "no pair has a value"}
  ends = sorted(rate.shown_change(contrast[end]) for end in ("low", "high"))
  row |= {
    "dense": paired[0].mean(),
    "compressed": paired[1].mean(),
    "change": rate.shown_change(contrast["difference"]),
    "low": ends[0],
    "high": ends[1],
    "reason": contrast["reason"],
  }
  dense, here = paired[:, :, None]
  found = ratio_of_means(here, dense, level=source.level).ratio
  row["relative"] = 100 * (found.estimate[0] - 1)
  # Where members of one seed are not independent pairs, no interval covers.
  if np.isfinite(contrast["low"]):
    row["relative_low"] = 100 * (found.low[0] - 1)
    row["relative_high"] = 100 * (found.high[0] - 1)
  return row


def _counted(
  source: Source,
  rate: Metric,
  population: Population,
  identity: str,
  value: str,
) -> range:
  """The examples that a rate goes over: smallest to largest over outputs."""
  positives, negatives = source.counts(identity, value, population)
  if rate is RATES[2]:
    return positives
  if rate is RATES[1]:
    return negatives
  size = int(group_sizes(source)[source.groups.index((identity, value))])
  return range(size, size + 1)
