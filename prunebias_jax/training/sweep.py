"""A whole run: its members in chunks, trained, stored and resumed."""

from collections.abc import Callable, Iterator
import contextlib
import json
import logging
from pathlib import Path
import shutil
import signal
import time
from typing import Any

import jax
import numpy as np
from tqdm import tqdm

from prunebias_jax import data, store
from prunebias_jax.config import Sweep
from prunebias_jax.training.chunk import Chunk
from prunebias_jax.training.engine import Engine
from prunebias_jax.training.estimate import fitting_rows
from prunebias_jax.training.members import member_table, seed_rows
from prunebias_jax.training.provenance import (
  facts,
  require_same,
  require_same_data,
)
from prunebias_jax.training.recorder import Recorder

log = logging.getLogger(__name__)

CHUNKS = "chunks.json"
CHECKPOINTS = "checkpoints"


def train(sweep: Sweep, workdir: Path) -> store.Run:
  """Trains every member of a sweep, or goes on where a run stopped.

  Args:
    sweep: the config.
    workdir: the run directory; made if need be.

  Returns:
    The finished run.

  Raises:
    InputError: a directory that holds a different run, or a config that does
      not fit the data or the machine.
    PreemptedError: SIGTERM came; a checkpoint has been written.
  """
  with store.locked(workdir), _stop_on_sigterm() as stop:
    run = None
    if (workdir / store.SWEEP).exists():
      run = store.open_run(workdir)
      require_same(sweep, run)
      if run.members()["done"].all():
        log.info("%s is complete: nothing to train", workdir)
        return run
    dataset = data.load(sweep.data)
    engine = Engine.build(sweep, dataset)
    if run is None:
      run = store.create(
        workdir,
        facts=facts(sweep, dataset, engine),
        members=member_table(sweep),
        dataset=dataset,
      )
    require_same_data(dataset, run)
    begin = time.monotonic()
    try:
      _train_chunks(engine, run, stop)
    finally:
      seconds = time.monotonic() - begin + run.facts.get("seconds", 0)
      run = run.update_facts(
        seconds=seconds, seconds_per_member=seconds / len(run.members())
      )
  return run


def _train_chunks(
  engine: Engine, run: store.Run, stop: Callable[[], bool]
) -> None:
  """Trains one chunk after the other; halves one that does not fit."""
  planned = _planned_chunks(engine, run)
  rows = seed_rows(engine.sweep)

  def chunk_of(plan: dict[str, Any]) -> Chunk:
    purposes = ("seed_init", "seed_order", "seed_augment")
    seeds = [[rows[place][one] for one in purposes] for place in plan["rows"]]
    return Chunk(
      engine=engine,
      seeds=np.array(seeds, np.uint32),
      sparsities=engine.sweep.sparsities,
      directory=run.path / CHECKPOINTS / plan["name"],
    )

  total = sum(chunk_of(plan).total_steps for plan in planned)
  with tqdm(total=total, unit="step", disable=None) as bar:
    while planned:
      plan = planned[0]
      chunk = chunk_of(plan)
      recorder = Recorder(engine, run, chunk, [rows[i] for i in plan["rows"]])
      if recorder.is_done():
        bar.update(chunk.total_steps)
      else:
        try:
          chunk.train(recorder.hooks(stop), bar)
        except jax.errors.JaxRuntimeError as error:
          if "RESOURCE_EXHAUSTED" not in str(error) or len(plan["rows"]) == 1:
            raise
          planned[:1] = _halves(plan)
          _write_chunks(run, planned)
          log.warning(
            "%d seeds do not fit the memory; going on with %d at a time",
            len(plan["rows"]),
            len(planned[0]["rows"]),
          )
          continue
      shutil.rmtree(chunk.directory, ignore_errors=True)
      planned.pop(0)


def _planned_chunks(engine: Engine, run: store.Run) -> list[dict[str, Any]]:
  """The chunks of a run, made once and then kept by every resume."""
  path = run.path / CHUNKS
  if path.exists():
    return json.loads(path.read_text())
  sweep = engine.sweep
  rows, levels = len(seed_rows(sweep)), len(sweep.sparsities)
  size = max(1, sweep.execution.chunk // levels)
  if not sweep.execution.chunk:
    size = fitting_rows(engine, rows)
  planned = [
    {"name": f"chunk-{first:04d}", "rows": [*range(first, last)]}
    for first in range(0, rows, size)
    for last in [min(first + size, rows)]
  ]
  if len(planned) > 1:
    log.info("training in %d chunks of up to %d seeds", len(planned), size)
  _write_chunks(run, planned)
  return planned


def _write_chunks(run: store.Run, planned: list[dict[str, Any]]) -> None:
  store.write_atomically(run.path / CHUNKS, json.dumps(planned, indent=1))


def _halves(plan: dict[str, Any]) -> list[dict[str, Any]]:
  """A chunk in two; each has checkpoints of its own."""
  rows = plan["rows"]
  middle = (len(rows) + 1) // 2
  return [
    {"name": f"chunk-{part[0]:04d}-{len(part)}", "rows": part}
    for part in (rows[:middle], rows[middle:])
  ]


@contextlib.contextmanager
def _stop_on_sigterm() -> Iterator[Callable[[], bool]]:
  """Gives a function that tells whether SIGTERM came in the meantime."""
  asked: list[int] = []
  try:
    before = signal.signal(
      signal.SIGTERM, lambda number, _: asked.append(number)
    )
  except ValueError:
    # Only the main thread may set handlers; elsewhere nobody asks.
    yield lambda: False
    return
  try:
    yield lambda: bool(asked)
  finally:
    signal.signal(signal.SIGTERM, before)
