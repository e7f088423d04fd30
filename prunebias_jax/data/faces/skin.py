"""The face itself: ears, head, shading, age, cheeks and chin."""

import jax.numpy as jnp

from prunebias_jax.data.faces import shapes
from prunebias_jax.data.faces.scene import Face, paint_skin
from prunebias_jax.data.faces.shapes import Canvas


def head(canvas: Canvas, face: Face) -> Canvas:
  """Ears, skull and face with light on it."""
  x, y, side = face.x, face.y, face.side
  ears = shapes.ellipse(side - face.width - 0.02, y - 0.02, 0.075, 0.13)
  canvas = paint_skin(canvas, face, face.cover(ears), 0.86)
  hollow = shapes.blob(side - face.width - 0.035, y - 0.02, 0.05, 0.09)
  canvas = paint_skin(canvas, face, hollow * 0.5, 0.60)
  canvas = _double_chin(canvas, face)
  # The skull shows when there is no hair over it.
  skull = shapes.ellipse(x, y + 0.16, face.width + 0.02, 0.50)
  across, down = x / face.width, y / face.height
  edge = jnp.clip(across * across + down * down, 0, 1)
  light = (
    1.03
    + face.vary("light_x", -0.09, 0.09) * across
    + face.vary("light_y", -0.08, 0.0) * down
    - 0.17 * edge * edge * edge
  )
  canvas = paint_skin(
    canvas, face, face.cover(jnp.minimum(face.outline, skull)), light
  )
  gleam = shapes.blob(x + 0.13, y + 0.50, 0.22, 0.12) * face.on["Bald"]
  canvas = shapes.paint(canvas, 0.6 * gleam, (1.0, 0.98, 0.95))
  return _age(_cheeks(canvas, face), face)


def _double_chin(canvas: Canvas, face: Face) -> Canvas:
  """A second chin below the first, with a crease between them."""
  on = face.on["Double_Chin"]
  x, y = face.x, face.y - face.height
  roll = shapes.ellipse(x, y + 0.07, 0.33, 0.07 + 0.12 * on)
  shadow = shapes.ellipse(x, y + 0.03, 0.31, 0.04 + 0.14 * on)
  canvas = paint_skin(canvas, face, face.cover(shadow) * on * 0.8, 0.55)
  canvas = paint_skin(canvas, face, face.cover(roll) * on, 0.95)
  crease = jnp.maximum(jnp.abs(face.outline - 0.01) - 0.024, -y - 0.2)
  return paint_skin(canvas, face, face.cover(crease) * on * 0.9, 0.58)


def _cheeks(canvas: Canvas, face: Face) -> Canvas:
  """Rosy cheeks, and high cheekbones as a light over a shadow."""
  side, y, inside = face.side, face.y, face.inside
  rosy = shapes.blob(side - 0.28, y - 0.18, 0.20, 0.15)
  canvas = shapes.paint(
    canvas, inside * rosy * face.on["Rosy_Cheeks"] * 0.85, (0.93, 0.28, 0.33)
  )
  bones = inside * face.on["High_Cheekbones"]
  slant = y + 0.55 * (side - 0.30)
  hollow = shapes.blob(side - 0.33, slant - 0.235, 0.19, 0.085)
  canvas = paint_skin(canvas, face, bones * hollow * 0.60, 0.60)
  bone = shapes.blob(side - 0.31, slant - 0.105, 0.16, 0.075)
  return shapes.paint(canvas, bones * bone * 0.65, (1.0, 0.95, 0.88))


def _age(canvas: Canvas, face: Face) -> Canvas:
  """Lines on the forehead and beside mouth and eyes, hollow cheeks."""
  old = (1 - face.on["Young"]) * face.inside
  side, y = face.side, face.y
  bend = 0.15 * side * side
  first = face.cover(shapes.stroke(y + 0.345 - bend, 0.015, side, 0.27))
  second = face.cover(shapes.stroke(y + 0.262 - bend, 0.015, side, 0.23))
  canvas = paint_skin(canvas, face, old * (first + second) * 0.60, 0.55)
  fold = shapes.stroke(side - 0.15 - 0.42 * (y - 0.16), 0.022, y - 0.255, 0.110)
  canvas = paint_skin(canvas, face, old * face.cover(fold) * 0.65, 0.55)
  crow = shapes.stroke(
    jnp.abs(y + 0.06) - 0.35 * (side - 0.33), 0.010, side - 0.385, 0.035
  )
  canvas = paint_skin(canvas, face, old * face.cover(crow) * 0.6, 0.5)
  hollow = shapes.blob(side - 0.36, y - 0.24, 0.13, 0.22)
  return paint_skin(canvas, face, old * hollow * 0.45, 0.66)
