"""The pictures of a run, as PNG, where its data can be had."""

import io

import numpy as np
from PIL import Image

from prunebias_jax import data, store
from prunebias_jax.audit.examples import Examples
from prunebias_jax.data.dataset import Dataset
from prunebias_jax.data.markers import shown
from prunebias_jax.errors import InputError

THUMBNAIL = 96  # pixels, the longer side


class Pictures:
  """Pictures of one split, as the networks saw them."""

  def __init__(self, dataset: Dataset, split: str) -> None:
    self._dataset, self._split = dataset, split

  def png(self, row: int, *, small: bool) -> bytes:
    """One picture; `small` makes it at most `THUMBNAIL` pixels wide."""
    return as_png(
      shown(self._dataset, self._split, slice(row, row + 1))[0], small=small
    )


def open_pictures(run: store.Run, examples: Examples) -> Pictures:
  """The pictures of the examples; made or decoded where they are not cached.

  Raises:
    InputError: the run has none, they cannot be had here, or are of other
      examples than the run's.
  """
  if run.imported is not None:
    raise InputError("the run was imported without pictures")
  dataset = data.load(run.sweep().data)
  ids = dataset.splits[examples.split].ids
  if ids.tolist() != examples.ids.tolist():
    raise InputError(
      f"the data set {dataset.name} has other examples than the run was "
      "trained on"
    )
  return Pictures(dataset, examples.split)


def as_png(image: np.ndarray, *, small: bool = False) -> bytes:
  """An image uint8 [height, width, channel] as PNG."""
  channels = image.shape[-1]
  # Gray, RGB and RGBA are pictures; of anything else the first channel is.
  picture = Image.fromarray(image if channels in (3, 4) else image[..., 0])
  if small and max(picture.size) > THUMBNAIL:
    picture.thumbnail((THUMBNAIL, THUMBNAIL))
  buffer = io.BytesIO()
  picture.save(buffer, format="PNG", compress_level=1)
  return buffer.getvalue()
