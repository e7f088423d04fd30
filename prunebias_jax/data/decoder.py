"""Pictures to pixels: one process's part of the work, and a program of its own.

`pictures` runs this file as a program with a job as JSON on its standard input:
a fork under JAX's threads may hang, and a spawned worker would import the
user's own script again. It therefore imports nothing of this package.
"""

from collections.abc import Iterator, Sequence
import io
import json
import math
import sys
from typing import Any, TypedDict

import numpy as np
from PIL import Image, ImageOps

# Part of every cache key: raise it with any change that alters a pixel.
RESIZER = "pillow, centre square, bilinear with antialiasing, 1"
MODES = {1: "L", 3: "RGB"}
# 16 bits and floats have no one way to become 8 bits.
_ACCEPTED = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr")
# What Pillow raises for what is no picture, or none that is accepted.
_NO_PICTURE = (
  OSError,
  ValueError,
  SyntaxError,
  Image.DecompressionBombError,
)
# Records read at a time.
_BLOCK = 256


class Job(TypedDict):
  """Pictures to decode, and where to.

  Attributes:
    output: .npy file, uint8 [example, y, x, channel].
    first: the place of the first picture in it.
    sources: files, or numbers of records.
    shards: array_record files that hold the records; empty for files.
    feature: the name of the picture in a record.
    size: height and width to scale to; None keeps every picture's own.
  """

  output: str
  first: int
  sources: Sequence[Any]
  shards: Sequence[str]
  feature: str
  size: int | None


def run(job: Job) -> list[tuple[Any, str]]:
  """Decodes the pictures of a job.

  Pixels are written, not put into a memory map: all its pages would count as
  memory of this process.

  Returns:
    The sources that cannot be used, each with the reason; where there are any,
    the output is of no use.
  """
  mapped = np.load(job["output"], mmap_mode="r")
  shape, begin = mapped.shape[1:], mapped.offset
  bad = []
  with open(job["output"], "r+b") as file:
    file.seek(begin + job["first"] * math.prod(shape))
    for source, data in _read(job):
      try:
        pixels = decode(data, job["size"], shape[2])
      except _NO_PICTURE as e:
        bad.append((source, _why(e)))
        continue
      if pixels.shape != shape:
        bad.append((source, _other_size(pixels.shape, shape)))
        continue
      file.write(pixels.data)
  return bad


def shape_of_first(job: Job, channels: int) -> tuple[int, ...]:
  """(height, width, channel) that the first picture of a job has.

  Raises:
    ValueError: it cannot be used; says why.
  """
  _, data = next(_read({**job, "sources": job["sources"][:1]}))
  try:
    return decode(data, job["size"], channels).shape
  except _NO_PICTURE as e:
    raise ValueError(_why(e)) from None


def decode(
  data: str | io.BytesIO, size: int | None, channels: int
) -> np.ndarray:
  """A picture as pixels.

  The centre square, as large as fits, is scaled to `size`: the same as scaling
  the shorter side and cropping the middle. Colours become gray, or gray and
  palettes colours, as `channels` asks; transparency is dropped, and a
  photograph is turned as its EXIF data say.

  Args:
    data: a file, or its contents.
    size: height and width that the pixels have; None for the picture's own.
    channels: 1 or 3.

  Returns:
    uint8 [y, x, channel].

  Raises:
    OSError: no picture, or one that is cut off.
    ValueError: a picture of more than 8 bits a channel.
  """
  with Image.open(data) as opened:
    if opened.mode not in _ACCEPTED:
      raise ValueError(
        f"pixels of mode {opened.mode}; accepted: 8 bits a channel"
      )
    ImageOps.exif_transpose(opened, in_place=True)
    opened.load()
    mode = MODES[channels]
    picture = opened if opened.mode == mode else opened.convert(mode)
    pixels = np.asarray(picture) if size is None else _fit(picture, size)
  return pixels.reshape(*pixels.shape[:2], channels)


def _fit(picture: Image.Image, size: int) -> np.ndarray:
  """The centre square, scaled."""
  width, height = picture.size
  side = min(width, height)
  left, top = (width - side) // 2, (height - side) // 2
  if (width, height) != (size, size):
    box = (left, top, left + side, top + side)
    picture = picture.resize((size, size), Image.Resampling.BILINEAR, box)
  return np.asarray(picture)


def _read(job: Job) -> Iterator[tuple[Any, str | io.BytesIO]]:
  """Every source with what `decode` takes."""
  if not job["shards"]:
    yield from ((source, source) for source in job["sources"])
    return
  from array_record.python.array_record_data_source import ArrayRecordDataSource
  from tensorflow_datasets.proto import tf_example_pb2

  numbers = list(job["sources"])
  with ArrayRecordDataSource(job["shards"]) as records:
    for first in range(0, len(numbers), _BLOCK):
      block = numbers[first : first + _BLOCK]
      for number, record in zip(
        block, records.__getitems__(block), strict=True
      ):
        features = tf_example_pb2.Example.FromString(record).features.feature
        values = features[job["feature"]].bytes_list.value
        yield number, io.BytesIO(values[0] if values else b"")


def _why(error: Exception) -> str:
  line = " ".join(str(error).split())
  return f"is no picture that can be read: {line}"


def _other_size(found: Sequence[int], first: Sequence[int]) -> str:
  return (
    f"is {found[1]} x {found[0]} pixels and the first picture {first[1]} x "
    f"{first[0]}; accepted with data.resize device: one size"
  )


if __name__ == "__main__":
  json.dump(run(json.load(sys.stdin)), sys.stdout)
