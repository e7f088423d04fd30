"""Differences between the groups of an identity, against sparsity."""

import dataclasses

import pandas as pd

from prunebias_jax.analysis.columns import POPULATION, RULES
from prunebias_jax.report.captions import dots, means_of
from prunebias_jax.report.page import Figure, slug_of
from prunebias_jax.report.panels import (
  NO_IDENTITIES,
  Line,
  Request,
  lines_of,
  sparsity_panels,
)
from prunebias_jax.report.source import Cell, Source
from prunebias_jax.report.vocabulary import METRICS

_METRICS = (
  "worst_group_accuracy",
  "accuracy_gap",
  "equalized_odds_difference",
  "demographic_parity_difference",
)
# More lines, or panels, than this are hard to tell apart.
MOST = 6
NO_CALIBRATED = (
  "Not available: the run has no numbers under calibrated thresholds "
  "(exclusive classes have no threshold; attributes need validation logits)."
)


def fairness_figure(source: Source) -> Figure:
  """Four differences between groups, a line for each identity."""
  slug, title = "fairness", "How far apart are the groups?"
  identities = single_identities(source)
  if not identities:
    return Figure(slug=slug, title=title, caption="", reason=NO_IDENTITIES)
  shown = identities[:MOST]
  requests = [
    Request(
      metric=METRICS[name],
      lines=[_line(source, name, identity) for identity in shown],
      slug=slug_of(slug, name),
    )
    for name in _METRICS
  ]
  meanings = " ".join(
    f"{METRICS[name].title}: {METRICS[name].meaning}." for name in _METRICS
  )
  cells = [
    (METRICS[name].title, source.overall(name, identity=identity))
    for name in _METRICS
    for identity in shown
  ]
  more = ", ".join(identities[MOST:])
  caption = (
    f"{meanings} Default threshold, by identity. {means_of(source, cells)}"
    f"{_whole(source)}. {_sizes(source, shown)} Such a difference of extremes "
    "grows with the noise in the smallest group, without any bias; and it "
    "shrinks where models come to predict one value for nearly everyone. "
    f"{dots(source)}{series_drawn(source)}"
    f"{f' Not drawn: {more} (analysis/variance.csv).' if more else ''}"
  )
  panels = sparsity_panels(source, requests)
  return Figure(slug=slug, title=title, caption=caption, panels=panels)


def threshold_figure(source: Source) -> Figure:
  """The equalized odds difference under both rules, by identity."""
  slug = "group-thresholds"
  title = "Is it the threshold? Groups apart under default and calibrated ones"
  metric = METRICS["equalized_odds_difference"]
  identities = single_identities(source)
  reason = "" if source.calibrated else NO_CALIBRATED
  if not identities:
    reason = NO_IDENTITIES
  if reason:
    return Figure(slug=slug, title=title, caption="", reason=reason)
  shown = identities[:MOST]
  rules = {
    identity: [
      dataclasses.replace(
        _line(source, metric.name, identity, rule=rule), label=rule
      )
      for rule in RULES
    ]
    for identity in shown
  }
  requests = [
    Request(
      metric=metric,
      lines=rules[identity],
      slug=slug_of(slug, str(place), identity),
      title=identity,
      axis=f"{metric.title}: {identity}",
    )
    for place, identity in enumerate(shown, 1)
  ]
  cells = [
    (f"{identity}, {line.label}", line.cell)
    for identity, lines in rules.items()
    for line in lines
  ]
  caption = (
    f"{metric.title}: {metric.meaning}. Default: logits above 0 are predicted "
    "positive. Calibrated: each model's threshold of each attribute is set on "
    "the validation split so that as many are predicted positive as are; what "
    "remains between the groups then is not a shift of all predictions. "
    f"{means_of(source, cells)}. {_sizes(source, shown)} All panels have one "
    f"vertical axis. {dots(source)} Calibrated thresholds take the validation "
    f"split as fixed.{series_drawn(source)}"
  )
  panels = sparsity_panels(source, requests, shared=True)
  return Figure(slug=slug, title=title, caption=caption, panels=panels)


def single_identities(source: Source) -> list[str]:
  """The identities in order, without crossings."""
  names = dict.fromkeys(identity for identity, _ in source.groups)
  return [name for name in names if name and "*" not in name]


def main_line(source: Source, cell: Cell, label: str) -> Line:
  """A cell from dense to the sparsest population, of that one's series."""
  lines = lines_of(source, cell)
  found = [one for one in lines if source.sparsest in one.populations]
  return dataclasses.replace((found or lines)[0], label=label)


def _line(
  source: Source, metric: str, identity: str, *, rule: str = RULES[0]
) -> Line:
  cell = source.overall(metric, identity=identity, rule=rule)
  return main_line(source, cell, identity)


def _whole(source: Source) -> str:
  """What the accuracies of exclusive classes are over."""
  return (
    " (worst group accuracy and accuracy gap: over all examples)"
    if source.output == "class"
    else ""
  )


def _sizes(source: Source, shown: list[str]) -> str:
  """The smallest groups, for the caption."""
  table = source.table("fairness")
  keep = table["threshold_rule"] == RULES[0]
  for name in POPULATION:
    keep &= table[name] == table[name].iloc[0]
  table = table[keep]
  parts = []
  for identity in shown:
    rows = table[table["identity"] == identity]
    spans = [
      f"{_span(rows[f'fewest_{kind}'])} {kind}s"
      for kind in ("positive", "negative")
    ]
    parts.append(f"{identity} {' and '.join(spans)}")
  plural = "attributes" if source.output == "attribute" else "classes"
  return (
    f"In the group that has the fewest, smallest to largest over the {plural}: "
    f"{'; '.join(parts)}."
  )


def _span(counts: pd.Series) -> str:
  """The smallest and the largest: "3–214"."""
  found = counts.dropna()
  if not len(found):
    return "no"
  return "–".join(dict.fromkeys((f"{found.min():,}", f"{found.max():,}")))


def series_drawn(source: Source) -> str:
  """Which pruner and quantization the lines are of, if there are several."""
  sparsest = source.sparsest
  if sparsest is None or len({one.series for one in source.compressed}) < 2:
    return ""
  kind = "" if sparsest.quantization == "none" else f", {sparsest.quantization}"
  return (
    f" Lines: {sparsest.pruner}{kind}; the others are in analysis/variance.csv."
  )
