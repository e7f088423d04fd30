"""Members that are trained together: some seeds, some levels, to the end."""

from collections.abc import Callable
import dataclasses
import functools
import logging
from pathlib import Path
import time
from typing import NamedTuple

import jax
import numpy as np
from tqdm import tqdm

from prunebias_jax.training.checkpoint import Checkpoints, Snapshot
from prunebias_jax.training.engine import Engine
from prunebias_jax.training.member import Member, Progress
from prunebias_jax.training.plan import Segment, make_plan, parents
from prunebias_jax.training.population import MEMBERS, Population

log = logging.getLogger(__name__)

POLL_SECONDS = 1.0


class PreemptedError(Exception):
  """Training stops early, for the reason given; the same call goes on."""


class EpochEnd(NamedTuple):
  """What is known after an epoch.

  Attributes:
    segment: the segment that the epoch belongs to.
    epoch: epochs done, over all phases.
    loss: mean over the epoch's steps, [seed, branch].
    accuracy: likewise.
    healthy: whether a member is still trained, [seed, branch].
  """

  segment: Segment
  epoch: int
  loss: np.ndarray
  accuracy: np.ndarray
  healthy: np.ndarray


class Hooks(NamedTuple):
  """What a run wants to hear of, and to say.

  Attributes:
    epoch: called after every epoch.
    finished: called after a segment with which levels end.
    stop: why to stop; "" for going on.
    parents: dense parents that are trained already, given fresh members
      [seed, 1, ...]; None where they are yet to be trained.
  """

  epoch: Callable[[EpochEnd], None]
  finished: Callable[[Population, Member, Segment], None]
  stop: Callable[[], str]
  parents: Callable[[Member], Member | None]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Chunk:
  """Some seeds and some levels of a sweep, trained together.

  Attributes:
    engine: data, model, devices.
    seeds: uint32 [seed, purpose].
    sparsities: the levels.
    directory: where its checkpoints go.
  """

  engine: Engine
  seeds: np.ndarray
  sparsities: tuple[float, ...]
  directory: Path

  @functools.cached_property
  def segments(self) -> tuple[Segment, ...]:
    """The plan of these levels."""
    sweep = self.engine.sweep
    # Levels that are added later come without the dense one; where parents come
    # from does not change the plan.
    pruning = dataclasses.replace(sweep.pruning, shared_dense_parent=False)
    sweep = dataclasses.replace(
      sweep, sparsities=self.sparsities, pruning=pruning
    )
    return make_plan(sweep, self.engine.prunable)

  def steps(self, place: int) -> int:
    """Steps of a segment."""
    segment = self.segments[place]
    return len(segment.epochs) * self.engine.steps_per_epoch(segment.phase)

  @property
  def total_steps(self) -> int:
    """Steps of all segments."""
    return sum(map(self.steps, range(len(self.segments))))

  @functools.cached_property
  def _populations(self) -> dict[tuple[str, int], Population]:
    return {}

  def population(self, place: int) -> Population:
    """The population of a segment; segments of the same shape share one."""
    segment = self.segments[place]
    key = segment.phase.name, len(segment.branches)
    if key not in self._populations:
      self._populations[key] = self.engine.population(
        segment.phase, self.seeds, len(segment.branches)
      )
    return self._populations[key]

  def train(self, hooks: Hooks, bar: tqdm) -> None:
    """Trains from the newest checkpoint to the end.

    Raises:
      PreemptedError: asked to stop; what was done is in a checkpoint.
    """
    with Checkpoints(self.directory) as checkpoints:
      place, done, snapshot = self._begin(checkpoints, hooks)
      bar.update(sum(map(self.steps, range(place))) + done)
      while True:
        state = self._train_segment(
          place, done, snapshot, checkpoints, hooks, bar
        )
        if self.segments[place].finished:
          hooks.finished(self.population(place), state, self.segments[place])
        place, done = place + 1, 0
        if place == len(self.segments):
          return
        snapshot = self._enter(place, state, hooks)

  def _begin(
    self, checkpoints: Checkpoints, hooks: Hooks
  ) -> tuple[int, int, Snapshot]:
    """Where training goes on: segment, steps done in it, and the state."""
    found = checkpoints.newest(lambda step: self._shapes(self._at(step)[0]))
    if found is not None:
      place, done = self._at(found[0])
      log.info("resuming after step %d of %d", found[0], self.total_steps)
      population = self.population(place)
      state, sums = found[1]
      return (
        place,
        done,
        Snapshot(population.adopt(state), population.adopt(sums)),
      )
    population = self.population(0)
    fresh = population.init()
    later = [
      place
      for place, segment in enumerate(self.segments)
      if segment.phase.name == "finetune"
    ]
    if later:
      trained = hooks.parents(population.unpadded(fresh))
      if trained is not None:
        before = population.adopt(trained)
        return later[0], 0, self._enter(later[0], before, hooks)
    return 0, 0, self._start(0, fresh)

  def _enter(self, place: int, before: Member, hooks: Hooks) -> Snapshot:
    """The beginning of a segment, from the state at the end of the last."""
    old, new = self.segments[place - 1], self.segments[place]
    population = self.population(place)
    state = before
    shared = self.engine.sweep.pruning.shared_dense_parent
    if old.phase != new.phase and shared:
      earlier = self.population(place - 1)
      parent = self._shared_parent(earlier.unpadded(state), hooks)
      state = earlier.adopt(parent)
    if old.branches != new.branches:
      state = population.fork(state, parents(old.branches, new.branches))
    if old.phase != new.phase:
      state = population.restart(state)
    return self._start(place, state)

  def _shared_parent(self, members: Member, hooks: Hooks) -> Member:
    """The dense member that all start from, when it is stored.

    Another process may still be training it.

    Raises:
      PreemptedError: asked to stop meanwhile.
    """
    while (parent := hooks.parents(members)) is None:
      if reason := hooks.stop():
        raise PreemptedError(f"{reason}, a checkpoint is written")
      time.sleep(POLL_SECONDS)
    return parent

  def _start(self, place: int, state: Member) -> Snapshot:
    """Updates the masks where the segment begins with that."""
    segment, population = self.segments[place], self.population(place)
    if segment.prunes:
      state = population.prune(state, np.array(segment.zeros, np.int32))
    return Snapshot(state, _no_progress(population))

  def _train_segment(
    self,
    place: int,
    done: int,
    snapshot: Snapshot,
    checkpoints: Checkpoints,
    hooks: Hooks,
    bar: tqdm,
  ) -> Member:
    """Trains to the end of a segment; the state there."""
    segment, population = self.segments[place], self.population(place)
    data = self.engine.train_data(population)
    steps = self.engine.steps_per_epoch(segment.phase)
    before = sum(map(self.steps, range(place)))
    saved = time.monotonic()
    state, sums = snapshot
    order = None
    while done < self.steps(place):
      epoch, first = segment.epochs[done // steps], done % steps
      if order is None or first == 0:
        order = population.order(epoch)
        bar.set_description(f"epoch {epoch + 1}")
      if first == 0:
        sums = _no_progress(population)
      count = min(population.dispatch, steps - first)
      # Everything that goes to the devices in the loop goes there on purpose.
      with jax.transfer_guard("disallow"):
        state, progress = population.train(
          state,
          data,
          order,
          epoch_step=first,
          step=self._step(segment, epoch) + first,
          count=count,
        )
        sums = population.add(sums, progress)
      # Waits for the devices, so that the bar tells what is done.
      _show(bar, count, segment, population.grid(progress.loss) / count)
      done += count
      if first + count == steps:
        hooks.epoch(_epoch_end(segment, epoch, population, state, sums, steps))
      last = done == self.steps(place)
      reason = hooks.stop()
      if last or reason or self._is_due(first + count == steps, saved):
        snapshot = Snapshot(state, sums)
        checkpoints.save(before + done, population.unpadded(snapshot))
        saved = time.monotonic()
      if reason:
        raise PreemptedError(f"{reason}, a checkpoint is written")
    return state

  def _step(self, segment: Segment, epoch: int) -> int:
    """The number of an epoch's first step, over all phases."""
    steps = self.engine.steps_per_epoch(segment.phase)
    earlier = epoch - segment.phase.first_epoch
    return self.engine.first_step(segment.phase) + earlier * steps

  def _is_due(self, epoch_ended: bool, saved: float) -> bool:
    """Whether it is time for a checkpoint."""
    minutes = self.engine.sweep.execution.checkpoint_minutes
    if minutes == 0:
      return epoch_ended
    return (time.monotonic() - saved) / 60 >= minutes

  def _at(self, step: int) -> tuple[int, int]:
    """The segment in which a step lies, and the steps done in it."""
    for place in range(len(self.segments)):
      if step <= self.steps(place):
        return place, step
      step -= self.steps(place)
    raise ValueError(f"step {step} lies beyond the plan")

  def _shapes(self, place: int) -> Snapshot:
    """Shapes and types of a snapshot in a segment."""
    population = self.population(place)
    like = Snapshot(population.shapes(), _no_progress(population))
    return population.unpadded(like)


def _no_progress(population: Population) -> Progress:
  """Sums of no steps: [seed, branch], on the population's devices."""
  zeros = population.place(np.zeros(population.padded, np.float32), MEMBERS)
  return Progress(zeros, zeros)


def _epoch_end(
  segment: Segment,
  epoch: int,
  population: Population,
  state: Member,
  sums: Progress,
  steps: int,
) -> EpochEnd:
  return EpochEnd(
    segment=segment,
    epoch=epoch + 1,
    loss=population.grid(sums.loss) / steps,
    accuracy=population.grid(sums.accuracy) / steps,
    healthy=population.grid(state.healthy),
  )


def _show(bar: tqdm, count: int, segment: Segment, loss: np.ndarray) -> None:
  """Moves the progress bar on by some steps."""
  bar.set_postfix(
    loss=f"{np.nanmean(loss):.4f}", zeros=max(segment.zeros), refresh=False
  )
  bar.update(count)
