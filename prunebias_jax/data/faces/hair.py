"""Hair on the head: behind the face, around it and over the forehead."""

import jax
import jax.numpy as jnp

from prunebias_jax.data.faces import shapes
from prunebias_jax.data.faces.scene import Face
from prunebias_jax.data.faces.shapes import Canvas, Colour, Value


def back(canvas: Canvas, face: Face) -> Canvas:
  """The hair that falls behind neck and ears."""
  length, shape = _length(face), _curtain(face)
  end = face.y - length - _ends(face)
  # Hair that is neither straight nor wavy curves in under the chin.
  loose = (1 - face.on["Straight_Hair"]) * (1 - face.on["Wavy_Hair"])
  bob = 0.9 * loose * jnp.square(jnp.maximum(face.y - length + 0.32, 0))
  distance = jnp.maximum(jnp.maximum(shape + bob, end), -face.y - 0.16)
  alpha = face.cover(distance) * _long(face) * _some(face)
  colour = _shade(face, 0.72 * _strands(face, face.x))
  return shapes.paint(canvas, alpha, colour)


def front(canvas: Canvas, face: Face) -> Canvas:
  """The cap above the hairline, the sides and the fringe."""
  x, y = face.x, face.y
  # However far the hairline recedes, a rim of hair is left on the outline.
  rim = jnp.maximum(-_skull(face) - 0.075, y + 0.12)
  cap = jnp.maximum(_skull(face), jnp.minimum(y - _hairline(face), rim))
  sway = (x - face.vary("parting", -0.16, 0.16)) / (y + 1.5)
  shine = shapes.blob(0.5 * x, y + 0.56 - 0.25 * x * x, 0.30, 0.09)
  light = _strands(face, 1.25 * sway) + 0.22 * shine * (
    1 + face.on["Straight_Hair"]
  )
  alpha = face.cover(cap) * _some(face)
  canvas = shapes.paint(canvas, alpha, _shade(face, light))
  return _bangs(_sides(canvas, face), face)


def _shade(face: Face, light: jax.Array) -> Colour:
  """The hair in more or less light; black hair gleams too."""
  gleam = 0.35 * jnp.maximum(light - 1, 0)
  red, green, blue = (channel * light + gleam for channel in face.hair)
  return red, green, blue


def _some(face: Face) -> Value:
  """How much hair there is."""
  return 1 - face.on["Bald"]


def _long(face: Face) -> Value:
  """How long the hair is, 0 (short) to 1: long for most who are not male."""
  lean = 1 - face.on["Male"] + face.vary("hair_length", -0.35, 0.25)
  return jnp.clip(2 * lean - 0.5, 0, 1)


def _length(face: Face) -> Value:
  """How far down long hair reaches."""
  straight = face.on["Straight_Hair"]
  return face.vary("hair_length", 0.42, 0.66) + 0.22 * straight


def _bumps(face: Face) -> jax.Array:
  """How far waves push the outline out."""
  turns = 2.1 * face.y + 0.5 * face.side + face.style["curl_phase"]
  from_ear = shapes.step(face.y + 0.02, 0.4)
  bumps = 0.03 + from_ear * (0.01 + 0.052 * shapes.wave(turns))
  return face.on["Wavy_Hair"] * bumps


def _skull(face: Face) -> jax.Array:
  """Signed distance to the hair's outline over the head."""
  straight = face.on["Straight_Hair"]
  crown = shapes.ellipse(face.x, face.y + 0.16, face.width + 0.085, 0.60)
  turns = 2.4 * face.side - 1.7 * face.y + face.style["curl_phase"]
  curls = shapes.wave(turns) * shapes.step(-face.y - 0.20, 0.3)
  curls = face.on["Wavy_Hair"] * (0.035 + 0.032 * curls)
  return crown - curls + 0.02 * straight


def _curtain(face: Face) -> jax.Array:
  """Signed distance to the outer edge of the hair beside the face."""
  flare = 0.05 + 0.06 * face.on["Wavy_Hair"] - 0.05 * face.on["Straight_Hair"]
  out = 0.085 + flare * shapes.step(face.y - 0.09, 0.5)
  return face.side - face.width - out - _bumps(face)


def _ends(face: Face) -> jax.Array:
  """The lower edge: ragged points when straight, scallops when wavy."""
  points = jnp.abs(shapes.wave(2.6 * face.x)) * face.on["Straight_Hair"]
  scallops = shapes.wave(2.2 * face.x + face.style["curl_phase"])
  return 0.07 * points + 0.05 * scallops * face.on["Wavy_Hair"]


def _hairline(face: Face) -> jax.Array:
  """The height below which the forehead begins."""
  x, side = face.x - face.vary("parting", -0.05, 0.05), face.side
  line = -0.375 + 1.25 * x * x
  back_to = face.on["Receding_Hairline"]
  corners = shapes.bell(jnp.square((side - 0.27) / 0.20))
  line = line - back_to * (0.10 + 0.30 * corners)
  # Short straight hair ends in spikes.
  spikes = face.on["Straight_Hair"] * (1 - _long(face))
  return line + 0.11 * spikes * jnp.abs(shapes.wave(2.4 * face.x + 0.1))


def _strands(face: Face, across: Value) -> jax.Array:
  """Light and dark along the strands, around 1."""
  straight, wavy = face.on["Straight_Hair"], face.on["Wavy_Hair"]
  bend = wavy * 0.22 * shapes.wave(2.1 * face.y + face.style["curl_phase"])
  fine = shapes.wave(5.3 * across + 2 * bend)
  bands = shapes.wave(2.1 * face.y + 0.9 * face.side + face.style["curl_phase"])
  return 1 + (0.07 + 0.19 * straight) * fine + 0.22 * wavy * bands


def _sides(canvas: Canvas, face: Face) -> Canvas:
  """Beside the face: to the ears, and all the way down when long."""
  y, side = face.y, face.side
  inner = face.width - 0.045 - side - 0.10 * jnp.maximum(-y - 0.05, 0)
  temple = jnp.maximum(jnp.maximum(_skull(face), inner), y - 0.02)
  strands = _strands(face, face.x)
  some = _some(face)
  canvas = shapes.paint(
    canvas, face.cover(temple) * some, _shade(face, 0.88 * strands)
  )
  length = shapes.lerp(0.0, _length(face), _long(face))
  lock = jnp.maximum(jnp.maximum(_curtain(face), inner), -y - 0.16)
  lock = jnp.maximum(lock, y - length - _ends(face))
  alpha = face.cover(lock) * some * _long(face)
  return shapes.paint(canvas, alpha, _shade(face, 0.94 * strands))


def _bangs(canvas: Canvas, face: Face) -> Canvas:
  """A fringe over the forehead, combed a little to one side."""
  x, y = face.x, face.y
  sweep = face.vary("fringe", -0.16, 0.16) * x
  notches = 0.030 * jnp.abs(shapes.wave(3.1 * x + face.style["fringe"]))
  edge = -0.165 + sweep + notches + 0.2 * x * x
  fringe = jnp.maximum(y - edge, _skull(face))
  fringe = jnp.maximum(fringe, face.side - face.width - 0.02)
  light = 0.86 + 0.16 * shapes.wave(3.1 * x + face.style["fringe"])
  light = light * _strands(face, x)
  alpha = face.cover(fringe) * face.on["Bangs"] * _some(face)
  return shapes.paint(canvas, alpha, _shade(face, light))
