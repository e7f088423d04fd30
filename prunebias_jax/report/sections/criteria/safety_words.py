"""The verdicts in words: the highest safe levels, and sentences."""

import dataclasses

import numpy as np
import pandas as pd

from prunebias_jax.analysis.columns import MEAN
from prunebias_jax.analysis.criteria import safety as verdicts
from prunebias_jax.report.page import Table
from prunebias_jax.report.sections.criteria.safety import (
  FAMILIES,
  MEASURES,
  default_rows,
  few_cells,
  measures,
  not_drawn,
  plural_of,
  row_name,
  shown_rows,
)
from prunebias_jax.report.sections.families import families
from prunebias_jax.report.source import Source
from prunebias_jax.report.vocabulary import NOT_AVAILABLE, listed, percent

SENTENCES = 8  # attributes of each kind of bias, besides the mean


def levels_table(source: Source, missing: str) -> Table:
  """The highest safe level of every output in words."""
  table = Table(
    slug="safe-levels",
    title=f"The highest safe level of every {source.output}, in words",
    reason=missing,
    folded=True,
  )
  if missing:
    return table
  shown = measures(source)[:MEASURES]
  names, note = shown_rows(source)
  bands = []
  for family in families(source)[:FAMILIES]:
    rows = family.rows(default_rows(source.table("safety")))
    if rows.empty:
      continue
    columns = [
      dict(list(one.rows(rows).groupby("attribute", sort=False)))
      for one in shown
    ]
    bands.append(
      (
        family.label,
        tuple(
          (
            row_name(source, name),
            *(
              _in_words(column[name]) + "*" * bool(star)
              for column, star in zip(columns, stars, strict=True)
            ),
          )
          for name, stars in zip(
            names, few_cells(source, family, names, shown), strict=True
          )
        ),
      )
    )
  return dataclasses.replace(
    table,
    head=(source.output, *(one.name for one in shown)),
    bands=tuple(bands),
    texts=1 + len(shown),
    note=(
      "Default thresholds. An asterisk as in the figure. The highest "
      "sparsity that is shown to be safe with all below it; none: not shown "
      "at any. Levels that are not named beyond it are undecided or have no "
      f"value.{note}{not_drawn(source)}"
    ),
  )


def sentences_table(source: Source, missing: str) -> Table:
  """The sentences of the means, and of what is not safe somewhere."""
  table = Table(
    slug="safe-sentences",
    title="Every level in a sentence, where some level is not safe",
    reason=missing,
    folded=True,
  )
  if missing:
    return table
  bands = []
  hidden = 0
  for family in families(source)[:FAMILIES]:
    rows = family.rows(default_rows(source.table("safety")))
    for measure in measures(source)[:MEASURES]:
      found = measure.rows(rows)
      if found.empty:
        continue
      unsafe = found[found["verdict"] == verdicts.NOT_SAFE]["attribute"]
      highest = found[found["sparsity"] == family.sparsest.sparsity]
      highest = highest.sort_values("change", ascending=False, kind="stable")
      is_mean = highest["attribute"] == MEAN
      worst = highest[highest["attribute"].isin(unsafe) & ~is_mean]
      hidden += max(len(worst) - SENTENCES, 0)
      chosen = pd.concat([highest[is_mean], worst.head(SENTENCES)])
      bands.append(
        (
          f"{measure.name}, {family.label}",
          tuple(
            (row_name(source, name), sentence)
            for name, sentence in zip(
              chosen["attribute"], chosen["sentence"], strict=True
            )
          ),
        )
      )
  note = (
    f"For each kind of bias the mean, then the {plural_of(source)} that are "
    "not safe at some level, those with the largest change at the highest "
    f"level first, {SENTENCES} at most: the extremes of many, which overstate "
    "themselves."
  )
  if hidden:
    note += f" {hidden:,} more"
  note += (
    f"{' are' if hidden else ' All others are'} in analysis/safety.csv, also "
    "those under calibrated thresholds."
  )
  return dataclasses.replace(
    table,
    head=(source.output, "what the seeds show"),
    bands=tuple(bands),
    texts=2,
    note=note,
  )


def _in_words(rows: pd.DataFrame) -> str:
  """The levels of one output and kind of bias."""
  if (rows["verdict"] == verdicts.NOT_AVAILABLE).all():
    return NOT_AVAILABLE
  highest = float(rows["safe_up_to"].iloc[0])
  text = "none" if np.isnan(highest) else f"{percent(highest)} %"
  unsafe = rows[rows["verdict"] == verdicts.NOT_SAFE]["sparsity"]
  if not unsafe.empty:
    levels = [f"{percent(one)} %" for one in unsafe.sort_values()]
    text += f"; not safe at {listed(levels)}"
  return text
