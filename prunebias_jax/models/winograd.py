"""Convolutions of 3 x 3 taps with fewer multiplications, in single precision.

Four neighbouring outputs of a 3 x 3 convolution take 36 multiplications; after
linear transforms of the images (tiles of 4 x 4 pixels) and of the kernel they
take 16. With many channels the transforms cost little and the products, one
matrix product for each of 16 places, nearly all.

Reference: Lavin & Gray 2016, "Fast Algorithms for Convolutional Neural
Networks", F(2 x 2, 3 x 3), equation 12.
"""

from collections.abc import Sequence

import jax
from jax import lax
import jax.numpy as jnp
import numpy as np

# Channels in and out: below, transforms cost too much, and above, reading the
# transformed kernel does.
CHANNELS = range(64, 257)
PIXELS = 14 * 14  # smaller images have too few tiles for a fast product
CACHE = 2 << 20  # bytes of transformed images that are at hand at a time

Padding = tuple[tuple[int, int], tuple[int, int]]

# The kernel's transform: [place, tap].
_KERNEL = np.array(
  [[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]], np.float32
)


def suits(images: jax.Array, kernel: jax.Array, stride: int) -> bool:
  """Whether a convolution is fast and exact enough this way."""
  return (
    kernel.shape[:2] == (3, 3)
    and stride == 1
    and all(channels in CHANNELS for channels in kernel.shape[2:])
    and images.shape[1] * images.shape[2] >= PIXELS
    and images.dtype == jnp.float32
  )


def convolve(
  images: jax.Array, kernel: jax.Array, padding: Padding
) -> jax.Array:
  """The 3 x 3 convolution of stride 1.

  Args:
    images: float32 [batch, y, x, channel in].
    kernel: float32 [3, 3, channel in, channel out].
    padding: ((top, bottom), (left, right)).

  Returns:
    [batch, y, x, channel out].
  """
  rows, columns = _size(images.shape, padding)
  transformed = _transformed(kernel)

  def block(images: jax.Array) -> jax.Array:
    places = _tiles(images, padding)
    products = lax.dot_general(
      places.reshape(16, -1, places.shape[-1]),
      transformed,
      (((2,), (1,)), ((0,), (0,))),
    )
    products = products.reshape(4, 4, *places.shape[2:5], -1)
    return _untile(products)[:, :rows, :columns]

  size = _block(images.shape, kernel.shape)
  blocks = images.reshape(-1, size, *images.shape[1:])
  out = lax.map(block, blocks)
  return out.reshape(len(images), *out.shape[2:])


def _size(shape: Sequence[int], padding: Padding) -> tuple[int, int]:
  """(height, width) of what comes out."""
  height, width = (
    size + sum(around) - 2
    for size, around in zip(shape[1:3], padding, strict=True)
  )
  return height, width


def _block(shape: Sequence[int], kernel: Sequence[int]) -> int:
  """How many images are transformed at a time.

  Their transforms stay in the cache, or are at least no smaller than the
  kernel's, which is read once for each block.
  """
  image = 16 * shape[1] * shape[2] * shape[3]
  most = max(1, max(CACHE, 64 * kernel[2] * kernel[3]) // image)
  return next(n for n in range(most, 0, -1) if shape[0] % n == 0)


def _transformed(kernel: jax.Array) -> jax.Array:
  """The kernel in the 16 places: [place, channel in, channel out]."""
  places = jnp.einsum("ai,bj,ijcf->abcf", _KERNEL, _KERNEL, kernel)
  return places.reshape(16, *kernel.shape[2:])


def _tiles(images: jax.Array, padding: Padding) -> jax.Array:
  """Images in tiles of 4 x 4 that overlap by 2, transformed.

  Returns:
    [place y, place x, batch, tile y, tile x, channel].
  """
  height, width = _size(images.shape, padding)
  (top, bottom), (left, right) = padding
  images = lax.pad(
    images,
    jnp.float32(0),
    [
      (0, 0, 0),
      (top, bottom + height % 2, 0),
      (left, right + width % 2, 0),
      (0, 0, 0),
    ],
  )

  def transform(axis: int, x: jax.Array) -> list[jax.Array]:
    end = x.shape[axis] - 3
    a, b, c, d = (
      lax.slice_in_dim(x, first, end + first, 2, axis) for first in range(4)
    )
    return [a - c, b + c, c - b, b - d]

  return jnp.stack(
    [jnp.stack(transform(2, row)) for row in transform(1, images)]
  )


def _untile(products: jax.Array) -> jax.Array:
  """The images whose tiles were multiplied; the inverse transform."""

  def inverse(a: jax.Array) -> list[jax.Array]:
    return [a[0] + a[1] + a[2], a[1] - a[2] - a[3]]

  rows = [jnp.stack(inverse(row), 3) for row in inverse(products)]
  out = jnp.stack(rows, 2)  # [batch, tile y, 2, tile x, 2, channel]
  count, down, _, across, _, features = out.shape
  return out.reshape(count, 2 * down, 2 * across, features)
