"""What is worn on the head: earrings, eyeglasses, hat."""

import jax.numpy as jnp

from prunebias_jax.data.faces import features, shapes
from prunebias_jax.data.faces.scene import Face
from prunebias_jax.data.faces.shapes import Canvas, Colour


def earrings(canvas: Canvas, face: Face) -> Canvas:
  """A stud and a drop below each ear, in front of the hair."""
  on = face.on["Wearing_Earrings"]
  x, y = face.side - face.width - 0.045, face.y
  stud = shapes.circle(x, y - 0.155, 0.038)
  drop = shapes.ellipse(x, y - 0.29, 0.068, 0.095)
  both = jnp.minimum(stud, drop)
  canvas = shapes.paint(
    canvas, face.cover(both - 0.022) * on * 0.75, (0.18, 0.12, 0.08)
  )
  jewel = face.style["jewel"]
  colour: Colour = (
    1.0 - 0.10 * jewel,
    0.82 + 0.12 * jewel,
    0.22 + 0.75 * jewel,
  )
  canvas = shapes.paint(canvas, face.cover(both) * on, colour)
  gleam = shapes.blob(x + 0.02, y - 0.26, 0.03, 0.04)
  return shapes.paint(canvas, gleam * on * 0.8, (1, 1, 1))


def eyeglasses(canvas: Canvas, face: Face) -> Canvas:
  """Frames between round and square, a bridge, temples, tinted lenses."""
  on = face.on["Eyeglasses"]
  x, y = face.side - features.EYE_X - 0.005, face.y - features.EYE_Y - 0.01
  round_ = shapes.ellipse(x, y, 0.172, 0.135)
  square = jnp.maximum(jnp.abs(x) - 0.165, jnp.abs(y) - 0.115)
  lens = shapes.lerp(round_, square, jnp.round(face.style["frame"]))
  canvas = shapes.paint(canvas, face.cover(lens) * on * 0.16, (0.75, 0.88, 1.0))
  rim = jnp.abs(lens) - 0.020
  bridge = jnp.maximum(jnp.abs(y + 0.03) - 0.016, face.side - 0.05)
  temple = jnp.maximum(
    jnp.abs(y + 0.04) - 0.018,
    jnp.maximum(0.37 - face.side, face.side - face.width - 0.02),
  )
  frame = jnp.minimum(rim, jnp.minimum(bridge, temple))
  return shapes.paint(canvas, face.cover(frame) * on, (0.05, 0.04, 0.06))


def hat(canvas: Canvas, face: Face) -> Canvas:
  """A beanie or a hat with a brim, with a band."""
  on, x, y = face.on["Wearing_Hat"], face.x, face.y
  colour: Colour = (
    face.vary("hat_red", 0.10, 0.85),
    face.vary("hat_green", 0.10, 0.75),
    face.vary("hat_blue", 0.10, 0.85),
  )
  wide = jnp.round(face.style["hat_kind"])
  dome = jnp.maximum(
    shapes.ellipse(x, y + 0.36, face.width + 0.12 - 0.02 * wide, 0.52), y + 0.34
  )
  round_off = 1.05 - 0.25 * shapes.bell(jnp.square(x / 0.7))
  canvas = shapes.paint(
    canvas, face.cover(dome) * on, shapes.shade(colour, round_off - 0.2 * x)
  )
  band = jnp.maximum(jnp.abs(y + 0.46) - 0.055, jnp.abs(x) - face.width - 0.09)
  canvas = shapes.paint(
    canvas, face.cover(band) * on * wide, shapes.shade(colour, 0.45)
  )
  brim = shapes.ellipse(x, y + 0.37 - 0.12 * x * x, face.width + 0.35, 0.085)
  cuff = jnp.maximum(jnp.abs(y + 0.385) - 0.08, jnp.abs(x) - face.width - 0.125)
  edge = shapes.lerp(cuff, brim, wide)
  return shapes.paint(canvas, face.cover(edge) * on, shapes.shade(colour, 0.78))
