"""Post-training quantization of stored members: float16 and eight-bit integers.

`quantize` adds populations to a run; `Int8` and `halved` do it to any network
and its parameters. docs/quantization.md has the formulas.
"""

from prunebias_jax.quantization.affine import Quantized, activations, weights
from prunebias_jax.quantization.network import (
  Int8,
  Ranges,
  halved,
  with_ranges,
)
from prunebias_jax.quantization.populations import (
  calibration_rows,
  predictor,
  quantize,
)
from prunebias_jax.quantization.scheme import GRANULARITIES, KINDS, Scheme

__all__ = [
  "GRANULARITIES",
  "KINDS",
  "Int8",
  "Quantized",
  "Ranges",
  "Scheme",
  "activations",
  "calibration_rows",
  "halved",
  "predictor",
  "quantize",
  "weights",
  "with_ranges",
]
