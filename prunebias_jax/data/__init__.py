"""Data sets by the name a config gives them."""

from collections.abc import Callable

from prunebias_jax.config import Data
from prunebias_jax.data import celeba, digits, faces, table, tfds
from prunebias_jax.data.dataset import Dataset
from prunebias_jax.data.views import viewed
from prunebias_jax.errors import InputError, choose

__all__ = ["ARRAYS", "LOADERS", "Dataset", "load", "viewed"]

# What a run calls a data set that was handed over in Python.
ARRAYS = "arrays"


# Data sets without pictures of a size of their own.
DRAWN = ("digits", "faces")

LOADERS: dict[str, Callable[[Data], Dataset]] = {
  "celeba": celeba.load,
  "digits": digits.load,
  "faces": faces.load,
  "table": table.load,
  "tfds:NAME": tfds.load,
}


def load(config: Data) -> Dataset:
  """Loads the data set of a config, in the view that the config asks for.

  Raises:
    InputError: an unknown data set, or a setting that it does not take.
  """
  if config.name == ARRAYS:
    raise InputError(
      f"data.name is {ARRAYS!r}: this data set was handed over in Python; "
      "accepted: a call from Python that hands it over again (dataset=...)"
    )
  name = config.name
  if name.startswith(tfds.PREFIX):
    name = "tfds:NAME"
  choose(name, LOADERS, "data set")
  if name in DRAWN and config.resize != "host":
    raise InputError(
      f"data.resize is {config.resize!r}, but {name} are made at data.size; "
      "accepted: host"
    )
  return viewed(LOADERS[name](config), config)
