"""Statistics of a run's logits: metrics of members, and over seeds.

Knows nothing of images, models and training: labels, groups and logits go in,
tables come out.
"""

from prunebias_jax.analysis.bias import GroupPairs, bias_amplification
from prunebias_jax.analysis.calibration import (
  Thresholds,
  calibrated_thresholds,
)
from prunebias_jax.analysis.calibration_error import ece, ece_bin, ece_sweep
from prunebias_jax.analysis.columns import TABLES
from prunebias_jax.analysis.correlation import (
  Interdependence,
  interdependence,
)
from prunebias_jax.analysis.inference import (
  Contrast,
  Interval,
  mean_interval,
  paired_contrast,
  sd_interval,
)
from prunebias_jax.analysis.options import Options
from prunebias_jax.analysis.parity import Parity
from prunebias_jax.analysis.pipeline import analyze
from prunebias_jax.analysis.ranking import auc
from prunebias_jax.analysis.rates import (
  Confusion,
  Rates,
  confusion,
  group_rates,
  tcb,
)
from prunebias_jax.analysis.reading import read
from prunebias_jax.analysis.results import Analysis
from prunebias_jax.analysis.summary import Sentence
from prunebias_jax.analysis.uncertainty import (
  binary_entropy,
  high_uncertainty,
  uncertainty,
)

__all__ = [
  "TABLES",
  "Analysis",
  "Confusion",
  "Contrast",
  "GroupPairs",
  "Interdependence",
  "Interval",
  "Options",
  "Parity",
  "Rates",
  "Sentence",
  "Thresholds",
  "analyze",
  "auc",
  "bias_amplification",
  "binary_entropy",
  "calibrated_thresholds",
  "confusion",
  "ece",
  "ece_bin",
  "ece_sweep",
  "group_rates",
  "high_uncertainty",
  "interdependence",
  "mean_interval",
  "paired_contrast",
  "read",
  "sd_interval",
  "tcb",
  "uncertainty",
]
