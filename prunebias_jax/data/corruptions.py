"""Common corruptions of pictures, for evaluation: six kinds, severities 1 to 5.

The kinds are some of those of Hendrycks and Dietterich 2019, "Benchmarking
Neural Network Robustness to Common Corruptions and Perturbations". Their
constants were chosen for pictures of 224 px; those here are this project's own,
for pictures from 32 px on, and say what a change means in the scene where the
size of a picture decides that: see `LEVELS`.

The picture is corrupted as networks see it: scaled and cut, a backdoor's mark
included, since what happens to a photograph happens to all that is on it.

Every picture is treated by itself, and noise depends on nothing but its id: the
same picture has the same pixels in any subset, order or batch, and in every
run. The noise of a picture is one field, which grows with the severity. Bits
hold for one version of numpy, scipy and Pillow (its JPEG library).
"""

from collections.abc import Callable, Mapping, Sequence
import hashlib
import io
from typing import NamedTuple

import numpy as np
from PIL import Image
from scipy import ndimage

from prunebias_jax.errors import InputError

SEVERITIES = (1, 2, 3, 4, 5)
# The splits that can be evaluated again.
BASES = ("valid", "test")

# What a kind does at severities 1 to 5. Size is the shorter side in pixels, at
# least 32.
LEVELS: Mapping[str, tuple[float, ...]] = {
  # Standard deviation, in shares of the range of a pixel, at 32 px; times
  # sqrt(size / 32), since a larger picture shows a thing by more pixels.
  "noise": (0.04, 0.06, 0.08, 0.11, 0.15),
  # Standard deviation of the Gaussian, in shares of the size: details of the
  # same extent in the scene are lost at any size.
  "blur": (0.0125, 0.02, 0.03, 0.04, 0.055),
  # What is left of the distance from the picture's mean colour.
  "contrast": (0.7, 0.5, 0.35, 0.25, 0.15),
  # Added to every pixel, in shares of its range.
  "brightness": (0.08, 0.16, 0.24, 0.32, 0.4),
  # JPEG's quality. Its blocks have 8 px: they weigh more in small pictures.
  "jpeg": (60, 40, 25, 15, 8),
  # Pixels left along a side, in shares of it.
  "pixelate": (0.8, 0.65, 0.5, 0.4, 0.25),
}
_RANGE = 255.0
_SMALLEST = 32


class Named(NamedTuple):
  """What the name of an evaluated split says.

  Attributes:
    base: the split whose examples are evaluated, "valid" or "test".
    corruption: a key of `LEVELS`, "" for none.
    severity: 1 to 5, 0 without a corruption.
  """

  base: str
  corruption: str = ""
  severity: int = 0


def parse(name: str) -> Named:
  """Reads the name of a split: "test", "valid:blur:1".

  Raises:
    InputError: an unknown split or corruption, or a severity other than 1-5.
  """
  base, *rest = name.split(":")
  if base not in BASES or len(rest) not in (0, 2):
    raise InputError(
      f"split is {name!r}; accepted: {', '.join(BASES)}, each alone or with "
      "a corruption and its severity, such as test:noise:3"
    )
  if not rest:
    return Named(base)
  corruption, severity = rest
  if corruption not in LEVELS:
    raise InputError(
      f"split is {name!r}: unknown corruption {corruption!r}; accepted: "
      f"{', '.join(LEVELS)}"
    )
  if severity not in map(str, SEVERITIES):
    raise InputError(
      f"split is {name!r}: severity {severity!r}; accepted: 1 to 5"
    )
  return Named(base, corruption, int(severity))


def corrupted(
  images: np.ndarray,
  ids: Sequence[str] | np.ndarray,
  corruption: str,
  severity: int,
) -> np.ndarray:
  """Corrupts pictures.

  Args:
    images: uint8 [example, y, x, channel] as they are shown, of 1 or 3
      channels.
    ids: [example], the examples' ids.
    corruption: a key of `LEVELS`.
    severity: 1 to 5.

  Returns:
    uint8 of the same shape.

  Raises:
    InputError: pictures of other than 1 or 3 channels.
  """
  if images.shape[-1] not in (1, 3):
    raise InputError(
      f"pictures of {images.shape[-1]} channels cannot be corrupted; accepted: "
      "1 or 3"
    )
  if not len(images):
    return images
  change = _CHANGES[corruption]
  changed = change(images, ids, LEVELS[corruption][severity - 1])
  return np.clip(np.rint(changed), 0, _RANGE).astype(np.uint8)


def _noise(
  images: np.ndarray, ids: Sequence[str] | np.ndarray, level: float
) -> np.ndarray:
  """Adds normal noise, independent in every pixel and channel."""
  fields = np.empty(images.shape, np.float32)
  for field, one in zip(fields, ids, strict=True):
    digest = hashlib.sha256(f"noise/{one}".encode()).digest()
    key = np.frombuffer(digest, np.uint64)[:2]
    rng = np.random.Generator(np.random.Philox(key=key))
    rng.standard_normal(dtype=np.float32, out=field)
  scale = np.sqrt(_size(images) / _SMALLEST)
  return images + fields * np.float32(level * scale * _RANGE)


def _blur(
  images: np.ndarray, _: Sequence[str] | np.ndarray, level: float
) -> np.ndarray:
  """Gaussian blur; beyond the edge the edge goes on."""
  blurred = images.astype(np.float32)
  for axis in (1, 2):
    blurred = ndimage.gaussian_filter1d(
      blurred, level * _size(images), axis, mode="nearest"
    )
  return blurred


def _contrast(
  images: np.ndarray, _: Sequence[str] | np.ndarray, level: float
) -> np.ndarray:
  """Moves every pixel towards the picture's mean, channel by channel."""
  mean = images.mean(axis=(1, 2), keepdims=True)
  return mean + level * (images - mean)


def _brightness(
  images: np.ndarray, _: Sequence[str] | np.ndarray, level: float
) -> np.ndarray:
  """Makes every pixel lighter; white stays white."""
  return images + level * _RANGE


def _jpeg(
  images: np.ndarray, _: Sequence[str] | np.ndarray, level: float
) -> np.ndarray:
  """Writes and reads each picture as JPEG, colours at full resolution."""
  found = np.empty_like(images)
  for target, image in zip(found, images, strict=True):
    buffer = io.BytesIO()
    # Colours at half of it, Pillow's default, would be gone at 32 px before
    # anything else is.
    _picture(image).save(
      buffer, "JPEG", quality=int(level), subsampling="4:4:4"
    )
    with Image.open(buffer) as read:
      target[:] = np.asarray(read).reshape(target.shape)
  return found


def _pixelate(
  images: np.ndarray, _: Sequence[str] | np.ndarray, level: float
) -> np.ndarray:
  """Fewer, larger pixels: each the mean of what it covers."""
  found = np.empty_like(images)
  height, width = images.shape[1:3]
  coarse = [max(1, round(level * side)) for side in (width, height)]
  for target, image in zip(found, images, strict=True):
    few = _picture(image).resize(coarse, Image.Resampling.BOX)
    many = few.resize((width, height), Image.Resampling.NEAREST)
    target[:] = np.asarray(many).reshape(target.shape)
  return found


def _picture(image: np.ndarray) -> Image.Image:
  """An image uint8 [y, x, channel] of 1 or 3 channels for Pillow."""
  return Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)


def _size(images: np.ndarray) -> int:
  """The shorter side in pixels; pictures below 32 px are taken as of 32."""
  return max(_SMALLEST, min(images.shape[1:3]))


_CHANGES: dict[
  str,
  Callable[[np.ndarray, Sequence[str] | np.ndarray, float], np.ndarray],
] = {
  "noise": _noise,
  "blur": _blur,
  "contrast": _contrast,
  "brightness": _brightness,
  "jpeg": _jpeg,
  "pixelate": _pixelate,
}
