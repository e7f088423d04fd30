"""The heat map of bias amplification: identity by attribute."""

import numpy as np
import pandas as pd

from prunebias_jax.report.drawing import drawing_style, to_svg
from prunebias_jax.report.panels import NO_IDENTITIES, Figure, Panel
from prunebias_jax.report.plots import heat_map, nice_limit
from prunebias_jax.report.source import Cell, Population, Source
from prunebias_jax.report.vocabulary import METRICS, group_name, number

SLUG = "heat-map"
METRIC = METRICS["bias_amplification"]
NO_DENSE = "Not available: the run has no dense members."
NO_COMPRESSED = "Not available: the run has no pruned members."


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
    "group: such a number is noise to a large part. A dash: not defined, as "
    "for an attribute against itself."
  )
  if not source.pairs:
    return Figure(slug=SLUG, title=title, caption=caption, reason=NO_IDENTITIES)
  tables = _tables(source)
  values = [table for table, _ in tables.values() if table is not None]
  limit = nice_limit(np.concatenate(values, axis=None)) if values else 1.0
  panels = tuple(
    Panel(slug=f"{SLUG}-{key}", title=name, reason=reason)
    if table is None
    else _panel(source, f"{SLUG}-{key}", name, table, limit)
    for (key, name), (table, reason) in tables.items()
  )
  return Figure(slug=SLUG, title=title, caption=caption, panels=panels)


def _tables(
  source: Source,
) -> dict[tuple[str, str], tuple[np.ndarray | None, str]]:
  """Values [output, pair] of each panel, or why there are none."""
  dense, sparsest = source.dense, source.sparsest
  label = "highest sparsity" if sparsest is None else sparsest.label
  missing = NO_DENSE if dense is None else NO_COMPRESSED
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
      if dense is None or sparsest is None
      else (_values(source, sparsest, change=True), "")
    ),
  }


def _values(
  source: Source, population: Population, *, change: bool = False
) -> np.ndarray:
  """Means or paired differences in points: float64 [output, pair]."""
  values = np.full((len(source.outputs), len(source.pairs)), np.nan)
  for row, output in enumerate(source.outputs):
    for column, (identity, value) in enumerate(source.pairs):
      cell = Cell(METRIC.name, output, identity, value)
      found = source.contrast(cell) if change else source.summary(cell)
      if population in found:
        name = "difference" if change else "mean"
        values[row, column] = found[population][name] * METRIC.scale
  return values


def _panel(
  source: Source, slug: str, title: str, values: np.ndarray, limit: float
) -> Panel:
  columns = [group_name(*pair) for pair in source.pairs]
  alt = f"{title}: bias amplification in points. {_extremes(source, values)}"
  with drawing_style():
    figure = heat_map(
      values,
      source.outputs,
      columns,
      title,
      limit=limit,
      marked=_few(source) & np.isfinite(values),
      unit="points",
    )
    svg = to_svg(figure, slug=slug, title=title, alt=alt)
  data = pd.DataFrame(
    [
      {
        source.output: output,
        "identity": identity,
        "value": value,
        "points": values[row, column],
      }
      for row, output in enumerate(source.outputs)
      for column, (identity, value) in enumerate(source.pairs)
    ]
  )
  return Panel(slug=slug, title=title, alt=alt, svg=svg, data=data)


def _few(source: Source) -> np.ndarray:
  """Where a group has few positives: bool [output, pair]."""
  return np.array(
    [
      [(output, *pair) in source.few_positives for pair in source.pairs]
      for output in source.outputs
    ],
    bool,
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
    parts.append(
      f"{word}: {source.outputs[row]} for {group_name(*source.pairs[column])}, "
      f"{number(values[row, column], 1, sign=True)}"
    )
  return "; ".join(parts) + "."
