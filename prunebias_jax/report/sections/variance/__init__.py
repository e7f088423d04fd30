"""Variance of bias: how far seeds differ, why, and what they can show."""

from prunebias_jax.report.page import Section
from prunebias_jax.report.sections.variance.crossed import interval_figure
from prunebias_jax.report.sections.variance.growth import (
  ratio_figure,
  ratio_table,
  trend_table,
)
from prunebias_jax.report.sections.variance.noise import (
  noise_figure,
  noise_tables,
  widest_figure,
)
from prunebias_jax.report.sections.variance.parts import (
  part_figures,
  part_table,
)
from prunebias_jax.report.sections.variance.power import (
  power_figures,
  power_numbers,
  power_table,
)
from prunebias_jax.report.sections.variance.sources import source_figure
from prunebias_jax.report.sections.variance.spread import spread_figures
from prunebias_jax.report.source import Source

TEXT = (
  "Train the same network on the same data with another seed, and it becomes "
  "another model. A bias that is measured on one model is a bias of that "
  "model; this chapter is about how far the next one would differ, whether "
  "pruning makes that worse, and how many seeds a statement needs. The "
  "training set is the same in all models, so nothing here is about another "
  "training set."
)


def section(source: Source) -> Section:
  """Spread, its growth, its parts and sources, power, noise, intervals."""
  power = power_numbers(source)
  return Section(
    slug="variance",
    title="How much does bias change from seed to seed?",
    short="Variance of bias",
    text=(TEXT,),
    parts=(
      *spread_figures(source),
      ratio_figure(source),
      ratio_table(source),
      trend_table(source),
      *part_figures(source),
      part_table(source),
      source_figure(source),
      *power_figures(source, power),
      power_table(source, power),
      widest_figure(source),
      noise_figure(source),
      *noise_tables(source),
      interval_figure(source),
    ),
  )
