"""Pictures scaled where they are used, and the window that a network sees.

The shorter side is scaled to a length and a square window is cut out: anywhere
in training, in the middle else. Only what the window needs is computed. The
arithmetic is integer and that of Pillow's bilinear filter on 8 bits (horizontal
first, rounded, then vertical), so that the pixels are those of
`Image.resize` with antialiasing, whatever computes them: numpy here, or XLA on
any device. Sides and margins round as in torchvision's `Resize`, `CenterCrop`
and `RandomCrop`.
"""

import dataclasses
import functools
from typing import Any, NamedTuple, TypeVar

import numpy as np

# Weights are integers in these units, as Pillow has them: a sum of pixels
# times weights fits 31 bits.
_BITS = 22
_ONE = 1 << _BITS

Images = TypeVar("Images")


class Taps(NamedTuple):
  """Which pixels of a line make those of the scaled line, and how much each.

  Attributes:
    first: int32 [scaled], the first of them.
    weights: int32 [scaled, tap], in units of 2^-22; a line sums up to 1.
  """

  first: Any
  weights: Any


@dataclasses.dataclass(frozen=True, kw_only=True)
class Window:
  """How pictures of one size become what a network sees.

  Attributes:
    shorter: the shorter side after scaling, in pixels.
    size: height and width of the window, up to `shorter`.
  """

  shorter: int
  size: int

  def scaled(self, height: int, width: int) -> tuple[int, int]:
    """(height, width) of a picture after scaling; the longer side is cut."""
    if height <= width:
      return self.shorter, self.shorter * width // height
    return self.shorter * height // width, self.shorter

  def middle(self, images: Images) -> Images:
    """The middle windows, by numpy or jax.numpy as the images are.

    Args:
      images: uint8 [..., y, x, channel].

    Returns:
      uint8 [..., size, size, channel].
    """
    pixels: Any = images
    height, width = pixels.shape[-3:-1]
    rows, columns = (
      # Half a pixel goes to the even side, as Python rounds.
      _cut(length, to, round((to - self.size) / 2), self.size)
      for length, to in zip(
        (height, width), self.scaled(height, width), strict=True
      )
    )
    low = int(rows.first[0])
    high = int(rows.first[-1]) + rows.weights.shape[1]
    pixels = pixels[..., low:high, :, :]
    wide = combined(pixels, columns, -2)
    return combined(wide, Taps(rows.first - low, rows.weights), -3)


@functools.lru_cache(maxsize=32)
def taps(length: int, scaled: int) -> Taps:
  """The bilinear filter of Pillow: a triangle that widens where it shrinks.

  A pixel's centre lies at (i + 1/2) * length / scaled; the triangle around it
  reaches one pixel to either side, or length / scaled of them where that is
  more.

  Args:
    length: pixels of the line.
    scaled: pixels of the scaled line.
  """
  ratio = length / scaled
  reach = max(ratio, 1.0)
  centre = (np.arange(scaled) + 0.5) * ratio
  first = np.maximum((centre - reach + 0.5).astype(int), 0)
  last = np.minimum((centre + reach + 0.5).astype(int), length)
  # All read as many pixels, none beyond the end: some with weights of zero.
  most = int((last - first).max())
  first = np.minimum(first, length - most)
  pixels = first[:, None] + np.arange(most)
  heights = 1 - np.abs((pixels - centre[:, None] + 0.5) / reach)
  heights = np.maximum(heights, 0.0)
  weights = heights / heights.sum(1, keepdims=True) * _ONE
  return Taps(first.astype(np.int32), (weights + 0.5).astype(np.int32))


def _cut(length: int, scaled: int, begin: int, size: int) -> Taps:
  """The taps of a part of the scaled line."""
  whole = taps(length, scaled)
  return Taps(*(x[begin : begin + size] for x in whole))


def combined(pixels: Any, line: Taps, axis: int) -> Any:
  """Scales uint8 [..., y, x, channel] along an axis counted from the end."""
  xp = pixels.__array_namespace__()
  shape = [1] * pixels.ndim
  shape[axis] = -1
  total: Any = _ONE // 2  # so that the shift below rounds
  for tap in range(line.weights.shape[1]):
    taken = xp.take(pixels, line.first + tap, axis, mode="clip")
    weight = line.weights[:, tap].reshape(shape)
    total = total + taken.astype(xp.int32) * weight
  return (total >> _BITS).astype(xp.uint8)
