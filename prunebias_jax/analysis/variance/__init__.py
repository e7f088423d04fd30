"""Variance of bias: how much every number moves over seeds, and why.

Seeds random, or seeds and test examples; compressed against dense; how many
seeds a change needs; whether the spread grows with sparsity; and where it comes
from.
"""

from prunebias_jax.analysis.variance.contrasts import contrasts_table
from prunebias_jax.analysis.variance.power import power_table
from prunebias_jax.analysis.variance.sources import sources_table
from prunebias_jax.analysis.variance.spread import variance_table
from prunebias_jax.analysis.variance.trends import trends_table

__all__ = [
  "contrasts_table",
  "power_table",
  "sources_table",
  "trends_table",
  "variance_table",
]
