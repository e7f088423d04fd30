"""From a config and a data set to populations on devices."""

from collections.abc import Generator, Iterable, Mapping, Sequence
import contextlib
import dataclasses
import functools
import logging
import math
import os
from typing import Any, NamedTuple, Self

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
import numpy as np
from scipy import special

from prunebias_jax import models
from prunebias_jax.config import (
  DETERMINISTIC_FLAG,
  Execution,
  Sweep,
)
from prunebias_jax.data.augment import Augment
from prunebias_jax.data.dataset import Dataset
from prunebias_jax.errors import InputError
from prunebias_jax.pruning.criterion import CRITERIA
from prunebias_jax.pruning.masks import prunable
from prunebias_jax.pruning.structure import require_axes
from prunebias_jax.store import EVALUATED
from prunebias_jax.training import batches, member, scoring, weighting
from prunebias_jax.training.layout import SHARED, TrainData, make_mesh
from prunebias_jax.training.memory import data_path
from prunebias_jax.training.plan import Phase, require_fit, steps_per_epoch
from prunebias_jax.training.population import Population
from prunebias_jax.training.recipe import Recipe, make_recipe

log = logging.getLogger(__name__)


class Precision(NamedTuple):
  """What a network computes in.

  Attributes:
    activations: type of what flows between layers.
    products: precision of matrix products and convolutions, as
      `jax.default_matmul_precision` has it.
  """

  activations: DTypeLike
  products: str


PRECISIONS = {
  "float32": Precision(jnp.float32, "highest"),
  "tensorfloat32": Precision(jnp.float32, "tensorfloat32"),
  # bfloat16 inputs are multiplied exactly and summed in float32 anyway; the
  # float32 head keeps its precision.
  "bfloat16": Precision(jnp.bfloat16, "highest"),
}


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Engine:
  """What all populations of a run share: data, model, devices.

  Attributes:
    sweep: the config.
    dataset: the data on the host.
    devices: where populations go.
    precision: arithmetic of the network, a key of `PRECISIONS`.
    mode: how members share a device: "map", "vmap" or "chunk:K".
    lowering: how convolutions are written.
    measured: what was measured before mode and lowering were chosen.
    data: where training images live, "resident" or "streamed".
  """

  sweep: Sweep
  dataset: Dataset
  devices: Sequence[jax.Device]
  precision: str
  data: str
  mode: str = "map"
  lowering: str = "plain"
  measured: Sequence[Mapping[str, Any]] = ()

  @classmethod
  def build(cls, sweep: Sweep, dataset: Dataset) -> Self:
    """Chooses the devices; `choice.choose` says how members run on them.

    Raises:
      InputError: a batch larger than the training split, no labels to choose
        the best by, groups or devices that are not there, or mask updates that
        never come.
    """
    examples = len(dataset.splits["train"])
    for name in sweep.phases:
      batch = getattr(sweep, name).batch
      if examples < batch:
        raise InputError(
          f"{name}.batch is {batch}; accepted: up to the {examples} examples "
          "of the training split"
        )
    require_fit(sweep, examples)
    weighting.require_identities(dataset, sweep.loss)
    scoring = CRITERIA[sweep.pruning.scored_by].differentiates
    scoring |= sweep.pruning.regime == "rigl"
    if scoring and examples < sweep.pruning.scoring_examples:
      raise InputError(
        f"pruning.scoring_examples is {sweep.pruning.scoring_examples}; "
        f"accepted: up to the {examples} examples of the training split"
      )
    labels = dataset.splits["valid"].labels
    if sweep.execution.keep_best and np.isnan(labels).all():
      raise InputError(
        "execution.keep_best is True, but no example of the valid split has a "
        "label; accepted: False"
      )
    devices = choose_devices(sweep.execution)
    platform = devices[0].platform
    if sweep.execution.deterministic and platform == "gpu":
      _require_deterministic()
    precision = sweep.execution.precision
    if precision == "auto":
      precision = "float32" if platform == "cpu" else "bfloat16"
    return cls(
      sweep=sweep,
      dataset=dataset,
      devices=devices,
      precision=precision,
      data=data_path(sweep.execution.data, dataset, devices[0], len(devices)),
    )

  @functools.cached_property
  def model(self) -> nn.Module:
    """The network.

    Raises:
      InputError: a module of the user's own that does not fit.
    """
    return models.build(
      self.sweep.model,
      outputs=len(self.dataset.names),
      lowering=self.lowering,
      dtype=PRECISIONS[self.precision].activations,
      image_shape=self.dataset.image_shape,
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
  def biased_bytes(self) -> int:
    """Bytes of the biased network's state beside one member; 0 without."""
    leaves = jax.tree.leaves(self.shapes.biased)
    return sum(x.size * x.dtype.itemsize for x in leaves)

  @functools.cached_property
  def layers(self) -> dict[str, tuple[int, ...]]:
    """Shapes of one member's prunable arrays."""
    found = prunable(self.shapes.params, self.sweep.pruning)
    shapes = {path: array.shape for path, array in found.items()}
    require_axes(self.sweep.pruning, shapes)
    return shapes

  @property
  def prunable(self) -> int:
    """Number of prunable weights of one member."""
    return sum(map(math.prod, self.layers.values()))

  def steps_per_epoch(self, phase: Phase) -> int:
    """Whole batches in the training split."""
    return steps_per_epoch(phase, len(self.dataset.splits["train"]))

  def first_step(self, phase: Phase) -> int:
    """Steps of the phases before this one."""
    before = len(self.dataset.splits["train"]) // self.sweep.train.batch
    return phase.first_epoch * before

  def recipe(self, phase: Phase) -> Recipe:
    """How a member is trained in a phase."""
    return make_recipe(
      phase.config,
      model=self.model,
      task=self.dataset.task,
      steps_per_epoch=self.steps_per_epoch(phase),
      first_step=self.first_step(phase),
      pruning=self.sweep.pruning,
      loss=self.sweep.loss,
      table=self.dataset.splits["train"].labels.shape,
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
    labels = None
    if self.sweep.loss.learns_from_failure:
      labels = self.dataset.splits["train"].labels
    return Population(
      recipe=self.recipe(phase),
      augment=Augment(
        flip=phase.config.flip,
        crop=phase.config.crop,
        marker=self.dataset.marker,
        window=self.dataset.window,
      ),
      image_shape=self.dataset.image_shape,
      examples=len(self.dataset.splits["train"]),
      batch=phase.config.batch,
      dispatch=min(self.sweep.execution.steps_per_dispatch, steps),
      seeds=seeds,
      levels=levels,
      mode=self.mode,
      precision=PRECISIONS[self.precision].products,
      labels=labels,
      mesh=make_mesh(self.devices, len(seeds), levels),
    )

  @functools.cached_property
  def examples(self) -> dict[str, np.ndarray]:
    """The training split on the host, as the fields of `TrainData` there are.

    Beside images and labels, what the loss asks of them.
    """
    split, loss = self.dataset.splits["train"], self.sweep.loss
    found = {"images": split.images, "labels": split.labels}
    if split.marked is not None:
      found["marked"] = split.marked
    if loss.kind in weighting.REWEIGHTED:
      found["weights"] = weighting.label_weights(self.dataset, loss)
    if loss.learns_from_failure:
      found["places"] = np.arange(len(split), dtype=np.int32)
    return found

  @functools.cached_property
  def _aligned(self) -> dict[str, np.ndarray]:
    """The training split in memory that CPU devices can share."""
    return {
      name: batches.aligned(array) for name, array in self.examples.items()
    }

  def sources(
    self, population: Population, dispatches: Iterable[batches.Dispatch]
  ) -> contextlib.closing[Generator[batches.Source, None, None]]:
    """What a population trains on, dispatch by dispatch.

    Use as a context: leaving it ends the thread that prepares batches.
    """
    if self.data == "resident":
      return contextlib.closing(
        batches.resident(population, self._aligned, dispatches)
      )
    return contextlib.closing(
      batches.one_ahead(batches.streamed(population, self.examples, dispatches))
    )

  def scoring(self, population: Population) -> TrainData | None:
    """What the criterion takes a gradient on; None where it takes none."""
    criterion = CRITERIA[self.sweep.pruning.scored_by]
    return self.sample(population, 0) if criterion.differentiates else None

  def sample(self, population: Population, number: int) -> TrainData:
    """Training examples for a gradient, on a population's devices.

    Args:
      population: decides the devices and the examples a step.
      number: which sample; the same number gives the same examples.
    """
    pruning = self.sweep.pruning
    sample = scoring.scoring_batch(
      self.dataset,
      count=pruning.scoring_examples,
      batch=population.batch,
      seed=self.sweep.data.seed,
      number=number,
    )
    return TrainData(*population.place(sample, SHARED))

  def predict(
    self,
    population: Population,
    state: member.Member,
    splits: Sequence[str] = EVALUATED,
  ) -> dict[str, np.ndarray]:
    """Logits by split: float32 [seed, level, example, output]."""
    found = {}
    for name in splits:
      pieces = batches.evaluated(
        population, self.dataset, name, self.sweep.execution.eval_batch
      )
      with contextlib.closing(batches.one_ahead(pieces)) as ready:
        logits = [
          population.grid(population.predict(state, piece, count))
          for piece, count in ready
        ]
      found[name] = np.concatenate(logits, 2)[
        :, :, : len(self.dataset.splits[name])
      ]
    return found

  def valid_loss(
    self, population: Population, state: member.Member
  ) -> np.ndarray:
    """Mean cross-entropy on the validation split: float64 [seed, level].

    Over the labels that are there.
    """
    logits = self.predict(population, state, ("valid",))["valid"]
    labels = self.dataset.splits["valid"].labels
    logits = logits.astype(np.float64)
    if self.dataset.task == "multilabel":
      losses = np.logaddexp(0, logits) - labels * logits
      if labels.dtype.kind != "f":
        return losses.mean((2, 3))
      present = ~np.isnan(labels)
      # Not nanmean: a loss that is not finite must show.
      return np.where(present, losses, 0).sum((2, 3)) / present.sum()
    chosen = logits[..., np.arange(len(labels)), labels]
    return (special.logsumexp(logits, axis=-1) - chosen).mean(2)


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
  if (execution.devices or 1) > len(found):
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
  if found[0].platform == "cpu" and (execution.devices or 0) > cores:
    log.warning(
      "%d CPU devices share %d cores: more devices than cores gain nothing",
      execution.devices,
      cores,
    )
  return found[: execution.devices]


def _require_deterministic() -> None:
  """Refuses to promise what only a flag set before the start can hold.

  Raises:
    InputError: the flag is not set.
  """
  if DETERMINISTIC_FLAG not in os.environ.get("XLA_FLAGS", "").split():
    raise InputError(
      f"execution.deterministic needs XLA_FLAGS={DETERMINISTIC_FLAG} before "
      "jax starts (the prunebias command sets it)"
    )
