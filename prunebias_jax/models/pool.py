"""Max-pools with gradients that are fast on the CPU.

XLA's gradient of a window maximum looks for it pixel by pixel. Here a pixel is
compared with the maxima of the windows that see it. Every maximum of a window
gets the gradient, tied ones too: ties of a positive maximum have measure zero,
and at zero the rectifier before the pooling stops the gradient.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp


@jax.custom_vjp
def max_pool(images: jax.Array) -> jax.Array:
  """Maximum over 2 x 2 windows, stride 2: [batch, y / 2, x / 2, channel].

  Two pairwise maxima are several times faster on the CPU than a window
  reduction, forward and backward. An odd last row or column is left out.
  """
  count, height, width, channels = images.shape
  images = images[:, : height // 2 * 2, : width // 2 * 2]
  images = images.reshape(count, height // 2, 2, width // 2, 2, channels)
  rows = jnp.maximum(images[:, :, 0], images[:, :, 1])
  return jnp.maximum(rows[:, :, :, 0], rows[:, :, :, 1])


def _max_pool_forward(
  images: jax.Array,
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
  pooled = max_pool(images)
  return pooled, (images, pooled)


def _max_pool_backward(
  saved: tuple[jax.Array, jax.Array], gradient: jax.Array
) -> tuple[jax.Array]:
  images, pooled = saved
  count, height, width, channels = images.shape

  def spread(x: jax.Array) -> jax.Array:
    rows, columns = x.shape[1:3]
    shape = (count, rows, 2, columns, 2, channels)
    wide = jnp.broadcast_to(x[:, :, None, :, None], shape)
    wide = wide.reshape(count, 2 * rows, 2 * columns, channels)
    odd = (height - 2 * rows, width - 2 * columns)
    if not any(odd):
      return wide
    # A value that no image holds keeps the left-out edge without gradient.
    return jnp.pad(
      wide,
      ((0, 0), (0, odd[0]), (0, odd[1]), (0, 0)),
      constant_values=jnp.nan,
    )

  kept = jnp.where(images == spread(pooled), spread(gradient), 0)
  return (kept.astype(gradient.dtype),)


max_pool.defvjp(_max_pool_forward, _max_pool_backward)


@jax.custom_vjp
def overlapping_max_pool(images: jax.Array) -> jax.Array:
  """Maximum over 3 x 3 windows, stride 2, padding 1: [batch, y / 2, x / 2, c].

  Odd sizes are halved up.
  """
  return nn.max_pool(images, (3, 3), (2, 2), padding=((1, 1), (1, 1)))


def _overlapping_forward(
  images: jax.Array,
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
  pooled = overlapping_max_pool(images)
  return pooled, (images, pooled)


def _overlapping_backward(
  saved: tuple[jax.Array, jax.Array], gradient: jax.Array
) -> tuple[jax.Array]:
  """Along an axis, pixel p is in window p // 2, odd ones in the next too."""
  images, pooled = saved
  height, width = images.shape[1:3]

  def seen(x: jax.Array, axis: int, following: bool) -> jax.Array:
    """Of each pixel: a value of its window, or NaN where there is none."""
    if not following:
      return jnp.repeat(x, 2, axis)
    nothing = jnp.full_like(x, jnp.nan)
    rest = jax.lax.slice_in_dim(x, 1, None, axis=axis)
    last = jax.lax.slice_in_dim(nothing, 0, 1, axis=axis)
    moved = jnp.concatenate([rest, last], axis)
    pairs = jnp.stack([nothing, moved], axis + 1)
    shape = (*x.shape[:axis], 2 * x.shape[axis], *x.shape[axis + 1 :])
    return pairs.reshape(shape)

  total = jnp.zeros_like(images)
  for below in (False, True):
    for right in (False, True):
      maximum, share = (
        seen(seen(x, 1, below), 2, right)[:, :height, :width]
        for x in (pooled, gradient)
      )
      total += jnp.where(images == maximum, share, 0)
  return (total.astype(gradient.dtype),)


overlapping_max_pool.defvjp(_overlapping_forward, _overlapping_backward)
