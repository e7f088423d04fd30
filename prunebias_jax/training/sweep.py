"""A whole run: train, prune, checkpoint, resume, and store the logits."""

from collections.abc import Iterator, Mapping
import contextlib
import dataclasses
import datetime
import importlib.metadata
import logging
from pathlib import Path
import platform as machine
import time
from typing import Any

import jax
import numpy as np
import pandas as pd
from tqdm import tqdm

from prunebias_jax import data, store
from prunebias_jax.config import Sweep
from prunebias_jax.data.dataset import Dataset
from prunebias_jax.errors import InputError
from prunebias_jax.pruning import schedule
from prunebias_jax.training.checkpoint import Checkpoints
from prunebias_jax.training.engine import Engine, build_engine
from prunebias_jax.training.member import Member

log = logging.getLogger(__name__)

PRUNER = "gmp-ri"
PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")
# What a resumed run may change: it decides nothing about the results.
FREE = ("name", "execution.devices", "execution.checkpoint_minutes")


def train(sweep: Sweep, workdir: Path) -> store.Run:
  """Trains every member of a sweep, or goes on where a killed run stopped.

  Args:
    sweep: the config.
    workdir: the run directory; made if need be.

  Returns:
    The finished run.

  Raises:
    InputError: a directory that holds a different run, or a config that does
      not fit the data or the machine.
  """
  with store.locked(workdir):
    if (workdir / store.SWEEP).exists():
      run = store.open_run(workdir)
      _require_same(sweep, run)
      if run.members()["done"].all():
        log.info("%s is complete: nothing to train", workdir)
        return run
    dataset = data.load(sweep.data)
    engine = build_engine(sweep, dataset)
    if (workdir / store.SWEEP).exists():
      _require_same_data(dataset, run)
    else:
      run = store.create(
        workdir,
        facts=_facts(sweep, dataset, engine),
        members=member_table(sweep),
        dataset=dataset,
      )
    with Checkpoints(workdir / "checkpoints") as checkpoints:
      state, seconds = _train_epochs(sweep, engine, run, checkpoints)
    _write_logits(engine, run, state)
  seconds += run.facts.get("seconds", 0)
  return run.update_facts(
    seconds=seconds, seconds_per_member=seconds / len(run.members())
  )


def member_table(sweep: Sweep) -> pd.DataFrame:
  """The members of a sweep, seed by seed, in the order of its sparsities."""
  return pd.DataFrame(
    [
      {
        "pruner": PRUNER if level > 0 else "dense",
        "sparsity": level,
        "quantization": "none",
        "seed": seed,
      }
      for seed in sweep.seeds
      for level in sweep.sparsities
    ]
  )


def _train_epochs(
  sweep: Sweep, engine: Engine, run: store.Run, checkpoints: Checkpoints
) -> tuple[Member, float]:
  """Trains from the newest checkpoint to the end; state and seconds."""
  population = engine.population
  state = population.init()
  done = checkpoints.latest() or 0
  if done:
    log.info("resuming %s after epoch %d", run.path, done)
    state = checkpoints.restore(done, population, state)
  updates = schedule.update_epochs(sweep.pruning)
  counts = schedule.prune_counts(
    sweep.pruning, sweep.sparsities, engine.prunable
  )
  zeros = np.zeros(len(sweep.sparsities), np.int32)
  for epoch, after in zip(updates, counts, strict=True):
    zeros = after if epoch < done else zeros
  begin = saved = time.monotonic()
  total = sweep.train.epochs * engine.steps_per_epoch
  with _progress_bar(total, done * engine.steps_per_epoch) as bar:
    for epoch in range(done, sweep.train.epochs):
      if epoch in updates and any(sweep.sparsities):
        zeros = counts[updates.index(epoch)]
        state = population.prune(state, zeros)
      bar.set_description(f"epoch {epoch + 1}/{sweep.train.epochs}")
      shares = zeros / engine.prunable
      state, loss, accuracy = _train_epoch(engine, state, epoch, shares, bar)
      run.log(_records(sweep, epoch, loss, accuracy, zeros))
      last = epoch + 1 == sweep.train.epochs
      minutes = (time.monotonic() - saved) / 60
      if last or minutes >= sweep.execution.checkpoint_minutes:
        checkpoints.save(epoch + 1, population, state)
        saved = time.monotonic()
  lost = ~np.isfinite(loss) if done < sweep.train.epochs else np.array(False)
  if lost.any():
    log.warning("%d members diverged: their loss is not finite", lost.sum())
  return state, time.monotonic() - begin


def _train_epoch(
  engine: Engine, state: Member, epoch: int, shares: np.ndarray, bar: tqdm
) -> tuple[Member, np.ndarray, np.ndarray]:
  """One epoch of all members: state, mean loss and accuracy [seed, level]."""
  population, steps = engine.population, engine.steps_per_epoch
  order = population.order(epoch)
  sums = []
  for first in range(0, steps, population.dispatch):
    count = min(population.dispatch, steps - first)
    # Everything that goes to the devices in the loop goes there on purpose.
    with jax.transfer_guard("disallow"):
      state, progress = population.train(
        state,
        engine.train,
        order,
        epoch_step=first,
        step=epoch * steps + first,
        count=count,
      )
    # Waits for the devices, so that the bar tells what is done.
    sums.append(
      np.stack([population.grid(progress.loss), population.grid(progress[1])])
    )
    bar.set_postfix(
      loss=f"{sums[-1][0].mean() / count:.4f}",
      sparsity=f"{shares.max():.3f}",
      refresh=False,
    )
    bar.update(count)
  loss, accuracy = np.sum(sums, axis=0) / steps
  return state, loss, accuracy


def _records(
  sweep: Sweep,
  epoch: int,
  loss: np.ndarray,
  accuracy: np.ndarray,
  zeros: np.ndarray,
) -> Iterator[dict[str, Any]]:
  """The lines of the metrics log after an epoch, one for each member."""
  members = member_table(sweep).to_dict("records")
  shape = loss.shape
  for member, place in zip(members, np.ndindex(shape), strict=True):
    yield {
      **{str(key): value for key, value in member.items()},
      "epoch": epoch + 1,
      "loss": float(loss[place]),
      "accuracy": float(accuracy[place]),
      "zeros": int(zeros[place[1]]),
    }


def _write_logits(engine: Engine, run: store.Run, state: Member) -> None:
  """Stores valid and test logits of every member that has none yet."""
  logits = {
    name: engine.population.grid(engine.population.predict(state, images))
    for name, images in engine.evaluated.items()
  }
  done = run.members()["done"]
  shape = logits["test"].shape[:2]
  for index, place in enumerate(np.ndindex(shape)):
    if not done[index]:
      run.write_member(
        index,
        {
          name: values[place][: engine.examples[name]]
          for name, values in logits.items()
        },
      )


def _facts(sweep: Sweep, dataset: Dataset, engine: Engine) -> dict[str, Any]:
  """What a run records of itself."""
  device = engine.population.mesh.devices.flat[0]
  now = datetime.datetime.now(datetime.UTC)
  return {
    "sweep": sweep.to_dict(),
    "created": now.isoformat(timespec="seconds"),
    "versions": {
      "prunebias_jax": importlib.metadata.version("prunebias_jax"),
      "python": machine.python_version(),
      **{name: importlib.metadata.version(name) for name in PACKAGES},
    },
    "device": {
      "platform": device.platform,
      "kind": device.device_kind,
      "count": engine.population.mesh.size,
    },
    "execution": {
      "mode": engine.population.mode,
      "lowering": engine.lowering,
      "mesh": dict(engine.population.mesh.shape),
      "steps_per_epoch": engine.steps_per_epoch,
    },
    "model": {"parameters": engine.parameters, "prunable": engine.prunable},
    "data": {
      "name": dataset.name,
      "fingerprint": dataset.fingerprint(),
      "sizes": {name: len(split) for name, split in dataset.splits.items()},
      "identities": list(dataset.identity_names),
    },
  }


def _require_same(sweep: Sweep, run: store.Run) -> None:
  """Refuses a directory whose run has another config."""
  for path, (here, there) in differences(
    sweep.to_dict(), run.facts["sweep"]
  ).items():
    if path not in FREE:
      raise InputError(
        f"{run.path} holds a different run: {path} is {there!r} there and "
        f"{here!r} here; use another --workdir"
      )


def _require_same_data(dataset: Dataset, run: store.Run) -> None:
  """Refuses to go on with other data than the run began with."""
  if dataset.fingerprint() != run.facts["data"]["fingerprint"]:
    raise InputError(
      f"{run.path} was begun with other data: the {dataset.name} images or "
      "labels have changed since; use another --workdir"
    )


def differences(
  here: Mapping[str, Any], there: Mapping[str, Any], prefix: str = ""
) -> dict[str, tuple[Any, Any]]:
  """The settings that differ between two configs, by their dotted path."""
  found: dict[str, tuple[Any, Any]] = {}
  for name in [*here, *(one for one in there if one not in here)]:
    mine, other = here.get(name), there.get(name)
    if isinstance(mine, Mapping) and isinstance(other, Mapping):
      found |= differences(mine, other, f"{prefix}{name}.")
    elif mine != other:
      found[prefix + name] = (mine, other)
  return found


@contextlib.contextmanager
def _progress_bar(total: int, done: int) -> Iterator[tqdm]:
  """A bar over training steps; silent where there is no terminal."""
  with tqdm(total=total, initial=done, unit="step", disable=None) as bar:
    yield bar


@dataclasses.dataclass(frozen=True, kw_only=True)
class Estimate:
  """What a run would take.

  Attributes:
    members: number of models.
    parameters: parameters of one member.
    prunable: prunable weights of one member.
    device_bytes: state, data and temporaries on the busiest device.
    disk_bytes: logits and checkpoints.
    seconds: training time, from measured steps.
    steps: how many steps were measured.
    device: what they were measured on.
  """

  members: int
  parameters: int
  prunable: int
  device_bytes: int
  disk_bytes: int
  seconds: float
  steps: int
  device: str


def estimate(sweep: Sweep, steps: int = 20) -> Estimate:
  """Measures a few steps and extrapolates; writes nothing but the data cache.

  Args:
    sweep: the config.
    steps: how many steps to measure.
  """
  dataset = data.load(sweep.data)
  engine = build_engine(sweep, dataset)
  population = engine.population
  state, order = population.init(), population.order(0)
  steps = min(steps, population.dispatch)

  def arguments(state: Member, count: int) -> tuple[Any, ...]:
    return population.train_arguments(
      state, engine.train, order, epoch_step=0, step=0, count=count
    )

  program = population.train_program.lower(*arguments(state, 1)).compile()
  memory = program.memory_analysis()
  state, _ = jax.block_until_ready(program(*arguments(state, 1)))
  begin = time.monotonic()
  state, _ = jax.block_until_ready(program(*arguments(state, steps)))
  per_step = (time.monotonic() - begin) / steps
  members = len(sweep.seeds) * len(sweep.sparsities)
  examples = sum(engine.examples.values())
  logits_bytes = members * examples * len(dataset.names) * 4
  state_bytes = sum(x.nbytes for x in jax.tree.leaves(state))
  device = population.mesh.devices.flat[0]
  return Estimate(
    members=members,
    parameters=engine.parameters,
    prunable=engine.prunable,
    device_bytes=memory.argument_size_in_bytes
    + memory.temp_size_in_bytes
    + sum(images.nbytes for images in engine.evaluated.values()),
    # Two checkpoints are kept.
    disk_bytes=logits_bytes + 2 * state_bytes,
    seconds=per_step * engine.steps_per_epoch * sweep.train.epochs,
    steps=steps,
    device=f"{population.mesh.size} x {device.device_kind}",
  )
