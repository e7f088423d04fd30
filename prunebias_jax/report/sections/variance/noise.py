"""Seeds where they differ most, and what compression does beside them."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from prunebias_jax.analysis.columns import POPULATION
from prunebias_jax.report.captions import absent, drawn
from prunebias_jax.report.drawing import plain
from prunebias_jax.report.keys import Cell, Population
from prunebias_jax.report.page import (
  Figure,
  Panel,
  Row,
  Table,
  draw_panel,
  slug_of,
)
from prunebias_jax.report.panels import (
  NO_IDENTITIES,
  Request,
  lines_of,
  sparsity_panels,
)
from prunebias_jax.report.plots import effect_against_noise
from prunebias_jax.report.sections.variance.cells import (
  MOST,
  ONE_SEED,
  Numbers,
  records,
  spread,
  why_no_pairs,
)
from prunebias_jax.report.source import Source
from prunebias_jax.report.vocabulary import METRICS, number, probability

METRIC = METRICS["bias_amplification"]
# Of normal seeds, 19 in 20 are within so many sd of their mean.
BEYOND = 2.0
LISTED = 15


def _cells(source: Source) -> Iterator[tuple[int, int, Cell]]:
  """Every output and identity: their places, and the cell."""
  for row, output in enumerate(source.outputs):
    for column, (identity, value) in enumerate(source.pairs):
      yield row, column, Cell(METRIC.name, output, identity, value)


def _name(source: Source, cell: Cell) -> str:
  return f"{cell.attribute}, {source.group_name(cell.identity, cell.value)}"


def widest(source: Source, population: Population) -> tuple[list[Cell], int]:
  """The outputs and identities with the largest sd at a population.

  Those that rest on fewer than 10 positives are passed over, as long as there
  are others: that they differ is no news.

  Returns:
    The cells from the largest sd down, and how many were passed over.
  """
  few = source.few(*source.populations)
  found: list[tuple[bool, float, Cell]] = []
  for row, column, cell in _cells(source):
    of_cell = source.summary(cell)
    if population in of_cell and np.isfinite(of_cell[population]["sd"]):
      sd = float(of_cell[population]["sd"])
      found.append((bool(few[row, column]), sd, cell))
  firm = [one for one in found if not one[0]]
  chosen = sorted(firm or found, key=lambda one: -one[1])
  return [cell for *_, cell in chosen], len(found) - len(chosen)


def widest_figure(source: Source) -> Figure:
  """Every seed of the cells in which seeds differ most."""
  plural = "attributes" if source.output == "attribute" else "classes"
  title = f"Seed by seed: the {plural} whose bias differs most"
  slug = "widest"
  population = source.sparsest or source.populations[-1]
  cells, passed = ([], 0) if not source.pairs else widest(source, population)
  shown = cells[:MOST]
  about = f"Bias amplification of single {plural}: {METRIC.meaning}."
  caption = (
    f"{about} Chosen: of {len(cells)} pairs of {source.output} and identity, "
    f"the {len(shown)} whose sd over seeds is largest at {population.label}. "
    "What is chosen as the largest is so partly by chance: with other seeds it "
    "will be smaller on average. "
  )
  if passed:
    caption += (
      f"{passed} more pairs were passed over, since in some model they rest on "
      "fewer than 10 positives of a group, or fewer than 10 predicted ones. "
    )
  elif shown and source.few(*source.populations).all():
    caption += (
      "All of them rest on fewer than 10 positives of a group, or fewer than "
      "10 predicted ones, in some model: most of this is noise. "
    )
  named = [(_name(source, cell), cell) for cell in shown]
  caption += f"{drawn(source)} All panels have one vertical axis."
  caption += absent(source, named)
  reason = ""
  if not source.pairs:
    reason = NO_IDENTITIES
  elif source.most_seeds == 1:
    reason = ONE_SEED
  elif not shown:
    reason = f"Not available: no {source.output} has a spread over seeds."
  if reason:
    return Figure(slug=slug, title=title, caption=about, reason=reason)
  requests = [
    Request(
      metric=METRIC,
      lines=lines_of(source, cell),
      slug=slug_of(slug, str(place)),
      title=_name(source, cell),
      axis=plain(_name(source, cell), 38),
      reference=0,
    )
    for place, cell in enumerate(shown, 1)
  ]
  panels = sparsity_panels(source, requests, shared=True)
  return Figure(slug=slug, title=title, caption=caption, panels=panels)


def noise_numbers(source: Source, population: Population) -> pd.DataFrame:
  """Change against dense beside the sd of dense, for every cell of bias.

  Returns:
    A row a cell that has both: attribute, identity, value, the population's
    key, n_seeds (pairs), difference, low, high, p_adjusted, dense_sd, effect
    (|difference| / dense_sd; NaN where that sd is 0), few.
  """
  dense = source.dense_of(population)
  few = source.few(dense, population)
  rows = []
  for row, column, cell in _cells(source):
    change = source.contrast(cell).get(population)
    alone = source.summary(cell).get(dense) if dense is not None else None
    if change is None or alone is None:
      continue
    sd, difference = float(alone["sd"]), float(change["difference"])
    if not np.isfinite([sd, difference]).all():
      continue
    rows.append(
      {
        "name": _name(source, cell),
        "attribute": cell.attribute,
        "identity": cell.identity,
        "value": cell.value,
        **dict(zip(POPULATION, population, strict=True)),
        **{
          name: change[name]
          for name in ("n_seeds", "difference", "low", "high", "p_adjusted")
        },
        "dense_sd": sd,
        "effect": abs(difference) / sd if sd > 0 else np.nan,
        "few": bool(few[row, column]),
      }
    )
  return pd.DataFrame(rows)


def noise_figure(source: Source) -> Figure:
  """A dot for each cell: what compression does against what seeds do."""
  title = "Does pruning change more than another seed would?"
  slug = "effect-noise"
  caption = (
    "Bias amplification, a dot for each pair of "
    f"{source.output} and identity: the size of the paired change against "
    "dense, mean over the pairs of seeds, against the sd over the dense seeds "
    "alone; both in points, on logarithmic axes with the same ends (dots "
    "beyond them stand at the edge). On the dashed line pruning moves the mean "
    "by as much as one dense seed is typically away from theirs; below it, "
    "another dense seed would typically do more than pruning does. What the "
    "pruned seeds add in noise of their own is not in it (see the ratios of "
    "variance). Filled: the change is told from 0, p adjusted at most "
    f"{1 - source.level:.2g} (paired t; Benjamini and Hochberg over single "
    "outputs and groups of a level; seeds random and normal, all splits "
    "fixed). A small change can be told from 0 by many seeds, and a large one "
    "missed by few. A dot goes over the pairs that have a value, which "
    "may be a single one (n_seeds in the CSV file). Both "
    "numbers are estimates from the same seeds."
  )
  reason = NO_IDENTITIES if not source.pairs else ""
  reason = reason or why_no_pairs(source, least=2)
  if reason:
    return Figure(slug=slug, title=title, caption=caption, reason=reason)
  tables = [
    (one, noise_numbers(source, one)) for one in spread(source.compressed)
  ]
  limits = _limits([table for _, table in tables])
  panels = tuple(
    _noise_panel(source, slug_of(slug, str(place)), one, table, limits)
    for place, (one, table) in enumerate(tables, 1)
  )
  return Figure(slug=slug, title=title, caption=caption, panels=panels)


def _limits(tables: list[pd.DataFrame]) -> tuple[float, float]:
  """The ends of both axes, in points: most of the dots, in full decades."""
  parts = [
    table[name].abs().to_numpy(np.float64) * METRIC.scale
    for table in tables
    if len(table)
    for name in ("dense_sd", "difference")
  ]
  values = np.concatenate(parts) if parts else np.ones(1)
  values = values[values > 0]
  if not values.size:
    return 0.1, 10.0
  low, high = np.quantile(values, 0.02), values.max()
  return float(10 ** np.floor(np.log10(low))), float(
    10 ** np.ceil(np.log10(high) + 1e-9)
  )


def _noise_panel(
  source: Source,
  slug: str,
  population: Population,
  data: pd.DataFrame,
  limits: tuple[float, float],
) -> Panel:
  title = f"{population.label} against dense"
  usable = data[data["dense_sd"] > 0] if len(data) else data
  if usable.empty:
    return Panel(
      slug=slug,
      title=title,
      reason="Not available: nothing pairs with dense and differs over its "
      "seeds.",
    )
  told = (usable["p_adjusted"] <= 1 - source.level).to_numpy(bool)
  above = int((usable["effect"] > 1).sum())
  return draw_panel(
    lambda: effect_against_noise(
      usable["dense_sd"].to_numpy(np.float64) * METRIC.scale,
      usable["difference"].abs().to_numpy(np.float64) * METRIC.scale,
      told,
      f"|Change|, {plain(population.label, 22)} (points)",
      along="sd over dense seeds (points)",
      labels=("told from 0", "not told from 0"),
      limits=limits,
    ),
    slug=slug,
    title=title,
    alt=f"{title}: of {len(usable)} pairs, {above} change by more than one "
    f"dense sd; {int(told.sum())} changes are told from 0.",
    data=data,
  )


def noise_tables(source: Source) -> list[Table]:
  """How many changes exceed what seeds do, and the largest of them."""
  reason = NO_IDENTITIES if not source.pairs else ""
  reason = reason or why_no_pairs(source, least=2)
  tables = (
    [(one, noise_numbers(source, one)) for one in source.compressed]
    if not reason
    else []
  )
  return [_count_table(source, tables, reason), _list_table(tables, reason)]


def _count_table(
  source: Source,
  tables: list[tuple[Population, pd.DataFrame]],
  reason: str,
) -> Table:
  rows: list[Row] = []
  for population, data in tables:
    if data.empty:
      rows.append((population.label, "0", *["n/a"] * 4))
      continue
    told = data["p_adjusted"] <= 1 - source.level
    beyond = data["effect"] > BEYOND
    rows.append(
      (
        population.label,
        str(len(data)),
        str(int((data["effect"] > 1).sum())),
        str(int(beyond.sum())),
        str(int(told.sum())),
        str(int((beyond & told).sum())),
      )
    )
  return Table(
    slug="effect-noise",
    title="How many changes exceed what seeds alone do?",
    head=(
      "Population",
      "Pairs",
      "> 1 dense sd",
      f"> {BEYOND:g} dense sd",
      "Told from 0",
      f"> {BEYOND:g} sd and told",
    ),
    bands=(("", tuple(rows)),),
    note=f"Pairs: of {source.output} and identity, with a value for both. Of "
    f"normal seeds 19 in 20 are within {BEYOND:g} sd of their mean: a change "
    "beyond that is larger than what nearly every other dense seed would do by "
    "itself. The sd is an estimate from the dense seeds, a rough one where "
    "these are few, and where it comes out too small the ratio is too large. "
    "Told from 0: adjusted p at most "
    f"{1 - source.level:.2g}.",
    reason=reason,
  )


def _list_table(
  tables: list[tuple[Population, pd.DataFrame]], reason: str
) -> Table:
  bands = []
  for population, data in tables:
    chosen = data
    if len(data):
      chosen = data[data["effect"] > BEYOND]
      chosen = chosen.sort_values("effect", ascending=False, kind="stable")
    rest = len(chosen) - LISTED
    more = f"; {rest} more in the figure's CSV" if rest > 0 else ""
    none = "; none" if not len(chosen) else ""
    rows = tuple(_row(row) for row in records(chosen.head(LISTED)))
    bands.append((f"{population.label} against dense{none}{more}", rows))
  return Table(
    slug="effect-largest",
    title=f"The changes beyond {BEYOND:g} dense sd",
    head=(
      "Pair",
      "Pairs of seeds",
      "Change",
      "Interval",
      "Dense sd",
      "Change / sd",
      "p adj.",
    ),
    bands=tuple(bands),
    note="Changes and sds in points of bias amplification, from the largest "
    "ratio down: chosen extremes, which overstate themselves. Interval: paired "
    "t of that one alone, as if it had not been chosen. An asterisk: fewer "
    "than 10 positives in a group, or fewer than 10 predicted positives, in "
    "some model.",
    reason=reason,
    folded=True,
  )


def _row(row: Numbers) -> Row:
  low, high = row["low"], row["high"]
  return (
    f"{row['name']}{'*' if row['few'] else ''}",
    str(row["n_seeds"]),
    METRIC.change(row["difference"]),
    METRIC.change_interval(low, high),
    number(row["dense_sd"] * METRIC.scale, METRIC.decimals),
    number(row["effect"], 1),
    probability(row["p_adjusted"]),
  )
