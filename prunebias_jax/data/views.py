"""The view of a data set that a config asks for: examples and attributes."""

import dataclasses

import numpy as np

from prunebias_jax.config import Data
from prunebias_jax.data.corrections import corrected
from prunebias_jax.data.dataset import SPLITS, Dataset, compact_labels
from prunebias_jax.data.markers import with_marker
from prunebias_jax.data.window import Window
from prunebias_jax.errors import InputError, choose


def viewed(dataset: Dataset, config: Data) -> Dataset:
  """The data set with corrections, window, marker and attributes as asked.

  Raises:
    InputError: an attribute that is not there or without any label to learn
      from, or a view that the data set does not have.
  """
  if config.corrections:
    dataset = corrected(dataset, config.corrections)
  if config.resize == "device":
    window = Window(shorter=config.shorter, size=config.size)
    splits = {
      name: dataclasses.replace(split, window=window)
      for name, split in dataset.splits.items()
    }
    dataset = dataclasses.replace(dataset, splits=splits)
  if config.marker.kind != "none":
    dataset = with_marker(dataset, config.marker, config.seed)
  if config.labels:
    dataset = with_labels(dataset, config.labels)
  labels = dataset.splits["train"].labels
  if labels.dtype.kind == "f":
    empty = np.flatnonzero(np.isnan(labels).all(axis=0))
    if empty.size:
      raise InputError(
        f"data set {dataset.name}: attribute {dataset.names[empty[0]]!r} has "
        "no label in the train split; accepted: one or more (label some of its "
        "examples, or leave the attribute out of data.labels)"
      )
  return dataset


def with_labels(dataset: Dataset, names: tuple[str, ...]) -> Dataset:
  """The same examples and identities, with these attributes to predict.

  One name gives a single-label data set; identities stay as they are, whether
  they are predicted or not.

  Raises:
    InputError: an attribute that is not there or named twice, or a multi-class
      data set.
  """
  if dataset.task != "multilabel":
    raise InputError(
      f"data.labels is {names}, but {dataset.name} has exclusive classes; "
      "accepted: empty"
    )
  for name in names:
    choose(name, dataset.names, "attribute in data.labels")
  if len(set(names)) != len(names):
    raise InputError(f"data.labels is {names}; accepted: distinct names")
  columns = np.array([dataset.names.index(name) for name in names])
  return dataclasses.replace(
    dataset,
    names=names,
    splits={
      split: dataclasses.replace(
        part,
        labels=compact_labels(part.labels[:, columns]),
        truth={name: part.truth[name][:, columns] for name in part.truth},
      )
      for split, part in dataset.splits.items()
    },
  )


def chosen(count: int, split: str, config: Data) -> np.ndarray:
  """Which examples of a split are taken, in their order.

  Args:
    count: how many there are.
    split: its name; `config` says how many of it are asked for (0 takes all),
      drawn without replacement from (config.seed, split).

  Raises:
    InputError: more than there are.
  """
  asked = getattr(config, split) or count
  if asked > count:
    raise InputError(
      f"data.{split} is {asked}; accepted: up to {count}, or 0 for all"
    )
  if asked == count:
    return np.arange(count)
  rng = np.random.default_rng([config.seed, SPLITS.index(split)])
  return np.sort(rng.choice(count, asked, replace=False))


def with_training_rows(dataset: Dataset, rows: slice | np.ndarray) -> Dataset:
  """The data set with some of its training examples only; truth left out."""
  train = dataset.splits["train"]
  few = dataclasses.replace(
    train,
    images=np.asarray(train.images[rows]),
    labels=train.labels[rows],
    identities=train.identities[rows],
    ids=train.ids[rows],
    marked=None if train.marked is None else train.marked[rows],
    truth={},
  )
  return dataclasses.replace(dataset, splits={**dataset.splits, "train": few})
