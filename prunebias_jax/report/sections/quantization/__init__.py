"""Quantized members beside pruned ones: quality, bias, flips and bytes."""

import numpy as np

from prunebias_jax.report.captions import whole
from prunebias_jax.report.page import Figure, Section, Table, slug_of
from prunebias_jax.report.panels import NO_IDENTITIES
from prunebias_jax.report.sections.answers.changes import missing_reason
from prunebias_jax.report.sections.costs import missing_costs, read_costs
from prunebias_jax.report.sections.groups.changes import mean_changes
from prunebias_jax.report.sections.groups.forests import intervals
from prunebias_jax.report.sections.quantization.panels import (
  NONE,
  at_level,
  contrast_panel,
  flips_of,
  kind_name,
  kind_panel,
  kinds_of,
  level_name,
  levels_of,
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

# Identities with a panel.
PANELS = 4
# A table with more rows is folded.
FOLDED = 20
_QUALITY = ("accuracy", "auc", "uncertainty")
_TITLE = "What does quantization change, beside pruning?"


def section(source: Source) -> Section:
  """What quantization changes in dense and in pruned members."""
  missing = missing_quantized(source)
  text = [missing] if missing else []
  more = [
    one for one in kinds_of(source, most=None) if one not in kinds_of(source)
  ]
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
  flips = flips_of(source)
  caption = (
    f"{_reading(source)} {_means(source)}{whole(source, _QUALITY)}, at the "
    "default threshold. Flipped: test predictions whose majority over "
    "the members is another than that of the dense ones; beyond chance: the "
    "same minus what permuting members within seeds gives on average "
    "(exemplar_tests.csv). Flips are of whole populations and have no interval."
  )
  if reason:
    return Figure(slug=slug, title=title, caption=caption, reason=reason)
  panels = [
    contrast_panel(
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
      kind_panel(
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
    f"{_means(source)}, at the default threshold."
  )
  if source.pairs[PANELS:]:
    caption += " More identities are in analysis/contrasts.csv."
  reason = missing_reason(source) if pairs else NO_IDENTITIES
  if reason:
    return Figure(slug=slug, title=title, caption=caption, reason=reason)
  panels = tuple(
    contrast_panel(
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
  levels = dict.fromkeys((levels_of(source)[0], level_name(last)))
  chosen = {level: at_level(source, level) for level in levels}
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
      kind_panel(
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
    kind = kind_name(population.quantization)
    members = str(source.size(population))
    row = (kind, *found, *sizes, members)
    bands.setdefault(level_name(population), []).append(row)
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


def _mean_text(
  source: Source, metric: Metric, cell: Cell, population: Population
) -> str:
  mean = source.means(cell).get(population)
  return NOT_AVAILABLE if mean is None else metric.text(mean.estimate[0])


def _means(source: Source) -> str:
  """What a contrast is averaged over."""
  plural = "attributes" if source.output == "attribute" else "classes"
  return (
    f"Means over the {plural} that have a value in both members of every pair "
    "(where these are not all, the column reason of the figure's data says how "
    "many)"
  )


def _lower(title: str) -> str:
  """A title within a sentence: "accuracy", but "AUC"."""
  return title if title.isupper() else title.lower()


def _reading(source: Source) -> str:
  """How the panels are to be read."""
  left = len(set(map(level_name, source.populations))) - len(levels_of(source))
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
