"""The config of a run: `Sweep` and its parts, typed, frozen and checked."""

from prunebias_jax.config.data import (
  Data,
  Digits,
  Faces,
  Marker,
  Table,
  Tfds,
)
from prunebias_jax.config.execution import DETERMINISTIC_FLAG, Execution
from prunebias_jax.config.loss import Loss
from prunebias_jax.config.model import NETWORKS, Model
from prunebias_jax.config.pruning import (
  FINETUNED,
  UPDATED_DURING,
  Pattern,
  Pruning,
)
from prunebias_jax.config.sweep import Seeds, Sweep
from prunebias_jax.config.train import Train

__all__ = [
  "DETERMINISTIC_FLAG",
  "FINETUNED",
  "NETWORKS",
  "UPDATED_DURING",
  "Data",
  "Digits",
  "Execution",
  "Faces",
  "Loss",
  "Marker",
  "Model",
  "Pattern",
  "Pruning",
  "Seeds",
  "Sweep",
  "Table",
  "Tfds",
  "Train",
]
