"""Where the variance over seeds comes from, in a crossed design."""

import numpy as np
import pandas as pd

from prunebias_jax.report.page import Figure, Panel, draw_panel, slug_of
from prunebias_jax.report.plots import Part, shares
from prunebias_jax.report.sections.variance.cells import (
  MOST,
  MOST_ROWS,
  Shown,
  amplifications,
  averaged,
  of_population,
  overall,
  records,
)
from prunebias_jax.report.source import Source
from prunebias_jax.report.vocabulary import number

NOT_CROSSED = (
  "Not available: in this run a seed stands for initialisation, order of the "
  "examples and augmentation at once, and these cannot be told apart. A "
  "crossed design can: train with `--seed.init 0,1,2 --seed.order 0,1,2 "
  "--seeds 0` (docs/running.md, “Seeds by purpose”); three seeds each at least."
)


def source_figure(source: Source) -> Figure:
  """The components of variance of the table "sources"."""
  title = "Where does the variance between seeds come from?"
  caption = (
    "Components of the variance over seeds by the ANOVA method of moments, as "
    "shares of their sum: what initialisation (init), order of the examples "
    "(order) and augmentation (augment) each add, and what they do only "
    "together (init*order). The last one is the residual, with the noise of a "
    "device that does not repeat itself in it. An estimate may be below 0, and "
    "then stands to the left: read it as “none was seen”. Members of the "
    "design are random, all splits fixed; there is no interval, and with a few "
    "levels of each factor the shares are rough."
  )
  table = source.table("sources")
  if table.empty:
    return Figure(
      slug="sources", title=title, caption=caption, reason=NOT_CROSSED
    )
  cells = [*overall(source), *amplifications(source)][:MOST]
  panels = tuple(
    _panel(source, slug_of("sources", str(place)), shown)
    for place, shown in enumerate(cells, 1)
  )
  return Figure(slug="sources", title=title, caption=caption, panels=panels)


def source_numbers(source: Source, shown: Shown) -> pd.DataFrame:
  """The rows of a number in the table "sources", with shares of their sum.

  Returns:
    The table's columns, share in per cent (NaN where a component is missing,
    or their sum is not above 0), averaged.
  """
  table = source.table("sources")
  names = ("threshold_rule", "metric", "attribute", "identity", "value")
  own = table[
    np.logical_and.reduce(
      [
        table[name] == one
        for name, one in zip(names, shown.cell.key, strict=True)
      ]
    )
  ]
  keys = ["pruner", "sparsity", "quantization"]
  total = own.groupby(keys, sort=False)["variance"].transform(
    lambda values: values.sum(skipna=False)
  )
  share = 100 * own["variance"] / total.where(total > 0)
  used = [averaged(row) for row in records(own)]
  return own.assign(share=share, averaged=used)


def _panel(source: Source, slug: str, shown: Shown) -> Panel:
  data = source_numbers(source, shown)
  if not np.isfinite(data["share"]).any():
    reasons = [one for one in dict.fromkeys(data["reason"]) if one]
    text = "; ".join(reasons) or "the components do not add up to a variance"
    text = text.removeprefix("not available: ")
    return Panel(slug=slug, title=shown.name, reason=f"Not available: {text}.")
  names = list(dict.fromkeys(data["source"]))
  populations = [
    one
    for one in source.populations
    if np.isfinite(of_population(data, one)["share"]).any()
  ][:MOST_ROWS]
  parts = []
  for name in names:
    of_source = data[data["source"] == name]
    parts.append(
      Part(
        label=name,
        share=np.array(
          [
            of_population(of_source, one)["share"].iloc[0]
            for one in populations
          ],
          np.float64,
        ),
      )
    )
  labels = [one.label for one in populations]
  alt = f"{shown.name}: shares of the variance over seeds. " + " ".join(
    f"{label}: "
    + ", ".join(f"{one.label} {number(one.share[row], 0)} %" for one in parts)
    + "."
    for row, label in enumerate(labels)
  )
  return draw_panel(
    lambda: shares(
      labels, parts, shown.name, along="share of the sum of components (%)"
    ),
    slug=slug,
    title=shown.name,
    alt=alt,
    data=data,
  )
