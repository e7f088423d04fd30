"""Rates of every group, crossings too, dense and at the highest sparsity."""

import dataclasses

import numpy as np

from prunebias_jax.analysis.bias import FEW_POSITIVES
from prunebias_jax.report.source import Source
from prunebias_jax.report.vocabulary import (
  ERROR,
  METRICS,
  NOT_AVAILABLE,
  Metric,
)

RATES = (
  ERROR,
  METRICS["false_positive_rate"],
  METRICS["false_negative_rate"],
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class GroupRow:
  """A group: its size, and for each rate dense, sparsest, change, interval.

  `positives` and `negatives` go from the smallest to the largest number over
  the outputs that the rates are means of.
  """

  name: str
  crossed: bool
  size: str
  positives: str
  negatives: str
  rates: tuple[tuple[str, str, str, str], ...]


def group_rows(source: Source) -> list[GroupRow]:
  """A row for each group; the rates are means over the outputs."""
  sizes = group_sizes(source)
  sparsest = source.sparsest
  paired = sparsest if sparsest and source.pairs_with(sparsest) else None
  rows = []
  for (identity, value), size in zip(source.groups, sizes, strict=True):
    counts = source.counts(identity, value, paired)
    rows.append(
      GroupRow(
        name=source.group_name(identity, value) + "*" * is_few(counts),
        crossed="*" in identity,
        size=f"{int(size):,}",
        positives=span_text(counts[0]),
        negatives=span_text(counts[1]),
        rates=tuple(_rate(source, rate, identity, value) for rate in RATES),
      )
    )
  return rows


def group_sizes(source: Source) -> np.ndarray:
  """The test examples of every group: int [group]."""
  arrays = source.analysis.arrays
  if "n_examples" in arrays:
    return arrays["n_examples"].to_numpy()
  # An analysis of before labels could be missing: any attribute tells.
  return (arrays["n_positive"] + arrays["n_negative"]).to_numpy()[0]


def is_few(counts: tuple[range, range]) -> bool:
  """Whether a group has few positives, or few negatives, of some output."""
  return any(span and span[0] < FEW_POSITIVES for span in counts)


def span_text(span: range) -> str:
  """The smallest and the largest of `Source.counts`: "3–214"."""
  if not span:
    return NOT_AVAILABLE
  ends = dict.fromkeys((f"{span[0]:,}", f"{span[-1]:,}"))
  return "–".join(ends)


def _rate(
  source: Source, rate: Metric, identity: str, value: str
) -> tuple[str, str, str, str]:
  """Dense, highest sparsity, their paired difference and its interval."""
  cell = source.overall(rate.name, identity=identity, value=value)
  sparsest = source.sparsest
  row = None if sparsest is None else source.contrast(cell).get(sparsest)
  if sparsest is None or row is None:
    means = source.means(cell)
    single = [
      rate.text(float(means[where].estimate[0]))
      if where is not None and where in means
      else NOT_AVAILABLE
      for where in (source.dense, sparsest)
    ]
    return single[0], single[1], NOT_AVAILABLE, NOT_AVAILABLE
  dense, here = source.sides(cell, sparsest)
  return (
    rate.text(dense),
    rate.text(here),
    rate.change(row["difference"]),
    rate.change_interval(row["low"], row["high"]),
  )
