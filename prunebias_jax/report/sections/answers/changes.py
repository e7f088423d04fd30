"""The table of what changed against dense, and what moved most."""

from collections.abc import Iterator, Sequence
import dataclasses
import math

from prunebias_jax.report.source import Cell, Population, Row, Source
from prunebias_jax.report.vocabulary import (
  METRICS,
  Metric,
  probability,
)

NO_DENSE = (
  "Not available: the run has no dense members, so there is nothing to "
  "compare the pruned models with."
)
NO_PAIRS = (
  "Not available: no pruned member pairs with a dense one, so there "
  "are no pairs to compare."
)
NO_COMPRESSED = (
  "Not available: the run has no pruned or quantized members, so there is "
  "nothing to compare with dense."
)
MOVERS = 5
_METRICS = (
  "accuracy",
  "balanced_accuracy",
  "auc",
  "uncertainty",
  "entropy",
  "ece",
  "interdependence",
  "tcb",
  "predicted_positive",
)
_DECIDED = (
  "accuracy",
  "balanced_accuracy",
  "interdependence",
  "tcb",
  "predicted_positive",
)


# The doubt about one class is not the uncertainty about which one it is.
_MOVERS = {
  "attribute": (
    "balanced_accuracy",
    "uncertainty",
    "tcb",
    "bias_amplification",
  ),
  "class": ("recall", "false_positive_rate", "tcb", "bias_amplification"),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Change:
  """A row: one metric of a population against dense, as texts.

  All of it goes over the same pairs and outputs; `partial` says which part of
  the outputs that is, "" for all. `pairs` is their number or, where members do
  not pair, the numbers of seeds of dense and of the population.
  """

  name: str
  unit: str
  dense: str
  here: str
  difference: str
  interval: str
  t_p: str
  signflip_p: str
  pairs: str
  partial: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Block:
  """The rows of one population, and why some of their cells are empty.

  Where its members do not pair with dense ones, t is Welch's.
  """

  title: str
  paired: bool
  rows: tuple[Change, ...]
  reasons: tuple[str, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Movers:
  """The attributes (or pairs with an identity) whose metric moved most."""

  title: str
  meaning: str
  up: tuple[Change, ...]
  down: tuple[Change, ...]


def missing_reason(source: Source) -> str:
  """Why there is no paired comparison with dense; "" where there is one."""
  if source.dense is None:
    return NO_DENSE
  return "" if any(map(source.pairs_with, source.compressed)) else NO_PAIRS


def nothing_reason(source: Source) -> str:
  """Why there is no comparison with dense, not even of unpaired members."""
  if source.dense is None:
    return NO_DENSE
  return "" if source.compressed else NO_COMPRESSED


def unpaired(source: Source) -> str:
  """Which compressed populations do not pair: "" for none, "some", "all"."""
  apart = [not source.pairs_with(one) for one in source.compressed]
  return "all" if apart and all(apart) else "some" if any(apart) else ""


def blocks(source: Source, rule: str = "default") -> list[Block]:
  """What changed: a block for each population under one threshold rule."""
  names = _METRICS if rule == "default" else _DECIDED
  cells = [
    (METRICS[name], METRICS[name].title, source.overall(name, rule=rule))
    for name in names
    # Exclusive classes are always predicted for 1 in C examples on average.
    if name != "predicted_positive" or source.output == "attribute"
  ]
  bias = METRICS["bias_amplification"]
  cells += [
    (
      bias,
      f"{bias.title}, {source.group_name(*pair)}",
      Cell(bias.name, identity=pair[0], value=pair[1], rule=rule),
    )
    for pair in source.pairs
  ]
  return [
    _block(source, population, cells)
    for population in source.compressed
    if source.difference(source.overall("accuracy")).get(population) is not None
  ]


def movers(source: Source, population: Population) -> list[Movers]:
  """What moved most in a population against dense, metric by metric.

  What lacks a value in some pair is not ranked: a few seeds move more.
  """
  found = []
  for name in _MOVERS[source.output]:
    metric = METRICS[name]
    rows = sorted(_outputs(source, metric, population), key=lambda row: row[0])
    down = [row for value, row in rows[:MOVERS] if value < 0]
    up = [row for value, row in rows[::-1][:MOVERS] if value > 0]
    if up or down:
      found.append(
        Movers(
          title=metric.title,
          meaning=metric.meaning,
          up=tuple(up),
          down=tuple(down),
        )
      )
  return found


def _block(
  source: Source,
  population: Population,
  cells: Sequence[tuple[Metric, str, Cell]],
) -> Block:
  rows, reasons = [], []
  for metric, name, cell in cells:
    contrast = source.difference(cell).get(population)
    if contrast is None:
      continue
    rows.append(_change(source, metric, name, cell, contrast, population))
    partial = _partial(contrast)
    reasons += [one for one in _reasons(contrast) if one not in partial]
  return Block(
    title=population.label,
    paired=source.pairs_with(population) > 0,
    rows=tuple(rows),
    reasons=tuple(dict.fromkeys(reasons)),
  )


def _outputs(
  source: Source, metric: Metric, population: Population
) -> Iterator[tuple[float, Change]]:
  """The differences of single outputs, for all identities where it has any."""
  pairs = source.pairs if metric.name == "bias_amplification" else (("", ""),)
  few = source.few(source.dense_of(population), population)
  for row, output in enumerate(source.outputs):
    for column, pair in enumerate(pairs):
      cell = Cell(metric.name, output, *pair)
      contrast = source.difference(cell).get(population)
      if contrast is None or not math.isfinite(contrast["difference"]):
        continue
      if _lacks_seeds(source, cell, contrast, population):
        continue
      name = output
      if pair[0]:
        mark = "*" * bool(few[row, column])
        name = f"{output} · {source.group_name(*pair)}{mark}"
      yield (
        float(contrast["difference"]),
        _change(source, metric, name, cell, contrast, population),
      )


def _change(
  source: Source,
  metric: Metric,
  name: str,
  cell: Cell,
  contrast: Row,
  population: Population,
) -> Change:
  dense, here = source.sides(cell, population)
  pairs = str(contrast["n_seeds"])
  if not source.pairs_with(population):
    sides = source.apart(cell, population)
    dense, here = (side.mean() if side.size else math.nan for side in sides)
    pairs = f"{len(sides[0])} and {len(sides[1])}"
  return Change(
    name=name,
    unit=metric.unit,
    dense=metric.text(dense),
    here=metric.text(here),
    difference=metric.change(contrast["difference"]),
    interval=metric.change_interval(contrast["low"], contrast["high"]),
    t_p=probability(contrast["t_p"]),
    signflip_p=probability(contrast["signflip_p"]),
    pairs=pairs,
    partial=", ".join(_partial(contrast)),
  )


def _lacks_seeds(
  source: Source, cell: Cell, contrast: Row, population: Population
) -> bool:
  """Whether some pair, or some seed of what does not pair, has no value."""
  pairs, dense = source.pairs_with(population), source.dense_of(population)
  if pairs or dense is None:
    return bool(contrast["n_seeds"] < pairs)
  there, here = source.apart(cell, population)
  both = source.size(dense) + source.size(population)
  return len(there) + len(here) < both


def _reasons(contrast: Row) -> list[str]:
  return contrast["reason"].split("; ") if contrast["reason"] else []


def _partial(contrast: Row) -> list[str]:
  """What the tables say of a mean that leaves some outputs out."""
  return [one for one in _reasons(contrast) if one.startswith("mean over")]
