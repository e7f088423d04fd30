"""Panels of a metric against sparsity: every seed, the mean, its interval."""

from collections.abc import Sequence
import dataclasses

import numpy as np
import pandas as pd

from prunebias_jax.analysis.columns import POPULATION
from prunebias_jax.report.page import Panel, draw_panel
from prunebias_jax.report.plots import Series, along_steps, span_of
from prunebias_jax.report.source import Cell, Population, Source
from prunebias_jax.report.vocabulary import Metric, percent

NO_IDENTITIES = (
  "Not available: the run has no identity attributes, so there are no groups "
  "to compare."
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Line:
  """What one line of a panel shows: a cell, named, in some populations."""

  label: str
  cell: Cell
  populations: tuple[Population, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Request:
  """What a panel against sparsity is to show.

  Attributes:
    metric: how its numbers are written.
    lines: what is drawn.
    slug: see `Panel`.
    title: of the panel; the metric's own unless given.
    axis: above the axis, before the unit; the title unless given.
    reference: a value to mark, in the unit that is shown.
    marks_dense: whether the mean of the dense members is marked all along.
    reason: said where no line has a value; unless no output can be averaged.
  """

  metric: Metric
  lines: Sequence[Line]
  slug: str
  title: str = ""
  axis: str = ""
  reference: float | None = None
  marks_dense: bool = False
  reason: str = "Not available: no member has a value."

  @property
  def heading(self) -> str:
    """The panel's title."""
    return self.title or self.metric.title


def lines_of(source: Source, cell: Cell) -> list[Line]:
  """One line for each pruner and quantization, beginning at dense.

  Quantized members begin at the dense ones of their own kind, if there are any.
  """
  series = list(dict.fromkeys(one.series for one in source.compressed))
  if not series:
    return [Line(label="dense", cell=cell, populations=source.populations)]
  pruned = {kind for pruner, kind in series if pruner != "dense"}
  pruners = {pruner for pruner, _ in series if pruner != "dense"}
  lines = []
  for key in series:
    if key[0] == "dense" and key[1] in pruned:
      continue
    chosen = [one for one in source.compressed if one.series == key]
    own = Population("dense", 0.0, key[1])
    dense = own if own in source.populations else source.dense_of(chosen[0])
    if dense is not None and all(one.sparsity > 0 for one in chosen):
      chosen.insert(0, dense)
    label = key[0] if key[1] == "none" else f"{key[0]}, {key[1]}"
    if key[1] != "none" and len(pruners) == 1:
      label = key[1]
    lines.append(Line(label=label, cell=cell, populations=tuple(chosen)))
  return lines


def sparsity_panels(
  source: Source, requests: Sequence[Request], *, shared: bool = False
) -> tuple[Panel, ...]:
  """A metric against sparsity: every seed, the mean and its interval.

  Args:
    source: the numbers.
    requests: one for each panel.
    shared: whether the panels have one vertical axis.
  """
  return metric_panels(
    requests,
    [_table(source, request) for request in requests],
    sparsities=sorted({one.sparsity for one in source.populations}),
    reasons=[_why_empty(source, request) for request in requests],
    joined=source.pairs_by_seed,
    shared=shared,
    dense=source.dense if source.compressed else None,
  )


def metric_panels(
  requests: Sequence[Request],
  tables: Sequence[pd.DataFrame],
  *,
  sparsities: Sequence[float],
  reasons: Sequence[str],
  joined: bool,
  shared: bool,
  dense: Population | None = None,
) -> tuple[Panel, ...]:
  """Draws tables of numbers against sparsity.

  Args:
    requests: one for each panel.
    tables: the numbers of each: a row a member and a mean (`kind` "seed" and
      "mean"), with line, sparsity, seed, value, low and high.
    sparsities: the steps of all panels.
    reasons: said where a panel has no value.
    joined: whether the members of a seed are joined along a line.
    shared: whether the panels have one vertical axis.
    dense: whose mean is marked, in the panels that ask for it.
  """
  drawn = [
    [
      _series(
        table[table["line"] == line.label], line.label, sparsities, one, joined
      )
      for line in one.lines
    ]
    if np.isfinite(table["value"]).any()
    else []
    for one, table in zip(requests, tables, strict=True)
  ]
  together = [series for lines in drawn for series in lines]
  return tuple(
    _sparsity_panel(
      request,
      table,
      lines,
      sparsities,
      together if shared else lines,
      _dense_mean(request, table, dense) if request.marks_dense else None,
    )
    if lines
    else Panel(slug=request.slug, title=request.heading, reason=reason)
    for request, table, lines, reason in zip(
      requests, tables, drawn, reasons, strict=True
    )
  )


def _why_empty(source: Source, request: Request) -> str:
  """Why no line of a panel has a value."""
  if all(source.used(line.cell) == 0 for line in request.lines):
    groups = any(line.cell.identity for line in request.lines)
    where = " in all groups" if groups else ""
    return f"Not available: no {source.output} of any model has a value{where}."
  return request.reason


def _sparsity_panel(
  request: Request,
  table: pd.DataFrame,
  lines: Sequence[Series],
  sparsities: Sequence[float],
  common: Sequence[Series],
  dense: float | None,
) -> Panel:
  """Draws a panel whose axis reaches over `common`; `dense` is marked."""
  unit = request.metric.unit
  axis = f"{request.axis or request.heading}{f' ({unit})' if unit else ''}"
  alt = f"{axis} against the share of weights removed. " + " ".join(
    _described(one, sparsities, request.metric, single=len(lines) == 1)
    for one in lines
  )
  return draw_panel(
    lambda: along_steps(
      lines,
      [percent(level) if level else "dense" for level in sparsities],
      axis,
      along="weights removed (%)",
      span=span_of(common, request.reference),
      reference=request.reference,
      dense=dense,
    ),
    slug=request.slug,
    title=request.heading,
    axis=axis,
    alt=alt,
    data=table,
  )


def _dense_mean(
  request: Request, table: pd.DataFrame, dense: Population | None
) -> float | None:
  """What is drawn for the dense members; none where they have no value."""
  if dense is None:
    return None
  rows = table[(table["kind"] == "mean") & _is_in(table, [dense])]
  return rows["value"].iloc[0] * request.metric.scale if len(rows) else None


def _table(source: Source, request: Request) -> pd.DataFrame:
  """The numbers of all lines of a panel."""
  parts = [_numbers(source, line) for line in request.lines]
  data = pd.concat(parts, ignore_index=True)
  if not request.metric.complement:
    return data
  return data.assign(
    value=1 - data["value"], low=1 - data["high"], high=1 - data["low"]
  )


def _numbers(source: Source, line: Line) -> pd.DataFrame:
  """A line's numbers in the tables' units, a row a seed and a mean."""
  seeds = source.seeds(line.cell)
  seeds = seeds[_is_in(seeds, line.populations)]
  rows = [
    {
      **dict(zip(POPULATION, population, strict=True)),
      "seed": pd.NA,
      "value": mean.estimate[0],
      "low": mean.low[0],
      "high": mean.high[0],
    }
    for population, mean in source.means(line.cell).items()
    if population in line.populations
  ]
  seed_rows = seeds.assign(kind="seed", low=np.nan, high=np.nan)
  columns = ["kind", *POPULATION, "seed", "value", "low", "high"]
  means = pd.DataFrame(rows, columns=columns).assign(kind="mean")
  data = pd.concat(
    [seed_rows[columns].astype(object), means.astype(object)],
    ignore_index=True,
  )
  numbers = ["value", "low", "high", "sparsity"]
  data[numbers] = data[numbers].astype(np.float64)
  data.insert(0, "line", line.label)
  return data


def _is_in(
  table: pd.DataFrame, populations: Sequence[Population]
) -> np.ndarray:
  keys = table[list(POPULATION)].itertuples(index=False, name=None)
  return np.array([key in populations for key in keys], bool)


def _series(
  data: pd.DataFrame,
  label: str,
  sparsities: Sequence[float],
  request: Request,
  joined: bool,
) -> Series:
  """A line in the unit that is shown, laid out for drawing."""
  metric = request.metric
  means = data[data["kind"] == "mean"].sort_values("sparsity")
  here = means["sparsity"].tolist()
  of_seeds = data[data["kind"] == "seed"]
  table = of_seeds.pivot_table(
    index="seed", columns="sparsity", values="value", dropna=False
  ).reindex(columns=here)
  return Series(
    label=label,
    place=np.array([sparsities.index(one) for one in here], int),
    seeds=table.to_numpy(np.float64) * metric.scale,
    mean=means["value"].to_numpy(np.float64) * metric.scale,
    low=means["low"].to_numpy(np.float64) * metric.scale,
    high=means["high"].to_numpy(np.float64) * metric.scale,
    joined=joined,
  )


def _described(
  series: Series,
  sparsities: Sequence[float],
  metric: Metric,
  *,
  single: bool,
) -> str:
  """A line in words: the mean at every sparsity."""
  points = [
    f"{mean:.{metric.decimals}f} at {percent(sparsities[place])} %"
    for place, mean in zip(series.place, series.mean, strict=True)
    if np.isfinite(mean)
  ]
  who = "Mean" if single else f"Mean for {series.label}"
  return f"{who}: {', '.join(points)}."
