"""Whether predictions lean on each other, and whether models agree."""

from prunebias_jax.report.metric_figure import metrics_figure
from prunebias_jax.report.page import Section
from prunebias_jax.report.sections.dependence.agreement import (
  agreement_figure,
  agreement_table,
)
from prunebias_jax.report.sections.dependence.correlations import (
  ERRORS,
  PREDICTIONS,
  Pairs,
  exaggeration_figure,
  matrices_figure,
)
from prunebias_jax.report.sections.dependence.table import correlation_table
from prunebias_jax.report.source import Source


def section(source: Source) -> Section:
  """Interdependence, correlations of attributes, agreement of members."""
  pairs = Pairs(source)
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
      exaggeration_figure(pairs),
      matrices_figure(pairs),
      correlation_table(pairs, PREDICTIONS),
      correlation_table(pairs, ERRORS),
      agreement_table(source),
      agreement_figure(source),
    ),
  )
