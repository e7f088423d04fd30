"""Members that are trained together: some seeds, some levels, to the end."""

import dataclasses
import functools
import logging
from pathlib import Path
import time

import jax
import numpy as np
from tqdm import tqdm

from prunebias_jax.config import Train
from prunebias_jax.training.batches import dispatches
from prunebias_jax.training.checkpoint import Checkpoints, Snapshot
from prunebias_jax.training.engine import Engine
from prunebias_jax.training.hooks import EpochEnd, Hooks
from prunebias_jax.training.layout import MEMBERS
from prunebias_jax.training.member import Early, Member, Progress
from prunebias_jax.training.plan import (
  Segment,
  changes,
  make_plan,
  parents,
)
from prunebias_jax.training.population import Population

log = logging.getLogger(__name__)

POLL_SECONDS = 1.0


class PreemptedError(Exception):
  """Training stops early, for the reason given; the same call goes on."""


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
    examples = len(self.engine.dataset.splits["train"])
    return make_plan(sweep, self.engine.layers, examples)

  def steps(self, place: int) -> int:
    """Steps of a segment."""
    return len(self.segments[place].steps)

  @property
  def total_steps(self) -> int:
    """Steps of all segments."""
    return sum(map(self.steps, range(len(self.segments))))

  @functools.cached_property
  def _populations(self) -> dict[tuple[Train, int, int], Population]:
    return {}

  def population(self, place: int) -> Population:
    """The population of a segment; segments of the same shape share one."""
    segment = self.segments[place]
    key = segment.phase.config, segment.phase.first_epoch, len(segment.branches)
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
    first = self.segments[0].phase
    later = [
      place
      for place, segment in enumerate(self.segments)
      if segment.phase != first
    ]
    if later:
      trained = hooks.parents(population.unpadded(fresh))
      if trained is not None:
        state, early = map(population.adopt, trained)
        before = self._fresh(population, state)._replace(early=early)
        return later[0], 0, self._enter(later[0], before, hooks)
    return 0, 0, self._start(0, self._fresh(population, fresh))

  def _fresh(self, population: Population, state: Member) -> Snapshot:
    """The beginning of a state that nothing is known of yet."""
    keeps = self.engine.sweep.execution.keep_best
    best = population.no_best(state) if keeps else None
    return Snapshot(state, _no_progress(population), best, None)

  def _enter(self, place: int, before: Snapshot, hooks: Hooks) -> Snapshot:
    """The beginning of a segment, from the end of the last."""
    old, new = self.segments[place - 1], self.segments[place]
    population = self.population(place)
    state, sums, best, early = before
    shared = self.engine.sweep.pruning.shared_dense_parent
    if old.phase != new.phase and shared:
      earlier = self.population(place - 1)
      parent = self._shared_parent(earlier.unpadded(state), hooks)
      state = earlier.adopt(parent)
    origin = parents(old.branches, new.branches)
    if old.branches != new.branches:
      everything = state, sums, best, early
      state, sums, best, early = population.fork(everything, origin)
    if old.phase != new.phase:
      state, sums = population.restart(state), _no_progress(population)
    if best is not None:
      # The best is sought among members of equal masks.
      best = population.forget_best(best, np.array(changes(old, new)))
    return self._start(place, Snapshot(state, sums, best, early))

  def _shared_parent(self, members: Member, hooks: Hooks) -> Member:
    """The dense member that all start from, when it is stored.

    Another process may still be training it.

    Raises:
      PreemptedError: asked to stop meanwhile.
    """
    while (parents := hooks.parents(members)) is None:
      if reason := hooks.stop():
        raise PreemptedError(f"{reason}, a checkpoint is written")
      time.sleep(POLL_SECONDS)
    return parents.state

  def _start(self, place: int, before: Snapshot) -> Snapshot:
    """Updates the masks, keeps weights or goes back, as the segment says."""
    segment, population = self.segments[place], self.population(place)
    state, early = before.state, before.early
    if segment.prunes:
      counts = np.array(segment.counts, np.int32)
      batch = self.engine.scoring(population)
      state = population.prune(state, counts, batch)
    if segment.moves is not None:
      # Every update has a sample of its own, named by its step.
      sample = self.engine.sample(population, segment.steps.start)
      moves = np.array(segment.moves, np.int32)
      state = population.regrow(state, moves, sample)
    if early is not None and segment.phase.rewinds:
      state, early = population.rewind(state, early), None
    elif early is None and segment.early:
      early = population.early(state)
    return before._replace(state=state, early=early)

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
    steps = segment.steps_per_epoch
    before = sum(map(self.steps, range(place)))
    state, sums, best, early = snapshot
    zeros = population.zeros(state)
    calls = list(dispatches(segment, done, population.dispatch))
    with self.engine.sources(population, calls) as sources:
      for dispatch, source in zip(calls, sources, strict=True):
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
          end = _epoch_end(segment, epoch, population, state, sums, zeros)
          if best is not None and segment.settled:
            loss = self.engine.valid_loss(population, state)
            best = population.keep_better(best, state, loss)
            end = end._replace(valid_loss=loss)
          hooks.epoch(end)
        snapshot = Snapshot(state, sums, best, early)
        last = ended and done == self.steps(place)
        reason = hooks.stop()
        if last or reason or self._is_due(ended, checkpoints.saved):
          checkpoints.save(before + done, population.unpadded(snapshot))
        if reason:
          raise PreemptedError(f"{reason}, a checkpoint is written")
    return snapshot

  def _step(self, segment: Segment, epoch: int) -> int:
    """The number of an epoch's first step, over all phases."""
    earlier = epoch - segment.phase.first_epoch
    first = self.engine.first_step(segment.phase)
    return first + earlier * segment.steps_per_epoch

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
    early = Early(state.params, state.batch_stats)
    padded = Snapshot(
      state,
      _no_progress(population),
      best,
      early if self.segments[place].early else None,
    )
    return jax.eval_shape(population.unpadded, padded)


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
  zeros: np.ndarray,
) -> EpochEnd:
  phase, steps = segment.phase, segment.steps_per_epoch
  # A phase may begin inside an epoch.
  first = (epoch - phase.first_epoch) * steps
  steps -= max(0, phase.begin - first)
  return EpochEnd(
    segment=segment,
    epoch=epoch + 1 - phase.first_epoch + phase.logged_before,
    images=steps * population.batch,
    loss=population.grid(sums.loss) / steps,
    accuracy=population.grid(sums.accuracy) / steps,
    zeros=zeros,
    healthy=population.grid(state.healthy),
    valid_loss=None,
  )


def _show(bar: tqdm, count: int, zeros: np.ndarray, loss: np.ndarray) -> None:
  """Moves the progress bar on by some steps."""
  bar.set_postfix(
    loss=f"{np.nanmean(loss):.4f}", zeros=zeros.max(), refresh=False
  )
  bar.update(count)
