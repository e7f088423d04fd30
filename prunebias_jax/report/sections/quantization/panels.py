"""Panels of quantized members: a row for each level, a mark for each kind."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from prunebias_jax.analysis.columns import ALL, MEAN, POPULATION
from prunebias_jax.report.page import Panel, draw_panel
from prunebias_jax.report.plots import Points, forest
from prunebias_jax.report.sections.exemplars.tables import told
from prunebias_jax.report.sections.groups.changes import MARKS
from prunebias_jax.report.sections.run_tables import populations_of
from prunebias_jax.report.source import Cell, Population, Source
from prunebias_jax.report.vocabulary import Metric, number

NONE = "none"
# Levels (of a pruner) that a panel has rows of.
LEVELS = 8


def kinds_of(source: Source, most: int | None = MARKS) -> list[str]:
  """The quantizations in order, at most so many (None: all); first none."""
  found = dict.fromkeys(one.quantization for one in source.populations)
  return sorted(found, key=lambda kind: kind != NONE)[:most]


def kind_name(kind: str) -> str:
  """A quantization as a reader names it."""
  return "not quantized" if kind == NONE else kind


def level_name(population: Population) -> str:
  """A pruner and sparsity: "dense", "80 % (gmp)"."""
  return population._replace(quantization=NONE).label


def levels_of(source: Source) -> list[str]:
  """The rows of a panel, at most `LEVELS` unless there are more pruners.

  From dense to the sparsest population of the pruner of that one, then the
  highest level of every other pruner.
  """
  sparsest = source.sparsest
  pruners = ("dense", "" if sparsest is None else sparsest.pruner)
  own, other = [], {}
  for population in source.populations:
    if population.pruner in pruners:
      own.append(level_name(population))
    else:
      other[population.pruner] = level_name(population)
  own = list(dict.fromkeys(own))
  room = max(LEVELS - len(other), 2)
  places = np.linspace(0, len(own) - 1, min(room, len(own)))
  return [
    *(own[place] for place in places.round().astype(int)),
    *other.values(),
  ]


def at_level(source: Source, level: str) -> list[Population]:
  """The populations of a level that are compared with dense, by kind."""
  kinds = kinds_of(source)
  found = [
    one
    for one in source.compressed
    if level_name(one) == level and one.quantization in kinds
  ]
  return sorted(found, key=lambda one: kinds.index(one.quantization))


def contrast_panel(
  source: Source, metric: Metric, cell: Cell, *, slug: str, title: str
) -> Panel:
  """A metric's paired change against dense, by level and kind."""
  rows = []
  for population, row in source.contrast(cell).items():
    ends = sorted(metric.shown_change(row[end]) for end in ("low", "high"))
    rows.append(
      {
        **population._asdict(),
        "change": metric.shown_change(row["difference"]),
        "low": ends[0],
        "high": ends[1],
        "n_seeds": row["n_seeds"],
        "reason": row["reason"],
      }
    )
  names = [*POPULATION, "change", "low", "high", "n_seeds", "reason"]
  table = pd.DataFrame(rows, columns=names)
  unit = metric.change_unit
  return kind_panel(source, table, slug=slug, title=title, unit=unit)


def flips_of(source: Source) -> pd.DataFrame:
  """Shares of flipped predictions over all outputs, a row a population."""
  table = told(source.table("exemplar_tests"))
  whole = table["attribute"].isin((MEAN, ALL)) & (table["identity"] == "")
  names = [*POPULATION, "n", "cie_share", "null_mean", "excess", "reason"]
  return table.loc[whole, names].reset_index(drop=True)


def kind_panel(
  source: Source,
  table: pd.DataFrame,
  *,
  slug: str,
  title: str,
  unit: str,
  rows: Sequence[str] = (),
  notes: Sequence[str] = (),
) -> Panel:
  """A mark for each kind of quantization in every row.

  Args:
    source: the numbers.
    table: change, low, high and reason by population.
    slug: see `Panel`.
    title: of the panel.
    unit: of the values.
    rows: of the column "name" of `table`; the levels unless given.
    notes: the examples in each row.
  """
  if table.empty or not table["change"].notna().any():
    reasons = [one for one in dict.fromkeys(table.get("reason", ())) if one]
    reason = "; ".join(reasons) or "no population here has a value"
    return Panel(slug=slug, title=title, reason=f"Not available: {reason}.")
  kinds = [kind_name(kind) for kind in kinds_of(source)]
  populations = populations_of(table)
  table = table.assign(
    kind=[kind_name(one.quantization) for one in populations]
  )
  if not rows:
    rows = levels_of(source)
    table = table.assign(name=list(map(level_name, populations)))
  table = table[table["name"].isin(rows) & table["kind"].isin(kinds)]
  points = []
  for kind in kinds:
    part = table[table["kind"] == kind].set_index("name").reindex(list(rows))
    value, low, high = (
      part[one].to_numpy(np.float64) for one in ("change", "low", "high")
    )
    points.append(Points(label=kind, value=value, low=low, high=high))
  axis = f"{title} ({unit})" if unit else title
  return draw_panel(
    lambda: forest(
      rows,
      points,
      axis,
      along=unit or "change",
      reference=0,
      notes=notes,
      noted="examples" * bool(notes),
    ),
    slug=slug,
    title=title,
    axis=axis,
    alt=f"{axis}. " + " ".join(_in_words(rows, one) for one in points),
    data=table,
  )


def _in_words(rows: Sequence[str], points: Points) -> str:
  values = [
    f"{row} {number(float(value), 3, sign=True)}"
    for row, value in zip(rows, points.value, strict=True)
    if np.isfinite(value)
  ]
  return f"{points.label}: {', '.join(values)}."
