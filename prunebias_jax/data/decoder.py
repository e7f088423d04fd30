"""Pictures to pixels: one process's part of the work, and a program of its own.

`pictures` runs this file as a program with a job as JSON on its standard input:
a fork under JAX's threads may hang, and a spawned worker would import the
user's own script again. It therefore imports nothing of this package.
"""

from collections.abc import Iterator, Sequence
import io
import json
import sys
from typing import Any, TypedDict

import numpy as np
from PIL import Image, ImageOps

# Part of every cache key: raise it with any change that alters a pixel.
RESIZER = "pillow, centre square, bilinear with antialiasing, 1"
MODES = {1: "L", 3: "RGB"}
# 16 bits and floats have no one way to become 8 bits.
_ACCEPTED = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr")
# Records read at a time.
_BLOCK = 64


class Job(TypedDict):
  """Pictures to decode, and where to.

  Attributes:
    output: .npy file, uint8 [example, size, size, channel].
    first: the place of the first picture in it.
    sources: files, or numbers of records.
    shards: array_record files that hold the records; empty for files.
    feature: the name of the picture in a record.
  """

  output: str
  first: int
  sources: Sequence[Any]
  shards: Sequence[str]
  feature: str


def run(job: Job) -> list[tuple[Any, str]]:
  """Decodes the pictures of a job.

  Returns:
    The sources that are no picture, each with the reason.
  """
  output = np.load(job["output"], mmap_mode="r+")
  bad = []
  for place, (source, data) in enumerate(_read(job), job["first"]):
    try:
      output[place] = decode(data, output.shape[1], output.shape[3])
    except (
      OSError,
      ValueError,
      SyntaxError,
      Image.DecompressionBombError,
    ) as e:
      bad.append((source, " ".join(str(e).split())))
  output.flush()
  return bad


def decode(data: str | io.BytesIO, size: int, channels: int) -> np.ndarray:
  """A picture as pixels.

  The centre square, as large as fits, is scaled to `size`: the same as scaling
  the shorter side and cropping the middle. Colours become gray, or gray and
  palettes colours, as `channels` asks; transparency is dropped, and a
  photograph is turned as its EXIF data say.

  Args:
    data: a file, or its contents.
    size: height and width that the pixels have.
    channels: 1 or 3.

  Returns:
    uint8 [size, size, channel].

  Raises:
    OSError: no picture, or one that is cut off.
    ValueError: a picture of more than 8 bits a channel.
  """
  with Image.open(data) as opened:
    if opened.mode not in _ACCEPTED:
      raise ValueError(
        f"pixels of mode {opened.mode}; accepted: 8 bits a channel"
      )
    picture = ImageOps.exif_transpose(opened).convert(MODES[channels])
  width, height = picture.size
  side = min(width, height)
  left, top = (width - side) // 2, (height - side) // 2
  if (width, height) != (size, size):
    box = (left, top, left + side, top + side)
    picture = picture.resize((size, size), Image.Resampling.BILINEAR, box)
  return np.asarray(picture).reshape(size, size, channels)


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


if __name__ == "__main__":
  json.dump(run(json.load(sys.stdin)), sys.stdout)
