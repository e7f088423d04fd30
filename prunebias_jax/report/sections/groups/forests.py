"""Figures of how the error rates of groups change, and where they rise most."""

from collections.abc import Hashable, Mapping, Sequence
import functools
from typing import Any

import numpy as np
import pandas as pd

from prunebias_jax.analysis.bias import FEW_POSITIVES
from prunebias_jax.analysis.columns import POPULATION
from prunebias_jax.report.page import (
  Figure,
  Panel,
  Row,
  Table,
  draw_panel,
  slug_of,
)
from prunebias_jax.report.panels import NO_IDENTITIES
from prunebias_jax.report.plots import Points, forest
from prunebias_jax.report.sections.answers.changes import missing_reason
from prunebias_jax.report.sections.groups.changes import (
  COUNTED,
  FORMS,
  WORST,
  drawn_populations,
  mean_changes,
  worst_changes,
)
from prunebias_jax.report.sections.groups.table import RATES
from prunebias_jax.report.source import Population, Source
from prunebias_jax.report.vocabulary import (
  NOT_AVAILABLE,
  Metric,
  count_of,
  listed,
  number,
  percent,
)

_NOTHING = "Not available: no group has a value."


def changes_figure(source: Source) -> Figure:
  """Every group's mean change of each rate, in points and relative."""
  slug, title = "group-changes", "How much do the groups' error rates change?"
  shown = drawn_populations(source)
  reason = missing_reason(source)
  if not any(identity for identity, _ in source.groups):
    reason = NO_IDENTITIES
  caption = _changes_caption(source, shown)
  if reason:
    return Figure(slug=slug, title=title, caption=caption, reason=reason)
  tables = {rate: mean_changes(source, rate, shown) for rate in RATES}
  panels = tuple(
    _panel(
      table[~table["identity"].str.contains("*", regex=False)],
      slug=slug_of("group-changes", rate.title, form),
      title=f"{rate.title}, {form} change",
      columns=columns,
      unit=unit,
      noted=COUNTED[rate.title],
    )
    for form, columns, unit in FORMS
    for rate, table in tables.items()
  )
  return Figure(slug=slug, title=title, caption=caption, panels=panels)


def worst_figure(source: Source) -> Figure:
  """The outputs and groups whose FPR and FNR rise most."""
  slug = "group-worst"
  title = "Where do the groups' error rates rise most?"
  population = source.sparsest
  if not any(identity for identity, _ in source.groups):
    return Figure(slug=slug, title=title, caption="", reason=NO_IDENTITIES)
  if source.dense is None or population is None:
    reason = missing_reason(source)
    return Figure(slug=slug, title=title, caption="", reason=reason)
  panels, told = [], []
  for rate in RATES[1:]:
    table, ranked = worst_changes(source, rate, population)
    told.append(_ranked_words(rate, ranked))
    panels += [
      _panel(
        table,
        slug=slug_of("group-worst", rate.title, form),
        title=f"{rate.title}, {form} change",
        columns=columns,
        unit=unit,
        noted="n =",
        above=True,
      )
      for form, columns, unit in FORMS
    ]
  caption = (
    f"The {source.output} and group whose rate rises most in points from "
    f"dense to {population.label} at the default threshold, at most {WORST} a "
    f"rate: {' '.join(told)} n: negatives of the group (false positive rate) "
    f"or its positives (false negative rate) in test. {_ranking()} What "
    "fails for everyone fills several rows. These rows are chosen as the "
    "extremes of many and overstate themselves: another test set or other "
    "seeds would mostly show smaller changes, and their intervals do not allow "
    f"for the choice. {intervals(source, [population])} "
    "All of them, crossings and calibrated thresholds too, are in "
    "analysis/group_changes.csv."
  )
  return Figure(slug=slug, title=title, caption=caption, panels=tuple(panels))


def crossings_table(source: Source) -> Table:
  """The relative changes of crossings of two identities, to be opened."""
  slug = "group-crossings"
  population = source.sparsest
  where = "" if population is None else f", {population.label}"
  title = f"Relative change in crossings of two identities{where}"
  crossed = any("*" in identity for identity, _ in source.groups)
  reason = missing_reason(source)
  if not crossed:
    reason = "Not available: the run has no two identity attributes to cross."
  if reason or population is None:
    return Table(slug=slug, title=title, reason=reason, folded=True)
  bands = []
  for rate in RATES:
    table = mean_changes(source, rate, (population,))
    table = table[table["identity"].str.contains("*", regex=False)]
    rows = tuple(_cells(row) for row in table.to_dict("records"))
    bands.append((f"{rate.title} ({COUNTED[rate.title]})", rows))
  return Table(
    slug=slug,
    title=title,
    head=("Group", "n", "dense %", "here %", "change %", "interval", "pairs"),
    bands=tuple(bands),
    note="Change: of the rate in percent of the dense one. "
    + _changes_caption(source, (population,)),
    folded=True,
  )


def _panel(
  table: pd.DataFrame,
  *,
  slug: str,
  title: str,
  columns: tuple[str, str, str],
  unit: str,
  noted: str,
  above: bool = False,
) -> Panel:
  """A row for each group, a mark for each population."""
  rows = list(dict.fromkeys(table["name"])) if len(table) else []
  values = table[columns[0]] if len(table) else pd.Series(dtype=float)
  if not values.notna().any():
    return Panel(slug=slug, title=title, reason=_why_not(table))
  points, notes = [], []
  keys = table[list(POPULATION)].itertuples(index=False, name=None)
  of_row = pd.Series([Population(*key) for key in keys], table.index)
  for population in dict.fromkeys(of_row):
    part = table[of_row == population].set_index("name").reindex(rows)
    value, low, high = (part[one].to_numpy(np.float64) for one in columns)
    points.append(
      Points(label=population.label, value=value, low=low, high=high)
    )
    notes = part["n"].fillna("").tolist()
  axis = f"{title} ({unit})"
  make = functools.partial(
    forest,
    rows,
    points,
    axis,
    along=f"change against dense ({unit})",
    reference=0,
    notes=notes,
    noted=noted,
    above=above,
  )
  return draw_panel(
    make,
    slug=slug,
    title=title,
    axis=axis,
    alt=f"{axis}. {_in_words(rows, points)}",
    data=table,
  )


def _why_not(table: pd.DataFrame) -> str:
  """Why a panel has no mark."""
  if not len(table):
    return (
      f"Not available: no rate of a group with {FEW_POSITIVES} or more rises."
    )
  reasons = [one for one in dict.fromkeys(table["reason"]) if one]
  return f"Not available: {'; '.join(reasons)}." if reasons else _NOTHING


def _in_words(rows: Sequence[str], points: Sequence[Points]) -> str:
  """The last population's values, row by row."""
  last = points[-1]
  values = [
    f"{row} {number(float(value), 1, sign=True)}"
    for row, value in zip(rows, last.value, strict=True)
  ]
  return f"{last.label}: {', '.join(values)}."


def _cells(row: Mapping[Hashable, Any]) -> Row:
  """A group of the folded table as texts."""
  numbers = {
    name: float(row[name])
    for name in (
      "dense",
      "compressed",
      "relative",
      "relative_low",
      "relative_high",
    )
  }
  ends = [numbers["relative_low"], numbers["relative_high"]]
  interval = NOT_AVAILABLE
  if np.isfinite(ends).all():
    interval = f"[{', '.join(number(one, 1, sign=True) for one in ends)}]"
  return (
    str(row["name"]),
    str(row["n"]),
    number(100 * numbers["dense"], 2),
    number(100 * numbers["compressed"], 2),
    number(numbers["relative"], 1, sign=True),
    interval,
    str(row["n_seeds"]),
  )


def _changes_caption(source: Source, shown: Sequence[Population]) -> str:
  plural = "attributes" if source.output == "attribute" else "classes"
  means = f"means over the {plural} that have a value in every pair"
  if source.output == "class":
    means = (
      "the error is that of all examples, the rates are means over the "
      "classes, each against the rest"
    )
  left = [one for one in source.compressed if one not in shown]
  more = ""
  if left:
    more = f" {count_of(len(left), 'more population')} not drawn: see "
    more += "analysis/group_changes.csv."
  return (
    f"Default threshold; {means}. Absolute: the rate minus that of dense, in "
    "percentage points. Relative: the same in percent of the dense rate, from "
    "the two means; it is large wherever the dense rate is small, so read it "
    "beside the points. n: test examples that a rate goes over (error: all; "
    "false positive rate: negatives; false negative rate: positives), the "
    f"smallest to the largest over the {plural}. An asterisk: fewer than "
    f"{FEW_POSITIVES} somewhere, so that single examples move the rate. "
    f"{intervals(source, shown)}{more}"
  )


def intervals(
  source: Source, shown: Sequence[Population], *, relative: bool = True
) -> str:
  """What bars are, and why there may be none.

  Args:
    source: the numbers.
    shown: the populations that are compared with dense.
    relative: whether there are relative changes beside the others.
  """
  pairs = sorted({source.pairs_with(one) for one in shown})
  if not pairs or pairs[-1] == 0:
    return (
      "No members pair: differences of means over all members, no intervals."
    )
  counts = listed([count_of(one, "pair") for one in pairs])
  if pairs[-1] == 1:
    return f"{counts} of members: no intervals."
  how = "t of the paired differences"
  why = "all pairs agree"
  if relative:
    how = "absolute: t of the paired differences; relative: Fieller's"
    why += ", or the dense rate is not told from 0"
  return (
    f"Bars: {percent(source.level)} % intervals over {counts} of members "
    f"({how}), with seeds random and normal and the test set fixed; an arrow "
    f"where one leaves the plot. A point without a bar has none: {why}."
  )


def _ranking() -> str:
  return (
    f"Ranked are groups of one identity with {FEW_POSITIVES} or more of these "
    "in which every pair has a value."
  )


def _ranked_words(rate: Metric, counts: dict[str, int]) -> str:
  return (
    f"{rate.title}: of {counts['ranked']:,} ranked, {counts['rose']:,} rise "
    f"and {counts['fell']:,} fall; {counts['few']:,} with fewer than "
    f"{FEW_POSITIVES} examples and {counts['empty']:,} without a value in some "
    "pair are not ranked."
  )
