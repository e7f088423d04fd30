"""Both runs' numbers against sparsity: every seed, means and intervals."""

from collections.abc import Sequence
import itertools

import numpy as np
import pandas as pd

from prunebias_jax.analysis.columns import POPULATION
from prunebias_jax.report.keys import Cell
from prunebias_jax.report.page import Figure, Panel, slug_of
from prunebias_jax.report.panels import (
  NO_IDENTITIES,
  Line,
  Request,
  lines_of,
  metric_panels,
)
from prunebias_jax.report.sections.comparison.runs import Comparison
from prunebias_jax.report.vocabulary import METRICS, count_of, listed, percent

LINES = 6  # in a panel, at most
PANELS = 6
_NO_VALUE = "Not available: no member of either run has a value."
_RATES = ("false_positive_rate", "false_negative_rate")
NO_SHARED = (
  "Not available: the runs have no identity in common whose groups hold the "
  "same examples."
)


def metric_names(comparison: Comparison) -> tuple[str, ...]:
  """The metrics that are shown over everyone."""
  if comparison.first.output == "class":
    return ("accuracy", "recall", "auc", "uncertainty", "ece", "tcb")
  return (
    "accuracy",
    "balanced_accuracy",
    "auc",
    "uncertainty",
    "interdependence",
    "tcb",
  )


def metrics_figure(comparison: Comparison) -> Figure:
  """The main metrics of both runs."""
  names = metric_names(comparison)
  cells = [(METRICS[name].title, comparison.overall(name)) for name in names]
  requests = [
    Request(
      metric=METRICS[name],
      lines=_lines(comparison, cell),
      slug=slug_of("comparison", name),
      reference=1 if name == "tcb" else None,
      reason=_why_missing(comparison, cell),
    )
    for name, (_, cell) in zip(names, cells, strict=True)
  ]
  return Figure(
    slug="comparison",
    title="Both runs against sparsity",
    caption=f"{_means(comparison, cells)} {_dots(comparison)}",
    panels=_panels(comparison, requests, shared=False),
  )


def bias_figure(comparison: Comparison) -> Figure:
  """Bias amplification of both runs for every identity that both have."""
  metric = METRICS["bias_amplification"]
  title = "Bias amplification in both runs"
  cells = [
    (comparison.first.group_name(*pair), Cell(metric.name, "(mean)", *pair))
    for pair in comparison.first.pairs
  ]
  cells = [(name, cell) for name, cell in cells if comparison.has(cell)]
  if not cells:
    none = not comparison.first.pairs and not comparison.second.pairs
    return Figure(
      slug="comparison-bias",
      title=title,
      caption=f"Bias amplification: {metric.meaning}.",
      reason=NO_IDENTITIES if none else NO_SHARED,
    )
  shown = cells[:PANELS]
  requests = [
    Request(
      metric=metric,
      lines=_lines(comparison, cell),
      slug=slug_of("comparison-bias", str(place), name),
      title=name,
      axis=f"{metric.title}: {name}",
      reference=0,
      reason=_why_missing(comparison, cell),
    )
    for place, (name, cell) in enumerate(shown, 1)
  ]
  more = (
    f" The first {PANELS} of {len(cells)}; all are in comparison.csv."
    if cells[PANELS:]
    else ""
  )
  return Figure(
    slug="comparison-bias",
    title=title,
    caption=(
      f"Bias amplification: {metric.meaning}. {_means(comparison, shown)} "
      f"{_dots(comparison)} All panels have one vertical axis.{more}"
    ),
    panels=_panels(comparison, requests, shared=True),
  )


def groups_figure(comparison: Comparison) -> Figure:
  """False positive and negative rates of the groups that differ most."""
  title = "Error rates of groups in both runs"
  groups = _groups(comparison)
  meanings = " ".join(
    f"{METRICS[name].title}: {METRICS[name].meaning}." for name in _RATES
  )
  if not groups:
    none = len(comparison.first.groups) == len(comparison.second.groups) == 1
    return Figure(
      slug="comparison-groups",
      title=title,
      caption=meanings,
      reason=NO_IDENTITIES if none else NO_SHARED,
    )
  cells, requests = [], []
  for place, group in enumerate(groups[: PANELS // 2], 1):
    name = comparison.first.group_name(*group)
    for rate in _RATES:
      cell = comparison.overall(rate, *group)
      cells.append((METRICS[rate].title, cell))
      requests.append(
        Request(
          metric=METRICS[rate],
          lines=_lines(comparison, cell),
          slug=slug_of("comparison-groups", str(place), rate, *group),
          title=f"{name}: {METRICS[rate].title}",
          reason=_why_missing(comparison, cell),
        )
      )
  chosen = (
    f"Of {len(groups)} groups the three whose false negative rates differ most "
    "between the runs at the highest sparsity that both have: chosen extremes "
    "overstate themselves. The others are in comparison.csv. "
    if len(groups) > PANELS // 2
    else ""
  )
  return Figure(
    slug="comparison-groups",
    title=title,
    caption=(
      f"{meanings} {chosen}{_means(comparison, cells)} {_dots(comparison)}"
    ),
    panels=_panels(comparison, requests, shared=False),
  )


def _groups(comparison: Comparison) -> list[tuple[str, str]]:
  """Single groups that both runs have, the most different first."""
  rate = _RATES[1]
  found = [
    (identity, value)
    for identity, value in comparison.first.groups
    if identity
    and "*" not in identity
    and comparison.has(comparison.overall(rate, identity, value))
  ]
  if not comparison.matches:
    return found
  last = comparison.matches[-1]

  def apart(group: tuple[str, str]) -> float:
    means = [
      np.nanmean(values) if np.isfinite(values).any() else np.nan
      for _, values in (
        comparison.members(run, key, comparison.overall(rate, *group))
        for run, key in enumerate((last.first, last.second))
      )
    ]
    gap = abs(means[1] - means[0])
    return float(gap) if np.isfinite(gap) else -1.0

  return sorted(found, key=apart, reverse=True)


def _lines(comparison: Comparison, cell: Cell) -> list[Line]:
  """The lines of both runs: at most three each."""
  found = []
  for name, source in zip(comparison.names, comparison.sources, strict=True):
    own = lines_of(source, cell)
    for line in own[: LINES // 2]:
      label = name if len(own) == 1 else f"{name}: {line.label}"
      found.append(Line(label=label, cell=cell, populations=line.populations))
  return found


def _panels(
  comparison: Comparison, requests: Sequence[Request], *, shared: bool
) -> tuple[Panel, ...]:
  sparsities = {
    population.sparsity
    for source in comparison.sources
    for population in source.populations
  }
  return metric_panels(
    requests,
    [_numbers(comparison, one) for one in requests],
    sparsities=sorted(sparsities),
    reasons=[one.reason for one in requests],
    joined=all(one.pairs_by_seed for one in comparison.sources),
    shared=shared,
  )


def _numbers(comparison: Comparison, request: Request) -> pd.DataFrame:
  """All lines of a panel in the tables' units, a row a seed and a mean."""
  rows = []
  lines = iter(request.lines)
  for run, source in enumerate(comparison.sources):
    count = min(len(lines_of(source, request.lines[0].cell)), LINES // 2)
    for line in itertools.islice(lines, count):
      for population in line.populations:
        key = {
          "line": line.label,
          "run": source.run.name or source.run.path.name,
          **dict(zip(POPULATION, population, strict=True)),
        }
        seeds, values = comparison.members(run, population, line.cell)
        rows += [
          {**key, "kind": "seed", "seed": seed, "value": value}
          for seed, value in zip(seeds.tolist(), values.tolist(), strict=True)
        ]
        mean = comparison.mean(run, values)
        if mean is not None:
          rows.append(
            {
              **key,
              "kind": "mean",
              "seed": pd.NA,
              "value": mean.estimate[0],
              "low": mean.low[0],
              "high": mean.high[0],
            }
          )
  columns = ["line", "run", "kind", *POPULATION, "seed", "value", "low", "high"]
  data = pd.DataFrame(rows, columns=columns)
  numbers = ["sparsity", "value", "low", "high"]
  data[numbers] = data[numbers].astype(np.float64)
  return data


def _why_missing(comparison: Comparison, cell: Cell) -> str:
  if comparison.has(cell) and comparison.used(cell) != 0:
    return _NO_VALUE
  if not comparison.has(cell):
    return (
      "Not available: the runs do not predict the same attributes, by which "
      "interdependence is explained."
    )
  return (
    f"Not available: no {comparison.first.output} has a value in every model "
    "of both runs."
  )


def _means(comparison: Comparison, cells: Sequence[tuple[str, Cell]]) -> str:
  """What is averaged over, for the caption."""
  total = len(comparison.ground.outputs)
  plural = "attributes" if comparison.first.output == "attribute" else "classes"
  what = count_of(total, comparison.first.output, plural)
  used: dict[str, list[int]] = {}
  for name, cell in cells:
    used.setdefault(name, []).append(comparison.used(cell))
  partial = [
    f"{name}: {'–'.join(dict.fromkeys(map(str, (min(some), max(some)))))}"
    for name, some in used.items()
    if 0 <= min(some) < total
  ]
  if not partial:
    return f"Means over {what}."
  return (
    f"Means over those of the {what} that have a value in every model of both "
    f"runs ({'; '.join(partial)})."
  )


def _dots(comparison: Comparison) -> str:
  """How dots, lines and bars are to be read."""
  sizes = [
    f"{name}: {count_of(source.most_seeds, 'seed')}"
    for name, source in zip(comparison.names, comparison.sources, strict=True)
  ]
  text = (
    f"Every dot is one seed ({'; '.join(sizes)}). Bars: mean over seeds with "
    f"its {percent(comparison.first.level)} % t interval, none with one seed "
    "or where members share seeds of a purpose; it takes seeds as random and "
    "normal, all three splits as fixed. Whether two intervals overlap is not a "
    "test: see the differences below."
  )
  left = [
    name
    for name, source in zip(comparison.names, comparison.sources, strict=True)
    if len({one.series for one in source.compressed}) > LINES // 2
  ]
  if left:
    text += f" Of {listed(left)} only the first {LINES // 2} pruners are drawn."
  return text
