"""The view of a data set that a config asks for."""

import dataclasses

import numpy as np

from prunebias_jax.config import Data
from prunebias_jax.data.dataset import Dataset
from prunebias_jax.errors import InputError, choose


def viewed(dataset: Dataset, config: Data) -> Dataset:
  """The data set with the attributes that `config.labels` names.

  Raises:
    InputError: an attribute that is not there, or a multi-class data set.
  """
  return with_labels(dataset, config.labels) if config.labels else dataset


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
        labels=part.labels[:, columns],
        truth={name: part.truth[name][:, columns] for name in part.truth},
      )
      for split, part in dataset.splits.items()
    },
  )
