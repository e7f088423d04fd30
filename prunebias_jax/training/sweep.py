"""A whole run: its members in chunks, trained, stored and resumed."""

from collections.abc import Callable, Iterator
import contextlib
import hashlib
import itertools
import json
import logging
from pathlib import Path
import shutil
import signal
import time
from typing import Any

import jax
import numpy as np
import pandas as pd
from tqdm import tqdm

from prunebias_jax import data, store
from prunebias_jax.config import Sweep
from prunebias_jax.training.board import Board
from prunebias_jax.training.choice import choose
from prunebias_jax.training.chunk import Chunk
from prunebias_jax.training.engine import Engine
from prunebias_jax.training.layers import layer_table
from prunebias_jax.training.measuring import chunk_rows
from prunebias_jax.training.members import member_table, seed_rows
from prunebias_jax.training.provenance import (
  as_recorded,
  facts,
  parameter_overview,
  require_same,
  require_same_data,
)
from prunebias_jax.training.recorder import Recorder

log = logging.getLogger(__name__)

CHUNKS = "chunks.json"
CHECKPOINTS = "checkpoints"
LAYERS = "layers.csv"
OVERVIEW = "model.txt"


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
      if run.members()["done"].all() and not _missing(sweep, run).size:
        log.info("%s is complete: nothing to train", workdir)
        return run
    dataset = data.load(sweep.data)
    engine = Engine.build(sweep, dataset)
    if run is None:
      engine = choose(engine, len(seed_rows(sweep)))
      run = store.create(
        workdir,
        facts=facts(sweep, dataset, engine),
        members=member_table(sweep),
        dataset=dataset,
      )
      store.write_atomically(workdir / OVERVIEW, parameter_overview(engine))
    else:
      require_same_data(dataset, run)
      engine = as_recorded(engine, run)
    added = _missing(sweep, run)
    if added.size:
      log.info("%s grows by %d members", workdir, len(added))
      run = run.grow(added, sweep=sweep.to_dict())
    begin = time.monotonic()
    try:
      _train_chunks(engine, run, stop)
    finally:
      seconds = time.monotonic() - begin + run.facts.get("seconds", 0)
      run = run.update_facts(
        seconds=seconds, seconds_per_member=seconds / len(run.members())
      )
  if sweep.execution.keep_parameters:
    table = layer_table(run)
    store.write_atomically(workdir / LAYERS, table.to_csv(index=False))
  return run


def _missing(sweep: Sweep, run: store.Run) -> pd.DataFrame:
  """Members of the config that the run does not have yet."""
  key = ["seed", "sparsity"]
  there = pd.MultiIndex.from_frame(run.members()[key])
  wanted = member_table(sweep)
  return wanted[~pd.MultiIndex.from_frame(wanted[key]).isin(there)]


def _train_chunks(
  engine: Engine, run: store.Run, stop: Callable[[], bool]
) -> None:
  """Trains one chunk after the other; halves one that does not fit."""
  planned = _planned_chunks(engine, run)
  rows = {row["seed"]: row for row in seed_rows(engine.sweep)}

  def chunk_of(plan: dict[str, Any]) -> Chunk:
    purposes = ("seed_init", "seed_order", "seed_augment")
    seeds = [[rows[seed][one] for one in purposes] for seed in plan["seeds"]]
    return Chunk(
      engine=engine,
      seeds=np.array(seeds, np.uint32),
      sparsities=tuple(plan["sparsities"]),
      directory=run.path / CHECKPOINTS / plan["name"],
    )

  total = sum(chunk_of(plan).total_steps for plan in planned)
  with (
    tqdm(total=total, unit="step", disable=None) as bar,
    contextlib.closing(Board(run.path)) as board,
  ):
    while planned:
      plan = planned[0]
      chunk = chunk_of(plan)
      recorder = Recorder(engine, run, chunk, plan["seeds"], board)
      if recorder.is_done():
        bar.update(chunk.total_steps)
      else:
        try:
          chunk.train(recorder.hooks(stop), bar)
        except jax.errors.JaxRuntimeError as error:
          if "RESOURCE_EXHAUSTED" not in str(error) or len(plan["seeds"]) == 1:
            raise
          planned[:1] = _halves(plan)
          _write_chunks(run, planned)
          log.warning(
            "%d seeds do not fit the memory; going on with %d at a time",
            len(plan["seeds"]),
            len(planned[0]["seeds"]),
          )
          continue
      shutil.rmtree(chunk.directory, ignore_errors=True)
      planned.pop(0)


def _planned_chunks(engine: Engine, run: store.Run) -> list[dict[str, Any]]:
  """The chunks still to do: planned once, and then kept by every resume."""
  path = run.path / CHUNKS
  planned = json.loads(path.read_text()) if path.exists() else []
  members = run.members()
  covered = {
    (seed, level)
    for plan in planned
    for seed, level in itertools.product(plan["seeds"], plan["sparsities"])
  }
  # Seeds that lack the same levels can be trained together.
  lacking: dict[tuple[float, ...], list[int]] = {}
  for row in seed_rows(engine.sweep):
    mine = members[members["seed"] == row["seed"]]
    levels = tuple(
      level
      for level in mine.loc[~mine["done"], "sparsity"]
      if (row["seed"], level) not in covered
    )
    if levels:
      lacking.setdefault(levels, []).append(row["seed"])
  added = [
    plan
    for levels, seeds in lacking.items()
    for plan in _split(engine, seeds, levels)
  ]
  if added:
    planned += added
    _write_chunks(run, planned)
    if len(added) > 1:
      log.info("training in %d chunks", len(added))
  return planned


def _split(
  engine: Engine, seeds: list[int], levels: tuple[float, ...]
) -> Iterator[dict[str, Any]]:
  """Chunks of as many seeds as are asked for, or fit the memory."""
  size = chunk_rows(engine, len(seeds))
  for first in range(0, len(seeds), size):
    yield _plan(seeds[first : first + size], levels)


def _plan(seeds: list[int], levels: tuple[float, ...]) -> dict[str, Any]:
  """A chunk as it is recorded; its name is that of its checkpoints."""
  code = hashlib.sha256(repr((seeds, levels)).encode()).hexdigest()[:12]
  name = f"seed-{seeds[0]}-{code}"
  return {"name": name, "seeds": seeds, "sparsities": levels}


def _write_chunks(run: store.Run, planned: list[dict[str, Any]]) -> None:
  store.write_atomically(run.path / CHUNKS, json.dumps(planned, indent=1))


def _halves(plan: dict[str, Any]) -> list[dict[str, Any]]:
  """A chunk in two."""
  seeds = plan["seeds"]
  middle = (len(seeds) + 1) // 2
  parts = (seeds[:middle], seeds[middle:])
  return [_plan(part, tuple(plan["sparsities"])) for part in parts]


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
