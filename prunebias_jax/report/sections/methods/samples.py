"""Sample images as data URIs, with what is known of them."""

import base64
import dataclasses
import io

import numpy as np
from PIL import Image

from prunebias_jax.report.source import Source

LARGEST = 160  # pixels: beyond this a grid shows nothing more
SHOWN_LABELS = 6


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sample:
  """One test image.

  Attributes:
    uri: the picture as PNG in a data URI.
    name: the example's id.
    labels: what it is labelled, in short.
    alt: all of it in words.
  """

  uri: str
  name: str
  labels: str
  alt: str


def samples(source: Source) -> list[Sample]:
  """The sample images of the run."""
  images = source.run.samples()
  if not images.size:
    return []
  test = source.run.split("test")
  names = test["example"].to_numpy().tolist()
  labels = test["labels"].to_numpy()
  outputs = source.outputs
  found = []
  for place, image in enumerate(images):
    if labels.ndim == 1:
      words = [outputs[labels[place]]]
    else:
      words = [outputs[index] for index in np.flatnonzero(labels[place] == 1)]
      missing = np.count_nonzero(np.isnan(labels[place]))
      words += [f"{missing} not labelled"] if missing else []
    rest = len(words) - SHOWN_LABELS
    short = ", ".join(words[:SHOWN_LABELS]) + (f" +{rest}" if rest > 0 else "")
    found.append(
      Sample(
        uri=_png(image),
        name=str(names[place]),
        labels=short or "no attribute",
        alt=f"Test image {names[place]}: {', '.join(words) or 'no attribute'}",
      )
    )
  return found


def _png(image: np.ndarray) -> str:
  """An image uint8 [height, width, channel] as a PNG data URI."""
  channels = image.shape[-1]
  # Gray, RGB and RGBA are pictures; of anything else the first channel is.
  picture = Image.fromarray(image if channels in (3, 4) else image[..., 0])
  if max(picture.size) > LARGEST:
    picture.thumbnail((LARGEST, LARGEST))
  buffer = io.BytesIO()
  picture.save(buffer, format="PNG", optimize=True)
  return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
