"""Layers and costs: where the weights went, and what is paid for how much."""

from collections.abc import Sequence
import dataclasses

import numpy as np
import pandas as pd

from prunebias_jax.analysis.columns import POPULATION
from prunebias_jax.errors import InputError
from prunebias_jax.report.captions import means_of
from prunebias_jax.report.page import (
  Figure,
  Panel,
  Section,
  draw_panel,
  slug_of,
)
from prunebias_jax.report.panels import NO_IDENTITIES, Line, lines_of
from prunebias_jax.report.plots import Priced, trade_off
from prunebias_jax.report.sections.costs.layers import layers_figure
from prunebias_jax.report.sections.groups.fairness import single_identities
from prunebias_jax.report.sections.run_tables import populations_of, read_table
from prunebias_jax.report.source import Cell, Source
from prunebias_jax.report.vocabulary import (
  METRICS,
  Metric,
  count_of,
  number,
  percent,
)

COSTS = "costs.csv"
COLUMNS = (*POPULATION, "flops_left", "bytes_dense", "bytes_sparse")
# More lines than this are hard to tell apart.
LINES = 6
WORST_ERROR = dataclasses.replace(
  METRICS["worst_group_accuracy"],
  title="Worst group error",
  meaning="the highest share of wrong predictions among the groups of an "
  "identity",
  complement=True,
)
# A column of the data, its unit and how many of it the unit is.
_AXES = (
  ("flops_left", "operations left for an image (MFLOP)", 1e6),
  ("bytes_stored", "stored parameters (kB)", 1e3),
)


def section(source: Source) -> Section:
  """What each layer kept, and three metrics against what a member costs."""
  return Section(
    slug="costs",
    title="Where did the weights go, and what would be saved?",
    short="Layers and costs",
    parts=(layers_figure(source), costs_figure(source)),
  )


def costs_figure(source: Source) -> Figure:
  """AUC, worst group error and bias amplification against two costs."""
  slug, title = "costs", "What is paid for fewer operations and bytes?"
  reason = missing_costs(source)
  if reason:
    return Figure(slug=slug, title=title, caption="", reason=reason)
  prices = read_costs(source)
  requests = _requests(source)
  panels = tuple(
    _panel(source, prices, metric, lines, axis)
    for axis in _AXES
    for metric, lines in requests
  )
  cells = [
    (metric.title, line.cell) for metric, lines in requests for line in lines
  ]
  meanings = " ".join(f"{one.title}: {one.meaning}." for one, _ in requests)
  known = set(populations_of(prices))
  without = sum(one not in known for one in source.populations)
  caption = (
    f"{meanings} {means_of(source, cells)}, at the default threshold; bias "
    "amplification with its sign, so that attributes may cancel. "
    f"{_identities(source)}Names: weights removed in %. Operations: two for "
    "each multiplication of a convolution or linear layer, without those by "
    "zero. Bytes: the smaller of the dense and the sparse form (a bit for each "
    "weight, and the weights left). Both are means over seeds, counted and not "
    "measured: masks simulate sparsity, and nothing is faster or smaller "
    f"unless a runtime makes use of it. {_bars(source)}"
  )
  if without:
    caption += (
      f" {count_of(without, 'population')} without a row in {COSTS} not drawn."
    )
  return Figure(slug=slug, title=title, caption=caption, panels=panels)


def missing_costs(source: Source) -> str:
  """Why there are no costs; "" where there are some."""
  if source.run.imported is not None:
    return (
      "Not available: the run was imported, without the parameters that layers "
      "and costs are counted in."
    )
  path = source.run.path / COSTS
  try:
    known = path.exists() and len(read_table(path, COLUMNS)) > 0
  except InputError as error:
    return f"Not available: {error}."
  if not known:
    return (
      f"Not available: the run has no {COSTS}, which is written where "
      "parameters are kept (`execution.keep_parameters`)."
    )
  return ""


def read_costs(source: Source) -> pd.DataFrame:
  """costs.csv, with `bytes_stored`, the smaller of the two forms."""
  table = read_table(source.run.path / COSTS, COLUMNS)
  stored = np.minimum(table["bytes_dense"], table["bytes_sparse"])
  return table.assign(bytes_stored=stored)


def _requests(source: Source) -> list[tuple[Metric, list[Line]]]:
  """The metrics and their lines: of series, or of identities where one."""
  auc, bias = METRICS["auc"], METRICS["bias_amplification"]
  whole = lines_of(source, source.overall(auc.name))[:LINES]
  identities, pairs = single_identities(source), source.pairs
  if len(whole) > 1:
    identities, pairs = identities[:1], pairs[:1]
  worst, tied = [], []
  for identity in identities:
    cell = source.overall("worst_group_accuracy", identity=identity)
    worst += _named(source, cell, identity, alone=len(whole) == 1)
  for identity, value in pairs:
    cell = Cell(bias.name, identity=identity, value=value)
    name = source.group_name(identity, value)
    tied += _named(source, cell, name, alone=len(whole) == 1)
  return [
    (auc, whole),
    (WORST_ERROR, worst[:LINES]),
    (bias, tied[:LINES]),
  ]


def _named(source: Source, cell: Cell, name: str, *, alone: bool) -> list[Line]:
  """The lines of a cell: under its own name where there is one series."""
  lines = lines_of(source, cell)
  return [dataclasses.replace(lines[0], label=name)] if alone else lines


def _panel(
  source: Source,
  prices: pd.DataFrame,
  metric: Metric,
  lines: Sequence[Line],
  axis: tuple[str, str, float],
) -> Panel:
  """A metric against a cost."""
  column, along, scale = axis
  cost = column.partition("_")[0]
  slug = slug_of("costs", metric.name, cost)
  title = f"{metric.title} against {cost if cost == 'bytes' else 'operations'}"
  tables = [_numbers(source, prices, metric, line) for line in lines]
  tables = [one.sort_values(column, kind="stable") for one in tables]
  data = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()
  if not len(data):
    reason = "Not available: no member with costs has a value."
    reason = reason if lines else NO_IDENTITIES
    return Panel(slug=slug, title=title, reason=reason)
  unit = metric.unit
  drawn = [
    Priced(
      label=str(part["line"].iloc[0]),
      x=part[column].to_numpy(np.float64) / scale,
      **{
        to: part[name].to_numpy(np.float64) * metric.scale
        for to, name in (("y", "value"), ("low", "low"), ("high", "high"))
      },
      names=[percent(one) if one else "dense" for one in part["sparsity"]],
    )
    for part in tables
    if len(part)
  ]
  heading = f"{metric.title} ({unit})" if unit else metric.title
  return draw_panel(
    lambda: trade_off(
      drawn,
      heading,
      along=along,
      reference=0 if metric.name == "bias_amplification" else None,
    ),
    slug=slug,
    title=title,
    alt=f"{heading} against {along}. "
    + " ".join(_described(one, metric) for one in drawn),
    data=data,
  )


def _numbers(
  source: Source, prices: pd.DataFrame, metric: Metric, line: Line
) -> pd.DataFrame:
  """A line's means with their costs, in the tables' units."""
  rows = []
  means = source.means(line.cell)
  costs = dict(
    zip(populations_of(prices), prices.to_dict("records"), strict=True)
  )
  for population in line.populations:
    if population not in means or population not in costs:
      continue
    mean, cost = means[population], costs[population]
    numbers = [float(one[0]) for one in (mean.estimate, mean.low, mean.high)]
    if metric.complement:
      numbers = [1 - numbers[0], 1 - numbers[2], 1 - numbers[1]]
    row = {"line": line.label, **population._asdict(), "metric": metric.title}
    row |= dict(zip(("value", "low", "high"), numbers, strict=True))
    names = ("flops_left", "bytes_dense", "bytes_sparse", "bytes_stored")
    row |= {name: cost[name] for name in names}
    if all(row[name] > 0 for name in ("flops_left", "bytes_stored")):
      rows.append(row)
  columns = ["line", *POPULATION, "metric", "value", "low", "high"]
  columns += ["flops_left", "bytes_dense", "bytes_sparse", "bytes_stored"]
  return pd.DataFrame(rows, columns=columns)


def _described(line: Priced, metric: Metric) -> str:
  """A line in words."""
  points = [
    f"{number(float(y), metric.decimals)} at {x:,.3g} ({name})"
    for x, y, name in zip(line.x, line.y, line.names, strict=True)
  ]
  return f"{line.label}: {', '.join(points)}."


def _identities(source: Source) -> str:
  """Which identities the lines are of, where they are not all."""
  identities = single_identities(source)
  if len(lines_of(source, source.overall("auc"))) == 1 or len(identities) < 2:
    return ""
  return (
    f"Worst group error and bias amplification: of {identities[0]}, the first "
    "identity; the others are in analysis/variance.csv. "
  )


def _bars(source: Source) -> str:
  """What the bars are."""
  if source.most_seeds == 1:
    return "Single members: with one seed there is no interval."
  return (
    f"Bars: mean over seeds with its {percent(source.level)} % t interval, "
    "which takes seeds as random and normal, all three splits as fixed; one "
    "that leaves the plot is cut."
  )
