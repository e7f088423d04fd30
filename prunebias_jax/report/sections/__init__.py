"""The chapters of the report, in reading order."""

from collections.abc import Callable

from prunebias_jax.report.page import Section
from prunebias_jax.report.sections import (
  answers,
  bias,
  countermeasures,
  criteria,
  dependence,
  groups,
  methods,
  performance,
  robustness,
)
from prunebias_jax.report.source import Source

SECTIONS: tuple[Callable[[Source], Section], ...] = (
  answers.section,
  answers.missing_section,
  performance.accuracy_section,
  performance.certainty_section,
  dependence.section,
  bias.section,
  performance.rarity_section,
  groups.section,
  criteria.section,
  countermeasures.section,
  robustness.section,
  methods.samples_section,
  methods.section,
)
