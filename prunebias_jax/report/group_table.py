"""Rates of every group, crossings too, dense and at the highest sparsity."""

import dataclasses

from prunebias_jax.report.source import Cell, Source
from prunebias_jax.report.vocabulary import (
  ERROR,
  METRICS,
  NOT_AVAILABLE,
  Metric,
  group_name,
)

RATES = (
  ERROR,
  METRICS["false_positive_rate"],
  METRICS["false_negative_rate"],
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class GroupRow:
  """A group: its size, and for each rate dense, sparsest, change, interval."""

  name: str
  crossed: bool
  size: str
  rates: tuple[tuple[str, str, str, str], ...]


def group_rows(source: Source) -> list[GroupRow]:
  """A row for each group; the rates are means over the outputs."""
  arrays = source.analysis.arrays
  # Each output splits the same examples into positives and negatives.
  sizes = (arrays["n_positive"] + arrays["n_negative"]).to_numpy()[0]
  return [
    GroupRow(
      name=group_name(identity, value),
      crossed="*" in identity,
      size=f"{int(size):,}",
      rates=tuple(_rate(source, rate, identity, value) for rate in RATES),
    )
    for (identity, value), size in zip(source.groups, sizes, strict=True)
  ]


def _rate(
  source: Source, rate: Metric, identity: str, value: str
) -> tuple[str, str, str, str]:
  """Dense, highest sparsity, their paired difference and its interval."""
  cell = Cell(rate.name, identity=identity, value=value)
  summary, contrast = source.summary(cell), source.contrast(cell)
  means = [
    NOT_AVAILABLE
    if where is None or where not in summary
    else rate.text(summary[where]["mean"])
    for where in (source.dense, source.sparsest)
  ]
  row = None if source.sparsest is None else contrast.get(source.sparsest)
  if row is None:
    return means[0], means[1], NOT_AVAILABLE, NOT_AVAILABLE
  return (
    means[0],
    means[1],
    rate.change(row["difference"]),
    rate.change_interval(row["low"], row["high"]),
  )
