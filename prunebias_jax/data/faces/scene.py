"""One face before it is drawn: its coordinates, proportions and colours."""

from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp

from prunebias_jax.data.faces import attributes, shapes
from prunebias_jax.data.faces.shapes import Canvas, Colour, Value

# What no attribute says, each uniform in [0, 1): the columns of `style`.
STYLES = (
  "tilt", "shift_x", "shift_y", "scale",
  "skin", "hair_shade", "eye_colour", "width", "height",
  "light_x", "light_y", "exposure", "cast_red", "cast_blue",
  "back_red", "back_green", "back_blue", "back_change", "back_angle",
  "clutter_x", "clutter_y", "clutter_phase", "clutter_size",
  "cover_here", "cover_x", "cover_y",
  "cloth_red", "cloth_green", "cloth_blue", "neckline",
  "hair_length", "parting", "curl_phase", "fringe",
  "tie_hue", "jewel", "hat_red", "hat_green", "hat_blue", "hat_kind",
  "frame", "mouth_width",
)  # fmt: skip

_SKIN: tuple[Colour, ...] = (
  (0.96, 0.80, 0.69),
  (0.86, 0.65, 0.50),
  (0.55, 0.36, 0.26),
)
_PALE: Colour = (0.99, 0.95, 0.93)
_HAIR: Mapping[str, Colour] = {
  "Black_Hair": (0.07, 0.06, 0.08),
  "Blond_Hair": (0.93, 0.79, 0.43),
  "Brown_Hair": (0.34, 0.21, 0.11),
  "Gray_Hair": (0.76, 0.77, 0.79),
}
# Hair of no named colour is auburn.
_AUBURN: Colour = (0.58, 0.26, 0.13)


class Face(NamedTuple):
  """What the parts of the renderer share; all of one face.

  Attributes:
    x: [row, column], to the right in the face's own frame, 0 at its middle.
    y: [row, column], downwards; eyes are near -.06, the chin near .6.
    side: |x|.
    pixel: width of a pixel, for antialiasing.
    on: how far each attribute is turned on, in [0, 1], by name.
    style: what no attribute says, in [0, 1), by name.
    skin: colour of the skin.
    hair: colour of the hair.
    width: half the width of the face.
    height: half its height.
    outline: signed distance [row, column] to the face's outline.
    inside: coverage [row, column] of the face.
    clutter: strength of what only disturbs.
  """

  x: jax.Array
  y: jax.Array
  side: jax.Array
  pixel: Value
  on: Mapping[str, Value]
  style: Mapping[str, Value]
  skin: Colour
  hair: Colour
  width: Value
  height: Value
  outline: jax.Array
  inside: jax.Array
  clutter: Value

  def vary(self, name: str, low: float, high: float) -> Value:
    """A style value between low and high."""
    return shapes.lerp(low, high, self.style[name])

  def cover(self, distance: Value) -> jax.Array:
    """Antialiased coverage of a shape at this signed distance."""
    return shapes.cover(distance, self.pixel)


def grid(size: int) -> tuple[jax.Array, jax.Array]:
  """Pixel centres (x, y), each [row, column], in [-1, 1]."""
  centres = (jnp.arange(size, dtype=jnp.float32) + 0.5) * (2 / size) - 1
  x, y = jnp.meshgrid(centres, centres, indexing="xy")
  return x, y


def make(
  intensity: jax.Array, style: jax.Array, clutter: Value, size: int
) -> Face:
  """Poses a face and settles its proportions and colours.

  Args:
    intensity: [attribute] in [0, 1].
    style: [style] in [0, 1).
    clutter: strength of what only disturbs, 0 for none.
    size: height and width, px.
  """
  on = {name: intensity[i] for name, i in attributes.INDEX.items()}
  free = {name: style[i] for i, name in enumerate(STYLES)}
  x, y, pixel = _pose(free, clutter, size)
  side = jnp.abs(x)
  chubby, oval = on["Chubby"], on["Oval_Face"]
  width = (
    0.475 + 0.060 * chubby - 0.055 * oval + 0.02 * on["Male"]
    + shapes.lerp(-0.012, 0.012, free["width"])
  )  # fmt: skip
  height = (
    0.595 + 0.065 * oval - 0.01 * chubby
    + shapes.lerp(-0.012, 0.012, free["height"])
  )  # fmt: skip
  taper = 0.30 - 0.22 * on["Male"] + 0.20 * oval - 0.20 * chubby
  lower = jnp.maximum(y, 0) / height
  outline = shapes.ellipse(side * (1 + taper * lower * lower), y, width, height)
  # Full cheeks hang over the jaw.
  cheek = shapes.ellipse(
    side - 0.22, y - 0.22, 0.05 + 0.275 * chubby, 0.05 + 0.27 * chubby
  )
  outline = jnp.minimum(outline, cheek)
  return Face(
    x=x, y=y, side=side, pixel=pixel, on=on, style=free,
    skin=_skin(on, free), hair=_hair(on, free),
    width=width, height=height,
    outline=outline, inside=shapes.cover(outline, pixel), clutter=clutter,
  )  # fmt: skip


def paint_skin(
  canvas: Canvas, face: Face, alpha: Value, factor: Value
) -> Canvas:
  """Paints skin, darker or lighter by a factor."""
  return shapes.paint(canvas, alpha, shapes.shade(face.skin, factor))


def _pose(
  style: Mapping[str, Value], clutter: Value, size: int
) -> tuple[jax.Array, jax.Array, Value]:
  """Pixel coordinates in the face's frame, and the width of a pixel there."""
  loose = 0.5 + 0.5 * jnp.minimum(clutter, 1)
  angle = shapes.lerp(-0.13, 0.13, style["tilt"]) * loose
  scale = 1.02 + shapes.lerp(-0.06, 0.06, style["scale"]) * loose
  column, row = grid(size)
  x = (column - shapes.lerp(-0.06, 0.06, style["shift_x"]) * loose) / scale
  y = (row - shapes.lerp(-0.02, 0.08, style["shift_y"]) * loose) / scale
  # The angle is small: the first terms of sine and cosine do.
  sine, cosine = angle - angle**3 / 6, 1 - angle**2 / 2
  turned_x = x * cosine + y * sine
  turned_y = y * cosine - x * sine
  return turned_x, turned_y, 2.2 / (size * scale)


def _skin(on: Mapping[str, Value], style: Mapping[str, Value]) -> Colour:
  """Light to dark by style, near white when pale."""
  tone = style["skin"] * 2
  colour = shapes.mix(_SKIN[0], _SKIN[1], jnp.minimum(tone, 1))
  colour = shapes.mix(colour, _SKIN[2], jnp.maximum(tone - 1, 0))
  return shapes.mix(colour, _PALE, 0.9 * on["Pale_Skin"])


def _hair(on: Mapping[str, Value], style: Mapping[str, Value]) -> Colour:
  """The hair colours that are on, mixed; auburn where none is."""
  total: Value = sum(on[name] for name in _HAIR)
  share = 1 / jnp.maximum(total, 1)
  colour = _AUBURN
  for name, target in _HAIR.items():
    part = on[name] * share
    red, green, blue = (
      c + part * (t - b)
      for c, t, b in zip(colour, target, _AUBURN, strict=True)
    )
    colour = (red, green, blue)
  return shapes.shade(colour, shapes.lerp(0.88, 1.08, style["hair_shade"]))
