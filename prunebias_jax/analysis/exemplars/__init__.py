"""Compression Identified Exemplars: where compressed members vote otherwise."""

from prunebias_jax.analysis.exemplars.examine import Exemplars, examine

__all__ = ["Exemplars", "examine"]
