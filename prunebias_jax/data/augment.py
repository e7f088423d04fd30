"""Random flips, shifts and windows of uint8 images on the device, and marks."""

import dataclasses

import jax
from jax import lax
import jax.numpy as jnp

from prunebias_jax.data.markers import mark, windowed
from prunebias_jax.data.window import Taps, Window, combined, taps


@dataclasses.dataclass(frozen=True)
class Augment:
  """What is done to training images at random.

  Attributes:
    flip: mirror half of the images.
    crop: shift by up to this many pixels in both directions, zeros outside.
    marker: what is put on marked examples afterwards.
    window: cuts windows at random places of scaled pictures, in place of
      shifts; None where images are used as they are.
  """

  flip: bool
  crop: int
  marker: str = ""
  window: Window | None = None

  def __call__(
    self, key: jax.Array, images: jax.Array, marked: jax.Array | None = None
  ) -> jax.Array:
    """Augmented copies: uint8 [example, y, x, channel], or the windows.

    Args:
      key: one key for the whole batch.
      images: uint8 [example, y, x, channel].
      marked: [example], not 0 where an example carries the marker.
    """
    if self.window is not None:

      def cut(images: jax.Array) -> jax.Array:
        return self._windows(key, images)

      return windowed(self.marker, images, marked, cut)
    moved = self._moved(key, images)
    return moved if marked is None else mark(self.marker, moved, marked)

  def _windows(self, key: jax.Array, images: jax.Array) -> jax.Array:
    """Windows at random: every place in the picture is equally likely."""
    window = self.window
    assert window is not None
    count, height, width, _ = images.shape
    flip_key, *place_keys = jax.random.split(key, 3)
    mirrored = jnp.zeros(count, bool)
    if self.flip:
      mirrored = jax.random.bernoulli(flip_key, 0.5, (count,))
    top, left = (
      jax.random.randint(one, (count,), 0, side - window.size + 1)
      for one, side in zip(
        place_keys, window.scaled(height, width), strict=True
      )
    )
    return jax.vmap(lambda image, *place: _window(window, image, *place))(
      images, top, left, mirrored
    )

  def _moved(self, key: jax.Array, images: jax.Array) -> jax.Array:
    count, height, width, _ = images.shape
    flip_key, crop_key = jax.random.split(key)
    # One gather does it all: column and row of the source of every pixel.
    rows = jnp.broadcast_to(jnp.arange(height), (count, height))
    columns = jnp.broadcast_to(jnp.arange(width), (count, width))
    if self.crop:
      shifts = jax.random.randint(
        crop_key, (2, count, 1), -self.crop, self.crop + 1
      )
      rows, columns = rows + shifts[0], columns + shifts[1]
    if self.flip:
      mirrored = jax.random.bernoulli(flip_key, 0.5, (count, 1))
      columns = jnp.where(mirrored, width - 1 - columns, columns)
    if not (self.flip or self.crop):
      return images
    return jax.vmap(_take)(images, rows, columns)


def _take(image: jax.Array, rows: jax.Array, columns: jax.Array) -> jax.Array:
  """The image's pixels at these rows and columns, zeros outside."""

  def take(image: jax.Array, index: jax.Array, axis: int) -> jax.Array:
    inside = (index >= 0) & (index < image.shape[axis])
    # A negative index would count from the end; this one is outside.
    index = jnp.where(inside, index, image.shape[axis])
    return jnp.take(image, index, axis, mode="fill", fill_value=0)

  return take(take(image, rows, 0), columns, 1)


def _window(
  window: Window,
  image: jax.Array,
  top: jax.Array,
  left: jax.Array,
  mirrored: jax.Array,
) -> jax.Array:
  """The window at a place of a scaled picture: uint8 [size, size, channel].

  Args:
    window: how large it is, and the picture it is cut from.
    image: uint8 [y, x, channel], before it is scaled.
    top: int32 [], the window's first row in the scaled picture.
    left: int32 [], its first column.
    mirrored: bool [], whether columns come in reverse.
  """
  height, width = image.shape[:2]
  tall, wide = window.scaled(height, width)
  vertical, horizontal = taps(height, tall), taps(width, wide)
  rows = Taps(
    *(lax.dynamic_slice_in_dim(x, top, window.size) for x in vertical)
  )
  steps = jnp.arange(window.size)
  steps = jnp.where(mirrored, window.size - 1 - steps, steps)
  columns = Taps(*(jnp.asarray(x)[left + steps] for x in horizontal))
  # Only the rows that a window needs, as many as the neediest does.
  spans = vertical.first[window.size - 1 :] - vertical.first[: 1 - window.size]
  needed = int(spans.max()) + vertical.weights.shape[1]
  low = jnp.minimum(rows.first[0], height - needed)
  part = lax.dynamic_slice_in_dim(image, low, needed)
  part = combined(part, columns, -2)
  return combined(part, Taps(rows.first - low, rows.weights), -3)


def normalise(images: jax.Array) -> jax.Array:
  """uint8 pixels as float32 in [-1, 1]: mean .5 and deviation .5 removed."""
  return images.astype(jnp.float32) * (2 / 255) - 1
