"""Populations of pruned vision models, and the statistics of their bias."""

from prunebias_jax.config import Sweep
from prunebias_jax.data.dataset import Dataset, Split
from prunebias_jax.errors import InputError
from prunebias_jax.store import Run, open_run

__all__ = ["Dataset", "InputError", "Run", "Split", "Sweep", "open_run"]
