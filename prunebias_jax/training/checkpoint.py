"""Checkpoints of a population, so that a killed run goes on where it was.

A checkpoint holds the state of all members after an epoch, [seed, level, ...]
without padding, so that it can be restored on another number of devices. orbax
lists a checkpoint only once it is complete; what a kill leaves is ignored.
"""

from pathlib import Path
from typing import Self

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint.experimental.v1 as ocp

from prunebias_jax.training.member import Member
from prunebias_jax.training.population import MEMBERS, Population


class Checkpoints:
  """The checkpoints of a run; numbers are epochs done.

  Use as a context: leaving it waits for a save in progress.
  """

  def __init__(self, directory: Path) -> None:
    self._checkpointer = ocp.training.Checkpointer(
      directory.resolve(),
      preservation_policy=ocp.training.preservation_policies.LatestN(2),
    )

  def __enter__(self) -> Self:
    return self

  def __exit__(self, *_: object) -> None:
    self._checkpointer.close()

  def latest(self) -> int | None:
    """Epochs done in the newest complete checkpoint, None if there is none."""
    newest = self._checkpointer.latest
    return None if newest is None else newest.step

  def save(self, epochs: int, population: Population, state: Member) -> None:
    """Starts writing a checkpoint; waits for one still being written."""
    seeds, levels = len(population.seeds), population.levels
    if population.padded != (seeds, levels):
      state = jax.tree.map(lambda x: x[:seeds, :levels], state)
    self._checkpointer.wait()
    self._checkpointer.save_async(epochs, state, force=True)

  def restore(
    self, epochs: int, population: Population, like: Member
  ) -> Member:
    """The state of a checkpoint, on the devices of the population.

    Args:
      epochs: which checkpoint.
      population: where its arrays go.
      like: a state of the same population, for shapes and types.
    """
    seeds, levels = len(population.seeds), population.levels
    wanted = jax.tree.map(
      lambda x: np.empty((seeds, levels, *x.shape[2:]), x.dtype), like
    )
    found = self._checkpointer.load(epochs, wanted)
    padding = [
      (0, padded - size)
      for padded, size in zip(population.padded, (seeds, levels), strict=True)
    ]

    def padded(x: np.ndarray) -> jax.Array:
      around = [*padding, *[(0, 0)] * (x.ndim - 2)]
      return jnp.asarray(np.pad(x, around, mode="edge"))

    return population.place(jax.tree.map(padded, found), MEMBERS)
