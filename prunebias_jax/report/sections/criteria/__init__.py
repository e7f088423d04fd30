"""How far compression is safe, and what the dense models tell beforehand."""

from collections.abc import Sequence
import dataclasses
import functools

import numpy as np
import pandas as pd

from prunebias_jax.analysis.criteria.attributes import ITSELF
from prunebias_jax.report.captions import NO_COMPRESSED
from prunebias_jax.report.page import (
  Figure,
  Panel,
  Section,
  draw_panel,
  slug_of,
)
from prunebias_jax.report.plots import Points, forest
from prunebias_jax.report.sections.answers import changes
from prunebias_jax.report.sections.criteria import safety, safety_words
from prunebias_jax.report.sections.criteria import samples as sample_criteria
from prunebias_jax.report.sections.criteria import words as criteria_words
from prunebias_jax.report.sections.criteria.safety import (
  MEASURES,
  NO_GROUPS,
  default_rows,
  plural_of,
)
from prunebias_jax.report.sections.families import Family, families
from prunebias_jax.report.source import Source
from prunebias_jax.report.vocabulary import listed, percent


def section(source: Source) -> Section:
  """How far it is safe; then the criteria of attributes and of examples."""
  missing = changes.missing_reason(source)
  if not source.compressed:
    missing = NO_COMPRESSED
  return Section(
    slug="criteria",
    title="How far is compression safe, and can the dense model tell?",
    short="Safe levels and criteria",
    text=criteria_words.verdict(source) if not missing else (),
    parts=(
      safety.counts_figure(source, missing),
      safety.map_figure(source, missing),
      safety_words.levels_table(source, missing),
      safety_words.sentences_table(source, missing),
      spearman_figure(source, missing),
      decision_figure(source, missing),
      criteria_words.table(source, missing),
      sample_criteria.figure(source, missing),
    ),
  )


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Target:
  """What is to be told, and the rows of the table "criteria" about it.

  Attributes:
    name: of what changes.
    size: of what the verdicts are on.
    slug: for file names.
    rows: of the table.
  """

  name: str
  size: str
  slug: str
  rows: pd.DataFrame

  @property
  def criteria(self) -> list[str]:
    """The criteria, in the order of the table."""
    return list(dict.fromkeys(self.rows["criterion"]))

  def values(
    self, family: Family, criteria: Sequence[str], column: str
  ) -> np.ndarray:
    """A column: float64 [level, criterion]."""
    found = self.rows.set_index(["sparsity", "criterion"])[column]
    keys = [
      (one.sparsity, name) for one in family.populations for name in criteria
    ]
    values = found.reindex(keys).to_numpy(np.float64)
    return values.reshape(len(family.levels), len(criteria))


def spearman_figure(source: Source, missing: str) -> Figure:
  """Rank correlations of every criterion with what compression did."""
  caption = (
    f"Each property of the dense models (a mean over all of them) against the "
    f"mean paired change, compressed − dense, over the {plural_of(source)}: "
    f"Spearman's rank correlation with its {percent(source.level)} % interval, "
    f"a bootstrap over {plural_of(source)} that takes them as drawn at random "
    f"and independent, which those of one data set are not; seeds as fixed. "
    f"n: {plural_of(source)}. Above 0: the higher the property, the larger the "
    "change. A dagger: the dense models' own noise is in property and change, "
    "which makes for a correlation by itself. A correlation of changes does "
    f"not tell which {plural_of(source)} become unsafe.{_scope(source)}"
  )
  figure = Figure(
    slug="criteria",
    title="Do properties of the dense model foretell what compression does?",
    caption=caption,
  )
  if missing:
    return dataclasses.replace(figure, reason=missing)
  family = families(source)[0]
  panels = [
    _spearman_panel(family, target) for target in _targets(source, family)
  ]
  if not panels:
    return dataclasses.replace(figure, reason=changes.NO_PAIRS)
  return dataclasses.replace(figure, panels=tuple(panels))


def _spearman_panel(family: Family, target: _Target) -> Panel:
  slug = slug_of("criteria", target.slug)
  title = f"Spearman with the change of {target.name}"
  rows = target.rows
  if not np.isfinite(rows["spearman"]).any():
    return Panel(slug=slug, title=title, reason=_why(rows, "have both"))
  names = target.criteria
  columns = {
    name: target.values(family, names, name)
    for name in ("spearman", "low", "high", "n_attributes")
  }
  counts = columns["n_attributes"]
  spans = [
    dict.fromkeys((f"{low:.0f}", f"{high:.0f}"))
    for low, high in zip(counts.min(axis=0), counts.max(axis=0), strict=True)
  ]
  points = [
    Points(
      label=level,
      value=columns["spearman"][place],
      low=columns["low"][place],
      high=columns["high"][place],
    )
    for place, level in enumerate(family.levels)
  ]
  is_part = rows["reason"].str.contains(ITSELF, regex=False)
  itself = set(rows[is_part]["criterion"])
  labels = [
    criteria_words.in_words(name) + " †" * (name in itself) for name in names
  ]
  return draw_panel(
    functools.partial(
      forest,
      labels,
      points,
      title,
      along=f"rank correlation ({family.label})",
      reference=0,
      notes=[f"n = {'–'.join(one)}" for one in spans],
    ),
    slug=slug,
    title=title,
    alt=f"{title}. {' '.join(one for one in rows['sentence'] if one)}",
    data=rows,
  )


def decision_figure(source: Source, missing: str) -> Figure:
  """Does a rule on a criterion decide better than always the majority?"""
  caption = (
    f"Of the {plural_of(source)} that are shown to be safe or not safe, how "
    "many more a rule with one cut through the property decides right than "
    f"always saying the more frequent verdict, in percentage points of them. "
    f"The rule is fitted on all others and tried on the one left out. At 0 "
    "and to the left the property is no better than guessing the majority. A "
    "level without marks cannot be judged. No interval: where few are decided, "
    "one more right is many points; how many are, and why a level cannot be "
    f"judged, is in the table below.{_scope(source)}"
  )
  figure = Figure(
    slug="decisions",
    title="Can a property decide which will be unsafe?",
    caption=caption,
  )
  if missing:
    return dataclasses.replace(figure, reason=missing)
  family = families(source)[0]
  panels = [
    _decision_panel(family, target) for target in _targets(source, family)
  ]
  if not panels:
    return dataclasses.replace(figure, reason=changes.NO_PAIRS)
  return dataclasses.replace(figure, panels=tuple(panels))


def _decision_panel(family: Family, target: _Target) -> Panel:
  slug = slug_of("decisions", target.slug)
  title = f"{target.size}: right beyond the majority"
  rows = target.rows
  names = target.criteria
  gain = 100 * (
    target.values(family, names, "decision_accuracy")
    - target.values(family, names, "majority_accuracy")
  )
  if not np.isfinite(gain).any():
    return Panel(slug=slug, title=title, reason=_why(rows, "decided"))
  empty = np.full(len(names), np.nan)
  points = [
    Points(label=level, value=gain[place], low=empty, high=empty)
    for place, level in enumerate(family.levels)
  ]
  alt = f"{title}, in percentage points. " + " ".join(
    f"{one.label}: "
    + ", ".join(
      f"{criteria_words.in_words(name)} {value:+.1f}"
      for name, value in zip(names, one.value.tolist(), strict=True)
    )
    + "."
    for one in points
    if np.isfinite(one.value).any()
  )
  return draw_panel(
    functools.partial(
      forest,
      [criteria_words.in_words(name) for name in names],
      points,
      title,
      along=f"percentage points ({family.label})",
      reference=0,
    ),
    slug=slug,
    title=title,
    alt=alt,
    data=rows,
  )


def _targets(source: Source, family: Family) -> list[_Target]:
  """What is to be told, TCB first, as many as there are panels."""
  table = family.rows(default_rows(source.table("criteria")))
  return [
    _Target(
      name="TCB" if target == "tcb" else f"BA {group}",
      size="|log TCB|" if target == "tcb" else f"|BA| {group}",
      slug=f"{place}-{target}-{identity}",
      rows=rows,
    )
    for place, ((target, identity, value), rows) in enumerate(
      criteria_words.by_target(table)[:MEASURES], 1
    )
    for group in (source.group_name(identity, value),)
  ]


def _why(rows: pd.DataFrame, word: str) -> str:
  """What the table says on why a number is missing, level by level."""
  parts = {}
  for sparsity, reasons in rows.groupby("sparsity")["reason"]:
    found = [
      one
      for text in reasons
      for one in text.split("; ")
      if one and (word in one or "same for all" in one)
    ]
    if found:
      parts[f"{percent(float(str(sparsity)))} %"] = listed(
        list(dict.fromkeys(found)), "or"
      )
  return "Not available: " + "; ".join(
    f"{level}: {text}" for level, text in parts.items()
  )


def _scope(source: Source) -> str:
  """Which part of the table is drawn."""
  note = "" if source.pairs else f" {NO_GROUPS}"
  others = [one.label for one in families(source)[1:]]
  if others:
    note += f" Drawn for the pruner of the highest sparsity; {listed(others)} "
    note += "in the table." if len(others) < 3 else "in analysis/criteria.csv."
  if len(source.pairs) >= MEASURES:
    note += f" The first {MEASURES - 1} groups; all in analysis/criteria.csv."
  return note + " Default thresholds."
