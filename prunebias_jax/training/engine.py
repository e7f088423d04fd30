"""From a config and a data set to a population on devices."""

from collections.abc import Sequence
import dataclasses
import logging
import os

import jax
import numpy as np

from prunebias_jax import models
from prunebias_jax.config import Execution, Sweep
from prunebias_jax.data.augment import Augment
from prunebias_jax.data.dataset import Dataset
from prunebias_jax.errors import InputError
from prunebias_jax.models.conv import default_lowering
from prunebias_jax.pruning.masks import count_prunable
from prunebias_jax.training import member
from prunebias_jax.training.population import (
  SHARED,
  Population,
  TrainData,
  make_mesh,
)

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Engine:
  """A population with its data on the devices.

  Attributes:
    population: the members and their compiled functions.
    train: the training split.
    evaluated: images of valid and test, uint8 [step, batch, y, x, channel],
      the last batch filled up with zeros.
    examples: number of examples of valid and test.
    steps_per_epoch: whole batches in the training split.
    parameters: number of parameters of one member.
    prunable: how many of them can be pruned.
    lowering: how convolutions are written.
  """

  population: Population
  train: TrainData
  evaluated: dict[str, jax.Array]
  examples: dict[str, int]
  steps_per_epoch: int
  parameters: int
  prunable: int
  lowering: str


def build_engine(sweep: Sweep, dataset: Dataset) -> Engine:
  """Makes the population of a config and puts the data on its devices.

  Raises:
    InputError: a batch larger than the training split, or devices that are
      not there.
  """
  split = dataset.splits["train"]
  steps_per_epoch = len(split) // sweep.train.batch
  if steps_per_epoch == 0:
    raise InputError(
      f"train.batch is {sweep.train.batch}; accepted: up to the "
      f"{len(split)} examples of the training split"
    )
  devices = choose_devices(sweep.execution)
  platform = devices[0].platform
  lowering = default_lowering(platform)
  model = models.build(
    sweep.model, outputs=len(dataset.names), lowering=lowering
  )
  recipe = member.make_recipe(
    sweep.train,
    model=model,
    task=dataset.task,
    steps_per_epoch=steps_per_epoch,
  )
  seeds, levels = len(sweep.seeds), len(sweep.sparsities)
  population = Population(
    recipe=recipe,
    augment=Augment(flip=sweep.train.flip, crop=sweep.train.crop),
    image_shape=dataset.image_shape,
    examples=len(split),
    batch=sweep.train.batch,
    dispatch=min(sweep.execution.steps_per_dispatch, steps_per_epoch),
    seeds=np.array(sweep.seeds, np.uint32),
    levels=levels,
    mode=member_mode(sweep.execution.mode, platform),
    mesh=make_mesh(devices, seeds, levels),
  )
  params = jax.eval_shape(
    lambda seed: member.init(recipe, seed, dataset.image_shape), np.uint32(0)
  ).params
  return Engine(
    population=population,
    train=TrainData(
      images=population.place(split.images, SHARED),
      labels=population.place(split.labels, SHARED),
    ),
    evaluated={
      name: population.place(
        _in_batches(dataset.splits[name].images, sweep.execution.eval_batch),
        SHARED,
      )
      for name in ("valid", "test")
    },
    examples={name: len(dataset.splits[name]) for name in ("valid", "test")},
    steps_per_epoch=steps_per_epoch,
    parameters=sum(x.size for x in jax.tree.leaves(params)),
    prunable=count_prunable(params),
    lowering=lowering,
  )


def choose_devices(execution: Execution) -> Sequence[jax.Device]:
  """The devices that a config asks for.

  Raises:
    InputError: a platform that is not there, or too few devices.
  """
  platform = None if execution.platform == "auto" else execution.platform
  try:
    found = jax.devices(platform)
  except RuntimeError:
    present = ", ".join(sorted({one.platform for one in jax.devices()}))
    raise InputError(
      f"execution.platform is {execution.platform!r}, but no such device is "
      f"here; accepted: {present}"
    ) from None
  if execution.devices > len(found):
    raise InputError(
      f"execution.devices is {execution.devices}; accepted: up to "
      f"{len(found)}, as many {found[0].platform} devices are here"
    )
  cores = len(os.sched_getaffinity(0))
  if found[0].platform == "cpu" and len(found) == 1 and cores > 1:
    log.warning(
      "one CPU device for %d cores; the prunebias command uses one for each, "
      "from Python set jax_num_cpu_devices before the first computation",
      cores,
    )
  return found[: execution.devices or None]


def member_mode(mode: str, platform: str) -> str:
  """How members share a device; auto is what the platform does well.

  On a CPU, grouped convolutions (what vmap makes of per-member kernels) are
  many times slower than members one after the other; small networks fill an
  accelerator only together.
  """
  if mode != "auto":
    return mode
  return "map" if platform == "cpu" else "vmap"


def _in_batches(images: np.ndarray, batch: int) -> np.ndarray:
  """uint8 [step, batch, y, x, channel], filled up with zeros."""
  batch = min(batch, len(images))
  steps = -(-len(images) // batch)
  filled = np.zeros((steps * batch, *images.shape[1:]), np.uint8)
  filled[: len(images)] = images
  return filled.reshape(steps, batch, *images.shape[1:])
