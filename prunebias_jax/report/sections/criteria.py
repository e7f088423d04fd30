"""How far compression is safe, and what the dense models tell beforehand."""

from prunebias_jax.report.page import Section
from prunebias_jax.report.sections import changes, safety, safety_words
from prunebias_jax.report.source import Source


def section(source: Source) -> Section:
  """ "Safe up to", then the criteria of the dense models."""
  missing = changes.missing_reason(source)
  if not source.compressed:
    missing = "Not available: the run has no pruned members."
  return Section(
    slug="criteria",
    title="How far is compression safe, and can the dense model tell?",
    short="Criteria",
    parts=(
      safety.counts_figure(source, missing),
      safety.map_figure(source, missing),
      safety_words.levels_table(source, missing),
      safety_words.sentences_table(source, missing),
    ),
  )
