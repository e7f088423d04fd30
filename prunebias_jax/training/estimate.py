"""What a run would take, before anyone pays for it."""

from collections.abc import Mapping, Sequence
import dataclasses
from typing import Any

from prunebias_jax import data
from prunebias_jax.config import Sweep
from prunebias_jax.pruning.structure import log_incomplete
from prunebias_jax.training.choice import choose
from prunebias_jax.training.engine import Engine
from prunebias_jax.training.measuring import (
  chunk_rows,
  measure,
  operations,
  sample,
)
from prunebias_jax.training.members import seed_rows
from prunebias_jax.training.plan import make_plan


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
    mode: how members share a device.
    measured: the speeds that decided it.
  """

  members: int
  chunks: int
  parameters: int
  prunable: int
  member_epochs: float
  trained_epochs: float
  flops: float
  device_bytes: int
  disk_bytes: int
  seconds: float
  steps: int
  device: str
  mode: str
  measured: Sequence[Mapping[str, Any]]


def estimate(sweep: Sweep, steps: int = 20) -> Estimate:
  """Measures a few steps and extrapolates; writes nothing but the data cache.

  Args:
    sweep: the config.
    steps: how many steps to measure, for each number of branches.
  """
  dataset = data.load(sweep.data)
  rows = len(seed_rows(sweep))
  engine = choose(Engine.build(sweep, dataset), rows)
  log_incomplete(sweep.pruning, engine.layers)
  size = chunk_rows(engine, rows)
  seconds, flops, device_bytes = 0.0, 0.0, 0
  member_epochs, trained_epochs = 0.0, 0.0
  for part in sweep.parts():
    apart = dataclasses.replace(engine, sweep=part)
    measured: dict[tuple[str, int], tuple[float, float]] = {}
    for segment in make_plan(part, engine.layers, len(dataset.splits["train"])):
      key = segment.phase.name, len(segment.branches)
      if key not in measured:
        population = sample(apart, segment, size)
        found = measure(apart, population, steps)
        measured[key] = found.seconds, operations(apart, population)
        device_bytes = max(device_bytes, found.bytes)
      epochs = segment.epochs
      count = len(segment.steps) * rows / size
      seconds += measured[key][0] * count
      flops += measured[key][1] * count
      member_epochs += rows * epochs * sum(map(len, segment.branches))
      trained_epochs += rows * epochs * len(segment.branches)
  members = rows * len(sweep.sparsities)
  examples = sum(len(dataset.splits[name]) for name in ("valid", "test"))
  rewinds = sweep.pruning.regime == "rewind"
  return Estimate(
    members=members,
    chunks=-(-rows // size) * len(sweep.parts()),
    parameters=engine.parameters,
    prunable=engine.prunable,
    member_epochs=member_epochs,
    trained_epochs=trained_epochs,
    flops=flops,
    device_bytes=device_bytes,
    # Two checkpoints are kept, with momenta; masks take a byte a weight. Of
    # what members go back to there is one for each seed.
    disk_bytes=members * examples * len(dataset.names) * 4
    + members
    * 5
    * engine.parameters
    * (sweep.execution.keep_parameters + sweep.execution.keep_best)
    + (rows * 5 + 2 * size * 4) * engine.parameters * rewinds
    + 2
    * (9 * engine.parameters + engine.biased_bytes)
    * size
    * len(sweep.sparsities),
    seconds=seconds,
    steps=steps,
    mode=engine.mode,
    measured=engine.measured,
    device=f"{len(engine.devices)} x {engine.devices[0].device_kind}",
  )
