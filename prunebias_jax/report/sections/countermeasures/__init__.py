"""What can be done without training: thresholds, against sparsity."""

from collections.abc import Sequence
import dataclasses
import functools

import numpy as np
import pandas as pd

from prunebias_jax.report.page import (
  Figure,
  Panel,
  Section,
  draw_panel,
  slug_of,
)
from prunebias_jax.report.panels import NO_IDENTITIES
from prunebias_jax.report.plots import Means, along_levels
from prunebias_jax.report.sections.countermeasures import overrides
from prunebias_jax.report.sections.countermeasures import (
  tables as countermeasure_tables,
)
from prunebias_jax.report.sections.countermeasures.rows import (
  MEASURES,
  Measure,
  chosen_identities,
  gaps,
  identity_biases,
  mean_rows,
  overall,
  unavailable,
)
from prunebias_jax.report.sections.families import families, level_names
from prunebias_jax.report.source import Population, Source
from prunebias_jax.report.vocabulary import Metric, listed, percent

_GROUPED = 4  # lines of thresholds by group, besides two others


def section(source: Source) -> Section:
  """What was tried, thresholds along sparsity, overrides along the budget."""
  return Section(
    slug="countermeasures",
    title="What helps without training anew?",
    short="Countermeasures",
    text=(
      "Countermeasures that need no training are fitted on the validation "
      "split and measured on the test split, for each model of its own. Read "
      "bias beside accuracy and balanced accuracy: a model that predicts "
      "nothing is not biased. Training against bias (a loss reweighted by "
      "class or by group, Learning from Failure) makes a run of its own: "
      "prunebias report RUN --compare RUN2 sets it beside this one.",
    ),
    parts=(
      countermeasure_tables.words(source),
      _figure(source, overall(), "overall", "Thresholds: accuracy and rarity"),
      _figure(
        source,
        identity_biases(source),
        "bias",
        "Thresholds: bias amplification by every identity",
      ),
      _figure(source, gaps(source), "gaps", "Thresholds: errors of groups"),
      overrides.figure(
        source, overall(), "overall", "Overrides: accuracy and rarity"
      ),
      overrides.figure(
        source,
        identity_biases(source),
        "bias",
        "Overrides: bias amplification by every identity",
      ),
      overrides.figure(
        source, gaps(source), "gaps", "Overrides: errors of groups"
      ),
      countermeasure_tables.changes(source),
    ),
  )


def _figure(
  source: Source, measures: Sequence[Measure], name: str, title: str
) -> Figure:
  """Means under each kind of threshold, at every level."""
  figure = Figure(
    slug=f"thresholds-{name}", title=title, caption=_caption(source, measures)
  )
  if not measures:
    return dataclasses.replace(figure, reason=NO_IDENTITIES)
  populations = _populations(source)
  reason = unavailable(source, "thresholds", populations[-1])
  if reason:
    return dataclasses.replace(figure, reason=reason)
  panels = tuple(_panel(source, populations, one) for one in measures)
  return dataclasses.replace(figure, panels=panels)


def _caption(source: Source, measures: Sequence[Measure]) -> str:
  meanings = {one.metric: MEASURES[one.metric] for one in measures}
  text = " ".join(
    f"{one.title}: {one.meaning}." for one in meanings.values() if one.meaning
  )
  level = percent(source.level)
  bars = (
    "With one seed there is no interval."
    if source.most_seeds == 1
    else f"Bars: the {level} % t interval of the change against doing nothing "
    "in the same models, drawn around the mean: one that does not reach the "
    "dashed line shows a change, if it is the only one looked at: nothing is "
    "corrected for their number. It takes seeds as random and their changes as "
    "normal, validation and test examples as fixed; the seeds' own spread is "
    "in the CSV file."
  )
  _, note = chosen_identities(source)
  if not any(one.metric.endswith("gap") for one in measures):
    note = ""
  others = [one.label for one in families(source)[1:]]
  if others:
    note += (
      f" Drawn for the pruner of the highest sparsity; {listed(others)} in "
      "analysis/countermeasures.csv."
    )
  return (
    f"{text} Test means over seeds and attributes, under no countermeasure and "
    "under thresholds calibrated on the validation split: of each attribute, "
    "or of each group (by the identity named). "
    "The mean goes over the attributes that have a value in every seed and "
    "under every countermeasure of a level; where these are not all, their "
    "number stands below the level, and levels are not joined, since they are "
    f"means of different attributes. {bars} The AUC is the same under all."
    f"{note}"
  )


def _populations(source: Source) -> list[Population]:
  """Dense, where there is any, and the levels of one pruner."""
  if not source.compressed:
    return list(source.populations)
  shown = list(families(source)[0].populations)
  dense = source.dense_of(shown[0])
  return shown if dense is None else [dense, *shown]


def _panel(
  source: Source, populations: Sequence[Population], measure: Measure
) -> Panel:
  """One metric at every level."""
  metric = MEASURES[measure.metric]
  slug = slug_of("thresholds", measure.slug)
  title = measure.title(source)
  rows = pd.concat(
    [mean_rows(source, measure, one) for one in populations], ignore_index=True
  )
  rows = rows[rows["override"] == ""]
  keys = [("nothing", "none", ""), ("by attribute", "thresholds", "")]
  fitted = [measure.identity] if measure.identity else _identities(source)
  keys += [
    (f"by {identity}", "group_thresholds", identity)
    for identity in fitted[:_GROUPED]
  ]
  kinds = []
  for label, name, identity in keys:
    found = rows[
      (rows["countermeasure"] == name) & (rows["fitted_on"] == identity)
    ]
    if np.isfinite(found["mean"]).any():
      kinds.append(_means(label, found, populations, metric))
  if not kinds:
    reasons = sorted(set(rows["reason"]) - {""})
    return Panel(
      slug=slug,
      title=title,
      reason=f"Not available: {'; '.join(reasons) or 'no value'}.",
    )
  sparsities = [one.sparsity for one in populations]
  levels, joined = level_names(rows, sparsities)
  axis = f"{title} ({metric.unit})" if metric.unit else title
  alt = f"{axis}. " + " ".join(
    f"{one.label}: "
    + ", ".join(
      f"{value:.{metric.decimals}f} at {level.replace(chr(10), ', mean over ')}"
      for value, level in zip(one.value, levels, strict=True)
      if np.isfinite(value)
    )
    + "."
    for one in kinds
  )
  return draw_panel(
    functools.partial(
      along_levels,
      kinds,
      levels,
      axis,
      along=f"weights removed ({populations[-1].pruner})",
      joined=joined,
      based=len(kinds) > 1,
    ),
    slug=slug,
    title=title,
    axis=axis,
    alt=alt,
    data=rows,
  )


def _means(
  label: str,
  rows: pd.DataFrame,
  populations: Sequence[Population],
  metric: Metric,
) -> Means:
  """A countermeasure's means with the intervals of its changes."""
  sparsities = [one.sparsity for one in populations]
  found = rows.set_index("sparsity").reindex(sparsities)
  mean, change, low, high = (
    found[name].to_numpy(np.float64) * metric.scale
    for name in ("mean", "change", "change_low", "change_high")
  )
  return Means(
    label=label, value=mean, low=mean - change + low, high=mean - change + high
  )


def _identities(source: Source) -> list[str]:
  return list(dict.fromkeys(identity for identity, _ in source.pairs))
