"""Data sets that tensorflow-datasets has prepared, read without TensorFlow.

Records are serialised tf.train.Example messages in array_record files. They are
parsed as such: the feature decoders of tensorflow-datasets take several times
as long, and only one picture and a few numbers of each record are needed here.
"""

from collections.abc import Sequence
import functools
import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np

from prunebias_jax.data import cache
from prunebias_jax.data.pictures import cached_pictures
from prunebias_jax.errors import InputError, choose

_BLOCK = 256
_FORMAT = "array_record"


class Records:
  """One split of a prepared data set.

  Attributes:
    name: the data set's name.
    split: the split's name.
    shards: its files.
  """

  def __init__(self, builder: Any, split: str) -> None:
    self.name: str = builder.info.name
    self.split = split
    self.shards = [str(one) for one in builder.info.splits[split].filepaths]
    for shard in self.shards:
      if not Path(shard).is_file():
        raise InputError(f"{shard} not found; prepare {self.name} again")

  @functools.cached_property
  def key(self) -> dict[str, object]:
    """What tells this split from others in the cache."""
    found = [os.stat(one) for one in self.shards]
    return {
      "split": self.split,
      "shards": [
        [Path(one).name, stat.st_size, stat.st_mtime_ns]
        for one, stat in zip(self.shards, found, strict=True)
      ],
    }

  def columns(self, features: Sequence[str]) -> dict[str, np.ndarray]:
    """Numbers or texts [example] of some features, in the records' order.

    Raises:
      InputError: a feature that no record has.
    """
    key = {**self.key, "features": list(features)}
    name = f"{self.name.replace('/', '-')}-{self.split}-columns"
    # Features' names are no names of files.
    found = cache.cached(
      name,
      key,
      lambda _: {str(i): x for i, x in enumerate(self._parsed(features))},
    )
    return {one: found[str(place)] for place, one in enumerate(features)}

  def images(
    self,
    numbers: np.ndarray,
    *,
    feature: str,
    size: int | None,
    channels: int,
  ) -> np.ndarray:
    """The pictures of some records: uint8 [example, y, x, channel]."""
    return cached_pictures(
      f"{self.name.replace('/', '-')}-{self.split}",
      {**self.key, "feature": feature, "records": _digest(numbers)},
      numbers.tolist(),
      size=size,
      channels=channels,
      shards=self.shards,
      feature=feature,
      named=lambda number: f"record {number} of {self.name}, {self.split}",
    )

  def _parsed(self, features: Sequence[str]) -> list[np.ndarray]:
    from array_record.python.array_record_data_source import (
      ArrayRecordDataSource,
    )
    from google.protobuf import message
    from tensorflow_datasets.proto import tf_example_pb2

    columns: list[list[Any]] = [[] for _ in features]
    try:
      with ArrayRecordDataSource(self.shards) as records:
        for first in range(0, len(records), _BLOCK):
          last = min(first + _BLOCK, len(records))
          for record in records.__getitems__(list(range(first, last))):
            found = tf_example_pb2.Example.FromString(record).features.feature
            for name, column in zip(features, columns, strict=True):
              if name not in found:
                choose(name, found, f"feature of {self.name}")
              column.append(_value(found[name]))
    except (RuntimeError, message.DecodeError) as error:
      # What array_record and protobuf raise where a file is cut off or altered.
      raise InputError(
        f"the {self.split} records of {self.name} cannot be read "
        f"({' '.join(str(error).split())}): {', '.join(self.shards)}; prepare "
        "the data set again"
      ) from error
    return [np.array(column) for column in columns]


def open_prepared(name: str, root: str) -> Any:
  """The read-only builder of a prepared data set.

  Args:
    name: "cifar10", "mnist/3.0.1" or "NAME/CONFIG".
    root: the data_dir it was prepared in.

  Raises:
    InputError: no such data set there, or one in another format.
  """
  from google.protobuf import json_format
  from tensorflow_datasets.core import read_only_builder, registered

  if not root or not Path(root).is_dir():
    raise InputError(
      f"data.root is {root!r}; accepted: the folder that tensorflow-datasets "
      f"prepared {name} in (its data_dir)"
    )
  try:
    builder = read_only_builder.builder_from_files(name, data_dir=root)
  except registered.DatasetNotFoundError:
    found = [*Path(root).glob("*/*/dataset_info.json")]
    found += Path(root).glob("*/*/*/dataset_info.json")
    there = sorted({str(x.parents[1].relative_to(root)) for x in found})
    raise InputError(
      f"no prepared data set {name!r} in {root}; there are: "
      f"{', '.join(there) or 'none'}"
    ) from None
  except (json_format.Error, ValueError, KeyError, TypeError) as error:
    raise InputError(
      f"the description of {name!r} in {root} (dataset_info.json, "
      f"features.json) cannot be read: {' '.join(str(error).split())}; prepare "
      "the data set again"
    ) from error
  found = builder.info.file_format
  if found is None or found.value != _FORMAT:
    raise InputError(
      f"{name} in {root} is of format {found and found.value}; accepted: "
      f"{_FORMAT} (tfds.builder(..., file_format={_FORMAT!r}))"
    )
  return builder


def _value(feature: Any) -> Any:
  """The one value of a tf.train.Feature."""
  numbers = feature.int64_list.value
  if len(numbers) == 1:  # as most do
    return numbers[0]
  kind = feature.WhichOneof("kind")
  values: Sequence[Any] = getattr(feature, kind).value if kind else ()
  if len(values) != 1:
    raise InputError(
      f"a feature of {len(values)} values is no label; accepted: one value"
    )
  value = values[0]
  return value.decode() if isinstance(value, bytes) else value


def _digest(numbers: np.ndarray) -> str:
  return hashlib.sha256(np.asarray(numbers, np.int64).tobytes()).hexdigest()
