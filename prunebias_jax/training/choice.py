"""Which way of running members is fastest here: measured once, then kept.

A way is how many members a device computes together, and how convolutions are
written. What is measured is the training program itself, on the actual model,
batch and device, with as many members as a device computes together. A choice
is recorded in the run, so that a resume keeps it, and in the cache, so that the
same config on the same machine runs the same program and gives the same bits.
"""

from collections.abc import Iterator
import dataclasses
import hashlib
import json
import logging
import math
from pathlib import Path
import time
from typing import Any

import jax

from prunebias_jax import store
from prunebias_jax.data import cache
from prunebias_jax.data.views import with_training_rows
from prunebias_jax.training.engine import Engine
from prunebias_jax.training.measuring import (
  device_bytes,
  measure,
  memory_limit,
  sample,
  widest_segment,
)

log = logging.getLogger(__name__)

GROUPS = (16, 4, 64)  # members together that are tried between one and all
BUDGET = 25.0  # seconds after which nothing more is measured
STEPS = 2  # measured steps of each way


@dataclasses.dataclass(frozen=True, kw_only=True)
class Way:
  """One way of running members, and what was measured of it.

  Attributes:
    mode: "map", "vmap" or "chunk:K".
    lowering: how convolutions are written.
    images_per_second: over all members; None where it was not measured.
    reason: why not.
  """

  mode: str
  lowering: str
  images_per_second: float | None = None
  reason: str = ""


def choose(engine: Engine, rows: int) -> Engine:
  """The engine with the fastest of the ways that its config allows.

  Args:
    engine: data, model and devices.
    rows: number of seeds.

  Returns:
    The engine, with what was measured in `measured`; nothing is where the
    config leaves one way only.
  """
  ways = list(candidates(engine, rows))
  if len(ways) == 1:
    return dataclasses.replace(
      engine, mode=ways[0].mode, lowering=ways[0].lowering
    )
  path = cache.directory() / "ways" / f"{_key(engine, rows)}.json"
  if path.exists():
    measured = [Way(**way) for way in json.loads(path.read_text())]
  else:
    log.info("measuring how members run best on this machine")
    measured = list(_measured(engine, rows, ways))
    _keep(measured, path)
  best = max(measured, key=lambda way: way.images_per_second or 0.0)
  log.info("members run as %s, convolutions %s", best.mode, best.lowering)
  return dataclasses.replace(
    engine,
    mode=best.mode,
    lowering=best.lowering,
    measured=tuple(dataclasses.asdict(way) for way in measured),
  )


def candidates(engine: Engine, rows: int) -> Iterator[Way]:
  """The ways that a config allows, the most promising first.

  One after the other, convolutions are written as the backend likes them in a
  loop; together, as one grouped convolution or as a batched matrix product.
  """
  execution = engine.sweep.execution
  levels = len(widest_segment(engine).branches)
  most = math.ceil(rows * levels / len(engine.devices))
  on_cpu = engine.devices[0].platform == "cpu"
  alone = ["map"]
  together = ["vmap", *(f"chunk:{k}" for k in GROUPS if k < most)]
  modes = [*alone, *together] if on_cpu else [*together, *alone]
  if most == 1:
    modes = alone
  if execution.mode != "auto":
    modes = [execution.mode]
  for rank in (0, 1):
    for mode in modes:
      if mode == "map":
        lowerings = ["canonical" if on_cpu else "plain"]
      else:
        lowerings = ["matmul", "plain"] if on_cpu else ["plain", "matmul"]
      if execution.convolution != "auto":
        lowerings = [execution.convolution]
      yield from (Way(mode=mode, lowering=one) for one in lowerings[rank:][:1])


def _measured(engine: Engine, rows: int, ways: list[Way]) -> Iterator[Way]:
  """Every way with its speed; the first that fits is measured always."""
  # A few batches tell the speed of a step.
  count = STEPS * max(engine.sweep.train.batch, engine.sweep.finetune.batch)
  small = dataclasses.replace(
    engine, dataset=with_training_rows(engine.dataset, slice(count))
  )
  limit = memory_limit(engine)
  begin, found = time.monotonic(), False
  for way in ways:
    if found and time.monotonic() - begin > BUDGET:
      yield dataclasses.replace(way, reason="no time left to measure it")
      continue
    tried = dataclasses.replace(small, mode=way.mode, lowering=way.lowering)
    population = sample(
      tried, widest_segment(tried), _sample_rows(tried, way, rows)
    )
    needed = device_bytes(tried, population)
    if needed > limit:
      yield dataclasses.replace(
        way, reason=f"needs {needed / 1e9:.1f} of {limit / 1e9:.1f} GB"
      )
      continue
    seconds = measure(tried, population, STEPS).seconds
    images = len(population.seeds) * population.levels * population.batch
    found = True
    yield dataclasses.replace(
      way, images_per_second=float(f"{images / seconds:.4g}")
    )


def _keep(measured: list[Way], path: Path) -> None:
  """Writes what was measured into the cache; a run needs no cache."""
  text = json.dumps([dataclasses.asdict(way) for way in measured], indent=1)
  try:
    path.parent.mkdir(parents=True, exist_ok=True)
    store.write_atomically(path, text + "\n")
  except OSError as error:
    log.warning(
      "%s cannot be written (%s): the next run measures again, and may choose "
      "another way, which rounds differently",
      path,
      error.strerror,
    )


def _sample_rows(engine: Engine, way: Way, rows: int) -> int:
  """Seeds that give each device as many members as it computes together."""
  levels = len(widest_segment(engine).branches)
  together = {"map": 1, "vmap": rows * levels}.get(way.mode)
  if together is None:
    together = int(way.mode.removeprefix("chunk:"))
  return min(rows, math.ceil(together * len(engine.devices) / levels))


def _key(engine: Engine, rows: int) -> str:
  """What the speed depends on, as a name for the cache."""
  sweep = engine.sweep.to_dict()
  execution = sweep["execution"]
  facts: list[Any] = [
    jax.__version__,
    [device.device_kind for device in engine.devices],
    engine.dataset.image_shape,
    len(engine.dataset.names),
    rows,
    len(widest_segment(engine).branches),
    sweep["model"],
    sweep["train"]["batch"],
    engine.precision,
    [execution[name] for name in ("mode", "convolution")],
    GROUPS,
  ]
  if engine.dataset.window is not None:
    facts += [engine.dataset.stored_shape, engine.dataset.window.shorter]
  if engine.sweep.loss.kind != "plain":
    facts += [engine.sweep.loss.kind]
  return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]
