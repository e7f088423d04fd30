"""What the training program takes: memory as compiled, time of a few steps."""

import dataclasses
import math
import time
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from prunebias_jax.errors import InputError
from prunebias_jax.training import member, memory
from prunebias_jax.training.batches import Dispatch
from prunebias_jax.training.engine import Engine
from prunebias_jax.training.layout import TrainData
from prunebias_jax.training.memory import USABLE
from prunebias_jax.training.plan import Segment, make_plan
from prunebias_jax.training.population import Population


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
  program, (state, *rest) = _compiled(engine, population)
  count = min(steps, population.dispatch)
  # The first call pays for whatever is set up late.
  state, _ = jax.block_until_ready(program(state, *rest))
  needed = _program_bytes(engine, program, rest[0])
  rest[-1] = population.scalar(count)
  begin = time.monotonic()
  jax.block_until_ready(program(state, *rest))
  return Measured((time.monotonic() - begin) / count, needed)


def operations(engine: Engine, population: Population) -> float:
  """Floating point operations of a step of all members, as XLA counts them.

  Counted on a single member's step: a loop's body is counted once, whatever
  its number of turns.
  """
  recipe, batch = population.recipe, population.batch
  shapes = {
    name: jax.ShapeDtypeStruct((batch, *array.shape[1:]), array.dtype)
    for name, array in engine.examples.items()
  }
  shapes["images"] = jax.ShapeDtypeStruct(
    (batch, *population.image_shape), np.uint8
  )
  model = recipe.model
  # A module of the user's own need not take it.
  if hasattr(model, "lowering"):
    model = model.clone(lowering="plain")
  plain = dataclasses.replace(recipe, model=model)
  shape = jax.eval_shape(
    lambda seed: member.init(plain, seed, population.image_shape), np.uint32(0)
  )

  def step(state: member.Member, batch: dict[str, Any], labels: Any) -> Any:
    data = TrainData(**batch)
    return member.train_step(plain, state, data, jnp.int32(0), labels)

  lowered = jax.jit(step).lower(shape, shapes, population.labels)
  cost = lowered.cost_analysis() or {}
  members = len(population.seeds) * population.levels
  return float(cost.get("flops", 0.0)) * members


def widest_segment(engine: Engine) -> Segment:
  """The segment in which most members are trained at once."""
  examples = len(engine.dataset.splits["train"])
  plan = make_plan(engine.sweep, engine.layers, examples)
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
  """Bytes that a program and its data may take on a device."""
  return USABLE * memory.memory_limit(engine.devices[0], len(engine.devices))


def device_bytes(engine: Engine, population: Population) -> int:
  """Bytes that training takes on a device, as the compiled program says."""
  program, arguments = _compiled(engine, population)
  return _program_bytes(engine, program, arguments[1])


def _fitting_rows(engine: Engine, rows: int) -> int:
  """How many seeds, with all their levels, fit the devices together.

  Where a rough count leaves no doubt nothing is compiled; else the compiled
  training program tells its memory, for ever fewer seeds until it fits.
  """
  limit, segment = memory_limit(engine), widest_segment(engine)
  while True:
    # Weights, momenta, gradients and temporaries of about the same size.
    state = (16 * engine.parameters + 2 * engine.biased_bytes) * rows
    state *= len(segment.branches)
    population = sample(engine, segment, rows)
    if _rough_data_bytes(engine, population) + 2 * state < limit / 4:
      return rows
    needed = device_bytes(engine, population)
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
  image = math.prod(engine.dataset.stored_shape)
  steps = population.prepared * population.batch
  return 2 * len(population.seeds) * steps * image


def _resident_bytes(engine: Engine) -> int:
  devices = engine.devices
  whole = sum(array.nbytes for array in engine.examples.values())
  return memory.resident_bytes(whole, devices[0], len(devices))


def _program_bytes(engine: Engine, program: Any, data: TrainData) -> int:
  """Bytes on the busiest device while it trains.

  Args:
    engine: decides where the data are.
    program: the compiled training program.
    data: what it is called with.
  """
  analysis = program.memory_analysis()
  needed = analysis.argument_size_in_bytes + analysis.temp_size_in_bytes
  held = sum(x.addressable_shards[0].data.nbytes for x in jax.tree.leaves(data))
  if engine.data == "streamed":
    return needed + held  # the next batches wait beside these
  # As an argument the split counts whole, where CPU devices share it too.
  return needed - held + _resident_bytes(engine)
