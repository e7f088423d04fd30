"""Data sets by the name a config gives them."""

from collections.abc import Callable

from prunebias_jax.config import Data
from prunebias_jax.data import digits, faces
from prunebias_jax.data.dataset import Dataset
from prunebias_jax.errors import choose

LOADERS: dict[str, Callable[[Data], Dataset]] = {
  "digits": digits.load,
  "faces": faces.load,
}


def load(config: Data) -> Dataset:
  """Loads the data set of a config.

  Raises:
    InputError: an unknown data set, or a setting that it does not take.
  """
  choose(config.name, LOADERS, "data set")
  return LOADERS[config.name](config)
