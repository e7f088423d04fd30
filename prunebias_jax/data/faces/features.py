"""Eyes, eyebrows, nose and mouth."""

import jax
import jax.numpy as jnp

from prunebias_jax.data.faces import shapes
from prunebias_jax.data.faces.scene import Face, paint_skin
from prunebias_jax.data.faces.shapes import Canvas, Colour, Value

EYE_X, EYE_Y = 0.205, -0.06
MOUTH_Y = 0.345

_IRISES: tuple[Colour, Colour] = ((0.26, 0.15, 0.08), (0.22, 0.45, 0.62))


def eyes(canvas: Canvas, face: Face) -> Canvas:
  """Make-up, bags, eyeballs and lids."""
  on, x, y = face.on, face.side - EYE_X, face.y - EYE_Y
  canvas = _under_eyes(canvas, face)
  makeup = on["Heavy_Makeup"]
  lid = shapes.ellipse(x - 0.01, y + 0.035, 0.165, 0.115)
  canvas = shapes.paint(
    canvas, face.cover(lid) * makeup * 0.72, (0.42, 0.20, 0.50)
  )
  half = 0.082 - 0.052 * on["Narrow_Eyes"]
  # Almond: the upper lid is rounder than the lower.
  eye = shapes.ellipse(x, y * (1 + 0.25 * (y > 0)), 0.122, half)
  white = face.cover(eye)
  canvas = shapes.paint(canvas, white, (0.97, 0.97, 0.96))
  iris = shapes.mix(*_IRISES, face.style["eye_colour"])
  canvas = shapes.paint(
    canvas, white * face.cover(shapes.circle(x, y, 0.060)), iris
  )
  canvas = shapes.paint(
    canvas, white * face.cover(shapes.circle(x, y, 0.028)), (0.02, 0.02, 0.03)
  )
  glint = shapes.circle(face.side - EYE_X, y + 0.022, 0.016)
  canvas = shapes.paint(canvas, white * face.cover(glint) * 0.9, (1, 1, 1))
  lash = jnp.maximum(jnp.abs(eye) - 0.010 - 0.014 * makeup, y - 0.01)
  canvas = shapes.paint(
    canvas, face.cover(lash) * (0.60 + 0.35 * makeup), (0.10, 0.06, 0.06)
  )
  return _brows(canvas, face)


def nose(canvas: Canvas, face: Face) -> Canvas:
  """Bridge, tip and nostrils; broad when big, long and sharp when pointy."""
  big, pointy = face.on["Big_Nose"], face.on["Pointy_Nose"]
  x, y, side = face.x, face.y, face.side
  half = 0.075 + 0.078 * big - 0.030 * pointy
  tip = 0.165 + 0.045 * pointy
  along = jnp.clip((y + 0.10) / (tip + 0.10), 0, 1)
  flank = 0.030 + (half - 0.030) * along * along
  lean = face.vary("light_x", -1.0, 1.0)
  shadow = shapes.stroke(side - flank, 0.016, y - 0.5 * tip, 0.5 * tip + 0.04)
  away = 0.6 + 0.4 * jnp.clip(lean * x * 20, -1, 1)
  canvas = paint_skin(canvas, face, face.cover(shadow) * away * 0.45, 0.66)
  bulb = shapes.ellipse(x, y - tip + 0.02, half + 0.012, 0.040 + 0.034 * big)
  base = face.cover(bulb)
  canvas = paint_skin(canvas, face, base * (0.45 + 0.3 * big), 0.74)
  light = shapes.blob(x, y - tip + 0.045, 0.7 * half, 0.055 + 0.02 * big)
  canvas = paint_skin(canvas, face, light * 0.75, 1.12)
  # The point: a bright ridge that ends in a dark corner below the tip.
  ridge = face.cover(shapes.stroke(x, 0.018, y - 0.03, 0.14))
  canvas = shapes.paint(
    canvas, ridge * (0.15 + 0.55 * pointy), (1.0, 0.96, 0.90)
  )
  corner = jnp.maximum(side * 1.1 + (y - tip - 0.045), tip - 0.03 - y)
  canvas = paint_skin(canvas, face, face.cover(corner) * pointy * 0.85, 0.45)
  nostril = shapes.ellipse(
    side - 0.55 * half,
    y - tip - 0.008,
    0.020 + 0.014 * big,
    0.016 + 0.006 * big,
  )
  return paint_skin(canvas, face, face.cover(nostril) * 0.8, 0.30)


def mouth(canvas: Canvas, face: Face) -> Canvas:
  """Lips, and teeth or the dark between them."""
  on, x, side = face.on, face.x, face.side
  smile, opened = on["Smiling"], on["Mouth_Slightly_Open"]
  half, y = mouth_frame(face)
  lip = shapes.mix(
    shapes.mix(face.skin, (0.72, 0.33, 0.32), 0.70),
    (0.80, 0.04, 0.16),
    0.95 * on["Wearing_Lipstick"],
  )
  arch = shapes.bell(jnp.square(x / half))
  # The bow of the upper lip: two humps.
  bow = 1 - 0.25 * shapes.bell(jnp.square(x / 0.05))
  full = 0.52 + 1.18 * on["Big_Lips"] - 0.12 * (1 - on["Young"])
  gap = 0.052 * opened * arch
  upper = (0.050 * full * bow * arch) + gap
  lower = (0.068 * full * arch) + gap
  lips = jnp.maximum(jnp.maximum(-y - upper, y - lower), side - half)
  below = shapes.blob(x, y - lower - 0.035, 0.6 * half, 0.05)
  canvas = paint_skin(canvas, face, below * 0.35, 0.72)
  canvas = shapes.paint(canvas, face.cover(lips), lip)
  on_lower = y - 0.55 * lower - 0.3 * gap
  shine = shapes.blob(x, on_lower, 0.5 * half, 0.3 * lower + 0.01)
  canvas = shapes.paint(canvas, shine * 0.25, (1.0, 0.9, 0.88))
  inner = jnp.maximum(jnp.abs(y) - gap, side - half * 0.9)
  shown = shapes.step(opened - 0.3, 0.6)
  canvas = shapes.paint(canvas, face.cover(inner) * shown, (0.22, 0.04, 0.06))
  teeth = jnp.maximum(jnp.abs(y + 0.35 * gap) - 0.6 * gap, side - half * 0.78)
  canvas = shapes.paint(
    canvas, face.cover(teeth) * shown * (0.5 + 0.45 * smile), (0.98, 0.98, 0.96)
  )
  seam = shapes.stroke(y, 0.008, side, half)
  canvas = paint_skin(canvas, face, face.cover(seam) * (1 - shown) * 0.8, 0.3)
  crease = shapes.blob(side - half - 0.045, y + 0.03, 0.035, 0.10)
  return paint_skin(canvas, face, crease * smile * 0.6, 0.6)


def mouth_frame(face: Face) -> tuple[Value, jax.Array]:
  """Half the mouth's width, and [row, column] the height over its line."""
  smile = face.on["Smiling"]
  half = 0.155 + 0.080 * smile + face.vary("mouth_width", -0.012, 0.012)
  corners = (0.100 * smile + 0.010) * (jnp.square(face.x / half) - 0.5)
  return half, face.y - MOUTH_Y + jnp.clip(corners, -0.08, 0.08)


def _under_eyes(canvas: Canvas, face: Face) -> Canvas:
  """Bags: a dark crescent over a light one."""
  on, x, y = face.on["Bags_Under_Eyes"], face.side - EYE_X, face.y - EYE_Y
  bend = 1.6 * x * x
  dark = shapes.blob(x, y - 0.135 + bend, 0.15, 0.052)
  canvas = shapes.paint(canvas, on * dark * 0.85, shapes.mix(
    shapes.shade(face.skin, 0.5), (0.35, 0.22, 0.38), 0.5
  ))  # fmt: skip
  light = shapes.blob(x, y - 0.092 + bend, 0.11, 0.026)
  return paint_skin(canvas, face, on * light * 0.7, 1.12)


def _brows(canvas: Canvas, face: Face) -> Canvas:
  """Flat or arched, thin or bushy."""
  on, x = face.on, face.side - EYE_X - 0.01
  arched = on["Arched_Eyebrows"]
  rise = shapes.bell(jnp.square((x - 0.03) / 0.15))
  middle = EYE_Y - 0.148 + 0.033 * arched - (0.02 + 0.115 * arched) * rise
  half = 0.021 + 0.026 * on["Bushy_Eyebrows"] + 0.006 * on["Male"]
  # Thinner towards the temple.
  half = half * jnp.clip(1 - 2.2 * x, 0.5, 1.25)
  brow = shapes.stroke(face.y - middle, half, x, 0.145)
  colour = shapes.mix(shapes.shade(face.hair, 0.5), (0.12, 0.08, 0.06), 0.35)
  return shapes.paint(canvas, face.cover(brow) * 0.88, colour)
