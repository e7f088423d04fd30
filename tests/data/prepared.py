"""A tiny data set, prepared as tensorflow-datasets prepares any."""

import numpy as np
from PIL import Image
import tensorflow_datasets as tfds

COUNTS = {"train": 30, "validation": 10, "test": 12}
# Another data set's data_dir may hold it without a validation split.
WITHOUT = {"train": 30, "test": 12}


def example(number):
  """Every feature follows from the number."""
  return {
    "image": Image.new("RGB", (10 + number % 3, 12), (number, 50, 0)),
    "label": number % 3,
    "name": f"picture {number}",
    "traits": {"old": number % 2 == 0, "smiling": number % 5 == 0},
    "camera": number % 4,
  }


class Toys(tfds.core.GeneratorBasedBuilder):
  """Pictures of one colour, which tells everything else."""

  VERSION = tfds.core.Version("1.0.0")
  counts = COUNTS

  def _info(self):
    return tfds.core.DatasetInfo(
      builder=self,
      features=tfds.features.FeaturesDict(
        {
          "image": tfds.features.Image(shape=(None, None, 3)),
          "label": tfds.features.ClassLabel(names=["cat", "dog", "owl"]),
          "name": tfds.features.Text(),
          "traits": {"old": np.bool_, "smiling": np.bool_},
          "camera": np.int64,
        }
      ),
    )

  def _split_generators(self, _):
    first, splits = 0, {}
    for name, count in self.counts.items():
      splits[name] = self._generate_examples(range(first, first + count))
      first += count
    return splits

  def _generate_examples(self, numbers):
    for number in numbers:
      yield number, example(number)


def prepare(folder, *, counts=COUNTS, file_format="array_record"):
  """Prepares it as "toys" in a data_dir."""
  builder = Toys(data_dir=folder, file_format=file_format)
  builder.counts = counts
  config = tfds.download.DownloadConfig(try_download_gcs=False)
  builder.download_and_prepare(download_config=config)
