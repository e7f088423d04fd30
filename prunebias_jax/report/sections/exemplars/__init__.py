"""Exemplars: how many, who, from when on, and what looking at them finds."""

from prunebias_jax.report.page import Section
from prunebias_jax.report.sections.exemplars.over_indexing import (
  over_indexing_figure,
  over_indexing_table,
)
from prunebias_jax.report.sections.exemplars.queue import (
  criteria_figure,
  queue_figure,
  queue_table,
)
from prunebias_jax.report.sections.exemplars.sets import (
  accuracy_figure,
  onset_figure,
)
from prunebias_jax.report.sections.exemplars.shares import (
  accuracy_table,
  share_figure,
  share_table,
)
from prunebias_jax.report.source import Source


def section(source: Source) -> Section:
  """The chapter on compression identified exemplars, on the test split."""
  cases = (
    "an example"
    if source.output == "class"
    else "an example, for each attribute apart,"
  )
  return Section(
    slug="exemplars",
    title="Which examples does compression change?",
    short="Exemplars",
    text=(
      f"An exemplar is {cases} whose modal label, the one that most members "
      "of a population predict, differs between the dense and the compressed "
      "population. All of this chapter is on the test split; what people see "
      "in exemplars is in the next.",
    ),
    parts=(
      share_figure(source),
      share_table(source),
      accuracy_table(source),
      accuracy_figure(source),
      over_indexing_figure(source),
      over_indexing_table(source),
      onset_figure(source),
      queue_figure(source),
      queue_table(source),
      criteria_figure(source),
    ),
  )
