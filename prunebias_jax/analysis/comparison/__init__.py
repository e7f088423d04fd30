"""Two runs against each other: what they share, and how far they differ."""

from prunebias_jax.analysis.comparison.ground import Ground, common_ground
from prunebias_jax.analysis.comparison.joined import Joined, Match, join
from prunebias_jax.analysis.comparison.table import (
  COLUMNS,
  PAIRED,
  WELCH,
  comparison_table,
)

__all__ = [
  "COLUMNS",
  "PAIRED",
  "WELCH",
  "Ground",
  "Joined",
  "Match",
  "common_ground",
  "comparison_table",
  "join",
]
