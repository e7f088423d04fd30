"""Signed distances, antialiased coverage and paint: what pictures are made of.

Everything here is elementwise over the pixels of one face, so that a whole
face compiles to one loop. Lengths are in units of half the picture's width.
"""

from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp

# A traced scalar or one value for each pixel [row, column].
Value: TypeAlias = jax.Array | float
Colour: TypeAlias = tuple[Value, Value, Value]


class Canvas(NamedTuple):
  """Three planes [row, column] in [0, 1]."""

  red: jax.Array
  green: jax.Array
  blue: jax.Array


def paint(canvas: Canvas, alpha: Value, colour: Colour) -> Canvas:
  """Lays a colour over the canvas where `alpha` is 1."""
  return Canvas(
    *(
      plane + (new - plane) * alpha
      for plane, new in zip(canvas, colour, strict=True)
    )
  )


def mix(first: Colour, second: Colour, share: Value) -> Colour:
  """The colour at `share` of the way from the first to the second."""
  red, green, blue = (
    a + (b - a) * share for a, b in zip(first, second, strict=True)
  )
  return red, green, blue


def shade(colour: Colour, factor: Value) -> Colour:
  """The colour made darker (below 1) or lighter (above 1)."""
  red, green, blue = (channel * factor for channel in colour)
  return red, green, blue


def lerp(start: Value, stop: Value, share: Value) -> Value:
  """The number at `share` of the way from start to stop."""
  return start + (stop - start) * share


def cover(distance: Value, pixel: Value) -> jax.Array:
  """Share of a pixel inside a shape at this signed distance (inside < 0)."""
  return jnp.clip(0.5 - distance / pixel, 0, 1)


def ellipse(x: Value, y: Value, rx: Value, ry: Value) -> jax.Array:
  """Signed distance to an ellipse around the origin, exact to first order."""
  u, v = x / rx, y / ry
  slope = jnp.square(u / rx) + jnp.square(v / ry)
  return (u * u + v * v - 1) * 0.5 * jax.lax.rsqrt(slope + 1e-4)


def circle(x: Value, y: Value, radius: Value) -> jax.Array:
  """Signed distance to a circle around the origin."""
  return jnp.sqrt(x * x + y * y) - radius


def stroke(across: Value, half: Value, along: Value, reach: Value) -> jax.Array:
  """Distance to a line: `across` its middle line, `along` its length."""
  return jnp.maximum(jnp.abs(across) - half, jnp.abs(along) - reach)


def blob(x: Value, y: Value, rx: Value, ry: Value) -> jax.Array:
  """A soft spot: 1 in the middle, 0 from the ellipse of these radii on."""
  return jnp.square(bell(jnp.square(x / rx) + jnp.square(y / ry)))


def bell(square: Value) -> jax.Array:
  """1 - square, not below 0."""
  return jnp.maximum(1 - square, 0)


def wave(turns: Value) -> jax.Array:
  """A parabola's stand-in for sin(2 pi turns): cheap, smooth, period 1."""
  phase = turns - jnp.floor(turns + 0.5)
  return 8 * phase * (1 - 2 * jnp.abs(phase))


def step(value: Value, width: Value) -> jax.Array:
  """0 to 1 over `width` around value = 0, linearly."""
  return jnp.clip(0.5 + value / width, 0, 1)
