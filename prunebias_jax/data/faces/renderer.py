"""Margins and style to pixels: paints faces in batches and develops them.

`paint_face` draws one face at any size and `develop_face` takes its picture;
`render` lifts both over batches. Shapes are signed distances in the face's own
frame with antialiased edges, so the same face at another size is the same
picture, finer.
"""

from concurrent.futures import ThreadPoolExecutor
import functools
import os

import jax
import jax.numpy as jnp
import numpy as np

from prunebias_jax.data.faces import (
  accessories,
  attributes,
  backdrop,
  facial_hair,
  features,
  hair,
  scene,
  skin,
)
from prunebias_jax.data.faces.shapes import Canvas, Value, blob, lerp, paint

SIZES = (32, 64, 128)

# Difficulty 1 fades an attribute in over this many standard deviations of its
# score on either side of the boundary.
_FADE = 1.2
_BATCH_PIXELS = 1 << 18


def render(
  *,
  margins: np.ndarray,
  style: np.ndarray,
  grain: np.ndarray,
  difficulty: np.ndarray,
  size: int,
) -> np.ndarray:
  """Draws faces, each the same bits whatever it is drawn together with.

  Args:
    margins: float32 [example, attribute].
    style: float32 [example, style] in [0, 1).
    grain: uint32 [example], seeds of the sensor noise.
    difficulty: float32 [example], 0 (crisp, no clutter) and up.
    size: height and width, px, one of `SIZES`.

  Returns:
    uint8 [example, size, size, 3].
  """
  count = len(margins)
  batch = _BATCH_PIXELS // size**2
  images = np.empty((count, size, size, 3), np.uint8)

  def fill(start: int) -> None:
    # A short last batch repeats its last example: one compiled shape.
    rows = np.minimum(np.arange(start, start + batch), count - 1)
    with jax.default_device(device()):
      painted = _paint(margins[rows], style[rows], difficulty[rows], size)
      drawn = _develop(
        painted, margins[rows], style[rows], grain[rows], difficulty[rows]
      )
      stop = min(start + batch, count)
      images[start:stop] = np.asarray(drawn)[: stop - start]

  starts = range(0, count, batch)
  # The first alone: it compiles, once.
  for start in starts[:1]:
    fill(start)
  with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
    list(pool.map(fill, starts[1:]))
  return images


def device() -> jax.Device:
  """A CPU where there is one: a data set does not depend on what trains."""
  try:
    return jax.local_devices(backend="cpu")[0]
  except RuntimeError:
    return jax.local_devices()[0]


def intensities(margin: jax.Array, difficulty: Value) -> jax.Array:
  """How far attributes are turned on, in [0, 1], for margins of any shape.

  A smooth ramp through 1/2 at the boundary; a step at difficulty 0.
  """
  fade = jnp.maximum(_FADE * difficulty, 1e-6)
  ramp = jnp.clip(0.5 + 0.5 * margin / fade, 0, 1)
  return ramp * ramp * (3 - 2 * ramp)


def paint_face(
  margin: jax.Array, style: jax.Array, difficulty: Value, size: int
) -> Canvas:
  """Paints one face, from the back to the front.

  Args:
    margin: [attribute].
    style: [style] in [0, 1).
    difficulty: 0 and up.
    size: height and width, px.

  Returns:
    Three planes [row, column], not yet clipped to [0, 1].
  """
  face = scene.make(intensities(margin, difficulty), style, difficulty, size)
  canvas = hair.back(backdrop.background(face, size), face)
  for part in (
    backdrop.body,
    skin.head,
    features.eyes,
    features.nose,
    features.mouth,
    facial_hair.facial_hair,
    hair.front,
    accessories.earrings,
    accessories.eyeglasses,
    accessories.hat,
  ):
    canvas = part(canvas, face)
  return _cover_up(canvas, face, size)


def develop_face(
  planes: jax.Array,
  margin: jax.Array,
  style: jax.Array,
  grain: jax.Array,
  difficulty: Value,
) -> jax.Array:
  """Takes a picture of a painting: blur, exposure, colour cast, noise.

  Args:
    planes: float32 [channel, row, column] in [0, 1].
    margin: [attribute].
    style: [style] in [0, 1).
    grain: uint32 scalar, the seed of the sensor noise.
    difficulty: 0 and up.

  Returns:
    uint8 [row, column, channel].
  """
  size = planes.shape[-1]
  blurry = intensities(margin[attributes.INDEX["Blurry"]], difficulty)
  kernel = _blur_kernel(size)
  smooth = jnp.einsum("yi,cij,xj->cyx", kernel, planes, kernel)
  planes = planes + (smooth - planes) * blurry
  free = dict(zip(scene.STYLES, style, strict=True))
  gain = 1 + difficulty * lerp(-0.24, 0.20, free["exposure"])
  red = 1 + 0.12 * difficulty * (free["cast_red"] - 0.5)
  blue = 1 + 0.12 * difficulty * (free["cast_blue"] - 0.5)
  planes = planes * (gain * jnp.stack([red, 1.0, blue]))[:, None, None]
  planes = planes + 0.12 * difficulty * _noise(grain, size)
  levels = jnp.clip(planes, 0, 1) * 255 + 0.5
  return levels.astype(jnp.uint8).transpose(1, 2, 0)


def _cover_up(canvas: Canvas, face: scene.Face, size: int) -> Canvas:
  """Clutter: now and then a soft round thing hides a part of the face."""
  x, y = scene.grid(size)
  here = face.style["cover_here"] < 0.10 * face.clutter
  thing = blob(
    x - face.vary("cover_x", -0.9, 0.9),
    y - face.vary("cover_y", -0.5, 1.0),
    face.vary("back_red", 0.25, 0.40),
    face.vary("back_blue", 0.25, 0.45),
  )
  alpha = jnp.clip(8 * thing, 0, 1) * here
  return paint(canvas, alpha, (
    face.vary("back_blue", 0.2, 0.8),
    face.vary("back_red", 0.2, 0.8),
    face.vary("back_green", 0.2, 0.8),
  ))  # fmt: skip


@functools.partial(jax.jit, static_argnames="size")
def _paint(
  margins: jax.Array, style: jax.Array, difficulty: jax.Array, size: int
) -> jax.Array:
  """Paints a batch: uint32 [example, row, column], 10 bits for a channel.

  One packed plane rather than three: the compiler then makes one loop that
  computes every shape once for its three channels.
  """

  def one(margin: jax.Array, free: jax.Array, level: jax.Array) -> jax.Array:
    canvas = paint_face(margin, free, level, size)
    red, green, blue = (
      (jnp.clip(plane, 0, 1) * 1023 + 0.5).astype(jnp.uint32)
      for plane in canvas
    )
    return red | (green << 10) | (blue << 20)

  return jax.vmap(one)(margins, style, difficulty)


@jax.jit
def _develop(
  painted: jax.Array,
  margins: jax.Array,
  style: jax.Array,
  grain: jax.Array,
  difficulty: jax.Array,
) -> jax.Array:
  """Develops a batch of packed paintings: uint8 [example, row, column, 3]."""
  channels = [(painted >> shift) & 1023 for shift in (0, 10, 20)]
  planes = jnp.stack(channels, axis=1).astype(jnp.float32) / 1023
  return jax.vmap(develop_face)(planes, margins, style, grain, difficulty)


def _blur_kernel(size: int) -> np.ndarray:
  """A Gaussian of 4 % of the width as a matrix [to, from], rows sum to 1."""
  centres = np.arange(size)
  weights = np.exp(
    -0.5 * np.square((centres[:, None] - centres) / (0.04 * size))
  )
  return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


def _noise(grain: jax.Array, size: int) -> jax.Array:
  """Uniform in [-.5, .5): [channel, row, column], from hashed positions.

  Reference: Wellons, "Prospecting for Hash Functions", 2018 (lowbias32).
  """
  words = jnp.arange(size * size, dtype=jnp.uint32).reshape(size, size)
  words = words * jnp.uint32(0x9E3779B9) + grain
  words = (words ^ (words >> 16)) * jnp.uint32(0x7FEB352D)
  words = (words ^ (words >> 15)) * jnp.uint32(0x846CA68B)
  words = words ^ (words >> 16)
  channels = [(words >> shift) & 255 for shift in (0, 8, 16)]
  return jnp.stack(channels).astype(jnp.float32) / 256 - 0.5
