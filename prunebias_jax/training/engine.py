"""From a config and a data set to populations on devices."""

from collections.abc import Sequence
import dataclasses
import functools
import logging
import os
from typing import Self

import flax.linen as nn
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
from prunebias_jax.training.plan import Phase
from prunebias_jax.training.population import (
  SHARED,
  Population,
  TrainData,
  make_mesh,
)

log = logging.getLogger(__name__)

EVALUATED = ("valid", "test")


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Engine:
  """What all populations of a run share: data, model, devices.

  Attributes:
    sweep: the config.
    dataset: the data on the host.
    devices: where populations go.
    mode: how members share a device, "map" or "vmap".
    lowering: how convolutions are written.
  """

  sweep: Sweep
  dataset: Dataset
  devices: Sequence[jax.Device]
  mode: str
  lowering: str

  @classmethod
  def build(cls, sweep: Sweep, dataset: Dataset) -> Self:
    """Chooses devices and how they are used.

    Raises:
      InputError: a batch larger than the training split, or devices that are
        not there.
    """
    examples = len(dataset.splits["train"])
    if examples < sweep.train.batch or examples < sweep.finetune.batch:
      name = "train" if examples < sweep.train.batch else "finetune"
      raise InputError(
        f"{name}.batch is {getattr(sweep, name).batch}; accepted: up to the "
        f"{examples} examples of the training split"
      )
    devices = choose_devices(sweep.execution)
    platform = devices[0].platform
    return cls(
      sweep=sweep,
      dataset=dataset,
      devices=devices,
      mode=member_mode(sweep.execution.mode, platform),
      lowering=default_lowering(platform),
    )

  @functools.cached_property
  def model(self) -> nn.Module:
    """The network."""
    return models.build(
      self.sweep.model,
      outputs=len(self.dataset.names),
      lowering=self.lowering,
    )

  @functools.cached_property
  def shapes(self) -> member.Member:
    """Shapes of one member's arrays."""
    recipe = self.recipe(Phase(name="train", config=self.sweep.train))
    return jax.eval_shape(
      lambda seed: member.init(recipe, seed, self.dataset.image_shape),
      np.uint32(0),
    )

  @property
  def parameters(self) -> int:
    """Number of parameters of one member."""
    return sum(x.size for x in jax.tree.leaves(self.shapes.params))

  @property
  def prunable(self) -> int:
    """Number of prunable weights of one member."""
    return count_prunable(self.shapes.params)

  def steps_per_epoch(self, phase: Phase) -> int:
    """Whole batches in the training split."""
    return len(self.dataset.splits["train"]) // phase.config.batch

  def first_step(self, phase: Phase) -> int:
    """Steps of the phases before this one."""
    before = len(self.dataset.splits["train"]) // self.sweep.train.batch
    return phase.first_epoch * before

  def recipe(self, phase: Phase) -> member.Recipe:
    """How a member is trained in a phase."""
    return member.make_recipe(
      phase.config,
      model=self.model,
      task=self.dataset.task,
      steps_per_epoch=self.steps_per_epoch(phase),
      first_step=self.first_step(phase),
    )

  def population(
    self, phase: Phase, seeds: np.ndarray, levels: int
  ) -> Population:
    """Members of these seeds and this many branches, in a phase.

    Args:
      phase: decides the recipe and the batches.
      seeds: uint32 [seed, purpose].
      levels: number of branches of each seed.
    """
    steps = self.steps_per_epoch(phase)
    return Population(
      recipe=self.recipe(phase),
      augment=Augment(flip=phase.config.flip, crop=phase.config.crop),
      image_shape=self.dataset.image_shape,
      examples=len(self.dataset.splits["train"]),
      batch=phase.config.batch,
      dispatch=min(self.sweep.execution.steps_per_dispatch, steps),
      seeds=seeds,
      levels=levels,
      mode=self.mode,
      mesh=make_mesh(self.devices, len(seeds), levels),
    )

  def train_data(self, population: Population) -> TrainData:
    """The training split on the devices of a population."""
    split = self.dataset.splits["train"]
    return TrainData(
      images=population.place(split.images, SHARED),
      labels=population.place(split.labels, SHARED),
    )

  def predict(
    self, population: Population, state: member.Member
  ) -> dict[str, np.ndarray]:
    """Logits of valid and test: float32 [seed, level, example, output]."""
    found = {}
    for name in EVALUATED:
      images = self.dataset.splits[name].images
      batches = in_batches(images, self.sweep.execution.eval_batch)
      logits = population.predict(state, population.place(batches, SHARED))
      found[name] = population.grid(logits)[:, :, : len(images)]
    return found


def choose_devices(execution: Execution) -> Sequence[jax.Device]:
  """The devices of this process that a config asks for.

  Raises:
    InputError: a platform that is not there, too few devices, or processes
      whose devices are joined.
  """
  platform = None if execution.platform == "auto" else execution.platform
  try:
    found = jax.local_devices(backend=platform)
  except RuntimeError:
    present = ", ".join(sorted({one.platform for one in jax.devices()}))
    raise InputError(
      f"execution.platform is {execution.platform!r}, but no such device is "
      f"here; accepted: {present}"
    ) from None
  if jax.process_count() > 1:
    raise InputError(
      f"the devices of {jax.process_count()} processes are joined; accepted: "
      "processes with devices of their own (on a TPU slice by "
      "TPU_PROCESS_BOUNDS=1,1,1 and what docs/running.md names beside it)"
    )
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


def in_batches(images: np.ndarray, batch: int) -> np.ndarray:
  """uint8 [step, batch, y, x, channel], filled up with zeros."""
  batch = min(batch, len(images))
  steps = -(-len(images) // batch)
  filled = np.zeros((steps * batch, *images.shape[1:]), np.uint8)
  filled[: len(images)] = images
  return filled.reshape(steps, batch, *images.shape[1:])
