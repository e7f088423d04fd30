"""Accuracy on sets of examples, and the sparsity at which labels change."""

import numpy as np
import pandas as pd

from prunebias_jax.analysis.columns import MAIN, POPULATION
from prunebias_jax.report.keys import Population
from prunebias_jax.report.page import Figure, Panel, draw_panel, slug_of
from prunebias_jax.report.plots import Bars, Points, bars, forest
from prunebias_jax.report.sections.exemplars.tables import (
  MOST_PANELS,
  NO_EXEMPLARS,
  averaged,
  compared,
  examples_text,
  members_text,
  overall,
  rows_of,
  sparsest_of,
  why,
)
from prunebias_jax.report.source import Source
from prunebias_jax.report.vocabulary import count_of, number, percent

_SETS = {
  "all": "all examples",
  "not_cie": "not exemplars",
  "cie": "exemplars",
  "null_cie": "by seeds alone",
  "low_margin": "as many, low margin",
  "top_1": "first 1 % of queue",
  "top_5": "first 5 % of queue",
  "top_10": "first 10 % of queue",
}


def accuracy_figure(source: Source) -> Figure:
  """Accuracy of both populations on exemplars and on other sets."""
  slug, title = "exemplar-accuracy", "Accuracy on exemplars"
  table = overall(source.table("exemplar_accuracy"))
  shown = sparsest_of(source, table, 3)
  if not shown:
    return Figure(slug=slug, title=title, caption="", reason=NO_EXEMPLARS)
  several = source.output == "attribute" and len(source.outputs) > 1
  half = (
    "Of the two majorities at most one is right on an exemplar: a low accuracy "
    "there says nothing by itself, the distance of dense and compressed does. "
    if source.output == "class"
    else "On an exemplar exactly one of the two majorities is right: "
    "accuracies near one half there say nothing by themselves, the distance of "
    "dense and compressed does; its test is above. "
  )
  caption = (
    "Accuracy of single members, dense and compressed, on sets of examples: "
    f"means over members, {averaged(source)} ({members_text(table)}). Bars: "
    "one standard deviation over members to either side, no interval of the "
    f"mean. {half}By seeds alone: the exemplars of exchanged members. "
    "Low margin: as many examples as there are exemplars, nearest to the dense "
    "boundary. A random choice of examples has the accuracy of all."
    + (" An attribute without exemplars is not averaged." if several else "")
    + _others(source, table, shown)
    + why(table)
  )
  return Figure(
    slug=slug,
    title=title,
    caption=caption,
    panels=tuple(
      _accuracy_panel(
        rows_of(table, one), one, slug_of(slug, str(place), *map(str, one))
      )
      for place, one in enumerate(shown, 1)
    ),
  )


def _others(
  source: Source, table: pd.DataFrame, shown: tuple[Population, ...]
) -> str:
  rest = len(compared(source, table)) - len(shown)
  if not rest:
    return ""
  return (
    f" {count_of(rest, 'more population')} in analysis/exemplar_accuracy.csv."
  )


def _accuracy_panel(
  rows: pd.DataFrame, population: Population, slug: str
) -> Panel:
  order = [one for one in _SETS if one in set(rows["set"])]
  rows = rows.set_index("set").loc[order].reset_index()
  points = [
    Points(
      label=label,
      value=100 * rows[f"{label}_accuracy"].to_numpy(np.float64),
      low=100 * (rows[f"{label}_accuracy"] - rows[f"{label}_sd"]).to_numpy(),
      high=100 * (rows[f"{label}_accuracy"] + rows[f"{label}_sd"]).to_numpy(),
    )
    for label in ("dense", "compressed")
  ]
  names = [_SETS[one] for one in order]
  title = f"{population.label}: accuracy (%)"
  return draw_panel(
    lambda: forest(
      names,
      points,
      title,
      along="accuracy (%)",
      notes=["" if pd.isna(n) else f"n = {int(n):,}" for n in rows["n"]],
    ),
    slug=slug,
    title=title,
    alt=f"{title}. "
    + "; ".join(
      f"{name}: dense {number(100 * dense, 1)}, compressed "
      f"{number(100 * here, 1)}"
      for name, dense, here in zip(
        names, rows["dense_accuracy"], rows["compressed_accuracy"], strict=True
      )
    )
    + ".",
    data=rows,
  )


def onset_figure(source: Source) -> Figure:
  """From which sparsity on the exemplars of the highest level differ."""
  slug, title = "exemplar-onset", "When labels change"
  examples = source.analysis.examples
  if MAIN not in examples or not examples[MAIN].sizes["population"]:
    return Figure(slug=slug, title=title, caption="", reason=NO_EXEMPLARS)
  table = onsets(source)
  keys = table[["pruner", "quantization"]].itertuples(index=False, name=None)
  series = list(dict.fromkeys(keys))
  drawn = [one for one in series if len(_part(table, one)) > 1]
  if not drawn:
    reason = (
      "Not available: with a single level of sparsity there is no first one."
    )
    return Figure(slug=slug, title=title, caption="", reason=reason)
  unit = "cases (an example and an attribute)"
  unit = "examples" if source.output == "class" else unit
  sentences = [
    _onset_text(_part(table, one), one, len(series)) for one in drawn
  ]
  caption = (
    f"Exemplars of the highest level, in {unit}, by onset: the lowest sparsity "
    "from which on the modal label differs from the dense one at every level. "
    f"{' '.join(sentences)} Of {examples_text(source)}. The levels are those "
    "that were run, so that an onset is known no better than to the step from "
    "one to the next; exemplars that seeds alone make are among them."
  )
  return Figure(
    slug=slug,
    title=title,
    caption=caption,
    panels=tuple(
      _onset_panel(
        _part(table, one), one, len(series) > 1, slug_of(slug, str(place), *one)
      )
      for place, one in enumerate(drawn[:MOST_PANELS], 1)
    ),
  )


def onsets(source: Source) -> pd.DataFrame:
  """How many exemplars of the highest level begin at each.

  Returns:
    pruner, sparsity and quantization; exemplars: of this level;
    onset_here: of the highest level, with this onset; gone_at_highest: of this
    level that are none at the highest. Cases, not examples.
  """
  found = source.analysis.examples[MAIN]
  keys = [
    Population(str(pruner), float(sparsity), str(quantization))
    for pruner, sparsity, quantization in zip(
      *(found[name].to_numpy() for name in POPULATION), strict=True
    )
  ]
  exemplar, onset = found["is_cie"].to_numpy(), found["onset"].to_numpy()
  rows = []
  for one in sorted(keys, key=lambda key: (*key.series, key.sparsity)):
    last = max(
      (key for key in keys if key.series == one.series),
      key=lambda key: key.sparsity,
    )
    here, top = exemplar[keys.index(one)], exemplar[keys.index(last)]
    begins = top & np.isclose(onset[keys.index(last)], one.sparsity)
    rows.append(
      {
        **one._asdict(),
        "exemplars": int(here.sum()),
        "onset_here": int(begins.sum()),
        "gone_at_highest": int((here & ~top).sum()),
      }
    )
  return pd.DataFrame(rows)


def _part(table: pd.DataFrame, series: tuple[str, str]) -> pd.DataFrame:
  chosen = (table["pruner"] == series[0]) & (table["quantization"] == series[1])
  return table[chosen].reset_index(drop=True)


def _onset_text(part: pd.DataFrame, series: tuple[str, str], among: int) -> str:
  """n, and what the histogram leaves out."""
  top = part.iloc[-1]
  gone = ", ".join(
    f"{row['gone_at_highest']:,} of {row['exemplars']:,} at "
    f"{percent(row['sparsity'])} %"
    for row in part.iloc[:-1].to_dict("records")
  )
  name = "" if among == 1 else f"{', '.join(series)}: "
  return (
    f"{name}n = {top['exemplars']:,} at {percent(top['sparsity'])} %; not "
    f"among them are exemplars of lower levels that are none there ({gone})."
  )


def _onset_panel(
  part: pd.DataFrame, series: tuple[str, str], named: bool, slug: str
) -> Panel:
  top = percent(part["sparsity"].iloc[-1])
  name = f"{', '.join(series)}: " if named else ""
  title = f"{name}Exemplars at {top} % by onset (number)"
  steps = [percent(one) for one in part["sparsity"]]
  counts = part["onset_here"].to_numpy(np.float64)
  return draw_panel(
    lambda: bars(
      steps,
      [Bars(label="exemplars", value=counts)],
      title,
      along="onset: weights removed (%)",
    ),
    slug=slug,
    title=title,
    alt=f"{title}: "
    + ", ".join(
      f"{count:,.0f} at {step} %"
      for step, count in zip(steps, counts, strict=True)
    )
    + ".",
    data=part,
  )
