"""Quantized members beside pruned ones: quality, bias, flips and bytes."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from prunebias_jax.analysis.columns import ALL, MEAN, POPULATION
from prunebias_jax.report.captions import means_of, whole
from prunebias_jax.report.page import (
  Figure,
  Panel,
  Section,
  Table,
  draw_panel,
  slug_of,
)
from prunebias_jax.report.panels import NO_IDENTITIES
from prunebias_jax.report.plots import Points, forest
from prunebias_jax.report.sections.changes import missing_reason
from prunebias_jax.report.sections.costs import missing_costs, read_costs
from prunebias_jax.report.sections.group_changes import MARKS, mean_changes
from prunebias_jax.report.sections.group_forests import (
  intervals,
)
from prunebias_jax.report.sections.run_tables import populations_of
from prunebias_jax.report.source import Cell, Population, Source
from prunebias_jax.report.vocabulary import (
  ERROR,
  METRICS,
  NOT_AVAILABLE,
  Metric,
  count_of,
  listed,
  number,
)

NONE = "none"
# Levels (of a pruner) that a panel has rows of, and identities with a panel.
LEVELS = 8
PANELS = 4
# A table with more rows is folded.
FOLDED = 20
_QUALITY = ("accuracy", "auc", "uncertainty")
_TITLE = "What does quantization change, beside pruning?"


def section(source: Source) -> Section:
  """What quantization changes in dense and in pruned members."""
  missing = missing_quantized(source)
  text = [missing] if missing else []
  more = [one for one in _kinds(source, most=99) if one not in _kinds(source)]
  if more:
    text.append(f"Not drawn, but in the tables: {listed(more)}.")
  figures = (quality_figure(source), bias_figure(source), group_figure(source))
  return Section(
    slug="quantized",
    title=_TITLE,
    short="Quantization",
    text=tuple(text),
    parts=() if missing else (*figures, values_table(source)),
  )


def missing_quantized(source: Source) -> str:
  """Why nothing is known of quantized members; "" where something is."""
  if any(one.quantization != NONE for one in source.populations):
    return ""
  if source.run.imported is not None:
    return (
      "Not available: the run has no quantized members. It was imported: "
      "import their logits with the others."
    )
  return (
    "Not available: the run has no quantized members. `prunebias quantize RUN "
    "--kind int8_static` and `prunebias analyze RUN` add them, without "
    "training, to a run that keeps its parameters."
  )


def quality_figure(source: Source) -> Figure:
  """Accuracy, AUC, uncertainty and flips against dense, by kind."""
  slug, title = "quantized", "Quality, dense and pruned, by quantization"
  reason = missing_reason(source)
  cells = [(METRICS[name].title, source.overall(name)) for name in _QUALITY]
  flips = _flips(source)
  caption = (
    f"{_reading(source)} {means_of(source, cells)}{whole(source, _QUALITY)}, "
    "at the default threshold. Flipped: test predictions whose majority over "
    "the members is another than that of the dense ones; beyond chance: the "
    "same minus what permuting members within seeds gives on average "
    "(exemplar_tests.csv). Flips are of whole populations and have no interval."
  )
  if reason:
    return Figure(slug=slug, title=title, caption=caption, reason=reason)
  panels = [
    _contrast_panel(
      source,
      METRICS[name],
      source.overall(name),
      slug=slug_of(slug, name),
      title=f"Change of {_lower(METRICS[name].title)}",
    )
    for name in _QUALITY
  ]
  for name, heading in (
    ("cie_share", "Flipped predictions"),
    ("excess", "Flipped beyond chance"),
  ):
    panels.append(
      _panel(
        source,
        flips.assign(change=100 * flips[name], low=np.nan, high=np.nan),
        slug=slug_of(slug, heading),
        title=heading,
        unit="%" if name == "cie_share" else "points",
      )
    )
  return Figure(slug=slug, title=title, caption=caption, panels=tuple(panels))


def bias_figure(source: Source) -> Figure:
  """The change of bias amplification, a panel for each identity."""
  slug, title = "quantized-bias", "Bias amplification, by quantization"
  metric = METRICS["bias_amplification"]
  pairs = source.pairs[:PANELS]
  cells = [
    (
      source.group_name(*pair),
      Cell(metric.name, identity=pair[0], value=pair[1]),
    )
    for pair in pairs
  ]
  caption = (
    f"{_reading(source)} Bias amplification: {metric.meaning}. "
    f"{means_of(source, cells)}, at the default threshold."
  )
  if source.pairs[PANELS:]:
    caption += " More identities are in analysis/contrasts.csv."
  reason = missing_reason(source) if pairs else NO_IDENTITIES
  if reason:
    return Figure(slug=slug, title=title, caption=caption, reason=reason)
  panels = tuple(
    _contrast_panel(
      source,
      metric,
      cell,
      slug=slug_of(slug, str(place), name),
      title=f"Change of bias amplification: {name}",
    )
    for place, (name, cell) in enumerate(cells, 1)
  )
  return Figure(slug=slug, title=title, caption=caption, panels=panels)


def group_figure(source: Source) -> Figure:
  """The change of the groups' errors: of dense, and of the sparsest level."""
  slug, title = "quantized-groups", "Error of every group, by quantization"
  last = source.sparsest or source.populations[-1]
  levels = dict.fromkeys((_levels(source)[0], _level_name(last)))
  chosen = {level: _at(source, level) for level in levels}
  whole = (
    "over all examples"
    if source.output == "class"
    else "mean over the attributes that have a value in every pair"
  )
  shown = [one for some in chosen.values() for one in some]
  caption = (
    f"Error: share of wrong predictions, {whole}, at the default threshold; "
    "its change against dense members that are not quantized, of the same "
    "seeds. The first panel is quantization alone. At the right: test examples "
    "of the group; an asterisk: fewer than 10. Crossings and the levels "
    "between are in analysis/group_changes.csv. "
    f"{intervals(source, shown, relative=False)}"
  )
  reason = missing_reason(source)
  if not source.pairs:
    reason = NO_IDENTITIES
  if reason:
    return Figure(slug=slug, title=title, caption=caption, reason=reason)
  panels = []
  for place, (level, populations) in enumerate(chosen.items(), 1):
    table = mean_changes(source, ERROR, populations)
    if len(table):
      crossed = table["identity"].str.contains("*", regex=False)
      table = table[~crossed]
    sizes = table.drop_duplicates("name") if len(table) else table
    panels.append(
      _panel(
        source,
        table,
        slug=slug_of(slug, str(place)),
        title=f"Change of the error, {level}",
        unit="points",
        rows=sizes["name"].tolist() if len(table) else (),
        notes=sizes["n"].tolist() if len(table) else (),
      )
    )
  return Figure(slug=slug, title=title, caption=caption, panels=tuple(panels))


def values_table(source: Source) -> Table:
  """Every population's accuracy, AUC and bytes."""
  costs = {}
  why_not = missing_costs(source)
  if not why_not:
    prices = read_costs(source)
    rows = prices.to_dict("records")
    costs = dict(zip(populations_of(prices), rows, strict=True))
  bands: dict[str, list[tuple[str, ...]]] = {}
  for population in source.populations:
    found = [
      _mean_text(source, METRICS[name], source.overall(name), population)
      for name in _QUALITY
    ]
    cost = costs.get(population)
    names = ("bytes_dense", "bytes_sparse")
    sizes = [
      NOT_AVAILABLE if cost is None else number(cost[name] / 1e3, 1)
      for name in names
    ]
    kind = _kind_name(population.quantization)
    members = str(source.size(population))
    row = (kind, *found, *sizes, members)
    bands.setdefault(_level_name(population), []).append(row)
  return Table(
    slug="quantized-values",
    title="Accuracy, AUC, uncertainty and bytes of every population",
    head=(
      "Quantization",
      "accuracy %",
      "AUC",
      "uncertainty %",
      "kB dense",
      "kB sparse",
      "members",
    ),
    bands=tuple((level, tuple(rows)) for level, rows in bands.items()),
    note="Means over the members. kB dense: every weight stored; kB sparse: a "
    "bit for each weight, and those left. Integers are computed in the layers "
    "only: a file of this size needs a runtime of its own. "
    + why_not.replace("Not available", "Bytes not available"),
    folded=len(source.populations) > FOLDED,
  )


def _kinds(source: Source, most: int = MARKS) -> list[str]:
  """The quantizations in order, at most so many: first none."""
  found = dict.fromkeys(one.quantization for one in source.populations)
  return sorted(found, key=lambda kind: kind != NONE)[:most]


def _kind_name(kind: str) -> str:
  return "not quantized" if kind == NONE else kind


def _level_name(population: Population) -> str:
  """A pruner and sparsity: "dense", "80 % (gmp)"."""
  return population._replace(quantization=NONE).label


def _levels(source: Source) -> list[str]:
  """The rows of a panel, at most `LEVELS` unless there are more pruners.

  From dense to the sparsest population of the pruner of that one, then the
  highest level of every other pruner.
  """
  sparsest = source.sparsest
  pruners = ("dense", "" if sparsest is None else sparsest.pruner)
  own, other = [], {}
  for population in source.populations:
    if population.pruner in pruners:
      own.append(_level_name(population))
    else:
      other[population.pruner] = _level_name(population)
  own = list(dict.fromkeys(own))
  room = max(LEVELS - len(other), 2)
  places = np.linspace(0, len(own) - 1, min(room, len(own)))
  return [
    *(own[place] for place in places.round().astype(int)),
    *other.values(),
  ]


def _at(source: Source, level: str) -> list[Population]:
  """The populations of a level that are compared with dense, by kind."""
  kinds = _kinds(source)
  found = [
    one
    for one in source.compressed
    if _level_name(one) == level and one.quantization in kinds
  ]
  return sorted(found, key=lambda one: kinds.index(one.quantization))


def _contrast_panel(
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
  return _panel(source, table, slug=slug, title=title, unit=unit)


def _flips(source: Source) -> pd.DataFrame:
  """Shares of flipped predictions over all outputs, a row a population."""
  table = source.table("exemplar_tests")
  whole = table["attribute"].isin((MEAN, ALL)) & (table["identity"] == "")
  names = [*POPULATION, "n", "cie_share", "null_mean", "excess", "reason"]
  return table.loc[whole, names].reset_index(drop=True)


def _panel(
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
  kinds = [_kind_name(kind) for kind in _kinds(source)]
  populations = populations_of(table)
  table = table.assign(
    kind=[_kind_name(one.quantization) for one in populations]
  )
  if not rows:
    rows = _levels(source)
    table = table.assign(name=list(map(_level_name, populations)))
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


def _mean_text(
  source: Source, metric: Metric, cell: Cell, population: Population
) -> str:
  mean = source.means(cell).get(population)
  return NOT_AVAILABLE if mean is None else metric.text(mean.estimate[0])


def _lower(title: str) -> str:
  """A title within a sentence: "accuracy", but "AUC"."""
  return title if title.isupper() else title.lower()


def _reading(source: Source) -> str:
  """How the panels are to be read."""
  left = len(set(map(_level_name, source.populations))) - len(_levels(source))
  more = ""
  if left > 0:
    more = f" {count_of(left, 'more level')} in analysis/contrasts.csv."
  return (
    "A row for each pruner and sparsity, a mark for each quantization: the "
    "change against dense members that are not quantized, of the same seeds. "
    "In the first row it is quantization alone; in the others the pruned "
    "members are in every mark, and what quantization adds is the distance "
    "between the marks, which the bars, each against dense, do not tell. "
    f"{intervals(source, source.compressed, relative=False)}{more}"
  )
