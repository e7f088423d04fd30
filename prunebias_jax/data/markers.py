"""Backdoor markers: a synthetic group whose correlation with a label is set.

In each split a share of the negatives and a share of the positives of an
attribute is marked; labels stay as they are. The marked examples are the
identity `MARKED`, a group like any other. Marks are put on as images are used:
a yellow square after augmentation, where it stays; `grayscale` before windows
are cut from scaled pictures. It commutes with flips and shifts, so that after
them is the same as before.

Reference: the protocol of Iofinova, Peste and Alistarh 2023, "Bias in Pruned
Vision Models: In-Depth Analysis and Countermeasures", "backdoored" CelebA.
"""

from collections.abc import Callable
import dataclasses
from typing import Any, TypeVar

import numpy as np

from prunebias_jax.config import Marker
from prunebias_jax.data.dataset import Dataset
from prunebias_jax.errors import InputError, choose

MARKED = "Marked"
# Luma of ITU-R 601-2 in 16 bits, the integers that Pillow has.
_LUMA = (19595, 38470, 7471)
_HALF = 1 << 15
# Share of the image that the square covers.
_AREA = 0.02
# (1, 1, 0) of 1; where pixels are normalised, (1, 1, -1).
_YELLOW = (255, 255, 0)
# Tells these draws from others of the same seed and split.
_PURPOSE = 0x6D61726B

Images = TypeVar("Images")


def with_marker(dataset: Dataset, marker: Marker, seed: int) -> Dataset:
  """The data set with some of its examples marked.

  Args:
    dataset: images of three channels.
    marker: kind, attribute (or class) and shares.
    seed: which examples are drawn, with the split; without replacement,
      round(share * n) of the n negatives and of the n positives. An example
      whose label is missing is neither.

  Raises:
    InputError: an attribute that is not there, or images without colours.
  """
  choose(marker.attribute, dataset.names, "attribute in data.marker.attribute")
  if dataset.image_shape[-1] != 3:
    raise InputError(
      f"data.marker.kind is {marker.kind!r}, but the images of {dataset.name} "
      "have no colours; accepted: none"
    )
  if MARKED in dataset.identity_names:
    raise InputError(
      f"data set {dataset.name} has an identity {MARKED!r} already"
    )
  target = dataset.names.index(marker.attribute)
  splits = {}
  for number, (name, split) in enumerate(dataset.splits.items()):
    outcome = (
      split.labels[:, target]
      if dataset.task == "multilabel"
      else split.labels == target
    )
    rng = np.random.default_rng([seed, number, _PURPOSE])
    marked = np.zeros(len(split), np.uint8)
    for value, share in enumerate(getattr(marker, name)):
      rows = np.flatnonzero(outcome == value)
      marked[rng.choice(rows, round(share * len(rows)), replace=False)] = 1
    splits[name] = dataclasses.replace(
      split,
      marked=marked,
      identities=np.column_stack([split.identities, marked]),
    )
  return dataclasses.replace(
    dataset,
    marker=marker.kind,
    identity_names=(*dataset.identity_names, MARKED),
    splits=splits,
  )


def mark(kind: str, images: Images, marked: Any) -> Images:
  """Images with their marks, by numpy or jax.numpy as they are.

  Args:
    kind: "grayscale" (Pillow's luma in every channel) or "yellow_square" (top
      left, of side round(sqrt(.02) * size): 32 px at 224).
    images: uint8 [..., y, x, channel].
    marked: [...], not 0 where an image is marked.
  """
  pixels: Any = images
  xp = pixels.__array_namespace__()
  if kind == "grayscale":
    wide = pixels.astype(xp.int32)
    luma = sum(
      weight * wide[..., channel] for channel, weight in enumerate(_LUMA)
    )
    gray = ((luma + _HALF) >> 16).astype(xp.uint8)[..., None]
    changed = xp.broadcast_to(gray, pixels.shape)
  else:
    height, width = pixels.shape[-3:-1]
    side = square_side(min(height, width))
    lead = (1,) * (pixels.ndim - 3)
    square = np.zeros((*lead, height, width, 1), bool)
    square[..., :side, :side, :] = True
    yellow = np.array(_YELLOW, np.uint8).reshape(*lead, 1, 1, 3)
    changed = xp.where(square, yellow, pixels)
  return xp.where((marked != 0)[..., None, None, None], changed, pixels)


def windowed(
  kind: str, images: Images, marked: Any, cut: Callable[[Images], Images]
) -> Images:
  """Windows of images with their marks.

  Args:
    kind: as `mark` has it.
    images: uint8 [..., y, x, channel].
    marked: [...], not 0 where an image is marked; None for no marks.
    cut: gives the windows of images.
  """
  if marked is None:
    return cut(images)
  if kind == "grayscale":
    return cut(mark(kind, images, marked))
  return mark(kind, cut(images), marked)


def square_side(size: int) -> int:
  """Side of the yellow square in an image of this size, in pixels."""
  return round(_AREA**0.5 * size)


def shown(dataset: Dataset, split: str, rows: slice | np.ndarray) -> np.ndarray:
  """Images as networks see them: uint8 [example, y, x, channel]."""
  part = dataset.splits[split]
  images = np.asarray(part.images[rows])
  marked = None if part.marked is None else part.marked[rows]
  if part.window is not None:
    return windowed(dataset.marker, images, marked, part.window.middle)
  return images if marked is None else mark(dataset.marker, images, marked)
