"""Criteria that the dense models give: of examples and of attributes."""

from prunebias_jax.analysis.criteria.ensembles import Ensemble, ensemble
from prunebias_jax.analysis.criteria.review import Found, find, rank
from prunebias_jax.analysis.criteria.samples import sample_criteria_table

__all__ = [
  "Ensemble",
  "Found",
  "ensemble",
  "find",
  "rank",
  "sample_criteria_table",
]
