"""How many exemplars there are, beside what seeds alone change."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from prunebias_jax.analysis.columns import ALL
from prunebias_jax.report.keys import Population
from prunebias_jax.report.page import Figure, Panel, Table, draw_panel, slug_of
from prunebias_jax.report.plots import Bars, Points, bars, forest
from prunebias_jax.report.sections.exemplars.tables import (
  FEW,
  MOST_PANELS,
  NO_EXEMPLARS,
  NO_NULL,
  averaged,
  compared,
  everyone,
  examples_text,
  members_text,
  overall,
  rows_of,
  single,
  sparsest_of,
  told,
  why,
)
from prunebias_jax.report.source import Source
from prunebias_jax.report.vocabulary import (
  METRICS,
  count_of,
  number,
  percent,
  probability,
)

_MOST_GROUPS = 24
_MOST_ATTRIBUTES = 10
_MANY = 40  # arrangements: the observed ones are less than 5 % of them
_SHARE = METRICS["accuracy"]  # shares in %, changes in points
_NULL = "seeds alone"
_COLUMNS = {"cie_share": "observed", "null_mean": _NULL}


def share_figure(source: Source) -> Figure:
  """Share of exemplars against sparsity, and of every group."""
  slug, title = "exemplar-share", "Exemplars, and what seeds alone change"
  table = _groups(overall(told(source.table("exemplar_tests"))))
  shown = sparsest_of(source, table, 1)
  if not shown:
    return Figure(slug=slug, title=title, caption="", reason=NO_EXEMPLARS)
  whole = everyone(table)
  keys = list(dict.fromkeys(one.series for one in compared(source, whole)))
  shares = whole[list(_COLUMNS)].to_numpy(np.float64)
  highest = 105 * float(np.nanmax(shares))
  panels = [
    _level_panel(
      whole[(whole["pruner"] == key[0]) & (whole["quantization"] == key[1])],
      key if len(keys) > 1 else None,
      slug_of(slug, str(place), *key),
      highest,
    )
    for place, key in enumerate(keys[: MOST_PANELS - 1], 1)
  ]
  groups = rows_of(table, shown[0])
  panels.append(_group_panel(source, groups, shown[0], "exemplar-groups"))
  cut = len(keys) - len(panels) + 1
  caption = (
    f"Share of the examples that are exemplars, {averaged(source)} "
    f"({examples_text(source)}; {members_text(whole)}): of all examples at "
    "every level"
    + (f" ({count_of(cut, 'series', 'series')} not drawn)" if cut else "")
    + f", and of each group's at {shown[0].label} (n: its examples). "
    f"{_null_text(whole)} A group with more exemplars than another need not be "
    "hit harder: look at the distance to seeds alone. No interval is drawn; "
    f"the tests are in the table below.{_few_text(groups)}"
  )
  return Figure(slug=slug, title=title, caption=caption, panels=tuple(panels))


def _level_panel(
  rows: pd.DataFrame, series: tuple[str, str] | None, slug: str, top: float
) -> Panel:
  """Observed and expected share at every level of a series, axis up to top."""
  rows = rows.sort_values("sparsity").reset_index(drop=True)
  title = "Exemplars (% of examples)"
  if series is not None:
    name = series[0] if series[1] == "none" else ", ".join(series)
    title = f"{name}: exemplars (% of examples)"
  levels = [percent(one) for one in rows["sparsity"]]
  return draw_panel(
    lambda: bars(
      levels,
      [
        Bars(label=label, value=100 * rows[name].to_numpy(np.float64))
        for name, label in _COLUMNS.items()
      ],
      title,
      along="weights removed (%)",
      top=top if top > 0 else None,
    ),
    slug=slug,
    title=title,
    alt=f"{title} against the share of weights removed. "
    + _words([f"{level} %" for level in levels], rows),
    data=rows,
  )


def _group_panel(
  source: Source, rows: pd.DataFrame, population: Population, slug: str
) -> Panel:
  """The same of every group."""
  title = f"{population.label}: exemplars (% of the group)"
  if len(rows) < 2:
    return Panel(
      slug=slug,
      title=title,
      reason="Not available: the run has no identity attributes, so there are "
      "no groups.",
    )
  drawn = rows.iloc[:_MOST_GROUPS]
  names = _names(source, drawn)
  nothing = np.full(len(drawn), np.nan)
  return draw_panel(
    lambda: forest(
      names,
      [
        Points(
          label=label,
          value=100 * drawn[name].to_numpy(np.float64),
          low=nothing,
          high=nothing,
        )
        for name, label in _COLUMNS.items()
      ],
      title,
      along="share of the group (%)",
      reference=0,
      notes=[f"n = {n:,}" for n in drawn["n"]],
    ),
    slug=slug,
    title=title,
    alt=f"{title}. {_words(names, drawn)}",
    data=rows.reset_index(drop=True),
  )


def _words(names: Sequence[str], rows: pd.DataFrame) -> str:
  """Observed and expected shares in words."""
  said = [
    f"{name}: observed {_SHARE.text(share)}, {_NULL} {_SHARE.text(null)}"
    for name, share, null in zip(
      names, rows["cie_share"], rows["null_mean"], strict=True
    )
  ]
  return f"{'; '.join(said)}."


def share_table(source: Source) -> Table:
  """Tests of the share, and of the accuracy of the majority, by group."""
  title = "Are there more exemplars than by chance, and are they worse?"
  slug = "exemplar-tests"
  table = _groups(overall(told(source.table("exemplar_tests"))))
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
      "Majority's accuracy, points",
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
      "are not adjusted for the number of groups and levels. The majority's "
      "accuracy: change of the accuracy of the label that most members "
      "predict. Crossings of groups are in analysis/exemplar_tests.csv."
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
      "although all of them share the same members: it is about these models; "
      "with few seeds it is small too often where nothing happened, and no "
      "sentence of this report rests on it. Neither is adjusted for the "
      f"number of tests.{why(table)}"
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
    "; only what lies above it can be compression's, and shares of runs with "
    "different numbers of seeds cannot be compared."
  )
  if "none" in kinds:
    text += (
      " Not available where several compressed members share one dense parent: "
      "nothing can be exchanged."
    )
  if (whole["n_dense"] == 1).any():
    text += f" {NO_NULL}"
  elif pd.notna(draws) and draws < _MANY:
    text += (
      " What was observed, and its mirror image, are among the arrangements: "
      "with so few of them seeds alone come out too near to it, and the excess "
      "too near to 0."
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
    "all classes" if row["attribute"] == ALL else row["attribute"],
    f"{row['n']:,}",
    number(_plain(row["n10"]), 0),
    number(_plain(row["n01"]), 0),
    _SHARE.change(row["accuracy_change"]),
    probability(row["p_accuracy"]),
    probability(row["p_conditional"]),
  )


def _plain(value: object) -> float:
  return float("nan") if pd.isna(value) else float(value)  # type: ignore
