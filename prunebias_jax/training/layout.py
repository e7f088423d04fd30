"""Where members and data are: the axes [seed, level] on a mesh of devices.

Both axes are padded to what the mesh and the groups of members that are
computed together divide; padding is never trained where members run one after
the other, and never seen outside.
"""

from collections.abc import Sequence
import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding, PartitionSpec
import numpy as np

AXES = ("seed", "level")
MEMBERS = PartitionSpec(*AXES)
SEEDS = PartitionSpec("seed")
SHARED = PartitionSpec()


class TrainData(NamedTuple):
  """Images and labels on the devices.

  Either the training split, from which the program gathers every seed's
  batches, or batches that the host has gathered already.

  Attributes:
    images: uint8 [example, y, x, channel], or of ready batches
      [seed, step, batch, y, x, channel].
    labels: [example, ...] or [seed, step, batch, ...], where ... is attribute
      or nothing.
    marked: uint8 [example] or [seed, step, batch], which examples carry the
      data set's marker; None where there is none.
    weights: float32, of the shape of the labels, what each label's loss counts;
      None where all count alike.
    places: int32 [example] or [seed, step, batch], each example's place in the
      split; None where nobody asks.
  """

  images: jax.Array
  labels: jax.Array
  marked: jax.Array | None = None
  weights: jax.Array | None = None
  places: jax.Array | None = None


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Layout:
  """Seeds x levels on devices.

  Attributes:
    seeds: uint32 [seed, purpose], purposes INIT, ORDER and AUGMENT.
    levels: number of sparsity levels.
    mode: "map", "vmap" or "chunk:K".
    mesh: devices by ("seed", "level").
  """

  seeds: np.ndarray
  levels: int
  mode: str
  mesh: Mesh

  @functools.cached_property
  def groups(self) -> tuple[int, int]:
    """(seeds, levels) that are computed together on a device."""
    sizes = (len(self.seeds), self.levels)
    seeds, levels = map(_rounds, sizes, self.mesh.devices.shape)
    together = {"map": 1, "vmap": seeds * levels}.get(self.mode)
    if together is None:
      together = int(self.mode.removeprefix("chunk:"))
    return _even(seeds, max(1, together // levels)), _even(levels, together)

  @functools.cached_property
  def padded(self) -> tuple[int, int]:
    """(seeds, levels) rounded up to what mesh and groups divide."""
    strides = np.multiply(self.mesh.devices.shape, self.groups).tolist()
    return (
      _rounds(len(self.seeds), strides[0]) * strides[0],
      _rounds(self.levels, strides[1]) * strides[1],
    )

  def place(self, tree: Any, spec: PartitionSpec) -> Any:
    """Puts host arrays on the devices of the mesh."""
    return jax.device_put(tree, NamedSharding(self.mesh, spec))

  def scalar(self, value: int) -> jax.Array:
    """A number as int32 [] on every device."""
    return self.place(np.int32(value), SHARED)

  def fork(self, state: Any, parents: Sequence[int]) -> Any:
    """Levels of another population's members, as those of this one.

    Args:
      state: [seed, level, ...] of a population of the same seeds.
      parents: for each of this population's levels, its level there.
    """
    seeds = len(self.seeds)
    taken = jax.tree.map(lambda x: x[:seeds, np.array(parents)], state)
    return self.adopt(taken)

  def adopt(self, state: Any) -> Any:
    """Puts members [seed, level, ...] on this population's devices."""
    padding = [
      (0, padded - size)
      for padded, size in zip(
        self.padded, (len(self.seeds), self.levels), strict=True
      )
    ]

    def padded(x: jax.Array | np.ndarray) -> jax.Array:
      around = [*padding, *[(0, 0)] * (x.ndim - 2)]
      return jnp.pad(x, around, mode="edge")

    if any(after for _, after in padding):
      state = jax.tree.map(padded, state)
    return self.place(state, MEMBERS)

  def unpadded(self, state: Any) -> Any:
    """Members [seed, level, ...] without padding."""
    seeds, levels = len(self.seeds), self.levels
    if self.padded == (seeds, levels):
      return state
    return jax.tree.map(lambda x: x[:seeds, :levels], state)

  def grid(self, array: jax.Array) -> np.ndarray:
    """A result on the host without its padding: [seed, level, ...]."""
    return np.asarray(jax.device_get(array))[: len(self.seeds), : self.levels]


def make_mesh(devices: Sequence[jax.Device], seeds: int, levels: int) -> Mesh:
  """Arranges devices as [seed, level] so that the busiest has least to do.

  Among equals, devices go to seeds first (levels share their batches), and no
  more devices are used than help.
  """
  choices = [
    (rows, columns)
    for rows in range(1, len(devices) + 1)
    for columns in range(1, len(devices) // rows + 1)
  ]

  def cost(shape: tuple[int, int]) -> tuple[int, int, int]:
    rows, columns = shape
    busiest = -(-seeds // rows) * -(-levels // columns)
    return busiest, rows * columns, columns

  rows, columns = min(choices, key=cost)
  chosen = np.array(devices[: rows * columns]).reshape(rows, columns)
  return Mesh(chosen, AXES)


def _rounds(size: int, group: int) -> int:
  """How many groups hold so many."""
  return -(-size // group)


def _even(size: int, group: int) -> int:
  """The size of groups of up to `group`, made as even as can be."""
  return _rounds(size, _rounds(size, min(group, size)))
