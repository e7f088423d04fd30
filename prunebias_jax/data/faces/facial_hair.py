"""Stubble, beard, goatee, mustache and sideburns."""

import jax
import jax.numpy as jnp

from prunebias_jax.data.faces import features, shapes
from prunebias_jax.data.faces.scene import Face
from prunebias_jax.data.faces.shapes import Canvas, Colour


def facial_hair(canvas: Canvas, face: Face) -> Canvas:
  """Everything that grows in the lower half of the face."""
  half, over = features.mouth_frame(face)
  lips = face.cover(shapes.ellipse(face.x, over, half, 0.05))
  around_lips = face.inside * (1 - lips)
  colour = shapes.mix(shapes.shade(face.hair, 0.62), (0.10, 0.07, 0.06), 0.25)
  reach = shapes.step(face.y - 0.2575 + 0.25 * face.side, 0.10)
  stubble = around_lips * reach * face.on["5_o_Clock_Shadow"] * 0.50
  canvas = shapes.paint(canvas, stubble, (0.24, 0.24, 0.27))
  # Any beard has at least this rim along the jaw.
  rim = shapes.step(face.outline + 0.085, 0.05)
  rim = face.inside * rim * shapes.step(face.y - 0.16, 0.12)
  canvas = shapes.paint(canvas, rim * (1 - face.on["No_Beard"]) * 0.85, colour)
  canvas = _goatee(canvas, face, colour, around_lips)
  canvas = _mustache(canvas, face, colour)
  return _sideburns(canvas, face, colour)


def _goatee(
  canvas: Canvas, face: Face, colour: Colour, around_lips: jax.Array
) -> Canvas:
  """On the chin and in a ring around the lower lip."""
  x, y = face.x, face.y
  half, _ = features.mouth_frame(face)
  chin = shapes.ellipse(x, y - 0.515, 0.15, 0.105)
  ring = jnp.abs(shapes.ellipse(x, y - 0.40, half + 0.045, 0.15)) - 0.026
  grown = face.cover(jnp.minimum(chin, jnp.maximum(ring, 0.33 - y)))
  alpha = grown * around_lips * face.on["Goatee"] * 0.95
  return shapes.paint(canvas, alpha, colour)


def _mustache(canvas: Canvas, face: Face, colour: Colour) -> Canvas:
  """Two lobes over the upper lip."""
  side = face.side
  half, over = features.mouth_frame(face)
  droop = 0.10 * side + 0.55 * side * side
  lobes = jnp.abs(over + 0.088 - droop) - 0.042 + 0.10 * side
  lobes = face.cover(jnp.maximum(lobes, side - half - 0.045))
  parted = 1 - 0.5 * shapes.bell(jnp.square(face.x / 0.03))
  alpha = lobes * parted * face.on["Mustache"] * 0.97
  return shapes.paint(canvas, alpha, colour)


def _sideburns(canvas: Canvas, face: Face, colour: Colour) -> Canvas:
  """In front of the ears, from the temples down, wider towards the jaw."""
  y, side = face.y, face.side
  tall = jnp.abs(y - 0.02) - 0.04 - 0.5 * side
  burns = jnp.maximum(tall, -face.outline - 0.105 - 0.08 * y)
  burns = face.cover(jnp.maximum(burns, 0.25 - side))
  alpha = face.inside * burns * face.on["Sideburns"] * 0.95
  return shapes.paint(canvas, alpha, colour)
