"""How images reach the devices: all at once, or as they are needed.

`resident` puts the training split on the devices, where the compiled program
gathers the batches; `streamed` gathers them on the host. Both give the same
batches. `one_ahead` makes the next item in a thread while this one is used.

On a CPU, JAX takes a host array as it is instead of copying it, once for each
device, where the array is `aligned` as XLA wants it; a memory map of a .npy
file is. What is put on devices here is never written to afterwards.
"""

from collections.abc import Generator, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
import itertools
import math
from typing import NamedTuple, TypeVar

import jax
import numpy as np

from prunebias_jax.data import cache
from prunebias_jax.data.dataset import Dataset
from prunebias_jax.data.markers import shown
from prunebias_jax.training.layout import SEEDS, SHARED, TrainData
from prunebias_jax.training.plan import Segment
from prunebias_jax.training.population import Population

# XLA's alignment of CPU buffers: others are copied.
ALIGNMENT = 64
# Steps whose images are on the devices together when logits are made.
EVAL_STEPS = 8
# Bytes that are read of a memory map before its pages are let go.
HELD = 1 << 30

T = TypeVar("T")


class Dispatch(NamedTuple):
  """Steps done in one call of the training program.

  Attributes:
    epoch: the epoch, counted over all phases.
    first: steps of the epoch done before.
    steps: steps to do.
  """

  epoch: int
  first: int
  steps: int


def dispatches(
  segment: Segment, done: int, most: int
) -> Generator[Dispatch, None, None]:
  """The calls of the training program that a segment still needs.

  They end where epochs end.

  Args:
    segment: the segment.
    done: steps of it done already.
    most: the most steps in one call.
  """
  each = segment.steps_per_epoch
  while done < len(segment.steps):
    epoch, first = divmod(segment.steps[done], each)
    count = min(most, each - first, len(segment.steps) - done)
    yield Dispatch(segment.phase.first_epoch + epoch, first, count)
    done += count


class Source(NamedTuple):
  """Where the program finds the batches of a dispatch.

  Attributes:
    data: the training split, or the batches [seed, step, batch, ...].
    order: order of the split in this epoch; None where batches are ready.
  """

  data: TrainData
  order: jax.Array | None


def resident(
  population: Population,
  examples: Mapping[str, np.ndarray],
  dispatches: Iterable[Dispatch],
) -> Generator[Source, None, None]:
  """The whole split on every device, and each epoch's order."""
  data = TrainData(**population.place(dict(examples), SHARED))
  epoch = None
  for dispatch in dispatches:
    if dispatch.epoch != epoch:
      epoch = dispatch.epoch
      order = population.order(epoch)
    yield Source(data, order)


def streamed(
  population: Population,
  examples: Mapping[str, np.ndarray],
  dispatches: Iterable[Dispatch],
) -> Generator[Source, None, None]:
  """Every seed's own batches of each dispatch, gathered on the host."""
  epoch, held = None, 0
  for dispatch in dispatches:
    if dispatch.epoch != epoch:
      epoch = dispatch.epoch
      order = jax.device_get(population.order(epoch))
    first = dispatch.first * population.batch
    index = order[:, first : first + dispatch.steps * population.batch]
    data = TrainData(
      **{
        name: population.place(_gathered(array, index, population), SEEDS)
        for name, array in examples.items()
      }
    )
    held += data.images.nbytes
    if held > HELD:
      cache.release(examples["images"])
      held = 0
    yield Source(data, None)


def _gathered(
  array: np.ndarray, index: np.ndarray, population: Population
) -> np.ndarray:
  """Rows of an array for every seed: [padded seed, step, batch, ...].

  Steps beyond those of the index, and the seeds that pad, are zeros.

  Args:
    array: [example, ...].
    index: int32 [padded seed, place].
    population: decides the shape.
  """
  steps, batch = population.prepared, population.batch
  shape = (population.padded[0], steps * batch, *array.shape[1:])
  rows = _aligned_zeros(shape, array.dtype)
  for seed in range(len(population.seeds)):
    # Every index is inside; other modes than clip write into a copy first.
    np.take(array, index[seed], 0, rows[seed, : index.shape[1]], mode="clip")
  return rows.reshape(shape[0], steps, batch, *array.shape[1:])


def evaluated(
  population: Population, dataset: Dataset, split: str, batch: int
) -> Generator[tuple[jax.Array, int], None, None]:
  """A split in pieces of equal shape: uint8 [step, batch, y, x, channel].

  Images are as networks see them; windows are cut on the devices.

  Args:
    population: whose devices the pieces go to.
    dataset: the data set.
    split: which split of it.
    batch: examples a step.

  Yields:
    A piece on the devices, filled up with zeros, and how many of its steps
    hold examples.
  """
  part = dataset.splits[split]
  batch = min(batch, len(part))

  def piece(array: np.ndarray) -> jax.Array:
    rows = _aligned_zeros((EVAL_STEPS * batch, *array.shape[1:]), array.dtype)
    rows[: len(array)] = array
    rows = rows.reshape(EVAL_STEPS, batch, *array.shape[1:])
    return population.place(rows, SHARED)

  for first in range(0, len(part), EVAL_STEPS * batch):
    cache.release(part.images)
    rows = slice(first, min(first + EVAL_STEPS * batch, len(part)))
    steps = -(-(rows.stop - first) // batch)
    if part.window is None:
      yield piece(shown(dataset, split, rows)), steps
      continue
    marked = None if part.marked is None else piece(part.marked[rows])
    yield population.middle(piece(part.images[rows]), marked), steps


def one_ahead(items: Iterator[T]) -> Generator[T, None, None]:
  """The same items; the next is made in a thread while one is used.

  An exception of the thread is raised where its item would come. Close the
  iterator to end the thread early: it finishes the item at hand.
  """

  def fetch() -> list[T]:
    return list(itertools.islice(items, 1))

  with ThreadPoolExecutor(1, thread_name_prefix="batches") as thread:
    found = fetch()
    while found:
      following = thread.submit(fetch)
      yield found[0]
      found = following.result()


def aligned(array: np.ndarray) -> np.ndarray:
  """The array itself where XLA can use its memory, else a copy."""
  if array.flags.c_contiguous and array.ctypes.data % ALIGNMENT == 0:
    return array
  copy = _aligned_zeros(array.shape, array.dtype)
  copy[:] = array
  return copy


def _aligned_zeros(
  shape: tuple[int, ...], dtype: np.dtype | type[np.generic]
) -> np.ndarray:
  size = math.prod(shape) * np.dtype(dtype).itemsize
  memory = np.zeros(size + ALIGNMENT, np.uint8)
  start = -memory.ctypes.data % ALIGNMENT
  return memory[start : start + size].view(dtype).reshape(shape)
