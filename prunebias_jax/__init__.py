"""Populations of pruned vision models, and the statistics of their bias.

Names are imported when they are used: reading a run needs no JAX.
"""

import importlib
from typing import TYPE_CHECKING, Any

from prunebias_jax.errors import InputError

if TYPE_CHECKING:
  from prunebias_jax import analysis
  from prunebias_jax.config import Sweep
  from prunebias_jax.data.dataset import Dataset, Split
  from prunebias_jax.store import Run, open_run

__all__ = [
  "Dataset",
  "InputError",
  "Run",
  "Split",
  "Sweep",
  "analysis",
  "open_run",
]

_HOMES = {
  "Dataset": "prunebias_jax.data.dataset",
  "Run": "prunebias_jax.store",
  "Split": "prunebias_jax.data.dataset",
  "Sweep": "prunebias_jax.config",
  "open_run": "prunebias_jax.store",
}


def __getattr__(name: str) -> Any:
  """A public name, from the module that has it."""
  if name == "analysis":
    return importlib.import_module("prunebias_jax.analysis")
  if name not in _HOMES:
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
  return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
  """The public names, imported or not."""
  return sorted({*globals(), *__all__})
