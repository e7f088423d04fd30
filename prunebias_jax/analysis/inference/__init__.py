"""Inference over seeds: intervals and tests, for many cells at once.

Seeds are random, training and test set are fixed, unless a function says that
examples are random too. Arrays are float64 [seed, cell], finite and complete; a
cell is one metric of one attribute and group. NaN is what is not available.
Formulas are the textbook ones where a name is given; which of them is used when
is this project's, and docs/statistics.md says how good they are.
"""

from prunebias_jax.analysis.inference.crossed import (
  Crossed,
  Decomposition,
  ExampleSums,
  crossed_interval,
  decompose,
  split_half,
)
from prunebias_jax.analysis.inference.intervals import (
  Interval,
  bootstrap_interval,
  mean_interval,
  sd_interval,
)
from prunebias_jax.analysis.inference.multiple import benjamini_hochberg, holm
from prunebias_jax.analysis.inference.paired import (
  Contrast,
  VarianceRatio,
  paired_contrast,
  pitman_morgan,
)
from prunebias_jax.analysis.inference.power import (
  detectable,
  power_of,
  seeds_needed,
)
from prunebias_jax.analysis.inference.reliability import (
  MARK,
  POOR,
  simulated_coverage,
  unlike_normal,
)
from prunebias_jax.analysis.inference.signs import (
  fewest_pairs,
  signflip,
  wilcoxon,
)
from prunebias_jax.analysis.inference.sources import Components, components
from prunebias_jax.analysis.inference.trend import (
  Trend,
  fewest_trend_seeds,
  spread_trend,
)
from prunebias_jax.analysis.inference.unpaired import (
  Welch,
  brown_forsythe,
  sd_ratio,
  welch,
)

__all__ = [
  "MARK",
  "POOR",
  "Components",
  "Contrast",
  "Crossed",
  "Decomposition",
  "ExampleSums",
  "Interval",
  "Trend",
  "VarianceRatio",
  "Welch",
  "benjamini_hochberg",
  "bootstrap_interval",
  "brown_forsythe",
  "components",
  "crossed_interval",
  "decompose",
  "detectable",
  "fewest_pairs",
  "fewest_trend_seeds",
  "holm",
  "mean_interval",
  "paired_contrast",
  "pitman_morgan",
  "power_of",
  "sd_interval",
  "sd_ratio",
  "seeds_needed",
  "signflip",
  "simulated_coverage",
  "split_half",
  "spread_trend",
  "unlike_normal",
  "welch",
  "wilcoxon",
]
