"""Any image data set that tensorflow-datasets has prepared, without TensorFlow.

The data set is one of array_record files, as `tfds.builder(NAME,
data_dir=ROOT, file_format="array_record").download_and_prepare()` makes them.
"""

from collections.abc import Mapping
import dataclasses
from typing import Any, NamedTuple

import numpy as np

from prunebias_jax.config import Data
from prunebias_jax.data.dataset import SPLITS, Dataset
from prunebias_jax.data.groups import binary_column, identity_columns
from prunebias_jax.data.records import Records, open_prepared
from prunebias_jax.data.views import chosen
from prunebias_jax.errors import InputError, choose

PREFIX = "tfds:"
# The share of the training split that validates where nothing else does.
VALID_SHARE = 0.1


class Part(NamedTuple):
  """Where the examples of a split come from.

  Attributes:
    records: a prepared split.
    rows: int [example], which of its records.
  """

  records: Records
  rows: np.ndarray


def load(config: Data) -> Dataset:
  """Reads a prepared data set; pictures are decoded at the first call.

  Args:
    config: name, root, tfds, identities, size, and numbers of examples to draw.

  Raises:
    InputError: a data set, split or feature that is not there.
  """
  asked = config.tfds
  builder = open_prepared(config.name.removeprefix(PREFIX), config.root)
  choose(asked.image, builder.info.features, "feature in data.tfds.image")
  channels = 1 if builder.info.features[asked.image].shape[-1] == 1 else 3
  parts = _parts(builder, config)
  outputs = asked.attributes or (asked.label,)
  wanted = (*outputs, *config.identities, *([asked.id] if asked.id else []))
  columns = read_columns(parts, tuple(dict.fromkeys(wanted)))
  if asked.attributes:
    labels = np.stack(
      [binary_column(columns[x], f"{config.name}: {x!r}") for x in outputs], 1
    )
  else:
    labels = columns[asked.label]
  found = {name: columns[name] for name in config.identities}
  return Dataset.from_arrays(
    name=config.name,
    images={
      split: part.records.images(
        part.rows,
        feature=asked.image,
        size=config.stored_size,
        channels=channels,
      )
      for split, part in parts.items()
    },
    labels=labels,
    splits=split_column(parts),
    names=outputs if asked.attributes else _classes(builder, config),
    identities=identity_columns(found, config.name),
    ids=columns[asked.id] if asked.id else _numbered(parts),
  )


def read_columns(
  parts: Mapping[str, Part], features: tuple[str, ...]
) -> dict[str, np.ndarray]:
  """Features [example] of all splits, one after the other."""
  found = [part.records.columns(features) for part in parts.values()]
  return {
    name: np.concatenate(
      [
        columns[name][part.rows]
        for columns, part in zip(found, parts.values(), strict=True)
      ]
    )
    for name in features
  }


def split_column(parts: Mapping[str, Part]) -> np.ndarray:
  """The split's name [example] of all splits, one after the other."""
  return np.repeat([*parts], [len(part.rows) for part in parts.values()])


def _parts(builder: Any, config: Data) -> dict[str, Part]:
  """Records of train, valid and test."""
  asked, there = config.tfds, builder.info.splits
  for name in (asked.train, asked.test):
    choose(name, there, f"split of {config.name}")
  train = Records(builder, asked.train)
  whole = np.arange(there[asked.train].num_examples)
  if asked.valid in there:
    valid = Records(builder, asked.valid)
    rest = np.arange(there[asked.valid].num_examples)
  else:
    valid = train
    count = config.valid or round(VALID_SHARE * len(whole))
    if not 0 < count < len(whole):
      raise InputError(
        f"data.valid is {count}; {config.name} has no split {asked.valid!r}, "
        f"accepted: fewer than the {len(whole)} examples of {asked.train!r}"
      )
    rest = chosen(len(whole), "valid", dataclasses.replace(config, valid=count))
    whole = np.setdiff1d(whole, rest)
  found = {
    "train": (train, whole),
    "valid": (valid, rest),
    "test": (
      Records(builder, asked.test),
      np.arange(there[asked.test].num_examples),
    ),
  }
  return {
    split: Part(
      records,
      # What was drawn from the training split has its number already.
      rows
      if split == "valid" and valid is train
      else rows[chosen(len(rows), split, config)],
    )
    for split, (records, rows) in found.items()
  }


def _numbered(parts: Mapping[str, Part]) -> np.ndarray:
  """Ids by the prepared split and the record's number in it."""
  return np.array(
    [
      f"{part.records.split}-{row:07d}"
      for part in (parts[split] for split in SPLITS)
      for row in part.rows
    ]
  )


def _classes(builder: Any, config: Data) -> tuple[str, ...]:
  """The names of the classes."""
  features = builder.info.features
  choose(config.tfds.label, features, "feature in data.tfds.label")
  names = getattr(features[config.tfds.label], "names", None)
  if not names:
    raise InputError(
      f"{config.name}: feature {config.tfds.label!r} has no class names; "
      "accepted: a class label, or data.tfds.attributes"
    )
  return tuple(names)
