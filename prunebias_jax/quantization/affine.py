"""Real numbers as eight-bit integers: value = scale * (integer - zero point).

Reference: Jacob et al. 2018, "Quantization and Training of Neural Networks for
Efficient Integer-Arithmetic-Only Inference", equation 1 and section 3: real 0
is an integer exactly, weights are symmetric and never -128.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

LOWEST, HIGHEST = -128, 127


class Quantized(NamedTuple):
  """An array as integers.

  Attributes:
    values: int8 [...].
    scale: float32, the same number of axes, 1 where values share a scale.
    zero_point: int32 as `scale`, the integer that stands for 0.
  """

  values: jax.Array
  scale: jax.Array
  zero_point: jax.Array


def weights(array: jax.Array, axes: Sequence[int]) -> Quantized:
  """Weights in -127 to 127, zero point 0; zero stays zero.

  Args:
    array: float32.
    axes: over which values share a scale: the largest magnitude / 127.
  """
  largest = jnp.max(jnp.abs(array), axis=tuple(axes), keepdims=True)
  scale = _positive(largest / HIGHEST)
  values = jnp.clip(jnp.round(array / scale), -HIGHEST, HIGHEST)
  return Quantized(
    values.astype(jnp.int8), scale, jnp.zeros(scale.shape, jnp.int32)
  )


def activations(array: jax.Array, low: jax.Array, high: jax.Array) -> Quantized:
  """Activations in -128 to 127; what lies outside the range is clipped.

  Args:
    array: float32.
    low: float32 with as many axes, the range's lower end.
    high: its upper end. The range is widened to include 0.
  """
  low, high = jnp.minimum(low, 0), jnp.maximum(high, 0)
  scale = _positive((high - low) / (HIGHEST - LOWEST))
  zero_point = jnp.round(LOWEST - low / scale)
  values = jnp.clip(jnp.round(array / scale) + zero_point, LOWEST, HIGHEST)
  return Quantized(values.astype(jnp.int8), scale, zero_point.astype(jnp.int32))


def range_of(array: jax.Array, axes: Sequence[int]) -> tuple[jax.Array, ...]:
  """Least and greatest value over some axes, which stay as 1."""
  kept = tuple(axes)
  return array.min(kept, keepdims=True), array.max(kept, keepdims=True)


def half(array: np.ndarray) -> np.ndarray:
  """float32 numbers that float16 can hold."""
  return array.astype(np.float16).astype(np.float32)


def _positive(scale: jax.Array) -> jax.Array:
  """Scales, 1 where there is nothing but zeros."""
  return jnp.where(scale > 0, scale, jnp.ones_like(scale))
