"""What the training program takes: memory as compiled, time of a few steps."""

import dataclasses
import math
import os
import time
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from prunebias_jax.errors import InputError
from prunebias_jax.training import member
from prunebias_jax.training.engine import Engine
from prunebias_jax.training.plan import Segment, make_plan
from prunebias_jax.training.population import Population

# Share of a device's memory that a program may fill: the rest is for the
# logits, checkpoints and whatever else lives there.
USABLE = 0.85


class Measured(NamedTuple):
  """What was measured of a population's training program.

  Attributes:
    seconds: of a step of all members.
    bytes: of the program, its arguments and its temporaries on one device.
  """

  seconds: float
  bytes: int


def measure(engine: Engine, population: Population, steps: int) -> Measured:
  """Times some steps of a population, in one call of its program.

  Args:
    engine: where its data is.
    population: the members.
    steps: how many; no more than the population's `dispatch` are done.
  """
  program, (state, train, order, *rest) = _compiled(engine, population)
  count = min(steps, population.dispatch)
  # The first call pays for whatever is set up late.
  state, _ = jax.block_until_ready(program(state, train, order, *rest))
  rest[-1] = population.scalar(count)
  begin = time.monotonic()
  jax.block_until_ready(program(state, train, order, *rest))
  seconds = (time.monotonic() - begin) / count
  return Measured(seconds, _program_bytes(program))


def operations(engine: Engine, population: Population) -> float:
  """Floating point operations of a step of all members, as XLA counts them.

  Counted on a single member's step: a loop's body is counted once, whatever
  its number of turns.
  """
  recipe, batch = population.recipe, population.batch
  split = engine.dataset.splits["train"]
  images = jax.ShapeDtypeStruct((batch, *population.image_shape), np.uint8)
  labels = jax.ShapeDtypeStruct(
    (batch, *split.labels.shape[1:]), split.labels.dtype
  )
  plain = dataclasses.replace(
    recipe, model=recipe.model.clone(lowering="plain")
  )
  shape = jax.eval_shape(
    lambda seed: member.init(plain, seed, population.image_shape), np.uint32(0)
  )
  step = jax.jit(
    lambda state, x, y: member.train_step(plain, state, x, y, jnp.int32(0))
  )
  cost = step.lower(shape, images, labels).cost_analysis() or {}
  members = len(population.seeds) * population.levels
  return float(cost.get("flops", 0.0)) * members


def widest_segment(engine: Engine) -> Segment:
  """The segment in which most members are trained at once."""
  plan = make_plan(engine.sweep, engine.prunable)
  return max(plan, key=lambda segment: len(segment.branches))


def sample(engine: Engine, segment: Segment, rows: int) -> Population:
  """A population like those of a segment, of so many seeds."""
  seeds = np.zeros((rows, 3), np.uint32)
  return engine.population(segment.phase, seeds, len(segment.branches))


def chunk_rows(engine: Engine, rows: int) -> int:
  """How many seeds are trained together, with all their levels.

  Args:
    engine: data, model, devices; `execution.chunk` asks for a number of
      members, 0 for as many as fit.
    rows: how many seeds there are.

  Raises:
    InputError: so many do not fit the memory.
  """
  asked = engine.sweep.execution.chunk
  levels = len(engine.sweep.sparsities)
  wanted = max(1, asked // levels) if asked else rows
  fitting = _fitting_rows(engine, min(rows, wanted))
  if fitting < min(rows, wanted) and asked:
    raise InputError(
      f"execution.chunk is {asked} members, which do not fit the memory; "
      f"accepted: up to {fitting * levels}, or 0 for as many as fit"
    )
  return fitting


def memory_limit(engine: Engine) -> float:
  """Bytes that may be used on a device; CPU devices share the machine's."""
  stats = engine.devices[0].memory_stats()
  if stats and "bytes_limit" in stats:
    return USABLE * float(stats["bytes_limit"])
  memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
  return USABLE * memory / len(engine.devices)


def device_bytes(engine: Engine, population: Population) -> int:
  """Bytes that training takes on a device, as the compiled program says."""
  return _images_bytes(engine) + _program_bytes(
    _compiled(engine, population)[0]
  )


def _fitting_rows(engine: Engine, rows: int) -> int:
  """How many seeds, with all their levels, fit the devices together.

  Where a rough count leaves no doubt nothing is compiled; else the compiled
  training program tells its memory, for ever fewer seeds until it fits.
  """
  limit, segment = memory_limit(engine), widest_segment(engine)
  while True:
    # Weights, momenta, gradients and temporaries of about the same size.
    state = 16 * engine.parameters * rows * len(segment.branches)
    if _images_bytes(engine) + 2 * state < limit / 4:
      return rows
    needed = device_bytes(engine, sample(engine, segment, rows))
    if needed < limit:
      return rows
    if rows == 1:
      levels = len(segment.branches)
      raise InputError(
        f"one seed with its {levels} levels, the smallest number of members "
        f"that can be trained, needs {needed / 1e9:.1f} GB on a device; "
        f"accepted: up to {limit / 1e9:.1f} GB (fewer sparsities, a smaller "
        "batch or network, or more devices need less)"
      )
    rows = math.ceil(rows / 2)


def _images_bytes(engine: Engine) -> int:
  return sum(s.images.nbytes for s in engine.dataset.splits.values())


def _compiled(engine: Engine, population: Population) -> tuple[Any, Any]:
  """The compiled training program, and its arguments."""
  arguments = population.train_arguments(
    population.init(),
    engine.train_data(population),
    population.order(0),
    epoch_step=0,
    step=0,
    count=1,
  )
  return population.train_program.lower(*arguments).compile(), arguments


def _program_bytes(program: Any) -> int:
  """Bytes of arguments and temporaries on one device."""
  memory = program.memory_analysis()
  return memory.argument_size_in_bytes + memory.temp_size_in_bytes
