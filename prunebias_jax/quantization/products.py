"""Products of eight-bit integers, summed in 32 bits.

Of q = x / s_x + z and w / s_w, what a layer needs is sum (q - z) w =
sum q w - z sum w (Jacob et al. 2018, equation 7, with a zero point of 0 for the
weights). The second sum is the same product of an image of ones, of which the
padding is 0 too: so padding counts as the real number 0, and there is no place
where q - z would need more than eight bits.
"""

from collections.abc import Callable, Sequence
import math
from typing import Any

import jax
from jax import lax
import jax.numpy as jnp
import numpy as np

from prunebias_jax.errors import InputError
from prunebias_jax.models.taps import Padding, shifted
from prunebias_jax.quantization.affine import Quantized

# The largest |(q - z) w|, and the largest sum that 32 bits hold.
_TERM, _SUM = 255 * 127, np.iinfo(np.int32).max


def convolution(
  inputs: Quantized,
  kernel: Quantized,
  strides: Sequence[int],
  padding: str | Sequence[tuple[int, int]],
  **geometry: Any,
) -> jax.Array:
  """The sums of a convolution: int32 [batch, ..., channel out].

  Args:
    inputs: [batch, ..., channel in].
    kernel: [..., channel in of a group, channel out].
    strides: of each direction.
    padding: as `lax.conv_general_dilated` takes it.
    **geometry: its `lhs_dilation`, `rhs_dilation`, `dimension_numbers` and
      `feature_group_count`.
  """
  _require_room(math.prod(kernel.values.shape[:-1]))

  def product(values: jax.Array) -> jax.Array:
    return _convolved(values, kernel.values, strides, padding, geometry)

  return _corrected(inputs, product(inputs.values), product(_ones(inputs)))


def dot(
  inputs: Quantized, kernel: Quantized, dimensions: lax.DotDimensionNumbers
) -> jax.Array:
  """The sums of a matrix product without batch axes: int32."""
  summed, axes = dimensions[0]
  _require_room(math.prod(kernel.values.shape[axis] for axis in axes))

  def product(values: jax.Array) -> jax.Array:
    return lax.dot_general(
      values, kernel.values, dimensions, preferred_element_type=jnp.int32
    )

  # One example may come without an axis of examples.
  ones = jnp.ones_like(inputs.values) if 0 in summed else _ones(inputs)
  return _corrected(inputs, product(inputs.values), product(ones))


def in_floats(product: Callable[..., jax.Array]) -> Callable[..., jax.Array]:
  """The same sums by a product of float32 numbers: what to expect.

  They are exact as long as they stay below 2^24.
  """

  def simulated(
    inputs: Quantized, kernel: Quantized, *rest: Any, **geometry: Any
  ) -> jax.Array:
    whole = inputs.values.astype(jnp.int32) - inputs.zero_point
    return product(
      whole.astype(jnp.float32),
      kernel.values.astype(jnp.float32),
      *rest,
      **geometry,
      precision=lax.Precision.HIGHEST,
    )

  return simulated


def scaled(
  sums: jax.Array, inputs: Quantized, kernel: Quantized, contracted: int
) -> jax.Array:
  """Sums of integers as the real numbers that they stand for: float32.

  Args:
    sums: [example, ..., output].
    inputs: scales of each example, or one for all.
    kernel: scales of each output, or one for all.
    contracted: how many axes of the kernel, its first, were summed over.
  """
  features = jnp.squeeze(kernel.scale, tuple(range(contracted)))
  lead = (1,) * (sums.ndim - features.ndim)
  scale = _outward(inputs.scale, sums) * features.reshape(
    *lead, *features.shape
  )
  return sums.astype(jnp.float32) * scale


def _ones(inputs: Quantized) -> jax.Array:
  """One example whose integers are 1."""
  return jnp.ones_like(inputs.values[:1])


def _corrected(
  inputs: Quantized, sums: jax.Array, ones: jax.Array
) -> jax.Array:
  """Sums of q w less z times sums of w."""
  return sums - _outward(inputs.zero_point, sums) * ones


def _outward(of_inputs: jax.Array, sums: jax.Array) -> jax.Array:
  """A number of each example, or one for all, with the axes of the outputs."""
  return of_inputs.reshape(-1, *(1,) * (sums.ndim - 1))


def _require_room(terms: int) -> None:
  """Refuses sums that 32 bits might not hold."""
  if terms * _TERM > _SUM:
    raise InputError(
      f"a layer sums {terms:,} products for each output; accepted by int8: up "
      f"to {_SUM // _TERM:,}, which 32 bits hold"
    )


def _convolved(
  images: jax.Array,
  kernel: jax.Array,
  strides: Sequence[int],
  padding: str | Sequence[tuple[int, int]],
  geometry: dict[str, Any],
) -> jax.Array:
  """The convolution of integers: int32.

  Convolutions of images are a matrix product of shifted copies, depthwise ones
  a sum over them. XLA's CPU backend is about as fast with its own convolution
  of integers, but for few or single channels, and with kernels of many members.
  """
  groups = geometry["feature_group_count"]
  depthwise = 1 < groups == images.shape[-1] == kernel.shape[-1]
  dilations = {*geometry["lhs_dilation"], *geometry["rhs_dilation"]}
  usual = images.ndim == 4 and len({*strides}) == 1 and dilations == {1}
  if not usual or not (groups == 1 or depthwise):
    return lax.conv_general_dilated(
      images,
      kernel,
      strides,
      padding,
      **geometry,
      preferred_element_type=jnp.int32,
    )
  taps = (kernel.shape[0], kernel.shape[1])
  pads = _pads(images, taps, strides, padding)
  copies = shifted(images, taps, int(strides[0]), pads)
  if depthwise:
    of_taps = kernel.astype(jnp.int32).reshape(-1, 1, 1, 1, kernel.shape[-1])
    parts = zip(copies, of_taps, strict=True)
    return sum(
      (part.astype(jnp.int32) * tap for part, tap in parts),
      start=jnp.zeros(copies[0].shape, jnp.int32),
    )
  return lax.dot_general(
    jnp.concatenate(copies, axis=-1),
    kernel.reshape(-1, kernel.shape[-1]),
    (((3,), (0,)), ((), ())),
    preferred_element_type=jnp.int32,
  )


def _pads(
  images: jax.Array,
  taps: Sequence[int],
  strides: Sequence[int],
  padding: str | Sequence[tuple[int, int]],
) -> Padding:
  """Padding as numbers: ((top, bottom), (left, right))."""
  if isinstance(padding, str):
    padding = lax.padtype_to_pads(images.shape[1:3], taps, strides, padding)
  (top, bottom), (left, right) = padding
  return (int(top), int(bottom)), (int(left), int(right))
