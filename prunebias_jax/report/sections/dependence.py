"""Whether predictions lean on each other."""

from prunebias_jax.report.metric_figure import metrics_figure
from prunebias_jax.report.page import Section
from prunebias_jax.report.source import Source


def section(source: Source) -> Section:
  """Interdependence."""
  return Section(
    slug="dependent",
    title="Do predictions lean on each other?",
    short="Interdependence",
    parts=(
      metrics_figure(
        source,
        ("interdependence",),
        slug="dependence",
        title="Interdependence",
      ),
    ),
  )
