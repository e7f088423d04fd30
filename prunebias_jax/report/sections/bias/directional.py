"""Directional bias amplification against sparsity."""

from prunebias_jax.analysis.columns import ALL, RULES
from prunebias_jax.report.captions import absent, drawn
from prunebias_jax.report.page import Figure, slug_of
from prunebias_jax.report.panels import (
  NO_IDENTITIES,
  Line,
  Request,
  lines_of,
  sparsity_panels,
)
from prunebias_jax.report.source import Cell, Source
from prunebias_jax.report.vocabulary import Metric, count_of

SLUG = "directional"
TITLE = "In which direction is it exaggerated?"
# More lines than this are hard to tell apart in a panel.
LINES = 6
NOT_PREDICTED = (
  "Not available: it needs identities that the models predict themselves, and "
  "no model has a value."
)
_METRICS = tuple(
  Metric(
    name=name,
    title=title,
    unit="points",
    change_unit="points",
    scale=100,
    decimals=2,
    meaning=meaning,
  )
  for name, title, meaning in (
    (
      "attribute_to_task",
      "From identity to prediction",
      "how much more often than it is labelled an output is predicted in the "
      "groups that have it more often in train (and less often in those that "
      "have it less)",
    ),
    (
      "task_to_attribute",
      "From label to predicted identity",
      "the same of the predicted identity, given the label of the output",
    ),
    (
      "mals",
      "MALS",
      "the share of the leading groups among the predicted positives, by the "
      "predicted identity, minus the same share in train",
    ),
  )
)


def directional_figure(source: Source) -> Figure:
  """A panel for each definition, in it a line for each identity."""
  identities = tuple(dict.fromkeys(identity for identity, _ in source.pairs))
  if not identities:
    return Figure(
      slug=SLUG, title=TITLE, caption=_meanings(), reason=NO_IDENTITIES
    )
  shown = identities[:LINES]
  requests = [
    Request(
      metric=metric,
      lines=_lines(source, metric, shown),
      slug=slug_of(SLUG, metric.name),
      reference=0,
      reason=NOT_PREDICTED
      if metric.name == "task_to_attribute"
      else "Not available: no model has a value.",
    )
    for metric in _METRICS
  ]
  panels = sparsity_panels(source, requests)
  cells = [
    (f"{request.metric.title}, {line.label}", line.cell)
    for request, panel in zip(requests, panels, strict=True)
    for line in request.lines
    if not panel.reason
  ]
  caption = (
    f"{_meanings()} Means over all {_plural(source)} but the identity itself. "
    "Dashes: 0. Above it the predictions lean further the way that train "
    "leans. MALS compares with train: it need not be 0 for predictions that "
    "are all right. Where the models do not predict the identity it takes the "
    f"labelled one, and is not comparable. {drawn(source)}"
    f"{_unequal(source)}{_omitted(source, identities)}"
    f"{absent(source, cells)}"
  )
  return Figure(slug=SLUG, title=TITLE, caption=caption, panels=panels)


def _lines(
  source: Source, metric: Metric, identities: tuple[str, ...]
) -> list[Line]:
  """A line for each identity, and for each pruner if all find room."""
  found = []
  for identity in identities:
    lines = lines_of(source, Cell(metric.name, ALL, identity))
    alone = len(lines) == 1 or not _fits(source, identities)
    for line in lines[:1] if alone else lines:
      label = identity if alone else f"{identity}, {line.label}"
      found.append(
        Line(label=label, cell=line.cell, populations=line.populations)
      )
  return found


def _fits(source: Source, identities: tuple[str, ...]) -> bool:
  lines = lines_of(source, Cell(_METRICS[0].name, ALL, identities[0]))
  return len(lines) * len(identities) <= LINES


def _omitted(source: Source, identities: tuple[str, ...]) -> str:
  """What found no room, for the caption."""
  parts = []
  if len(identities) > LINES:
    parts.append(f"the first {LINES} of {len(identities)} identities")
  lines = lines_of(source, Cell(_METRICS[0].name, ALL, identities[0]))
  if len(lines) > 1 and not _fits(source, identities[:LINES]):
    parts.append(f"{lines[0].label} only, of {count_of(len(lines), 'line')}")
  if not parts:
    return ""
  return f" Drawn: {'; '.join(parts)}. analysis/directional.csv has all."


def _unequal(source: Source) -> str:
  """How many means lack a part, for the caption."""
  table = source.table("directional")
  rows = table[table["threshold_rule"] == RULES[0]]
  partial = int(rows["reason"].str.contains("mean without").sum())
  if not partial:
    return ""
  return (
    f" {partial:,} of the {len(rows):,} means (a member and an identity each) "
    "go without the rates that have no example to be of, such as those of an "
    "output that is never predicted: such members average over less than the "
    "others, and lines may join means of different outputs."
  )


def _plural(source: Source) -> str:
  return "attributes" if source.output == "attribute" else "classes"


def _meanings() -> str:
  return " ".join(f"{one.title}: {one.meaning}." for one in _METRICS)
