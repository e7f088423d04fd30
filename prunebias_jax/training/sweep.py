"""A whole run: its members in chunks, trained, stored and resumed."""

from collections.abc import Callable, Iterator
import contextlib
import dataclasses
import logging
import os
from pathlib import Path
import shutil
import signal
import time

import jax
import numpy as np
import pandas as pd
from tqdm import tqdm

from prunebias_jax import data, store
from prunebias_jax.config import Sweep
from prunebias_jax.data.dataset import Dataset
from prunebias_jax.pruning.structure import log_incomplete
from prunebias_jax.training import weighting
from prunebias_jax.training.board import Board
from prunebias_jax.training.choice import choose
from prunebias_jax.training.chunk import Chunk, PreemptedError
from prunebias_jax.training.costs import write_costs
from prunebias_jax.training.engine import Engine
from prunebias_jax.training.hosts import Hosts
from prunebias_jax.training.layers import layer_table
from prunebias_jax.training.members import member_table, seed_rows
from prunebias_jax.training.provenance import (
  as_recorded,
  facts,
  parameter_overview,
  require_same,
  require_same_data,
)
from prunebias_jax.training.recorder import Recorder
from prunebias_jax.training.shares import Plan, Share, deal, read_shares

log = logging.getLogger(__name__)

CHECKPOINTS = "checkpoints"
LAYERS = "layers.csv"
OVERVIEW = "model.txt"
WEIGHTS = "weights.csv"


def train(
  sweep: Sweep,
  workdir: str | os.PathLike[str],
  hosts: Hosts | None = None,
  *,
  dataset: Dataset | None = None,
) -> store.Run:
  """Trains every member of a sweep, or goes on where a run stopped.

  With several processes each calls this with the same sweep and directory, and
  trains members of its own; process 0 makes the run and finishes it.

  Args:
    sweep: the config.
    workdir: the run directory; made if need be.
    hosts: the processes of the job; by default this one alone.
    dataset: what to train on in place of the data set that `sweep.data` names;
      the run records `data.name` as "arrays", and to go on it must be given
      again.

  Returns:
    The finished run.

  Raises:
    InputError: a directory that holds a different run, or a config that does
      not fit the data or the machine.
    PreemptedError: this process or another had to stop, or one is lost; the
      same call goes on.
  """
  hosts, workdir = hosts or Hosts(), Path(workdir)
  if dataset is not None:
    sweep = sweep.override({"data.name": data.ARRAYS})

  def loaded() -> Dataset:
    if dataset is None:
      return data.load(sweep.data)
    return data.viewed(dataset, sweep.data)

  with _stop_on_sigterm(hosts) as stop, contextlib.ExitStack() as held:
    # Until the run is planned, process 0 alone looks at the directory: others
    # on a network file system would remember that there is nothing.
    if hosts.by_first(lambda: _begin(sweep, workdir, held)):
      log.info("%s is complete: nothing to train", workdir)
      return store.open_run(workdir)
    engine = hosts.together(lambda: Engine.build(sweep, loaded()))
    dealt = hosts.by_first(lambda: _prepare(engine, workdir, hosts))
    run = hosts.together(lambda: _open(engine, workdir, hosts))
    engine = as_recorded(engine, run)
    begin = time.monotonic()
    try:
      shares = read_shares(run, dealt[hosts.index])
      _train_shares(engine, run, shares, hosts, stop)
      _wait_for_all(hosts, stop)
    finally:
      if hosts.is_first:
        seconds = time.monotonic() - begin + run.facts.get("seconds", 0)
        run = run.update_facts(
          seconds=seconds, seconds_per_member=seconds / len(run.trained())
        )
    if hosts.is_first and sweep.execution.keep_parameters:
      write_tables(run)
  return run


def write_tables(run: store.Run) -> None:
  """Writes what the parameters of a run tell of layers and costs."""
  table = layer_table(run)
  store.write_atomically(run.path / LAYERS, table.to_csv(index=False))
  write_costs(run)


def _begin(sweep: Sweep, workdir: Path, held: contextlib.ExitStack) -> bool:
  """Locks the directory; whether the run in it is complete."""
  held.enter_context(store.locked(workdir))
  if not (workdir / store.SWEEP).exists():
    return False
  run = store.open_run(workdir)
  require_same(sweep, run)
  return bool(run.trained()["done"].all()) and not _missing(sweep, run).size


def _prepare(engine: Engine, workdir: Path, hosts: Hosts) -> list[list[str]]:
  """Makes the run, or room in it; what each process is to train."""
  sweep, dataset = engine.sweep, engine.dataset
  if (workdir / store.SWEEP).exists():
    run = store.open_run(workdir)
    require_same_data(dataset, run)
    engine = as_recorded(engine, run)
  else:
    rows = -(-len(seed_rows(sweep)) // hosts.count)
    engine = choose(engine, rows)
    log_incomplete(sweep.pruning, engine.layers)
    reweights = sweep.loss.kind in weighting.REWEIGHTED
    if reweights:
      weighting.log_empty(dataset, sweep.loss)
    run = store.create(
      workdir,
      facts=facts(sweep, dataset, engine, hosts.count),
      members=member_table(sweep),
      dataset=dataset,
    )
    store.write_atomically(workdir / OVERVIEW, parameter_overview(engine))
    if reweights:
      table = weighting.weight_table(dataset, sweep.loss)
      store.write_atomically(workdir / WEIGHTS, table.to_csv(index=False))
  added = _missing(sweep, run)
  if added.size:
    log.info("%s grows by %d members", workdir, len(added))
    run = run.grow(added, sweep=sweep.to_dict())
  return deal(engine, run, hosts.count)


def _open(engine: Engine, workdir: Path, hosts: Hosts) -> store.Run:
  """The run, if this process has the config and data that process 0 has."""
  run = store.open_run(workdir)
  if not hosts.is_first:
    require_same(engine.sweep, run)
    require_same_data(engine.dataset, run)
  return run


def _missing(sweep: Sweep, run: store.Run) -> pd.DataFrame:
  """Members of the config that the run does not have yet."""
  key = ["seed", "sparsity"]
  there = pd.MultiIndex.from_frame(run.trained()[key])
  wanted = member_table(sweep)
  return wanted[~pd.MultiIndex.from_frame(wanted[key]).isin(there)]


def _train_shares(
  engine: Engine,
  run: store.Run,
  shares: list[Share],
  hosts: Hosts,
  stop: Callable[[], str],
) -> None:
  """Trains one chunk after the other; halves one that does not fit."""
  rows = {row["seed"]: row for row in seed_rows(engine.sweep)}

  engines = [
    dataclasses.replace(engine, sweep=part) for part in engine.sweep.parts()
  ]

  def chunk_of(plan: Plan) -> Chunk:
    purposes = ("seed_init", "seed_order", "seed_augment")
    seeds = [[rows[seed][one] for one in purposes] for seed in plan.seeds]
    return Chunk(
      engine=next(
        one for one in engines if {*plan.sparsities} <= {*one.sweep.sparsities}
      ),
      seeds=np.array(seeds, np.uint32),
      sparsities=plan.sparsities,
      directory=run.path / CHECKPOINTS / plan.name,
    )

  plans = [plan for share in shares for plan in share.plans]
  # Process 0 shows its own progress; the others are about as far.
  silent = None if hosts.is_first else True
  with (
    tqdm(
      total=sum(chunk_of(plan).total_steps for plan in plans),
      unit="step",
      disable=silent,
    ) as bar,
    contextlib.closing(Board(run.path, hosts.index)) as board,
  ):
    for share in shares:
      left = list(share.plans)
      while left:
        plan = left.pop(0)
        chunk = chunk_of(plan)
        recorder = Recorder(run, chunk, plan.seeds, board, hosts.index)
        if recorder.is_done():
          bar.update(chunk.total_steps)
        else:
          try:
            chunk.train(recorder.hooks(stop), bar)
          except jax.errors.JaxRuntimeError as error:
            if "RESOURCE_EXHAUSTED" not in str(error) or len(plan.seeds) == 1:
              raise
            halves = plan.halves()
            share = share.without(plan, *halves)
            share.write()
            left[:0] = halves
            log.warning(
              "%d seeds do not fit the memory; going on with %d at a time",
              len(plan.seeds),
              len(halves[0].seeds),
            )
        shutil.rmtree(chunk.directory, ignore_errors=True)


def _wait_for_all(hosts: Hosts, stop: Callable[[], str]) -> None:
  """Waits until every process has trained what is its own.

  Raises:
    PreemptedError: one of them stopped early, or is lost.
  """
  there = hosts.meet(poll=stop)
  missing = [index for index in range(hosts.count) if index not in there]
  if missing:
    reason = hosts.reason_to_stop(now=True)
    lost = ", ".join(map(str, missing))
    raise PreemptedError(
      reason or f"of {hosts.count} processes these are lost: {lost}"
    )


@contextlib.contextmanager
def _stop_on_sigterm(hosts: Hosts) -> Iterator[Callable[[], str]]:
  """Gives a function that tells why to stop, "" for going on.

  SIGTERM that comes to one process stops all of them.
  """
  asked: list[int] = []

  def stop() -> str:
    if asked:
      hosts.stop_all("stopped by SIGTERM")
    return hosts.reason_to_stop()

  try:
    before = signal.signal(
      signal.SIGTERM, lambda number, _: asked.append(number)
    )
  except ValueError:
    # Only the main thread may set handlers; elsewhere nobody asks.
    yield hosts.reason_to_stop
    return
  try:
    yield stop
  finally:
    signal.signal(signal.SIGTERM, before)
