"""What was run on what: sample images, facts, versions, config."""

from prunebias_jax.report.page import Fragment, Section
from prunebias_jax.report.sections.methods import facts
from prunebias_jax.report.sections.methods.citing import citing_table
from prunebias_jax.report.sections.methods.making import making_table
from prunebias_jax.report.sections.methods.samples import samples
from prunebias_jax.report.source import Source


def samples_section(source: Source) -> Section:
  """The first test images."""
  return Section(
    slug="samples",
    title="Sample images",
    short="Samples",
    parts=(
      Fragment(template="samples.html", values={"samples": samples(source)}),
    ),
  )


def section(source: Source) -> Section:
  """How numbers were made, facts, versions, the config, and whom to cite."""
  return Section(
    slug="facts",
    title="Methods and facts of the run",
    short="Methods",
    parts=(
      making_table(source),
      Fragment(
        template="facts.html",
        values={
          "facts": facts.facts_rows(source),
          "versions": facts.version_rows(source),
          "imported": source.run.imported is not None,
          "analysed": facts.analysis_version_rows(source),
          "config": facts.config_rows(source),
          "zeros": facts.sparsity_rows(source),
        },
      ),
      citing_table(source),
    ),
  )
