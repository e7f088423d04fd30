"""How many exemplars there are, beside what seeds alone change."""

import numpy as np
import pandas as pd

from prunebias_jax.report.page import Figure, Table, draw_panel
from prunebias_jax.report.plots import Points, forest
from prunebias_jax.report.sections.exemplar_tables import (
  FEW,
  NO_EXEMPLARS,
  averaged,
  compared,
  everyone,
  examples_text,
  level_panels,
  members_text,
  overall,
  rows_of,
  single,
  sparsest_of,
  why,
)
from prunebias_jax.report.source import Source
from prunebias_jax.report.vocabulary import (
  METRICS,
  count_of,
  number,
  probability,
)

_MOST_GROUPS = 24
_MOST_ATTRIBUTES = 10
_SHARE = METRICS["accuracy"]  # shares in %, changes in points
_NULL = "seeds alone"


def share_figure(source: Source) -> Figure:
  """Share of exemplars against sparsity, overall, and by group."""
  title = "Exemplars, and what seeds alone change"
  table = overall(source.table("exemplar_tests"))
  whole = everyone(table)
  if whole.empty:
    return Figure(
      slug="exemplar-share", title=title, caption="", reason=NO_EXEMPLARS
    )
  panels = level_panels(
    source,
    whole,
    (("cie_share", "observed"), ("null_mean", _NULL)),
    slug="exemplar-share",
    title="Exemplars (% of examples)",
  )
  caption = (
    f"Share of the examples that are exemplars, {averaged(source)} "
    f"({examples_text(source)}; {members_text(whole)}). {_null_text(whole)}"
  )
  return Figure(
    slug="exemplar-share", title=title, caption=caption, panels=panels
  )


def group_figure(source: Source) -> Figure:
  """The same of every group, at the highest sparsity."""
  title = "Exemplars in every group"
  slug = "exemplar-groups"
  table = overall(source.table("exemplar_tests"))
  shown = sparsest_of(source, table, 1)
  rows = _groups(table)
  if not shown:
    return Figure(slug=slug, title=title, caption="", reason=NO_EXEMPLARS)
  rows = rows_of(rows, shown[0])
  if len(rows) < 2:
    reason = "Not available: the run has no groups."
    return Figure(slug=slug, title=title, caption="", reason=reason)
  drawn = rows.iloc[:_MOST_GROUPS]
  names = _names(source, drawn)
  nothing = np.full(len(drawn), np.nan)
  points = [
    Points(
      label=label,
      value=100 * drawn[name].to_numpy(np.float64),
      low=nothing,
      high=nothing,
    )
    for name, label in (("cie_share", "observed"), ("null_mean", _NULL))
  ]
  heading = f"Exemplars at {shown[0].label} (% of the group)"
  panel = draw_panel(
    lambda: forest(
      names,
      points,
      heading,
      along="share of the group (%)",
      notes=[f"n = {n:,}" for n in drawn["n"]],
    ),
    slug=slug,
    title=heading,
    alt=f"{heading}. "
    + "; ".join(
      f"{name}: {_SHARE.text(share)}, {_NULL} {_SHARE.text(null)}"
      for name, share, null in zip(
        names, drawn["cie_share"], drawn["null_mean"], strict=True
      )
    )
    + ".",
    data=rows.reset_index(drop=True),
  )
  cut = len(rows) - len(drawn)
  caption = (
    f"Share of each group's examples that are exemplars at {shown[0].label}, "
    f"{averaged(source)}; n: examples of the group. A group with more "
    "exemplars than another need not be hit harder by compression: look at the "
    "distance between observed and seeds alone. Its test is in the table "
    f"below.{_few_text(drawn)}"
    + (f" {count_of(cut, 'more group')} in the data." if cut else "")
  )
  return Figure(slug=slug, title=title, caption=caption, panels=(panel,))


def share_table(source: Source) -> Table:
  """Tests of the share, and of the accuracy of the majority, by group."""
  title = "Are there more exemplars than by chance, and are they worse?"
  slug = "exemplar-tests"
  table = _groups(overall(source.table("exemplar_tests")))
  there = compared(source, table)
  if not there:
    return Table(slug=slug, title=title, reason=NO_EXEMPLARS)
  return Table(
    slug=slug,
    title=title,
    head=(
      "Group",
      "n",
      "Exemplars, %",
      "Seeds alone, %",
      "Excess, points",
      "p",
      "Accuracy of the majority, change in points",
      "p",
    ),
    bands=tuple(
      (one.label, _share_rows(source, rows_of(table, one)))
      for one in reversed(there)
    ),
    folded=len(there) > 3,
    note=(
      f"{averaged(source).capitalize()}. Both p are member permutations, which "
      "take seeds as random and the test examples as fixed: the first counts "
      "so many exemplars or more (one-sided), the second is two-sided. They "
      "are not adjusted for the number of groups and levels. The accuracy of "
      "the majority is that of the label that most members predict."
      f"{_few_text(table)}{why(table)}"
    ),
  )


def accuracy_table(source: Source) -> Table:
  """McNemar's counts of the two majorities, a band for each level."""
  title = "Who is right where the majorities differ?"
  slug = "exemplar-mcnemar"
  table = everyone(single(source.table("exemplar_tests")))
  there = compared(source, table)
  if not there:
    return Table(slug=slug, title=title, reason=NO_EXEMPLARS)
  parts = [(one, _most_changed(rows_of(table, one))) for one in reversed(there)]
  chosen = ""
  if table["attribute"].nunique() > _MOST_ATTRIBUTES:
    chosen = (
      f"The {_MOST_ATTRIBUTES} attributes of each level whose accuracy changes "
      "most: chosen extremes overstate themselves; all are in "
      "analysis/exemplar_tests.csv. "
    )
  return Table(
    slug=slug,
    title=title,
    head=(
      source.output.capitalize(),
      "n",
      "Only dense right",
      "Only compressed right",
      "Change, points",
      "p",
      "p given these models",
    ),
    bands=tuple(
      (one.label, tuple(_accuracy_row(row) for row in rows))
      for one, rows in parts
    ),
    folded=True,
    note=(
      f"{chosen}Examples on which only the dense majority is right, and only "
      "the compressed one; the change is their difference among the labelled "
      "examples. p: member permutation, two-sided, seeds random. The last "
      "column is McNemar's exact test, which takes examples as independent "
      "although all of them share the same members: it is about these models, "
      "is too small where seeds are to be random, and no sentence of this "
      f"report rests on it. Neither is adjusted for the number of tests."
      f"{why(table)}"
    ),
  )


def _null_text(whole: pd.DataFrame) -> str:
  """What the null is, for the caption."""
  kinds = set(whole["null"])
  text = (
    "Two populations of the same process disagree too, on examples near the "
    "boundary. Seeds alone: the mean share when dense and compressed members "
    "are exchanged"
  )
  if kinds == {"paired"}:
    text += " within pairs"
  draws = whole["n_permutations"].max()
  if kinds - {"none"} and pd.notna(draws):
    text += f" (up to {count_of(int(draws), 'arrangement')})"
  text += (
    "; only what lies above it is compression's, and shares of runs with "
    "different numbers of seeds cannot be compared. No interval is drawn; the "
    "test is in the table below."
  )
  if "none" in kinds:
    text += (
      " Not available where several compressed members share one dense parent: "
      "nothing can be exchanged."
    )
  if (whole["n_dense"] == 1).any():
    text += (
      " With one pair of members an exchange changes nothing: the two shares "
      "are equal, and say nothing about compression."
    )
  return text


def _groups(table: pd.DataFrame) -> pd.DataFrame:
  """Everyone, and the groups of one identity."""
  return table[~table["identity"].str.contains("*", regex=False)]


def _names(source: Source, rows: pd.DataFrame) -> list[str]:
  return [
    source.group_name(identity, value) + ("*" if n < FEW else "")
    for identity, value, n in zip(
      rows["identity"], rows["value"], rows["n"], strict=True
    )
  ]


def _few_text(rows: pd.DataFrame) -> str:
  if not (rows["n"] < FEW).any():
    return ""
  return f" An asterisk marks groups of fewer than {FEW} examples."


def _share_rows(
  source: Source, rows: pd.DataFrame
) -> tuple[tuple[str, ...], ...]:
  return tuple(
    (
      name,
      f"{row['n']:,}",
      _SHARE.text(row["cie_share"]),
      _SHARE.text(row["null_mean"]),
      _SHARE.change(row["excess"]),
      probability(row["p"]),
      _SHARE.change(row["accuracy_change"]),
      probability(row["p_accuracy"]),
    )
    for name, row in zip(
      _names(source, rows), rows.to_dict("records"), strict=True
    )
  )


def _most_changed(rows: pd.DataFrame) -> list[dict]:
  """The rows in the order of |change|, the first ten."""
  order = rows["accuracy_change"].abs().fillna(-1).to_numpy()
  return rows.iloc[np.argsort(-order, kind="stable")][
    :_MOST_ATTRIBUTES
  ].to_dict("records")


def _accuracy_row(row: dict) -> tuple[str, ...]:
  return (
    row["attribute"],
    f"{row['n']:,}",
    number(_plain(row["n10"]), 0),
    number(_plain(row["n01"]), 0),
    _SHARE.change(row["accuracy_change"]),
    probability(row["p_accuracy"]),
    probability(row["p_conditional"]),
  )


def _plain(value: object) -> float:
  return float("nan") if pd.isna(value) else float(value)  # type: ignore
