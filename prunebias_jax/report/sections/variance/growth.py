"""Whether the spread over seeds grows: ratios against dense, and trends."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from prunebias_jax.analysis.columns import ALL, MEAN, RULES
from prunebias_jax.report.keys import Population
from prunebias_jax.report.page import Figure, Panel, Row, Table, draw_panel
from prunebias_jax.report.page import slug_of as slug
from prunebias_jax.report.plots import Points, forest, in_words
from prunebias_jax.report.sections.variance.cells import (
  MOST,
  MOST_ROWS,
  Numbers,
  Shown,
  amplifications,
  averaged,
  gaps,
  is_doubtful,
  overall,
  records,
  series_name,
  series_of,
  spread,
  why_no_pairs,
)
from prunebias_jax.report.source import Source
from prunebias_jax.report.vocabulary import NOT_AVAILABLE, number, probability

FEW_LEVELS = (
  "Not available: a trend needs three sparsities, dense among them, that share "
  "seeds."
)
_NUMBERS = (
  "n_seeds",
  "variance_ratio",
  "ratio_low",
  "ratio_high",
  "pitman_morgan_p",
  "reason",
)
_TREND_NUMBERS = ("sd_first", "sd_last", "slope", "p", "p_adjusted")


def shown_cells(source: Source) -> list[Shown]:
  """What stands in the rows, as far as a drawing has room."""
  return [*overall(source), *amplifications(source), *gaps(source)]


def ratio_numbers(
  source: Source, populations: Sequence[Population]
) -> pd.DataFrame:
  """The variance ratios of the table "contrasts", row by row."""
  rows = [
    {
      "name": shown.name,
      **shown.cell._asdict(),
      **population._asdict(),
      **{name: row[name] for name in _NUMBERS},
      "doubtful": is_doubtful(row),
      "averaged": averaged(row),
    }
    for shown in shown_cells(source)
    for population, row in source.contrast(shown.cell).items()
    if population in populations
  ]
  return pd.DataFrame(rows)


def ratio_figure(source: Source) -> Figure:
  """The ratio of the variances over seeds, compressed to dense."""
  title = "Do pruned models differ more from seed to seed than dense ones?"
  caption = (
    "Variance over seeds of the pruned members over that of the dense members "
    "that they pair with (2 means twice the variance, 1.41 times the sd), on a "
    "logarithmic axis. Bars: "
    f"{100 * source.level:g} % interval by Pitman and Morgan's test turned "
    "around; seeds random and normal in pairs, all splits fixed; an arrow "
    "where it leaves the plot. An interval that holds 1 does not tell the two "
    "apart. Hollow: the pairs do not look normal, and both interval and p are "
    "then doubtful. At the right, the fewest outputs that a mean of the row "
    "goes over, where some have no value in every member of the pairs. Both "
    "sides of a ratio rest on the same outputs; those of two levels need not."
  )
  reason = why_no_pairs(source, least=2)
  if reason:
    return Figure(slug="ratio", title=title, caption=caption, reason=reason)
  hidden = len(shown_cells(source)) - MOST_ROWS
  if hidden > 0:
    caption += f" The last {hidden} rows are not drawn."
  panels = tuple(
    _ratio_panel(source, place, populations)
    for place, populations in enumerate(series_of(source)[:MOST], 1)
  )
  return Figure(slug="ratio", title=title, caption=caption, panels=panels)


def _ratio_panel(
  source: Source, place: int, populations: Sequence[Population]
) -> Panel:
  name = series_name(populations)
  title = f"Variance over seeds, {name} / dense"
  data = ratio_numbers(source, populations)
  if data.empty or not (data["variance_ratio"] > 0).any():
    return Panel(
      slug=slug("ratio", str(place)),
      title=title,
      reason="Not available: no pair of populations has a ratio of variances.",
    )
  names = list(dict.fromkeys(data["name"]))[:MOST_ROWS]
  kinds = []
  for population in spread(populations):
    own = data[data["sparsity"] == population.sparsity].set_index("name")
    own = own.reindex(names)
    ratio = own["variance_ratio"].to_numpy(np.float64)
    # A ratio of 0 has no place on the axis: the table has it.
    drawn = np.where(ratio > 0, ratio, np.nan)
    kinds.append(
      Points(
        label=population.label,
        value=drawn,
        low=own["ratio_low"].to_numpy(np.float64),
        high=own["ratio_high"].to_numpy(np.float64),
        doubtful=(own["doubtful"] == True).to_numpy(bool),  # noqa: E712
      )
    )
  fewest = [_fewest(data.loc[data["name"] == one, "averaged"]) for one in names]
  alt = f"{title}. {in_words(names, kinds, 2)}"
  return draw_panel(
    lambda: forest(
      names,
      kinds,
      "Ratio of variances over seeds",
      along=f"{name} / dense",
      reference=1,
      log=True,
      notes=fewest if any(fewest) else (),
      noted="outputs" if any(fewest) else "",
    ),
    slug=slug("ratio", str(place)),
    title=title,
    alt=alt,
    data=data,
  )


def _fewest(averaged: pd.Series) -> str:
  """The smallest of "13 of 40" and the like."""
  found = [one for one in averaged if one]
  return min(found, key=lambda one: int(one.split()[0]), default="")


def ratio_table(source: Source) -> Table:
  """The same in numbers, with the p of every ratio."""
  head = ("Number", "Pairs", "Variance ratio", "Interval", "p", "Doubt")
  reason = why_no_pairs(source, least=2)
  bands = []
  for populations in series_of(source) if not reason else ():
    data = ratio_numbers(source, populations)
    for population in populations:
      own = data[data["sparsity"] == population.sparsity] if len(data) else data
      rows = tuple(_ratio_row(row) for row in records(own))
      bands.append((f"{population.label} against dense", rows))
  return Table(
    slug="ratio",
    title="Ratios of variance in numbers",
    head=head,
    bands=tuple(bands),
    note="p: Pitman and Morgan's test of equal variances, two-sided, on the "
    "pairs. It is not adjusted for the number of rows: of 20 rows without any "
    "difference one is below .05 on average. n/a: see the column `reason` of "
    "contrasts.csv.",
    reason=reason,
    folded=True,
  )


def _ratio_row(row: Numbers) -> Row:
  low, high = row["ratio_low"], row["ratio_high"]
  known = np.isfinite([low, high]).all()
  used = str(row["averaged"])
  return (
    f"{row['name']}{f' (mean over {used})' if used else ''}",
    str(row["n_seeds"]),
    number(row["variance_ratio"], 2),
    f"[{number(low, 2)}, {number(high, 2)}]" if known else NOT_AVAILABLE,
    probability(row["pitman_morgan_p"]),
    "not normal" if row["doubtful"] else "",
  )


def trend_table(source: Source) -> Table:
  """The slope of the spread along the levels, and its p."""
  shown = {one.cell.key: one for one in shown_cells(source)}
  table = source.table("trends")
  table = table[table["threshold_rule"] == RULES[0]]
  bands = []
  for (pruner, kind), own in table.groupby(
    ["pruner", "quantization"], sort=False
  ):
    title = pruner if kind == "none" else f"{pruner}, {kind}"
    levels = ", ".join(
      f"{100 * float(one):g} %" for one in own["levels"].iloc[0].split()
    )
    rows = [
      _trend_row(shown[key], row)
      for row in records(own)
      if (key := _key(row)) in shown
    ]
    bands.append((f"{title}: {levels}", tuple(rows)))
  return Table(
    slug="trends",
    title="Does the spread grow level by level?",
    head=("Number", "Seeds", "sd, first", "sd, last", "Slope", "p", "p adj."),
    bands=tuple(bands),
    note="Slope: of a seed's distance to the median of its level, for each "
    "step from one level to the next, mean over seeds, in the number's own "
    "unit. p: two-sided, by turning the levels of whole seeds around; seeds "
    "random, all splits fixed; needs 6 seeds. p adj.: Benjamini and Hochberg "
    "over the means of this metric (groups and identities). Means go over the "
    "outputs that have a value at every level. " + _counts(table, source),
    reason="" if len(table) else FEW_LEVELS,
  )


def _key(row: Numbers) -> tuple[str, ...]:
  names = ("threshold_rule", "metric", "attribute", "identity", "value")
  return tuple(str(row[name]) for name in names)


def _trend_row(shown: Shown, row: Numbers) -> Row:
  numbers = {name: row[name] for name in _TREND_NUMBERS}
  scale, decimals = shown.metric.scale, shown.metric.decimals + 1
  used = averaged(row)
  unit = f", {shown.metric.change_unit}" if shown.metric.change_unit else ""
  return (
    f"{shown.name}{unit}{f' (mean over {used})' if used else ''}",
    str(row["n_seeds"]),
    number(numbers["sd_first"] * scale, decimals),
    number(numbers["sd_last"] * scale, decimals),
    number(numbers["slope"] * scale, decimals, sign=True),
    probability(numbers["p"]),
    probability(numbers["p_adjusted"]),
  )


def _counts(table: pd.DataFrame, source: Source) -> str:
  """In how many single outputs the spread grows, and in how many it shrinks."""
  single = table[
    ~table["attribute"].isin([MEAN, ALL])
    & (table["identity"] == "")
    & table["metric"].isin([one.metric.name for one in overall(source)])
  ]
  tested = single[single["p_adjusted"].notna()]
  if tested.empty:
    return ""
  parts = []
  for shown in overall(source):
    own = tested[tested["metric"] == shown.metric.name]
    clear = own[own["p_adjusted"] <= 1 - source.level]
    parts.append(
      f"{shown.metric.title}: grows in {int((clear['slope'] > 0).sum())}, "
      f"shrinks in {int((clear['slope'] < 0).sum())} of {len(own)}"
    )
  return (
    f"Of the single outputs and lines of levels, with p adj. at most "
    f"{1 - source.level:.2g}: {'; '.join(parts)}."
  )
