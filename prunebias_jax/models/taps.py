"""Images shifted to what each tap of a kernel sees."""

import jax
import jax.numpy as jnp

Padding = tuple[tuple[int, int], tuple[int, int]]


def shifted(
  images: jax.Array, taps: tuple[int, int], stride: int, padding: Padding
) -> list[jax.Array]:
  """What every tap sees, row by row: [batch, y, x, channel] of the output.

  Args:
    images: [batch, y, x, channel].
    taps: rows and columns of the kernel.
    stride: the same in both directions.
    padding: ((top, bottom), (left, right)), filled with zeros.
  """
  rows, columns = taps
  padded = jnp.pad(images, ((0, 0), *padding, (0, 0)))
  height = (padded.shape[1] - rows) // stride + 1
  width = (padded.shape[2] - columns) // stride + 1
  return [
    padded[
      :,
      row : row + (height - 1) * stride + 1 : stride,
      column : column + (width - 1) * stride + 1 : stride,
    ]
    for row in range(rows)
    for column in range(columns)
  ]
