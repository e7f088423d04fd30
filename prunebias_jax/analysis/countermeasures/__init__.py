"""What can be done against bias without training, and what it does."""

from prunebias_jax.analysis.countermeasures.overrides import bands
from prunebias_jax.analysis.countermeasures.table import countermeasures_table
from prunebias_jax.analysis.countermeasures.thresholds import group_thresholds

__all__ = ["bands", "countermeasures_table", "group_thresholds"]
