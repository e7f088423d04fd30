"""Members that are trained together: some seeds, some levels, to the end."""

from collections.abc import Callable, Iterator
import dataclasses
import functools
import logging
from pathlib import Path
import time
from typing import NamedTuple

import jax
import numpy as np
from tqdm import tqdm

from prunebias_jax.training.batches import Dispatch
from prunebias_jax.training.checkpoint import Checkpoints, Snapshot
from prunebias_jax.training.engine import Engine
from prunebias_jax.training.layout import MEMBERS
from prunebias_jax.training.member import Member, Progress
from prunebias_jax.training.plan import Segment, make_plan, parents
from prunebias_jax.training.population import Population

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
    zeros: pruned weights, [seed, branch].
    healthy: whether a member is still trained, [seed, branch].
    valid_loss: validation loss [seed, branch], where the best is kept and
      some branch has its final sparsity.
  """

  segment: Segment
  epoch: int
  loss: np.ndarray
  accuracy: np.ndarray
  zeros: np.ndarray
  healthy: np.ndarray
  valid_loss: np.ndarray | None


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
  finished: Callable[[Population, Snapshot, Segment], None]
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
    return make_plan(sweep, self.engine.layers)

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
        snapshot = self._train_segment(
          place, done, snapshot, checkpoints, hooks, bar
        )
        if self.segments[place].finished:
          hooks.finished(self.population(place), snapshot, self.segments[place])
        place, done = place + 1, 0
        if place == len(self.segments):
          return
        snapshot = self._enter(place, snapshot, hooks)

  def _begin(
    self, checkpoints: Checkpoints, hooks: Hooks
  ) -> tuple[int, int, Snapshot]:
    """Where training goes on: segment, steps done in it, and the state."""
    found = checkpoints.newest(lambda step: self._shapes(self._at(step)[0]))
    if found is not None:
      place, done = self._at(found[0])
      log.info("resuming after step %d of %d", found[0], self.total_steps)
      population = self.population(place)
      return place, done, Snapshot(*map(population.adopt, found[1]))
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
        before = self._fresh(population, population.adopt(trained))
        return later[0], 0, self._enter(later[0], before, hooks)
    return 0, 0, self._start(0, self._fresh(population, fresh))

  def _fresh(self, population: Population, state: Member) -> Snapshot:
    """The beginning of a state that nothing is known of yet."""
    keeps = self.engine.sweep.execution.keep_best
    best = population.no_best(state) if keeps else None
    return Snapshot(state, _no_progress(population), best)

  def _enter(self, place: int, before: Snapshot, hooks: Hooks) -> Snapshot:
    """The beginning of a segment, from the end of the last."""
    old, new = self.segments[place - 1], self.segments[place]
    population = self.population(place)
    state, _, best = before
    shared = self.engine.sweep.pruning.shared_dense_parent
    if old.phase != new.phase and shared:
      earlier = self.population(place - 1)
      parent = self._shared_parent(earlier.unpadded(state), hooks)
      state = earlier.adopt(parent)
    origin = parents(old.branches, new.branches)
    if old.branches != new.branches:
      state, best = population.fork((state, best), origin)
    if old.phase != new.phase:
      state = population.restart(state)
    if best is not None:
      # The best is sought among members of equal sparsity.
      changed = np.array(old.counts)[origin] != np.array(new.counts)
      best = population.forget_best(best, changed.any(-1))
    return self._start(place, Snapshot(state, before.sums, best))

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

  def _start(self, place: int, before: Snapshot) -> Snapshot:
    """Updates the masks where the segment begins with that."""
    segment, population = self.segments[place], self.population(place)
    state = before.state
    if segment.prunes:
      counts = np.array(segment.counts, np.int32)
      batch = self.engine.scoring(population)
      state = population.prune(state, counts, batch)
    return Snapshot(state, _no_progress(population), before.best)

  def _watches(self, place: int) -> bool:
    """Whether some branch of a segment could give the best parameters."""
    segment = self.segments[place]
    last = {
      level: counts
      for one in self.segments
      for branch, counts in zip(one.branches, one.counts, strict=True)
      for level in branch
    }
    return self.engine.sweep.execution.keep_best and any(
      counts == last[level]
      for branch, counts in zip(segment.branches, segment.counts, strict=True)
      for level in branch
    )

  def _train_segment(
    self,
    place: int,
    done: int,
    snapshot: Snapshot,
    checkpoints: Checkpoints,
    hooks: Hooks,
    bar: tqdm,
  ) -> Snapshot:
    """Trains to the end of a segment; how things are there."""
    segment, population = self.segments[place], self.population(place)
    steps = self.engine.steps_per_epoch(segment.phase)
    before = sum(map(self.steps, range(place)))
    saved = time.monotonic()
    state, sums, best = snapshot
    zeros = population.zeros(state)
    dispatches = list(self._dispatches(place, done))
    with self.engine.sources(population, dispatches) as sources:
      for dispatch, source in zip(dispatches, sources, strict=True):
        epoch, first, count = dispatch
        bar.set_description(f"epoch {epoch + 1}", refresh=False)
        if first == 0:
          sums = _no_progress(population)
        # All that goes to the devices in the loop goes there on purpose.
        with jax.transfer_guard("disallow"):
          state, progress = population.train(
            state,
            *source,
            epoch_step=first,
            step=self._step(segment, epoch) + first,
            count=count,
          )
          sums = population.add(sums, progress)
        # Waits for the devices, so that the bar tells what is done.
        _show(bar, count, zeros, population.grid(progress.loss) / count)
        done += count
        ended = first + count == steps
        if ended:
          end = EpochEnd(
            segment=segment,
            epoch=epoch + 1,
            loss=population.grid(sums.loss) / steps,
            accuracy=population.grid(sums.accuracy) / steps,
            zeros=zeros,
            healthy=population.grid(state.healthy),
            valid_loss=None,
          )
          if best is not None and self._watches(place):
            loss = self.engine.valid_loss(population, state)
            best = population.keep_better(best, state, loss)
            end = end._replace(valid_loss=loss)
          hooks.epoch(end)
        last = done == self.steps(place)
        reason = hooks.stop()
        if last or reason or self._is_due(ended, saved):
          snapshot = Snapshot(state, sums, best)
          checkpoints.save(before + done, population.unpadded(snapshot))
          saved = time.monotonic()
        if reason:
          raise PreemptedError(f"{reason}, a checkpoint is written")
    return Snapshot(state, sums, best)

  def _dispatches(self, place: int, done: int) -> Iterator[Dispatch]:
    """The calls of the training program that a segment still needs."""
    segment = self.segments[place]
    steps = self.engine.steps_per_epoch(segment.phase)
    while done < self.steps(place):
      first = done % steps
      count = min(self.population(place).dispatch, steps - first)
      yield Dispatch(segment.epochs[done // steps], first, count)
      done += count

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
    state = population.shapes()
    keeps = self.engine.sweep.execution.keep_best
    best = jax.eval_shape(population.no_best, state) if keeps else None
    padded = Snapshot(state, _no_progress(population), best)
    return jax.eval_shape(population.unpadded, padded)


def _no_progress(population: Population) -> Progress:
  """Sums of no steps: [seed, branch], on the population's devices."""
  zeros = population.place(np.zeros(population.padded, np.float32), MEMBERS)
  return Progress(zeros, zeros)


def _show(bar: tqdm, count: int, zeros: np.ndarray, loss: np.ndarray) -> None:
  """Moves the progress bar on by some steps."""
  bar.set_postfix(
    loss=f"{np.nanmean(loss):.4f}", zeros=zeros.max(), refresh=False
  )
  bar.update(count)
