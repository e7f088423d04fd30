"""Behind and below the face: background, clothes, neck, tie and necklace."""

import jax.numpy as jnp

from prunebias_jax.data.faces import scene, shapes
from prunebias_jax.data.faces.scene import Face, paint_skin
from prunebias_jax.data.faces.shapes import Canvas, Colour

_METALS: tuple[Colour, Colour] = ((1.0, 0.84, 0.30), (0.93, 0.95, 1.0))


def background(face: Face, size: int) -> Canvas:
  """A gradient between two colours; clutter adds soft stripes and spots."""
  x, y = scene.grid(size)
  red, green, blue = (
    face.vary(f"back_{name}", 0.20, 0.85) for name in ("red", "green", "blue")
  )
  change = face.vary("back_change", -0.22, 0.22)
  lean = face.vary("back_angle", -0.7, 0.7)
  light = change * (lean * x + (1 - jnp.abs(lean)) * y)
  stripes = shapes.wave(
    face.vary("clutter_x", -1.5, 1.5) * x
    + face.vary("clutter_y", -1.5, 1.5) * y
    + face.style["clutter_phase"]
  )
  spot = shapes.blob(
    jnp.abs(x - face.vary("clutter_phase", -0.4, 0.4)) - 0.8,
    y - face.vary("clutter_y", -0.8, 0.4),
    face.vary("clutter_size", 0.2, 0.6),
    face.vary("clutter_size", 0.6, 0.25),
  )
  light = light + face.clutter * (0.09 * stripes + 0.30 * spot)
  # Channels move by different amounts, or the clutter would have no colour.
  return Canvas(red + light, green + 0.8 * light, blue + 0.6 * light)


def body(canvas: Canvas, face: Face) -> Canvas:
  """Neck, shoulders and what is worn there."""
  on, x, y, side = face.on, face.x, face.y, face.side
  male = on["Male"]
  neck = jnp.maximum(
    side - 0.18 - 0.07 * male - 0.04 * on["Chubby"] - 0.25 * (y - 0.7) ** 2,
    0.2 - y,
  )
  shadow = 0.72 + 0.2 * shapes.step(y - face.height - 0.16, 0.2)
  canvas = paint_skin(canvas, face, face.cover(neck), shadow)
  cloth: Colour = (
    face.vary("cloth_red", 0.10, 0.85),
    face.vary("cloth_green", 0.10, 0.80),
    face.vary("cloth_blue", 0.10, 0.85),
  )
  shoulders = shapes.ellipse(x, y - 1.30, 0.92 + 0.12 * male, 0.55)
  folds = 0.92 + 0.08 * shapes.wave(1.3 * side + 0.2)
  canvas = shapes.paint(
    canvas, face.cover(shoulders), shapes.shade(cloth, folds)
  )
  depth = shapes.lerp(face.vary("neckline", 0.12, 0.20), 0.07, male)
  neckline = shapes.ellipse(x, y - 0.76, 0.24 + 0.05 * male, depth)
  canvas = paint_skin(canvas, face, face.cover(neckline), 0.90)
  canvas = _tie(canvas, face)
  return _necklace(canvas, face)


def _tie(canvas: Canvas, face: Face) -> Canvas:
  """A white collar and a tie."""
  on, y, side = face.on["Wearing_Necktie"], face.y, face.side
  hue = face.style["tie_hue"]
  colour: Colour = (
    0.15 + 0.65 * jnp.abs(1 - 2 * hue),
    0.10 + 0.25 * hue,
    0.15 + 0.55 * hue,
  )
  shirt = jnp.maximum(side - 0.34 + 0.45 * (y - 0.68), 0.70 - y)
  canvas = shapes.paint(canvas, face.cover(shirt) * on, (0.96, 0.96, 0.98))
  knot = jnp.maximum(side - 0.095 + 0.3 * (y - 0.72), jnp.abs(y - 0.76) - 0.06)
  blade = jnp.maximum(side - 0.06 - 0.22 * (y - 0.80), 0.80 - y)
  stripes = 0.9 + 0.2 * shapes.step(shapes.wave(3.2 * (face.x + y)), 0.8)
  tie = face.cover(jnp.minimum(knot, blade)) * on
  return shapes.paint(canvas, tie, shapes.shade(colour, stripes))


def _necklace(canvas: Canvas, face: Face) -> Canvas:
  """Beads on an arc and a pendant."""
  on, x, y = face.on["Wearing_Necklace"], face.x, face.y
  metal = shapes.mix(*_METALS, jnp.round(face.style["jewel"]))
  arc = jnp.abs(shapes.ellipse(x, y - 0.70, 0.26, 0.17)) - 0.026
  chain = jnp.maximum(arc, 0.70 - y)
  pendant = shapes.circle(x, y - 0.90, 0.055)
  rim = face.cover(jnp.minimum(chain, pendant) - 0.022)
  canvas = shapes.paint(canvas, rim * on * 0.55, (0.25, 0.15, 0.10))
  beads = 0.88 + 0.12 * shapes.wave(7 * x)
  gold = face.cover(jnp.minimum(chain, pendant))
  return shapes.paint(canvas, gold * on, shapes.shade(metal, beads))
