"""How small a change these seeds can see, and how many another needs."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from prunebias_jax.analysis.columns import CELL, POPULATION
from prunebias_jax.analysis.inference import detectable
from prunebias_jax.analysis.variance.power import POWER
from prunebias_jax.report.keys import Population, rows_of
from prunebias_jax.report.page import (
  Figure,
  Panel,
  Row,
  Table,
  draw_panel,
  slug_of,
)
from prunebias_jax.report.plots import Curve, Points, curves, forest, in_words
from prunebias_jax.report.sections.variance.cells import (
  MOST,
  MOST_ROWS,
  Numbers,
  Shown,
  amplifications,
  averaged,
  gaps,
  overall,
  rates,
  records,
  series_name,
  series_of,
  spread,
  why_no_pairs,
)
from prunebias_jax.report.source import Source
from prunebias_jax.report.vocabulary import NOT_AVAILABLE, listed, number

# The change that the numbers of seeds are given for, in the tables' units.
DELTA = 0.01
# Numbers of pairs at which a curve is drawn; the present one is added.
SEEDS = (2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 50, 100, 200)
TICKS = (2, 5, 10, 20, 50, 100, 200)
NEEDED = ("n_seeds", "n_low", "n_high")
_NOTHING = "Not available: no population has a spread of differences."


def power_numbers(source: Source) -> dict[str, pd.DataFrame]:
  """The rows of the table "power" about a change of `DELTA`.

  Returns:
    By the name of a number, its rows, with the columns name and averaged.
  """
  table = source.table("power")
  table = table[np.isclose(table["delta"].to_numpy(np.float64), DELTA)]
  by_cell = {
    tuple(map(str, key)): own for key, own in table.groupby([*CELL], sort=False)
  }
  numbers = {}
  for shown in planned(source):
    own = by_cell.get(shown.cell.key, table.iloc[:0])
    found = source.contrast(shown.cell)
    used = [
      averaged(found[Population(*key)])
      for key in own[list(POPULATION)].itertuples(index=False, name=None)
    ]
    # A column without any number is read as whole numbers that are missing.
    needed = {
      name: own[name].to_numpy(np.float64, na_value=np.nan) for name in NEEDED
    }
    numbers[shown.name] = own.assign(name=shown.name, averaged=used, **needed)
  return numbers


def planned(source: Source) -> list[Shown]:
  """The numbers that a study may be planned by."""
  return [
    *overall(source),
    *amplifications(source),
    *gaps(source),
    *rates(source),
  ]


def power_sentences(
  source: Source, numbers: Mapping[str, pd.DataFrame]
) -> list[str]:
  """What the present seeds can see, a sentence for each level."""
  cells = [*overall(source), *amplifications(source)[:3]]
  sentences = []
  for population in spread(source.compressed):
    parts, pairs = [], set()
    for shown in cells:
      own = rows_of(numbers[shown.name], population)
      own = own[np.isfinite(own["detectable_now"].to_numpy(np.float64))]
      if len(own):
        row = own.iloc[0]
        pairs.add(int(row["n_now"]))
        seen = shown.with_unit(row["detectable_now"])
        parts.append(f"{seen} in {shown.words}")
    if parts:
      count = f"{min(pairs)}" if len(pairs) == 1 else f"up to {max(pairs)}"
      sentences.append(
        f"At {population.label}, with {count} pairs of seeds you can see a "
        f"change of {listed(parts)}."
      )
  return sentences


def power_figures(
  source: Source, numbers: Mapping[str, pd.DataFrame]
) -> list[Figure]:
  """Curves over the number of seeds, and the seeds that 0.01 needs."""
  reason = why_no_pairs(source, least=2)
  power = f"{100 * POWER:g} %"
  level = f"{100 * (1 - source.level):.2g} %"
  curve_caption = (
    f"{' '.join(power_sentences(source, numbers))} “To see” is to find it with "
    f"power {power} (four times out of five) by the two-sided paired t test at "
    f"{level}, if the sd of the paired differences is what it is here. "
    "Lines: the smallest change that so many pairs of a dense and a pruned "
    "seed can see, a line a level; the vertical line is the present number of "
    "pairs. Both axes are logarithmic: to halve the change takes about four "
    "times the seeds. Means go over the outputs that have a value in every "
    "member of the pairs (how many: in the table below), so that lines of two "
    "levels may rest on different outputs. Seeds are random, the splits fixed: "
    "more seeds do not make up for few test images. The sd itself is an "
    "estimate; how far that moves the number of seeds is in the next figure."
  )
  needed_caption = (
    f"Pairs of seeds that a change of {DELTA:g} needs to be seen as above: one "
    "percentage point of a share, of bias amplification or of a gap, .01 of "
    "AUC or TCB. Bars: the same at both ends of the "
    f"{100 * source.level:g} % chi-square interval of the sd of differences "
    "(seeds random and normal); an arrow where it leaves the plot. A run of "
    "few seeds tells little of what a large one needs. No point: more than can "
    "be counted. Dashed: the present number of pairs. Not adjusted for looking "
    "at many numbers."
  )
  titles = (
    ("power", "How small a change can these seeds show?", curve_caption),
    (
      "seeds-needed",
      "How many seeds does a small change need?",
      needed_caption,
    ),
  )
  if reason:
    return [
      Figure(slug=slug, title=title, caption=caption, reason=reason)
      for slug, title, caption in titles
    ]
  cells = [*overall(source), *amplifications(source)][:MOST]
  rows = [
    numbers[one.name]
    for one in (*overall(source), *amplifications(source), *gaps(source))
  ][:MOST_ROWS]
  drawn = (
    tuple(
      _curve_panel(
        source, slug_of("power", str(place)), shown, numbers[shown.name]
      )
      for place, shown in enumerate(cells, 1)
    ),
    tuple(
      _needed_panel(slug_of("seeds-needed", str(place)), populations, rows)
      for place, populations in enumerate(series_of(source)[:MOST], 1)
    ),
  )
  return [
    Figure(slug=slug, title=title, caption=caption, panels=panels)
    for (slug, title, caption), panels in zip(titles, drawn, strict=True)
  ]


def curve_numbers(source: Source, table: pd.DataFrame) -> pd.DataFrame:
  """The smallest change that numbers of pairs can see, in the tables' units.

  By the analysis' own function with the sd of the table "power".

  Args:
    source: the numbers.
    table: of `power_numbers`, of one number.
  """
  rows = []
  for population in spread(source.compressed):
    own = rows_of(table, population)
    if own.empty or not float(own["sd_difference"].iloc[0]) > 0:
      continue
    row = own.iloc[0]
    counts = sorted({*SEEDS, int(row["n_now"])})
    sd = np.full(len(counts), float(row["sd_difference"]))
    found = detectable(sd, np.array(counts), power=POWER, level=source.level)
    rows += [
      {
        "name": row["name"],
        **population._asdict(),
        "sd_difference": row["sd_difference"],
        "n_now": row["n_now"],
        "pairs": count,
        "detectable": change,
      }
      for count, change in zip(counts, found, strict=True)
    ]
  return pd.DataFrame(rows)


def _curve_panel(
  source: Source, slug: str, shown: Shown, table: pd.DataFrame
) -> Panel:
  data = curve_numbers(source, table)
  title = f"Smallest change: {shown.name}{shown.spread_unit}"
  if data.empty:
    return Panel(slug=slug, title=title, reason=_why(table))
  lines, words = [], []
  for population in spread(source.compressed):
    own = rows_of(data, population)
    if own.empty:
      continue
    change = own["detectable"].to_numpy(np.float64)
    lines.append(
      Curve(
        label=population.label,
        x=own["pairs"].to_numpy(np.float64),
        y=change * shown.metric.scale,
      )
    )
    now = own["pairs"] == own["n_now"]
    words.append(
      f"{population.label}: {shown.with_unit(change[now][0])} with "
      f"{int(own['n_now'].iloc[0])} pairs."
    )
  return draw_panel(
    lambda: curves(
      lines,
      title,
      along="pairs of seeds",
      log_x=True,
      log_y=True,
      ticks=TICKS,
      here=float(data["n_now"].max()),
    ),
    slug=slug,
    title=title,
    alt=f"{title} against the number of pairs. {' '.join(words)}",
    data=data,
  )


def _why(table: pd.DataFrame) -> str:
  """Why no row has a number, in the words of the table."""
  reasons = [str(one) for one in dict.fromkeys(table["reason"]) if one]
  words = "; ".join(reasons).replace("not available: ", "")
  return f"Not available: {words}." if words else _NOTHING


def _needed_panel(
  slug: str,
  populations: Sequence[Population],
  tables: Sequence[pd.DataFrame],
) -> Panel:
  name = series_name(populations)
  title = f"Pairs to see a change of {DELTA:g}, {name}"
  data = pd.concat(
    [
      rows_of(table, population)
      for table in tables
      for population in populations
    ],
    ignore_index=True,
  )
  if not np.isfinite(data["n_seeds"]).any():
    return Panel(slug=slug, title=title, reason=_why(data))
  names = list(dict.fromkeys(data["name"]))
  kinds = []
  for population in spread(populations):
    own = rows_of(data, population).set_index("name").reindex(names)
    kinds.append(
      Points(
        label=population.label,
        value=own["n_seeds"].to_numpy(np.float64),
        low=own["n_low"].to_numpy(np.float64),
        # NaN stands for more seeds than are counted.
        high=own["n_high"]
        .where(own["n_high"].notna() | own["n_low"].isna(), np.inf)
        .to_numpy(np.float64),
      )
    )
  alt = f"{title}. {in_words(names, kinds, 0)}"
  return draw_panel(
    lambda: forest(
      names,
      kinds,
      f"Pairs of seeds to see a change of {DELTA:g}",
      along=f"pairs of seeds, {name}",
      reference=float(data["n_now"].max()),
      log=True,
    ),
    slug=slug,
    title=title,
    alt=alt,
    data=data,
  )


def power_table(source: Source, numbers: Mapping[str, pd.DataFrame]) -> Table:
  """What the present seeds can see of everything that is planned by."""
  reason = why_no_pairs(source, least=2)
  bands = []
  for population in source.compressed if not reason else ():
    rows = [
      _row(shown, row)
      for shown in planned(source)
      for row in records(rows_of(numbers[shown.name], population))
    ]
    bands.append((f"{population.label} against dense", tuple(rows)))
  return Table(
    slug="power",
    title="What these seeds can see, number by number",
    head=(
      "Number",
      "Pairs",
      "sd of differences",
      "Change seen now",
      f"Pairs for {DELTA:g}",
      "Interval",
    ),
    bands=tuple(bands),
    note="Changes in the number's own unit (points; plain for AUC and TCB), "
    f"with power {POWER:g}. Interval: the pairs at both ends of the sd's "
    "interval. power.csv has changes from .001 to .05.",
    reason=reason,
    folded=True,
  )


def _row(shown: Shown, row: Numbers) -> Row:
  sd, seen = (
    float(row[name]) * shown.metric.scale
    for name in ("sd_difference", "detectable_now")
  )
  needed, low, high = (float(row[name]) for name in NEEDED)
  decimals = shown.metric.decimals
  used = str(row["averaged"])
  known = np.isfinite([low, high]).all()
  return (
    f"{shown.name}{f' (mean over {used})' if used else ''}",
    str(row["n_now"]),
    number(sd, decimals),
    number(seen, decimals),
    number(needed, 0),
    f"{number(low, 0)} to {number(high, 0)}" if known else NOT_AVAILABLE,
  )
