"""The answers first: ten sentences, what changed, and what is missing."""

from prunebias_jax.analysis.bias import FEW_POSITIVES
from prunebias_jax.report.page import Fragment, Section
from prunebias_jax.report.sections.answers import changes
from prunebias_jax.report.source import Source
from prunebias_jax.report.vocabulary import percent


def section(source: Source) -> Section:
  """The sentences of summary.json and the table of what changed."""
  rules = ["default", *(["calibrated"] if source.calibrated else [])]
  return Section(
    slug="answers",
    title="The answers",
    short="Answers",
    parts=(
      Fragment(
        template="answers.html", values={"answers": source.analysis.summary}
      ),
      Fragment(
        template="changes.html",
        values={
          "no_changes": changes.nothing_reason(source),
          "changes": {rule: changes.blocks(source, rule) for rule in rules},
          "movers": [
            (population.label, changes.movers(source, population))
            for population in reversed(source.compressed)
          ],
          "unpaired": changes.unpaired(source),
          "few": FEW_POSITIVES,
          "level": percent(source.level),
          "output": source.output,
        },
      ),
    ),
  )


def missing_section(source: Source) -> Section:
  """What is not available, and why."""
  return Section(
    slug="missing",
    title="What is not available, and why",
    short="What is missing",
    parts=(
      Fragment(
        template="missing.html",
        values={
          "notes": source.analysis.notes,
          "complete": source.is_complete,
        },
      ),
    ),
  )
