"""Which groups are over-represented among the exemplars."""

import numpy as np
import pandas as pd

from prunebias_jax.analysis.columns import ALL
from prunebias_jax.report.keys import Population
from prunebias_jax.report.page import Figure, Panel, Table, draw_panel, slug_of
from prunebias_jax.report.plots import Points, forest
from prunebias_jax.report.sections.exemplars.tables import (
  FEW,
  MOST_PANELS,
  NO_EXEMPLARS,
  ONE_PAIR,
  rows_of,
  sparsest_of,
  why,
)
from prunebias_jax.report.source import Source
from prunebias_jax.report.vocabulary import (
  count_of,
  number,
  percent,
  probability,
)

_MOST_ROWS = 10
_MOST_CLASSES = 24
_MOST_IN_TABLE = 15
_NO_GROUPS = (
  "Not available: the run has no identity attributes, so there are no groups; "
  "see the table for other attributes."
)


def over_indexing_figure(source: Source) -> Figure:
  """The share of groups among the exemplars over that among all examples."""
  slug, title = "over-indexing", "Who is among the exemplars?"
  found = _at_sparsest(source)
  if found is None:
    return Figure(slug=slug, title=title, caption="", reason=NO_EXEMPLARS)
  population, table = found
  table = table[(table["given"] == "") & ~_is_crossed(table)]
  whole = source.output == "class"
  caption = _caption(source, population, table, whole)
  if whole:
    panels = [
      _panel(
        ranked(rows)[:_MOST_CLASSES],
        f"{heading} among the exemplars (ratio)",
        [
          _who(source, identity, value, identity in set(source.outputs))
          for identity, value in zip(
            ranked(rows)[:_MOST_CLASSES]["identity"],
            ranked(rows)[:_MOST_CLASSES]["value"],
            strict=True,
          )
        ],
        slug_of(slug, heading),
      )
      for heading, rows in (
        ("Groups", table[_is_group(source, table)]),
        ("Classes", table[~_is_group(source, table)]),
      )
      if len(rows)
    ]
    return Figure(slug=slug, title=title, caption=caption, panels=tuple(panels))
  panels = [
    _panel(
      rows,
      f"{source.group_name(*group)} among the exemplars (ratio)",
      rows["attribute"].tolist(),
      slug_of(slug, str(place), *group),
    )
    for place, (group, rows) in enumerate(
      _by_group(source, table)[:MOST_PANELS], 1
    )
  ]
  return Figure(
    slug=slug,
    title=title,
    caption=caption,
    panels=tuple(panels),
    reason="" if panels else _NO_GROUPS,
  )


def over_indexing_table(source: Source) -> Table:
  """Whoever is over-represented most, crossings and other attributes too."""
  slug, title = "over-indexing-strongest", "The strongest over-representations"
  found = _at_sparsest(source)
  if found is None:
    return Table(slug=slug, title=title, reason=NO_EXEMPLARS)
  population, table = found
  more = table[
    (table["ratio"] > table["null_mean"].fillna(1.0).clip(lower=1.0))
    & (table["n_group"] >= FEW)
  ]
  if more.empty:
    reason = (
      f"Not available: no group with {FEW} exemplars or more has a ratio above "
      "1 and above that of seeds alone."
    )
    return Table(slug=slug, title=title, reason=reason)
  rows = ranked(more)[:_MOST_IN_TABLE]
  groups = set(source.groups)
  return Table(
    slug=slug,
    title=title,
    head=(
      "Exemplars of",
      "Given the label",
      "Who",
      "Among them",
      "Ratio",
      "Interval given these models",
      "Seeds alone",
      "p",
      "p, adjusted",
    ),
    texts=3,
    bands=(
      (
        population.label,
        tuple(_row(source, row, groups) for row in rows.to_dict("records")),
      ),
    ),
    folded=True,
    note=(
      f"The {len(rows)} of {len(table):,} combinations at {population.label} "
      "with the smallest adjusted p (without p: the largest excess of the "
      f"share over what seeds alone give), in groups with {FEW} exemplars or "
      "more and a ratio above 1 and above that of seeds alone. Chosen out of "
      "so many they overstate themselves. Given the label: among the examples "
      "that have it; any: among all, where a group may lead only because it "
      f"has more positives. All are in analysis/over_indexing.csv.{why(rows)}"
    ),
  )


def ranked(rows: pd.DataFrame) -> pd.DataFrame:
  """Rows that rest on few exemplars last; by p, then by excess of the share.

  Without p the excess alone decides: it is the distance of the share among
  the exemplars to what is expected of exchanged members.
  """
  excess = (rows["ratio"] - rows["null_mean"]).abs() * rows["share_all"]
  keys = pd.DataFrame(
    {
      "few": rows["n_exemplars"] < FEW,
      "p": rows["p_adjusted"].fillna(2.0),
      "excess": -excess.fillna(-1.0),
    }
  )
  order = keys.sort_values(["few", "p", "excess"], kind="stable").index
  return rows.loc[order]


def _at_sparsest(source: Source) -> tuple[Population, pd.DataFrame] | None:
  """The rows of the highest level, but for attributes by their own label."""
  table = source.table("over_indexing")
  own = [
    attribute in identity.split("*")
    for attribute, identity in zip(
      table["attribute"], table["identity"], strict=True
    )
  ]
  table = table[~np.array(own, bool)]
  shown = sparsest_of(source, table, 1)
  return (shown[0], rows_of(table, shown[0])) if shown else None


def _is_crossed(table: pd.DataFrame) -> np.ndarray:
  return table["identity"].str.contains("*", regex=False).to_numpy(bool)


def _is_group(source: Source, table: pd.DataFrame) -> np.ndarray:
  groups = set(source.groups)
  keys = zip(table["identity"], table["value"], strict=True)
  return np.array([key in groups for key in keys], bool)


def _by_group(
  source: Source, table: pd.DataFrame
) -> list[tuple[tuple[str, str], pd.DataFrame]]:
  """The strongest attributes of each group; of two values, of the second.

  Groups in the order of the run; those where nothing can be drawn left out.
  """
  found = []
  for group in source.groups:
    values = sorted(
      {value for name, value in source.groups if name == group[0]}
    )
    if "*" in group[0] or (len(values) == 2 and group[1] != values[1]):
      continue
    chosen = (table["identity"] == group[0]) & (table["value"] == group[1])
    rows = ranked(table[chosen & table["ratio"].notna()])[:_MOST_ROWS]
    if len(rows):
      found.append((group, rows))
  return found


def _panel(
  rows: pd.DataFrame, title: str, names: list[str], slug: str
) -> Panel:
  rows = rows.reset_index(drop=True)
  names = [
    name + ("*" if few < FEW else "")
    for name, few in zip(names, rows["n_exemplars"], strict=True)
  ]
  nothing = np.full(len(rows), np.nan)
  points = [
    Points(
      label="observed",
      value=_positive(rows["ratio"]),
      low=rows["low_conditional"].to_numpy(np.float64),
      high=rows["high_conditional"].to_numpy(np.float64),
    ),
    Points(
      label="seeds alone",
      value=_positive(rows["null_mean"]),
      low=nothing,
      high=nothing,
    ),
  ]
  return draw_panel(
    lambda: forest(
      names,
      points,
      title,
      along="share among exemplars / among all",
      reference=1,
      log=True,
      notes=[
        f"{one:,} of {of:,}"
        for one, of in zip(rows["n_group"], rows["n_exemplars"], strict=True)
      ],
    ),
    slug=slug,
    title=title,
    alt=f"{title}. "
    + "; ".join(
      f"{name}: {number(ratio, 2)}, seeds alone {number(null, 2)}"
      for name, ratio, null in zip(
        names, rows["ratio"], rows["null_mean"], strict=True
      )
    )
    + ".",
    data=rows,
  )


def _positive(values: pd.Series) -> np.ndarray:
  """Values for a logarithmic axis, on which 0 has no place."""
  found = values.to_numpy(np.float64)
  return np.where(found > 0, found, np.nan)


def _caption(
  source: Source, population: Population, table: pd.DataFrame, whole: bool
) -> str:
  about = (
    ""
    if whole
    else "Every attribute has exemplars of its own, and there is no number "
    "over all of them: of each group those attributes, up to "
    f"{_MOST_ROWS}, whose p (adjusted over the groups and attributes) is "
    "smallest, without p whose share differs most from that of seeds alone. "
    "Chosen extremes overstate themselves. Of two values the second is drawn, "
    "the other's share is the rest; an attribute by its own label is left out. "
  )
  groups = _by_group(source, table) if not whole else []
  cut = len(groups) - MOST_PANELS
  return (
    f"At {population.label}: a group's share among the exemplars over its "
    "share among all test examples; 1 (dashed) is as many as in the data. "
    f"{about}At the right: exemplars in the group, of all exemplars. "
    f"Bars: Wilson's {percent(source.level)} % interval of the share, given "
    "these models: "
    "it takes examples as independent and knows nothing of seeds. What "
    "seeds alone give (exchanged members) is marked beside: groups of hard "
    "examples have more exemplars by chance alone, and a ratio above 1 with "
    "seeds alone as high is no finding about compression. A ratio of 0 has no "
    "place on the axis, only its bar. "
    f"An asterisk marks fewer than {FEW} exemplars."
    + (f" {ONE_PAIR}" if (table["n_dense"] == 1).any() else "")
    + (f" {count_of(cut, 'more group')} not drawn." if cut > 0 else "")
    + (
      " Not drawn, for want of exemplars or of the group: "
      f"{count_of(int(table['ratio'].isna().sum()), 'row')} of the table."
      if table["ratio"].isna().any()
      else ""
    )
    + why(table[table["ratio"].notna()])
  )


def _who(source: Source, identity: str, value: str, is_class: bool) -> str:
  """A group, or examples that have a label."""
  return identity if is_class else source.group_name(identity, value)


def _row(
  source: Source, row: dict, groups: set[tuple[str, str]]
) -> tuple[str, ...]:
  is_label = (row["identity"], row["value"]) not in groups
  given = row["given"]
  return (
    "all classes" if row["attribute"] == ALL else row["attribute"],
    given or "any",
    _who(source, row["identity"], row["value"], is_label),
    f"{row['n_group']:,} of {row['n_exemplars']:,}",
    number(row["ratio"], 2),
    f"{number(row['low_conditional'], 2)} to "
    f"{number(row['high_conditional'], 2)}",
    number(row["null_mean"], 2),
    probability(row["p"]),
    probability(row["p_adjusted"]),
  )
