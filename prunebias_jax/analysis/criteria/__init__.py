"""Criteria that the dense models give: of examples and of attributes."""

from prunebias_jax.analysis.criteria.association import (
  Association,
  leave_one_out,
  spearman,
)
from prunebias_jax.analysis.criteria.attributes import criteria_table
from prunebias_jax.analysis.criteria.ensembles import Ensemble, ensemble
from prunebias_jax.analysis.criteria.families import Family, judged_families
from prunebias_jax.analysis.criteria.review import Found, find, rank
from prunebias_jax.analysis.criteria.safety import Safety, judge
from prunebias_jax.analysis.criteria.samples import sample_criteria_table
from prunebias_jax.analysis.criteria.verdicts import safety_table

__all__ = [
  "Association",
  "Ensemble",
  "Family",
  "Found",
  "Safety",
  "criteria_table",
  "ensemble",
  "find",
  "judge",
  "judged_families",
  "leave_one_out",
  "rank",
  "safety_table",
  "sample_criteria_table",
  "spearman",
]
