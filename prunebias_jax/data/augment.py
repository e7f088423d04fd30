"""Random flips and shifts of uint8 images, and marks, on the device."""

import dataclasses

import jax
import jax.numpy as jnp

from prunebias_jax.data.markers import mark


@dataclasses.dataclass(frozen=True)
class Augment:
  """What is done to training images at random.

  Attributes:
    flip: mirror half of the images.
    crop: shift by up to this many pixels in both directions, zeros outside.
    marker: what is put on marked examples afterwards.
  """

  flip: bool
  crop: int
  marker: str = ""

  def __call__(
    self, key: jax.Array, images: jax.Array, marked: jax.Array | None = None
  ) -> jax.Array:
    """Augmented copies: uint8 [example, y, x, channel], as they came in.

    Args:
      key: one key for the whole batch.
      images: uint8 [example, y, x, channel].
      marked: [example], not 0 where an example carries the marker.
    """
    moved = self._moved(key, images)
    return moved if marked is None else mark(self.marker, moved, marked)

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


def normalise(images: jax.Array) -> jax.Array:
  """uint8 pixels as float32 in [-1, 1]: mean .5 and deviation .5 removed."""
  return images.astype(jnp.float32) * (2 / 255) - 1
