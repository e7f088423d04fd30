"""Which examples will change? The dense models' word on it."""

import dataclasses
import functools

import numpy as np
import pandas as pd

from prunebias_jax.analysis.columns import ALL, MEAN
from prunebias_jax.report.page import Figure, Panel, draw_panel, slug_of
from prunebias_jax.report.plots import Means, along_levels
from prunebias_jax.report.sections.answers.changes import NO_PAIRS
from prunebias_jax.report.sections.families import (
  Family,
  families,
  level_names,
)
from prunebias_jax.report.source import Source
from prunebias_jax.report.vocabulary import count_of, listed

_TARGETS = {
  "flip": "Answers that flip",
  "error": "Errors of the compressed",
}


def figure(source: Source, missing: str) -> Figure:
  """How well the dense models' doubt finds what compression changes."""
  sizes = source.analysis.arrays["n_examples"].to_numpy()
  output = source.output
  caption = (
    "Can the examples that compression changes be found with the dense models "
    "alone? AUROC of four scores of an example, each from all dense members: "
    "the probability that one to be found has a higher score than another; 1/2 "
    "is a random ranking. To be found are flips (the answer of most "
    "compressed members is not that of most dense ones) and errors of the "
    f"compressed members. {count_of(int(sizes[0]), 'test example')}; "
    + (
      "mean over the attributes that have something to find, whose number "
      "stands below the level where it is not all of them: levels are then of "
      "different attributes and not joined. "
      if output == "attribute"
      else "exclusive classes: an example as a whole. "
    )
    + "No interval: one number over all members. That a score finds flips "
    "says where they are, not that compression makes them: two populations of "
    "one process disagree on such examples too."
  )
  found = Figure(
    slug="sample-criteria",
    title="Can the dense model tell which examples will change?",
    caption=caption,
  )
  if missing:
    return dataclasses.replace(found, reason=missing)
  family = families(source)[0]
  others = [one.label for one in families(source)[1:]]
  if others:
    found = dataclasses.replace(
      found,
      caption=f"{caption} Drawn for {family.label}; {listed(others)} in "
      "analysis/sample_criteria.csv.",
    )
  table = family.rows(source.table("sample_criteria"))
  table = table[
    table["attribute"].isin((MEAN, ALL)) & (table["identity"] == "")
  ]
  if table.empty:
    return dataclasses.replace(found, reason=NO_PAIRS)
  panels = tuple(
    _panel(family, table[table["target"] == target], target, title)
    for target, title in _TARGETS.items()
  )
  return dataclasses.replace(found, panels=panels)


def _panel(
  family: Family, rows: pd.DataFrame, target: str, title: str
) -> Panel:
  slug = slug_of("sample-criteria", target)
  if not np.isfinite(rows["auroc"]).any():
    reasons = listed(sorted(set(rows["reason"]) - {""}))
    return Panel(slug=slug, title=title, reason=f"Not available: {reasons}")
  names = list(dict.fromkeys(rows["criterion"]))
  sparsities = [one.sparsity for one in family.populations]
  values = rows.set_index(["criterion", "sparsity"])["auroc"]
  empty = np.full(len(sparsities), np.nan)
  kinds = [
    Means(
      label=name.replace("_", " "),
      value=values[name].reindex(sparsities).to_numpy(np.float64),
      low=empty,
      high=empty,
    )
    for name in names
    if np.isfinite(values[name]).any()
  ]
  absent = [
    f"{name.replace('_', ' ')} ({reason})"
    for name in names
    if not np.isfinite(values[name]).any()
    for reason in sorted(set(rows[rows["criterion"] == name]["reason"]))
  ]
  ticks, joined = level_names(rows, sparsities)
  alt = f"{title}: AUROC. " + " ".join(
    f"{one.label}: "
    + ", ".join(
      f"{value:.3f} at {level}"
      for value, level in zip(one.value, family.levels, strict=True)
      if np.isfinite(value)
    )
    + "."
    for one in kinds
  )
  return draw_panel(
    functools.partial(
      along_levels,
      kinds,
      ticks,
      f"{title} (AUROC)",
      along=f"weights removed ({family.label})",
      joined=joined,
      reference=0.5,
    ),
    slug=slug,
    title=title,
    alt=alt + (f" Without a value: {listed(absent)}." if absent else ""),
    data=rows,
  )
