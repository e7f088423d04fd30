"""Answers given by somebody else where the dense model is unsure."""

from collections.abc import Sequence
import dataclasses
import functools

import numpy as np
import pandas as pd

from prunebias_jax.report.captions import NO_COMPRESSED
from prunebias_jax.report.page import Figure, Panel, draw_panel, slug_of
from prunebias_jax.report.panels import NO_IDENTITIES
from prunebias_jax.report.plots import Curve, curves
from prunebias_jax.report.sections.countermeasures.rows import (
  MEASURES,
  Measure,
  chosen_identities,
  mean_rows,
  unavailable,
)
from prunebias_jax.report.sections.families import families, level_names
from prunebias_jax.report.source import Population, Source
from prunebias_jax.report.vocabulary import listed, percent

_LINES = [
  (answer, selection)
  for selection in ("uncertain", "random")
  for answer in ("dense", "human", "abstain")
]


def figure(
  source: Source, measures: Sequence[Measure], name: str, title: str
) -> Figure:
  """Changes against doing nothing, along the share that is replaced."""
  found = Figure(
    slug=f"overrides-{name}", title=title, caption=_caption(source, measures)
  )
  population = source.sparsest
  if population is None:
    return dataclasses.replace(found, reason=NO_COMPRESSED)
  if not measures:
    return dataclasses.replace(found, reason=NO_IDENTITIES)
  reason = unavailable(source, "override", population)
  if reason:
    return dataclasses.replace(found, reason=reason)
  panels = tuple(_panel(source, population, one) for one in measures)
  return dataclasses.replace(found, panels=panels)


def _caption(source: Source, measures: Sequence[Measure]) -> str:
  note = ""
  if any(one.metric.endswith("gap") for one in measures):
    note = chosen_identities(source)[1]
  others = [one.label for one in families(source)[1:]]
  if others:
    note += f" {listed(others)} in analysis/countermeasures.csv."
  where = source.sparsest.label if source.sparsest else "the highest sparsity"
  thing = "pairs of example and attribute"
  if source.output == "class":
    thing = "examples"
  bands = (
    "With one seed there is no interval."
    if source.most_seeds == 1
    else f"Bands, of the solid lines: {percent(source.level)} % t interval of "
    "the paired change, which takes seeds as random and normal, the examples "
    "as fixed; those of the dashed lines are in the CSV file."
  )
  return (
    f"Change against doing nothing at {where}, mean over seeds and "
    f"{'classes' if source.output == 'class' else 'attributes'}, where a share "
    f"of all {thing} gets another answer: the dense partner's, a human's (the "
    "label, taken as right), or none (abstain: these count nowhere). Solid: "
    "those of which the dense partner is least sure; dashed, the reference: as "
    f"many at random. {bands} A human's answers cost work and are the label "
    "itself: that they help is no finding, how much more than at random "
    f"is.{note}"
  )


def _panel(source: Source, population: Population, measure: Measure) -> Panel:
  """One metric along the budget."""
  metric = MEASURES[measure.metric]
  slug = slug_of("overrides", measure.slug)
  name = measure.title(source)
  unit = metric.change_unit or metric.unit
  title = f"{name}, change ({unit})" if unit else f"{name}, change"
  everything = mean_rows(source, measure, population)
  rows = everything[everything["countermeasure"] == "override"]
  lines = []
  for answer, selection in _LINES:
    found = rows[
      (rows["override"] == answer) & (rows["selection"] == selection)
    ].sort_values("budget")
    if np.isfinite(found["change"]).any():
      lines.append(_curve(found, f"{answer}, {selection}", metric.scale))
  if not lines:
    reasons = [one for one in dict.fromkeys(rows["reason"]) if one]
    return Panel(
      slug=slug,
      title=name,
      reason=f"Not available: {'; '.join(reasons) or 'no value'}.",
    )
  level = level_names(rows, [population.sparsity])[0][0].partition("\n")[2]
  along = "share replaced (%)"
  if level:
    along += f"; mean over {level}"
  base = everything[everything["countermeasure"] == "none"]["mean"]
  alt = (
    f"{title} along the share that is replaced; without it "
    f"{metric.text(float(base.iloc[0]))}. "
    + " ".join(
      f"{one.label}: "
      + ", ".join(
        f"{y:+.{metric.decimals}f} at {x:g} %"
        for x, y in zip(one.x[1:], one.y[1:], strict=True)
      )
      + "."
      for one in lines
    )
  )
  return draw_panel(
    functools.partial(curves, lines, title, along=along, reference=0),
    slug=slug,
    title=name,
    axis=title,
    alt=alt,
    data=rows,
  )


def _curve(rows: pd.DataFrame, label: str, scale: float) -> Curve:
  """A line that begins at no budget and no change."""
  x, y, low, high = (
    np.append(0.0, rows[name].to_numpy(np.float64) * by)
    for name, by in (
      ("budget", 100),
      ("change", scale),
      ("change_low", scale),
      ("change_high", scale),
    )
  )
  drawn = label.endswith("random")
  return Curve(
    label=label,
    x=x,
    y=y,
    low=None if drawn else low,
    high=None if drawn else high,
    dashed=drawn,
  )
