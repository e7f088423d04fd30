"""What looking at the first few per cent finds, by what they are ranked by."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from prunebias_jax.report.keys import Population
from prunebias_jax.report.page import Figure, Panel, Table, draw_panel, slug_of
from prunebias_jax.report.plots import Curve, curves
from prunebias_jax.report.sections.exemplars.tables import (
  NO_EXEMPLARS,
  averaged,
  compared,
  everyone,
  overall,
  rows_of,
  sparsest_of,
  why,
)
from prunebias_jax.report.source import Source
from prunebias_jax.report.vocabulary import (
  METRICS,
  NOT_AVAILABLE,
  count_of,
  listed,
  percent,
)

_TARGETS = {
  "errors": "errors of compressed members",
  "label_flips": "labels turned on purpose",
}
_RANKINGS = {
  "excess": "exemplar queue",
  "dense_loss": "dense loss (needs labels)",
  "dense_margin": "dense margin",
  "dense_variance": "dense variance",
  "compressed_margin": "compressed margin",
  "random": "random",
  "taxicab": "Taxicab distance",
  "dense_entropy": "dense entropy",
}
_MOST_LINES = 6
# Rankings that neither need labels nor any compressed model.
_FREE = ("dense_margin", "dense_entropy", "dense_variance")
_BUDGET = 0.05
_CRITERIA = {
  "uncertainty": "uncertainty",
  "entropy": "entropy",
  "ensemble_variance": "variance over seeds",
  "seed_share": "seeds that disagree",
}
_SHARES = (0.01, 0.05, 0.1, 0.2)
_SHARE = METRICS["accuracy"]


def queue_figure(source: Source) -> Figure:
  """Recall against the share of examples looked at, by ranking."""
  slug, title = "queue", "What looking at the first few finds"
  table = overall(source.table("queue"))
  shown = sparsest_of(source, table, 3)
  if not shown:
    return Figure(slug=slug, title=title, caption="", reason=NO_EXEMPLARS)
  panels = [
    _recall_panel(
      rows_of(table[table["target"] == target], one),
      f"{one.label}: {words}, found (%)",
      slug_of(slug, target, str(place), *map(str, one)),
    )
    for target, words in _TARGETS.items()
    for place, one in enumerate(shown, 1)
    if target in set(table["target"])
  ]
  caption = (
    "Share of what is to be found that is among the first examples, against "
    f"the share of examples looked at ({averaged(source)}), each ranked by "
    "the queue of exemplars (change of the members' votes beyond what seeds "
    "alone give) or by what needs fewer models. Dashed: in a random order as "
    "much is found as is looked at. "
    "Errors: wrong predictions, each compressed member counting for itself"
    + (
      "; labels turned on purpose: the data set says which. "
      if "label_flips" in set(table["target"])
      else ". Whether the queue finds wrong labels cannot be told: the data "
      "set does not say which labels are wrong. "
    )
    + "No interval: lines that nearly touch may change places with other seeds "
    "or other examples."
    + (
      " With one pair of members seeds cannot be told from compression: the "
      "queue is in the order of the change of probability, and a variance over "
      "seeds ranks nothing."
      if (table["n_dense"] == 1).any()
      else ""
    )
    + _rest(source, table, shown, "analysis/queue.csv")
    + why(table)
  )
  return Figure(slug=slug, title=title, caption=caption, panels=tuple(panels))


def queue_table(source: Source) -> Table:
  """The same at one budget, of all rankings and populations."""
  slug, title = "queue-recall", f"Found in the first {percent(_BUDGET)} %"
  table = overall(source.table("queue"))
  table = table[np.isclose(table["budget"], _BUDGET)]
  there = compared(source, table)
  if not there:
    return Table(slug=slug, title=title, reason=NO_EXEMPLARS)
  rankings = [one for one in _RANKINGS if one in set(table["ranking"])]
  bands = tuple(
    (
      f"{words.capitalize()}: recall, %",
      tuple(
        (one.label, *_recalls(rows_of(part, one), rankings)) for one in there
      ),
    )
    for target, words in _TARGETS.items()
    if len(part := table[table["target"] == target])
  )
  return Table(
    slug=slug,
    title=title,
    head=("Compressed", *(_RANKINGS[one] for one in rankings)),
    bands=bands,
    note=(
      f"{averaged(source).capitalize()}. {queue_finding(source)} Dense margin, "
      "entropy and variance need nothing but dense models; dense loss needs "
      "labels besides, the compressed margin compressed models alone."
    ),
  )


def queue_finding(source: Source) -> str:
  """Where the queue finds more errors than dense models without labels."""
  table = overall(source.table("queue"))
  table = table[
    (table["target"] == "errors") & np.isclose(table["budget"], _BUDGET)
  ]
  more: list[str] = []
  less: list[str] = []
  for one in compared(source, table):
    found = rows_of(table, one).set_index("ranking")["recall"]
    if "excess" in found and found.notna().all():
      best = found[list(_FREE)].max()
      (more if found["excess"] > best else less).append(one.label)
  if not more and not less:
    return ""
  said = "nowhere" if not more else f"at {listed(more)}"
  return (
    f"In the first {percent(_BUDGET)} % the queue finds more of the errors "
    f"than margin, entropy and variance of the dense models {said}"
    + (f", not so at {listed(less)}" if more and less else "")
    + ": two numbers beside each other, without interval or test."
  )


def criteria_figure(source: Source) -> Figure:
  """How well dense models alone tell which labels will change."""
  slug, title = "flips", "What dense models alone tell"
  table = everyone(overall(source.table("sample_criteria")))
  shown = sparsest_of(source, table, 3)
  if not shown:
    return Figure(slug=slug, title=title, caption="", reason=NO_EXEMPLARS)
  flips = table[table["target"] == "flip"]
  panels = [
    _flips_panel(
      rows_of(flips, one), one, slug_of(slug, str(place), *map(str, one))
    )
    for place, one in enumerate(shown, 1)
  ]
  partial = sorted(
    {
      text
      for text in flips["reason"].str.split("; ").explode()
      if text.startswith("mean over")
    }
  )
  caption = (
    "Share of the exemplars (examples whose modal label differs) among the "
    "first examples, ranked by the dense models only, against the share of "
    f"examples looked at; {averaged(source)}"
    f"{f' (at some levels: {listed(partial)})' if partial else ''}. "
    "Dashed: a random order. "
    "Uncertainty: 1/2 - |p - 1/2|, of classes 1 - max p; entropy of p; both "
    "means over the dense members; variance of p over them; share of them "
    "that differ from their modal label. Exemplars that seeds alone make lie "
    "on just these examples too: that a criterion finds exemplars says where "
    "they are, not what makes them. No interval."
    + _rest(source, table, shown, "analysis/sample_criteria.csv")
    + why(flips)
  )
  return Figure(slug=slug, title=title, caption=caption, panels=tuple(panels))


def _rest(
  source: Source,
  table: pd.DataFrame,
  shown: Sequence[Population],
  where: str,
) -> str:
  rest = len(compared(source, table)) - len(shown)
  return f" {count_of(rest, 'more population')} in {where}." if rest else ""


def _recalls(rows: pd.DataFrame, rankings: Sequence[str]) -> list[str]:
  found: Mapping[str, float] = dict(
    zip(rows["ranking"], rows["recall"], strict=True)
  )
  return [
    _SHARE.text(found[one]) if one in found else NOT_AVAILABLE
    for one in rankings
  ]


def _recall_panel(rows: pd.DataFrame, title: str, slug: str) -> Panel:
  if not rows["recall"].notna().any():
    reason = f"Not available: {rows['reason'].iloc[0] or 'nothing to find'}."
    return Panel(slug=slug, title=title, reason=reason)
  names = [one for one in _RANKINGS if one in set(rows["ranking"])]
  lines = []
  for name in names[:_MOST_LINES]:
    of = rows[rows["ranking"] == name].sort_values("budget")
    lines.append(
      Curve(
        label=_RANKINGS[name],
        x=100 * of["budget"].to_numpy(np.float64),
        y=100 * of["recall"].to_numpy(np.float64),
        dashed=name == "random",
      )
    )
  return _curves_panel(lines, title, slug, rows.reset_index(drop=True))


def _flips_panel(
  rows: pd.DataFrame, population: Population, slug: str
) -> Panel:
  title = f"{population.label}: exemplars found (%)"
  columns = [f"recall_{percent(share)}" for share in _SHARES]
  budget = 100 * np.array(_SHARES)
  lines = [
    Curve(label=label, x=budget, y=100 * recalls.to_numpy(np.float64)[0])
    for name, label in _CRITERIA.items()
    if (recalls := rows.loc[rows["criterion"] == name, columns])
    .notna()
    .any(axis=None)
  ]
  if not lines:
    reason = f"Not available: {rows['reason'].iloc[0] or 'nothing to find'}."
    return Panel(slug=slug, title=title, reason=reason)
  lines.append(Curve(label="random", x=budget, y=budget, dashed=True))
  return _curves_panel(lines, title, slug, rows.reset_index(drop=True))


def _curves_panel(
  lines: Sequence[Curve], title: str, slug: str, data: pd.DataFrame
) -> Panel:
  along = "examples looked at (%)"
  return draw_panel(
    lambda: curves(lines, title, along=along),
    slug=slug,
    title=title,
    alt=f"{title} against {along}. "
    + " ".join(
      f"{one.label}: "
      + ", ".join(
        f"{y:.1f} at {x:g}"
        for x, y in zip(one.x, one.y, strict=True)
        if np.isfinite(y)
      )
      + "."
      for one in lines
    ),
    data=data,
  )
