"""The second run minus the first: values, and changes against dense."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from prunebias_jax.analysis.comparison import Match
from prunebias_jax.analysis.comparison.table import CHANGE, VALUE
from prunebias_jax.report.keys import Cell, Row
from prunebias_jax.report.page import Figure, Panel, Table, draw_panel, slug_of
from prunebias_jax.report.page import Row as Texts
from prunebias_jax.report.plots import Points, forest
from prunebias_jax.report.sections.comparison.lines import metric_names
from prunebias_jax.report.sections.comparison.runs import Comparison
from prunebias_jax.report.vocabulary import (
  METRICS,
  NOT_AVAILABLE,
  Metric,
  listed,
  number,
  percent,
  probability,
)

NO_DIFFERENCES = "Not available: the test sets are not the same, see above."
NO_MATCH = (
  "Not available: no population (pruner, sparsity, quantization) is in both "
  "runs."
)
NO_CHANGES = (
  "Not available: the runs have no compressed population in common that has "
  "dense members beside it in both."
)
_COLOURS = 4  # populations that a drawing tells apart
_NAMES = {VALUE: "value", CHANGE: "change"}


def tables(comparison: Comparison) -> tuple[Table, ...]:
  """Both quantities as tables, a band for each common population."""
  return tuple(_table(comparison, quantity) for quantity in _NAMES)


def figure(comparison: Comparison) -> Figure:
  """The differences of what is measured in percentage points."""
  level = percent(comparison.first.level)
  name, other = comparison.names
  title = f"{other} minus {name}"
  caption = (
    f"The mean of {other} minus that of {name} in percentage points: of the "
    "metrics themselves (left or above), and of what compression changed of "
    "them, each member against the dense one that it pairs with in its own run "
    "(right or below: above 0 compression added more in "
    f"{other}). Bars: {level} % interval of "
    f"{_method(comparison)}, which takes seeds as random and normal, all three "
    "splits as fixed: it does not tell what other data would do. BA: bias "
    "amplification. An arrow where a bar leaves the plot. Numbers of seeds "
    "stand in the tables below."
  )
  reason = _missing(comparison, VALUE)
  if reason:
    return Figure(
      slug="comparison-difference", title=title, caption=caption, reason=reason
    )
  return Figure(
    slug="comparison-difference",
    title=title,
    caption=caption,
    panels=tuple(_panel(comparison, quantity) for quantity in _NAMES),
  )


def _cells(comparison: Comparison) -> list[tuple[Metric, str, Cell]]:
  """What is tabulated: the main metrics, bias amplification, error rates."""
  names = [
    *metric_names(comparison),
    "entropy",
    "false_positive_rate",
    "false_negative_rate",
  ]
  if comparison.first.output == "class":
    names.remove("false_negative_rate")  # 1 minus recall
  found = [
    (METRICS[name], METRICS[name].title, comparison.overall(name))
    for name in names
  ]
  bias = METRICS["bias_amplification"]
  found += [
    (
      bias,
      f"{bias.title}, {comparison.first.group_name(*pair)}",
      comparison.overall(bias.name, *pair),
    )
    for pair in comparison.first.pairs
  ]
  return [one for one in found if comparison.has(one[2])]


def _missing(comparison: Comparison, quantity: str) -> str:
  """Why there is no difference; "" where there is one."""
  if not comparison.ground.same_test:
    return NO_DIFFERENCES
  if not comparison.matches:
    return NO_MATCH
  rows = comparison.table[comparison.table["quantity"] == quantity]
  return "" if rows["difference"].notna().any() else NO_CHANGES


def _method(comparison: Comparison) -> str:
  """The test, by what was in fact used."""
  methods = set(comparison.table["method"])
  if len(methods) > 1:
    return "the paired t test, where seeds are not the same of Welch's"
  return (
    "the paired t test" if methods == {"paired by seed"} else "Welch's test"
  )


def _matches(comparison: Comparison, quantity: str) -> list[Match]:
  return [
    one for one in comparison.matches if quantity == VALUE or not one.is_dense
  ]


def _table(comparison: Comparison, quantity: str) -> Table:
  name, other = comparison.names
  level = percent(comparison.first.level)
  change = quantity == CHANGE
  title = (
    f"Did compression change more in {other}?"
    if change
    else f"{other} against {name}"
  )
  slug = f"comparison-{_NAMES[quantity]}"
  reason = _missing(comparison, quantity)
  if reason:
    return Table(slug=slug, title=title, reason=reason)
  bands: list[tuple[str, tuple[Texts, ...]]] = []
  reasons: dict[str, dict[str, list[str]]] = {}
  for match in _matches(comparison, quantity):
    rows = []
    for metric, label, cell in _cells(comparison):
      row = comparison.row(match, quantity, cell)
      if row is not None:
        rows.append(_texts(metric, label, row, change))
        for one in str(row["reason"]).split("; ") if row["reason"] else []:
          where = reasons.setdefault(one, {}).setdefault(label, [])
          where.append(comparison.label(match))
    bands.append((comparison.label(match), tuple(rows)))
  what = "change in " if change else ""
  said = "; ".join(
    f"{one} ({_where(rows, len(bands))})" for one, rows in reasons.items()
  )
  return Table(
    slug=slug,
    title=title,
    head=(
      "Metric",
      f"{what}{name}",
      f"{what}{other}",
      "difference",
      f"{level} % interval",
      "p",
      "ratio of sds",
      f"{level} % interval",
      "pairs" if change else "seeds",
    ),
    bands=tuple(bands),
    note=(
      f"Difference and ratio: {other} against {name}; p: two-sided, of "
      f"{_method(comparison)}, not corrected for the number of rows. "
      f"{_spread(comparison)}{f' Here: {said}.' if said else ''}"
    ),
  )


def _where(rows: Mapping[str, list[str]], bands: int) -> str:
  """The rows that something is said of: their populations where not all."""
  return "; ".join(
    label if len(found) == bands else f"{label}: {listed(found)}"
    for label, found in rows.items()
  )


def _spread(comparison: Comparison) -> str:
  """How the ratio of the spreads is to be read."""
  by = (
    "Pitman and Morgan's, for pairs"
    if set(comparison.table["method"]) == {"paired by seed"}
    else "that of the F distribution where seeds are unrelated, else Pitman "
    "and Morgan's"
  )
  return (
    "The ratio of the standard deviations over seeds says which run depends "
    "more on the seed, where its interval leaves 1 out; that interval is "
    f"{by}, and assumes normal seeds more than the others do."
  )


def _texts(metric: Metric, label: str, row: Row, change: bool) -> Texts:
  shown = metric.change if change else metric.text
  unit = metric.change_unit if change else metric.unit
  ends = (row["sd_ratio_low"], row["sd_ratio_high"])
  known = bool(np.isfinite(ends).all())
  counts = (int(row["n_first"]), int(row["n_second"]))
  together = row["method"] == "paired by seed"
  return (
    f"{label} ({unit})" if unit else label,
    shown(row["mean_first"]),
    shown(row["mean_second"]),
    metric.change(row["difference"]),
    metric.change_interval(row["low"], row["high"]),
    probability(row["p"]),
    number(row["sd_ratio"], 2),
    f"[{number(ends[0], 2)}, {number(ends[1], 2)}]" if known else NOT_AVAILABLE,
    f"{counts[0]} pairs" if together else f"{counts[0]} and {counts[1]}",
  )


def _panel(comparison: Comparison, quantity: str) -> Panel:
  """One of the two drawings."""
  name, other = comparison.names
  slug = slug_of("comparison-difference", _NAMES[quantity])
  title = "Difference" if quantity == VALUE else "Difference of changes"
  reason = _missing(comparison, quantity)
  if reason:
    return Panel(slug=slug, title=title, reason=reason)
  matches = _matches(comparison, quantity)[-_COLOURS:]
  cells = [
    (
      metric,
      label.replace(f"{METRICS['bias_amplification'].title}, ", "BA: "),
      cell,
    )
    for metric, label, cell in _cells(comparison)
    if metric.change_unit == "points"
  ]
  rows = []
  for match in matches:
    for metric, label, cell in cells:
      row = comparison.row(match, quantity, cell)
      if row is not None:
        rows.append(
          {
            "population": comparison.label(match),
            "metric": label,
            "value": metric.shown_change(row["difference"]),
            "low": metric.shown_change(row["low"]),
            "high": metric.shown_change(row["high"]),
            "n_first": row["n_first"],
            "n_second": row["n_second"],
            "method": row["method"],
            "reason": row["reason"],
          }
        )
  data = pd.DataFrame(rows)
  names = list(dict.fromkeys(data["metric"]))
  labels = list(dict.fromkeys(data["population"]))
  points = []
  for label in labels:
    part = data[data["population"] == label].set_index("metric").reindex(names)
    low, value, high = (
      part[column].to_numpy(np.float64) for column in ("low", "value", "high")
    )
    points.append(Points(label=label, value=value, low=low, high=high))
  means = "; ".join(
    f"{row['metric']}, {row['population']}: "
    f"{number(row['value'], 2, sign=True)}"
    for row in rows
  )
  return draw_panel(
    lambda: forest(
      names,
      points,
      f"{title} (points)",
      along="points",
      reference=0,
    ),
    slug=slug,
    title=title,
    alt=f"{title}, {other} minus {name}, in points. {means}.",
    data=data,
  )
