"""Depthwise convolutions: one filter for every channel, no sum over channels.

XLA has them as grouped convolutions with one channel a group, for which its CPU
backend has no fast code. The sum over taps is elementwise, so it is as fast in
a loop and for many members at once, and so are the gradients that automatic
differentiation writes.
"""

from collections.abc import Callable

import jax
from jax import lax
import jax.numpy as jnp

from prunebias_jax.models.taps import Padding, shifted

# (images, kernel, stride, padding) to images, as `by_group` has them
Convolve = Callable[[jax.Array, jax.Array, int, Padding], jax.Array]


def by_group(
  images: jax.Array, kernel: jax.Array, stride: int, padding: Padding
) -> jax.Array:
  """The depthwise convolution as XLA has it.

  Args:
    images: [batch, y, x, channel].
    kernel: [y, x, 1, channel].
    stride: the same in both directions.
    padding: ((top, bottom), (left, right)).

  Returns:
    [batch, y, x, channel].
  """
  return lax.conv_general_dilated(
    images,
    kernel,
    (stride, stride),
    padding,
    dimension_numbers=("NHWC", "HWIO", "NHWC"),
    feature_group_count=images.shape[-1],
  )


def by_taps(
  images: jax.Array, kernel: jax.Array, stride: int, padding: Padding
) -> jax.Array:
  """`by_group` as a sum of shifted images, one for each tap of the kernel.

  Products and sums are float32, those of the gradients too.
  """
  rows, columns = kernel.shape[:2]
  seen = shifted(images, (rows, columns), stride, padding)
  taps = kernel.astype(jnp.float32).reshape(rows * columns, 1, 1, 1, -1)
  total = jnp.zeros(seen[0].shape, jnp.float32)
  for tap, part in zip(taps, seen, strict=True):
    total += part.astype(jnp.float32) * tap
  return total.astype(images.dtype)


# The form that goes with each way of writing ordinary convolutions.
DEPTHWISE: dict[str, Convolve] = {
  "plain": by_group,
  "canonical": by_taps,
  "matmul": by_taps,
}
