"""Whether rare values are forgotten: TCB, overall and by attribute."""

import numpy as np
import pandas as pd

from prunebias_jax.analysis.bias import FEW_POSITIVES
from prunebias_jax.report.captions import interval_words, no_difference
from prunebias_jax.report.keys import Cell, Population
from prunebias_jax.report.metric_figure import metrics_figure
from prunebias_jax.report.page import Figure, Panel, Section, draw_panel
from prunebias_jax.report.plots import Cloud, Points, forest, scatter
from prunebias_jax.report.source import Source
from prunebias_jax.report.vocabulary import METRICS, number, percent

METRIC = METRICS["tcb"]
ROWS = 16
SLUG = "rare-values"


def section(source: Source) -> Section:
  """Threshold calibration bias, and the share predicted positive."""
  # Exclusive classes are always predicted for 1 in C examples on average.
  names = ("tcb", *(["predicted_positive"] * (source.output == "attribute")))
  return Section(
    slug="rare",
    title="Are rare values forgotten?",
    short="Rare values",
    parts=(
      metrics_figure(source, names, slug="rare", title="Rates of prediction"),
      outputs_figure(source),
    ),
  )


def outputs_figure(source: Source) -> Figure:
  """TCB of every output by how rare it is, and the largest changes."""
  plural = _plural(source)
  table = _table(source)
  few = int((table["n_rarer"] < FEW_POSITIVES).sum())
  caption = (
    f"TCB: {METRIC.meaning}. The rarer value is that of train. First: a point "
    f"for each {source.output} ({len(table)}), mean over seeds, by the share "
    "of the test labels that have the rarer value; no interval is drawn, the "
    "CSV has it. Second: compressed − dense, mean of the paired differences "
    f"{interval_words(source)} (an arrow where it leaves the plot); beside it "
    "that share and the number of test examples with the rarer value."
    f"{_chosen(source, table)}"
  )
  if few:
    caption += (
      f" {few} of the {plural} have fewer than {FEW_POSITIVES} such examples "
      "(an asterisk at the names): a TCB of them goes in large steps."
    )
  return Figure(
    slug=SLUG,
    title=f"Which {plural} are forgotten?",
    caption=caption,
    panels=(_by_rate(source, table), _changes(source, table)),
  )


def _table(source: Source) -> pd.DataFrame:
  """A row for each output: its rate, TCB of both sides, and the change."""
  arrays = source.analysis.arrays
  everyone = source.groups.index(("", ""))
  positive = arrays["n_positive"].to_numpy()[:, everyone]
  negative = arrays["n_negative"].to_numpy()[:, everyone]
  rarer = np.where(arrays["prevalence"].to_numpy() > 0.5, negative, positive)
  total = positive + negative
  rate = np.divide(
    rarer, total, out=np.full(len(total), np.nan), where=total > 0
  )
  rows = []
  for place, output in enumerate(source.outputs):
    cell = Cell(METRIC.name, output)
    row = {
      source.output: output,
      "label_rate": rate[place],
      "n_rarer": int(rarer[place]),
    }
    for name, population in _sides(source).items():
      found = source.summary(cell).get(population, {})
      for column in ("mean", "mean_low", "mean_high", "n_seeds"):
        row[f"{name}_{column}"] = found.get(column, np.nan)
    sparsest = source.sparsest
    contrast = source.contrast(cell).get(sparsest) if sparsest else None
    for column in ("difference", "low", "high", "n_seeds"):
      name = "n_pairs" if column == "n_seeds" else column
      row[name] = np.nan if contrast is None else contrast[column]
    rows.append(row)
  return pd.DataFrame(rows)


def _sides(source: Source) -> dict[str, Population]:
  both = {"dense": source.dense, "compressed": source.sparsest}
  return {name: one for name, one in both.items() if one is not None}


def _by_rate(source: Source, table: pd.DataFrame) -> Panel:
  slug, title = f"{SLUG}-rate", "TCB by how rare the value is"
  clouds = [
    Cloud(
      label=population.label,
      x=table["label_rate"].to_numpy(np.float64) * 100,
      y=table[f"{name}_mean"].to_numpy(np.float64),
    )
    for name, population in _sides(source).items()
  ]
  drawn = [np.isfinite(one.y) & (one.x > 0) for one in clouds]
  if not any(one.any() for one in drawn):
    return Panel(
      slug=slug,
      title=title,
      reason=f"Not available: no {source.output} has a TCB.",
    )
  columns = [
    name for name in table if name not in ("difference", "low", "high")
  ]
  words = [
    f"{one.label}: {np.median(one.y[here]):.2f} in the middle, from "
    f"{one.y[here].min():.2f} to {one.y[here].max():.2f}"
    for one, here in zip(clouds, drawn, strict=True)
    if here.any()
  ]
  return draw_panel(
    lambda: scatter(
      clouds,
      "TCB (ratio)",
      along="test labels with the rarer value (%)",
      log_x=True,
      reference=1,
    ),
    slug=slug,
    title=title,
    alt=f"TCB of every {source.output} against the share of its rarer value. "
    f"{'; '.join(words)}.",
    data=table[columns],
  )


def _changes(source: Source, table: pd.DataFrame) -> Panel:
  slug, title = f"{SLUG}-change", "Largest changes of TCB"
  sparsest = source.sparsest
  reason = no_difference(source)
  ranked = _ranked(source, table)
  if not reason and ranked.empty:
    reason = f"Not available: no {source.output} has a TCB in every pair."
  if reason or sparsest is None:
    return Panel(slug=slug, title=title, reason=reason)
  shown = ranked.head(ROWS).sort_values("difference", kind="stable")
  names = [
    f"{name}{'*' * (count < FEW_POSITIVES)}"
    for name, count in zip(shown[source.output], shown["n_rarer"], strict=True)
  ]
  points = Points(
    label="change",
    value=shown["difference"].to_numpy(np.float64),
    low=shown["low"].to_numpy(np.float64),
    high=shown["high"].to_numpy(np.float64),
  )
  first = ranked.iloc[0]
  return draw_panel(
    lambda: forest(
      names,
      [points],
      f"Change of TCB, {sparsest.label} − dense",
      along="difference of the ratios",
      reference=0,
      noted="rarer value",
      notes=[
        f"{percent(round(rate, 3))} %, n = {count:,}"
        for rate, count in zip(
          shown["label_rate"], shown["n_rarer"], strict=True
        )
      ],
    ),
    slug=slug,
    title=title,
    alt=f"Change of TCB, {sparsest.label} minus dense, of {len(shown)} "
    f"{_plural(source)}. Largest: {first[source.output]}, "
    f"{number(first['difference'], 2, sign=True)}.",
    data=shown,
  )


def _ranked(source: Source, table: pd.DataFrame) -> pd.DataFrame:
  """Those with a value in every pair, the largest change first."""
  sparsest = source.sparsest
  most = source.pairs_with(sparsest) if sparsest is not None else 0
  full = table[(table["n_pairs"] == most) & table["difference"].notna()]
  return full.sort_values(
    "difference", key=lambda one: -one.abs(), kind="stable"
  )


def _chosen(source: Source, table: pd.DataFrame) -> str:
  """How the rows were chosen, for the caption."""
  ranked = len(_ranked(source, table))
  if not ranked:
    return ""
  plural, text = _plural(source), ""
  if ranked > ROWS:
    text = (
      f" The {ROWS} largest of {ranked} changes are shown: chosen extremes "
      "overstate themselves, and the intervals are not adjusted for it."
    )
  if ranked < len(table):
    text += (
      f" {len(table) - ranked} of the {plural} lack a value in some pair and "
      "are not ranked."
    )
  return text


def _plural(source: Source) -> str:
  return "attributes" if source.output == "attribute" else "classes"
