"""What a run would take: memory from the compiled program, time from steps."""

import dataclasses
import logging
import math
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from prunebias_jax import data
from prunebias_jax.config import Sweep
from prunebias_jax.training import member
from prunebias_jax.training.batches import Dispatch
from prunebias_jax.training.engine import Engine
from prunebias_jax.training.members import seed_rows
from prunebias_jax.training.memory import (
  USABLE,
  memory_limit,
  resident_bytes,
)
from prunebias_jax.training.plan import Segment, make_plan
from prunebias_jax.training.population import Population, TrainData

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Estimate:
  """What a run would take.

  Attributes:
    members: number of models.
    chunks: in how many parts they are trained.
    parameters: parameters of one member.
    prunable: prunable weights of one member.
    member_epochs: epochs of training over all members.
    trained_epochs: the same where levels that are still one count once.
    flops: floating point operations of the whole training, as XLA counts them.
    device_bytes: data, state and temporaries on the busiest device.
    disk_bytes: logits, parameters and checkpoints.
    seconds: training time, from measured steps.
    steps: how many steps were measured.
    device: what they were measured on.
  """

  members: int
  chunks: int
  parameters: int
  prunable: int
  member_epochs: int
  trained_epochs: int
  flops: float
  device_bytes: int
  disk_bytes: int
  seconds: float
  steps: int
  device: str


def estimate(sweep: Sweep, steps: int = 20) -> Estimate:
  """Measures a few steps and extrapolates; writes nothing but the data cache.

  Args:
    sweep: the config.
    steps: how many steps to measure, for each number of branches.
  """
  dataset = data.load(sweep.data)
  engine = Engine.build(sweep, dataset)
  rows = len(seed_rows(sweep))
  size = sweep.execution.chunk // len(sweep.sparsities)
  size = max(1, size) if sweep.execution.chunk else fitting_rows(engine, rows)
  plan = make_plan(sweep, engine.prunable)
  seconds, flops, device_bytes = 0.0, 0.0, 0
  measured: dict[tuple[str, int], tuple[float, float]] = {}
  for segment in plan:
    key = segment.phase.name, len(segment.branches)
    if key not in measured:
      population = _population(engine, segment, size)
      per_step, operations, needed = _measure(engine, population, steps)
      measured[key] = per_step, operations
      device_bytes = max(device_bytes, needed)
    count = len(segment.epochs) * engine.steps_per_epoch(segment.phase)
    seconds += measured[key][0] * count * rows / size
    flops += measured[key][1] * count * rows / size
  members = rows * len(sweep.sparsities)
  examples = sum(len(dataset.splits[name]) for name in ("valid", "test"))
  levels = range(len(sweep.sparsities))
  return Estimate(
    members=members,
    chunks=-(-rows // size),
    parameters=engine.parameters,
    prunable=engine.prunable,
    member_epochs=rows
    * sum(
      len(segment.epochs)
      for segment in plan
      for level in levels
      if any(level in branch for branch in segment.branches)
    ),
    trained_epochs=rows
    * sum(len(segment.epochs) * len(segment.branches) for segment in plan),
    flops=flops,
    device_bytes=device_bytes,
    # Two checkpoints are kept, with momenta; masks take a byte a weight.
    disk_bytes=members * examples * len(dataset.names) * 4
    + members * 5 * engine.parameters * sweep.execution.keep_parameters
    + 2 * 9 * engine.parameters * size * len(sweep.sparsities),
    seconds=seconds,
    steps=steps,
    device=f"{len(engine.devices)} x {engine.devices[0].device_kind}",
  )


def fitting_rows(engine: Engine, rows: int) -> int:
  """How many seeds, with all their levels, fit the devices together.

  Where a rough count leaves no doubt nothing is compiled; else the compiled
  training program tells its memory, for ever fewer seeds until it fits.
  """
  limit = USABLE * memory_limit(engine.devices[0], len(engine.devices))
  plan = make_plan(engine.sweep, engine.prunable)
  widest = max(plan, key=lambda segment: len(segment.branches))
  while True:
    # Weights, momenta, gradients and temporaries of about the same size.
    state = 16 * engine.parameters * rows * len(widest.branches)
    population = _population(engine, widest, rows)
    if _rough_data_bytes(engine, population) + 2 * state < limit / 4:
      return rows
    program, arguments = _compiled(engine, population)
    needed = _device_bytes(engine, program, arguments[1])
    if needed < limit:
      return rows
    if rows == 1:
      log.warning(
        "one seed with its %d levels needs %.1f GB, the device has %.1f GB",
        len(widest.branches),
        needed / 1e9,
        limit / 1e9,
      )
      return 1
    rows = (rows + 1) // 2


def _population(engine: Engine, segment: Segment, rows: int) -> Population:
  seeds = np.zeros((rows, 3), np.uint32)
  return engine.population(segment.phase, seeds, len(segment.branches))


def _compiled(engine: Engine, population: Population) -> tuple[Any, Any]:
  """The compiled training program, and its arguments for one step."""
  first = Dispatch(epoch=0, first=0, steps=population.dispatch)
  with engine.sources(population, [first]) as sources:
    source = next(iter(sources))
  arguments = population.train_arguments(
    population.init(), *source, epoch_step=0, step=0, count=1
  )
  return population.train_program.lower(*arguments).compile(), arguments


def _rough_data_bytes(engine: Engine, population: Population) -> int:
  """About what the data take on one device, nothing compiled."""
  if engine.data == "resident":
    return _resident_bytes(engine)
  image = math.prod(population.image_shape)
  steps = population.prepared * population.batch
  return 2 * len(population.seeds) * steps * image


def _resident_bytes(engine: Engine) -> int:
  devices = engine.devices
  return resident_bytes(engine.dataset, devices[0], len(devices))


def _device_bytes(engine: Engine, program: Any, data: TrainData) -> int:
  """Bytes on the busiest device while it trains.

  Args:
    engine: decides where the data are.
    program: the compiled training program.
    data: what it is called with.
  """
  memory = program.memory_analysis()
  needed = memory.argument_size_in_bytes + memory.temp_size_in_bytes
  held = sum(x.addressable_shards[0].data.nbytes for x in data)
  if engine.data == "streamed":
    return needed + held  # the next batches wait beside these
  # As an argument the split counts whole, where CPU devices share it too.
  return needed - held + _resident_bytes(engine)


def _measure(
  engine: Engine, population: Population, steps: int
) -> tuple[float, float, int]:
  """Seconds and operations of a step, and bytes on a device."""
  program, (state, *rest) = _compiled(engine, population)
  count = min(steps, population.dispatch)
  # The first call pays for whatever is set up late.
  state, _ = jax.block_until_ready(program(state, *rest))
  needed = _device_bytes(engine, program, rest[0])
  rest[-1] = population.scalar(count)
  begin = time.monotonic()
  jax.block_until_ready(program(state, *rest))
  seconds = (time.monotonic() - begin) / count
  return seconds, _operations(engine, population), needed


def _operations(engine: Engine, population: Population) -> float:
  """Floating point operations of a step of all members, as XLA counts them.

  Counted on a single member's step: a loop's body is counted once, whatever
  its number of turns.
  """
  recipe, batch = population.recipe, population.batch
  split = engine.dataset.splits["train"]
  shape = jax.eval_shape(
    lambda seed: member.init(recipe, seed, population.image_shape),
    np.uint32(0),
  )
  images = jax.ShapeDtypeStruct((batch, *population.image_shape), np.uint8)
  labels = jax.ShapeDtypeStruct(
    (batch, *split.labels.shape[1:]), split.labels.dtype
  )
  plain = dataclasses.replace(
    recipe, model=recipe.model.clone(lowering="plain")
  )
  step = jax.jit(
    lambda state, x, y: member.train_step(plain, state, x, y, jnp.int32(0))
  )
  cost = step.lower(shape, images, labels).cost_analysis() or {}
  members = len(population.seeds) * population.levels
  return float(cost.get("flops", 0.0)) * members
