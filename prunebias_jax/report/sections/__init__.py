"""The chapters of the report, in reading order."""

from collections.abc import Callable

from prunebias_jax.report.page import Section
from prunebias_jax.report.sections import (
  answers,
  bias,
  costs,
  countermeasures,
  criteria,
  dependence,
  exemplars,
  groups,
  methods,
  performance,
  quantization,
  rarity,
  robustness,
  variance,
  verdicts,
)
from prunebias_jax.report.source import Source

SECTIONS: tuple[Callable[[Source], Section], ...] = (
  answers.section,
  answers.missing_section,
  performance.accuracy_section,
  performance.certainty_section,
  dependence.section,
  bias.section,
  rarity.section,
  groups.section,
  variance.section,
  exemplars.section,
  verdicts.section,
  criteria.section,
  countermeasures.section,
  quantization.section,
  robustness.section,
  costs.section,
  methods.samples_section,
  methods.section,
)

# A comparison with another run stands before the samples.
COMPARED_BEFORE = SECTIONS.index(methods.samples_section)
