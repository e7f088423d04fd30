"""Intervals of a mean: over seeds, and over seeds and test images."""

import numpy as np
import pandas as pd

from prunebias_jax.report.page import Figure, Panel, draw_panel, slug_of
from prunebias_jax.report.plots import Points, forest
from prunebias_jax.report.sections.variance.cells import (
  MOST,
  MOST_ROWS,
  ONE_SEED,
  Shown,
  amplifications,
  averaged,
  overall,
)
from prunebias_jax.report.source import Source
from prunebias_jax.report.vocabulary import number

_ENDS = ("mean", "mean_low", "mean_high", "crossed_low", "crossed_high")
POOR = "crossed: simulated coverage below 90 %"


def interval_numbers(source: Source, shown: Shown) -> pd.DataFrame:
  """Both intervals of the table "variance", a row a population."""
  found = source.summary(shown.cell)
  rows = [
    {
      "name": shown.name,
      **shown.cell._asdict(),
      **population._asdict(),
      "n_seeds": found[population]["n_seeds"],
      "averaged": averaged(found[population]),
      **{name: found[population][name] for name in _ENDS},
      "interval": found[population]["interval"],
      "reason": found[population]["reason"],
    }
    for population in source.populations
    if population in found
  ]
  return pd.DataFrame(rows)


def interval_figure(source: Source) -> Figure:
  """The t interval beside the crossed one, for the main numbers."""
  title = "These pictures, or pictures like these?"
  level = f"{100 * source.level:g} %"
  caption = (
    "Mean over the seeds of a population with two intervals. First, the t "
    f"interval: {level} over seeds, with this test set as it is. Second, the "
    f"crossed one: {level} with seeds and test images both random, as if "
    "training and photographing were both done anew; the training and "
    "validation set are fixed in both. Cite the first for a statement about "
    "this benchmark, and to compare with others on the same test set; cite the "
    "second for a statement about pictures of this kind. Two populations of "
    "this run share their test images: that their crossed intervals overlap "
    "does not say that they are alike; take the paired change for that. "
    "Hollow: the seeds do not look normal, or the crossed interval rests on so "
    "few seeds or examples that it covers less than it says. At the right the "
    "outputs that a mean goes over, where some have no value in every seed: "
    "rows of different outputs are not to be compared."
  )
  if source.most_seeds == 1:
    return Figure(slug="crossed", title=title, caption=caption, reason=ONE_SEED)
  cells = [*overall(source), *amplifications(source)][:MOST]
  panels = tuple(
    _panel(source, slug_of("crossed", str(place)), shown)
    for place, shown in enumerate(cells, 1)
  )
  return Figure(slug="crossed", title=title, caption=caption, panels=panels)


def _panel(source: Source, slug: str, shown: Shown) -> Panel:
  data = interval_numbers(source, shown)
  known = len(data) and np.isfinite(data["mean_low"]).any()
  if not known:
    reasons = [one for one in dict.fromkeys(data.get("interval", ())) if one]
    text = "; ".join(reasons) or "no population has a value"
    text = text.removeprefix("not available: ")
    return Panel(slug=slug, title=shown.name, reason=f"Not available: {text}.")
  rows = data.iloc[:MOST_ROWS]
  scale = shown.metric.scale
  said = rows["interval"]
  unlike = said.str.contains("do not look normal").to_numpy(bool)
  kinds = [
    Points(
      label=label,
      value=rows["mean"].where(np.isfinite(rows[f"{name}_low"])).to_numpy(float)
      * scale,
      low=rows[f"{name}_low"].to_numpy(float) * scale,
      high=rows[f"{name}_high"].to_numpy(float) * scale,
      doubtful=doubtful,
    )
    for label, name, doubtful in (
      ("seeds random (t)", "mean", unlike),
      (
        "seeds, images random",
        "crossed",
        unlike | said.str.contains(POOR, regex=False).to_numpy(bool),
      ),
    )
  ]
  labels = [one.label for one in source.populations if one in _keys(rows)]
  notes = rows["averaged"].tolist()
  unit = f" ({shown.metric.unit})" if shown.metric.unit else ""
  alt = f"{shown.name}{unit}. " + " ".join(
    f"{label}: {number(kinds[0].value[row], 2)}, t "
    f"{number(kinds[0].low[row], 2)} to {number(kinds[0].high[row], 2)}, "
    f"crossed {number(kinds[1].low[row], 2)} to "
    f"{number(kinds[1].high[row], 2)}."
    for row, label in enumerate(labels)
  )
  return draw_panel(
    lambda: forest(
      labels,
      kinds,
      f"{shown.name}{unit}",
      along="mean over seeds",
      notes=notes if any(notes) else (),
      noted="outputs" if any(notes) else "",
    ),
    slug=slug,
    title=shown.name,
    alt=alt,
    data=data,
  )


def _keys(rows: pd.DataFrame) -> set[tuple[str, float, str]]:
  keys = rows[["pruner", "sparsity", "quantization"]]
  return set(keys.itertuples(index=False, name=None))
