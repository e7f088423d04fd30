"""Bias amplification: against sparsity, and attribute by identity."""

import dataclasses

import numpy as np
import pandas as pd

from prunebias_jax.report.captions import (
  NO_COMPRESSED,
  NO_DENSE,
  absent,
  drawn,
  means_of,
  no_difference,
)
from prunebias_jax.report.page import (
  Figure,
  Panel,
  Section,
  draw_panel,
  slug_of,
)
from prunebias_jax.report.panels import (
  NO_IDENTITIES,
  Request,
  lines_of,
  sparsity_panels,
)
from prunebias_jax.report.plots import heat_map, nice_limit
from prunebias_jax.report.sections.bias.directional import directional_figure
from prunebias_jax.report.source import Cell, Population, Source
from prunebias_jax.report.vocabulary import METRICS, number

SLUG = "heat-map"
METRIC = METRICS["bias_amplification"]
DASHES = (
  "Short dashes: 0, as in the labels. Long dashes: the mean of the dense "
  "members, where there are any."
)


def section(source: Source) -> Section:
  """Every identity against sparsity, every attribute, other definitions."""
  return Section(
    slug="bias",
    title="Are the correlations with identity exaggerated?",
    short="Bias amplification",
    parts=(
      bias_figure(source),
      heat_map_figure(source),
      directional_figure(source),
    ),
  )


def bias_figure(source: Source) -> Figure:
  """Bias amplification against sparsity, a panel for each identity."""
  title = "Bias amplification of every identity"
  cells = [
    (
      source.group_name(identity, value),
      Cell(METRIC.name, identity=identity, value=value),
    )
    for identity, value in source.pairs
  ]
  caption = (
    f"Bias amplification: {METRIC.meaning}. {means_of(source, cells)}. "
    f"{drawn(source)} {DASHES} All panels have one vertical axis."
  )
  if not source.pairs:
    return Figure(
      slug="bias", title=title, caption=caption, reason=NO_IDENTITIES
    )
  requests = [
    Request(
      metric=METRIC,
      lines=lines_of(source, cell),
      slug=slug_of("bias", str(place), name),
      title=name,
      axis=f"{METRIC.title}: {name}",
      reference=0,
      marks_dense=True,
    )
    for place, (name, cell) in enumerate(cells, 1)
  ]
  panels = sparsity_panels(source, requests, shared=True)
  shown = [
    one for one, panel in zip(cells, panels, strict=True) if not panel.reason
  ]
  return Figure(
    slug="bias",
    title=title,
    caption=caption + absent(source, shown),
    panels=panels,
  )


def heat_map_figure(source: Source) -> Figure:
  """Dense, the highest sparsity, and their difference, side by side."""
  plural = "attributes" if source.output == "attribute" else "classes"
  title = f"Which {plural} are tied to identity more than they should be?"
  sparsest = source.sparsest
  versus = "the highest sparsity" if sparsest is None else sparsest.label
  caption = (
    f"Bias amplification of every {source.output} for every identity, mean "
    f"over seeds, in percentage points: dense, {versus}, and the paired "
    "difference. Orange: the correlation in the data is exaggerated; blue: it "
    "is weakened. The colours end at the figures of the key, beyond them only "
    "the number tells. An asterisk marks fewer than 10 test positives in a "
    "group or fewer than 10 predicted positives in some model: such a number "
    "is noise to a large part. A dagger: only some of the seeds have a value. "
    "A dash: not defined, as for an attribute against itself."
  )
  if not source.pairs:
    return Figure(slug=SLUG, title=title, caption=caption, reason=NO_IDENTITIES)
  tables = _tables(source)
  values = [table.values for table, _ in tables.values() if table is not None]
  limit = nice_limit(np.concatenate(values, axis=None)) if values else 1.0
  panels = tuple(
    Panel(slug=f"{SLUG}-{key}", title=name, reason=reason)
    if table is None
    else _panel(source, f"{SLUG}-{key}", name, table, limit)
    for (key, name), (table, reason) in tables.items()
  )
  return Figure(slug=SLUG, title=title, caption=caption, panels=panels)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Table:
  """Numbers in points, float64 [output, pair], and their marks, text."""

  values: np.ndarray
  marks: np.ndarray


def _tables(
  source: Source,
) -> dict[tuple[str, str], tuple[_Table | None, str]]:
  """The numbers of each panel, or why there are none."""
  dense, sparsest = source.dense, source.sparsest
  label = "highest sparsity" if sparsest is None else sparsest.label
  missing = no_difference(source)
  return {
    ("dense", "Dense"): (
      (None, NO_DENSE) if dense is None else (_values(source, dense), "")
    ),
    ("sparsest", label): (
      (None, NO_COMPRESSED)
      if sparsest is None
      else (_values(source, sparsest), "")
    ),
    ("difference", f"Difference, {label} − dense"): (
      (None, missing)
      if missing or sparsest is None
      else (_values(source, sparsest, change=True), "")
    ),
  }


def _values(
  source: Source, population: Population, *, change: bool = False
) -> _Table:
  """Means or paired differences."""
  values = np.full((len(source.outputs), len(source.pairs)), np.nan)
  seeds = np.zeros(values.shape, int)
  if change:
    most = source.pairs_with(population)
    few = source.few(source.dense_of(population), population)
  else:
    most, few = source.size(population), source.few(population)
  for row, output in enumerate(source.outputs):
    for column, (identity, value) in enumerate(source.pairs):
      cell = Cell(METRIC.name, output, identity, value)
      found = source.contrast(cell) if change else source.summary(cell)
      if population in found:
        name = "difference" if change else "mean"
        values[row, column] = found[population][name] * METRIC.scale
        seeds[row, column] = found[population]["n_seeds"]
  stars = np.where(few, "*", "")
  marks = np.char.add(stars, np.where(seeds < most, "†", ""))
  return _Table(values=values, marks=np.where(seeds > 0, marks, ""))


def _panel(
  source: Source, slug: str, title: str, table: _Table, limit: float
) -> Panel:
  values = table.values
  columns = [source.group_name(*pair) for pair in source.pairs]
  alt = f"{title}: bias amplification in points. {_extremes(source, values)}"
  data = pd.DataFrame(
    [
      {
        source.output: output,
        "identity": identity,
        "value": value,
        "points": values[row, column],
        "mark": table.marks[row, column],
      }
      for row, output in enumerate(source.outputs)
      for column, (identity, value) in enumerate(source.pairs)
    ]
  )
  return draw_panel(
    lambda: heat_map(
      values,
      source.outputs,
      columns,
      title,
      limit=limit,
      marks=table.marks,
      unit="points",
    ),
    slug=slug,
    title=title,
    alt=alt,
    data=data,
  )


def _extremes(source: Source, values: np.ndarray) -> str:
  """The largest and the smallest cell in words."""
  if not np.isfinite(values).any():
    return "No cell has a value."
  parts = []
  for word, place in (
    ("Highest", np.nanargmax(values)),
    ("lowest", np.nanargmin(values)),
  ):
    row, column = np.unravel_index(place, values.shape)
    group = source.group_name(*source.pairs[column])
    parts.append(
      f"{word}: {source.outputs[row]} for {group}, "
      f"{number(values[row, column], 1, sign=True)}"
    )
  return "; ".join(parts) + "."
