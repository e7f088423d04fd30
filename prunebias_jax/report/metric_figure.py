"""A figure of some metrics over all outputs against sparsity."""

import dataclasses

from prunebias_jax.report.captions import absent, drawn, means_of, whole
from prunebias_jax.report.page import Figure, slug_of
from prunebias_jax.report.panels import Request, lines_of, sparsity_panels
from prunebias_jax.report.source import Source
from prunebias_jax.report.vocabulary import METRICS

ONLY_ATTRIBUTES = (
  "Not available: interdependence is defined between attributes that are "
  "predicted together, and this run predicts exclusive classes."
)


def metrics_figure(
  source: Source, names: tuple[str, ...], *, slug: str, title: str
) -> Figure:
  """One panel for each metric, over all outputs."""
  metrics = [METRICS[name] for name in names]
  requests = [
    Request(
      metric=metric,
      lines=lines_of(source, source.overall(metric.name)),
      slug=slug_of(slug, metric.name),
      reference=1 if metric.name == "tcb" else None,
    )
    for metric in metrics
  ]
  if source.output == "class":
    requests = [
      dataclasses.replace(one, reason=ONLY_ATTRIBUTES)
      if one.metric.name == "interdependence"
      else one
      for one in requests
    ]
  panels = sparsity_panels(source, requests)
  meanings = " ".join(f"{one.title}: {one.meaning}." for one in metrics)
  cells = [(METRICS[name].title, source.overall(name)) for name in names]
  drawable = [
    one for one, panel in zip(cells, panels, strict=True) if not panel.reason
  ]
  caption = (
    f"{meanings} {means_of(source, cells)}{whole(source, names)}. "
    f"{drawn(source)}{absent(source, drawable)}"
  )
  return Figure(slug=slug, title=title, caption=caption, panels=panels)
