"""What a sweep does when: phases, mask updates, and which levels are still one.

Levels of a seed that have been treated alike so far are one model: they are
trained once, as a branch. The dense level parts from the others at the first
mask update, the others at the first update whose targets differ. A plan is the
list of segments between such events, made on the host before anything runs.
All of it is counted in steps: an event may come in the middle of an epoch.
"""

from collections.abc import Sequence
import dataclasses

import numpy as np

from prunebias_jax.config import UPDATED_DURING, Pruning, Sweep, Train
from prunebias_jax.errors import InputError
from prunebias_jax.pruning import allocation, regrowth, schedule
from prunebias_jax.pruning.allocation import Layers

Branches = tuple[tuple[int, ...], ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Phase:
  """A stretch of training with one optimiser and schedule.

  Attributes:
    name: "train", "finetune" or "retrain".
    config: optimiser, schedule and epochs.
    first_epoch: epochs of the phases before.
    begin: the first of its steps that is done; learning rate, order of the
      examples and augmentation are those of that step.
    rewinds: whether it begins with the weights that a phase before had.
    logged_before: what the log adds to the phase's epochs, counted from 0.
  """

  name: str
  config: Train
  first_epoch: int = 0
  begin: int = 0
  rewinds: bool = False
  logged_before: int = 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Segment:
  """Steps in which nothing forks and no mask changes.

  Attributes:
    phase: the phase it belongs to.
    steps: steps, counted from the beginning of the phase.
    steps_per_epoch: steps of an epoch of the phase.
    branches: the levels that each branch stands for.
    counts: pruned units of each branch and pool.
    prunes: whether masks are updated to `counts` at the beginning.
    moves: how many weights of each branch and layer are dropped at the
      beginning, and as many grown; None where masks do not move.
    early: whether the weights of an earlier step are kept to go back to; the
      first such segment begins at that step.
    settled: whether some level has its final masks.
    finished: levels whose training ends with this segment.
  """

  phase: Phase
  steps: range
  steps_per_epoch: int
  branches: Branches
  counts: tuple[tuple[int, ...], ...]
  prunes: bool
  moves: tuple[tuple[int, ...], ...] | None
  early: bool
  settled: bool = False
  finished: tuple[int, ...] = ()

  @property
  def epochs(self) -> float:
    """How many epochs its steps are."""
    return len(self.steps) / self.steps_per_epoch


def make_plan(
  sweep: Sweep, layers: Layers, examples: int, *, share: bool = True
) -> tuple[Segment, ...]:
  """The segments of a sweep, in order.

  Args:
    sweep: regime, schedules and sparsities.
    layers: shapes of the prunable arrays.
    examples: number of training examples.
    share: train levels that are still one once; the results are the same
      either way.
  """
  planner = _Planner(sweep, layers, examples, share)
  levels = range(len(sweep.sparsities))
  pruned = [level for level in levels if sweep.sparsities[level] > 0]
  train = Phase(name="train", config=sweep.train)
  regime = sweep.pruning.regime
  if regime in ("gmp-ri", "from-scratch", "rigl"):
    return _finish(planner.segments(train, levels, planner.updates(train)))
  if regime == "rewind":
    back = planner.step(train, sweep.pruning.rewind)
    segments = planner.segments(train, levels, {}, early_from=back)
    later = Phase(
      name="retrain",
      config=sweep.train,
      begin=back,
      rewinds=True,
      logged_before=sweep.train.epochs
      - back // steps_per_epoch(train, examples),
    )
  else:
    segments = planner.segments(train, levels, {})
    epochs = sweep.train.epochs
    later = Phase(
      name="finetune",
      config=sweep.finetune,
      first_epoch=epochs,
      logged_before=epochs,
    )
  if pruned:
    segments += planner.segments(later, pruned, planner.updates(later))
  return _finish(segments)


def steps_per_epoch(phase: Phase, examples: int) -> int:
  """Whole batches in the training split of so many examples."""
  return examples // phase.config.batch


def require_fit(sweep: Sweep, examples: int) -> None:
  """Refuses what, counted in steps, lies beyond the training.

  Raises:
    InputError: mask updates, or the step to go back to, that never come.
  """
  pruning = sweep.pruning
  if pruning.unit != "steps" or not any(sweep.sparsities):
    return
  rewinds = pruning.regime == "rewind"
  name = UPDATED_DURING.get(pruning.regime, "train")
  phase = Phase(name=name, config=getattr(sweep, name))
  steps = phase.config.epochs * steps_per_epoch(phase, examples)
  setting, last = ("rewind", steps - 1) if rewinds else ("end", steps)
  if getattr(pruning, setting) > last:
    raise InputError(
      f"pruning.{setting} is {getattr(pruning, setting)} steps; accepted: up "
      f"to {last} ({name} has {steps} steps: {phase.config.epochs} epochs of "
      f"{steps_per_epoch(phase, examples)})"
    )


def update_schedule(pruning: Pruning) -> Pruning:
  """The schedule of mask updates; a single one where masks are made once."""
  if pruning.regime in UPDATED_DURING and pruning.regime != "rigl":
    return pruning
  return pruning.at_once()


def changes(before: Segment, now: Segment) -> list[bool]:
  """For every branch, whether its masks change where a segment begins."""
  origin = parents(before.branches, now.branches)
  return [
    before.counts[origin[place]] != counts
    or (now.moves is not None and any(now.moves[place]))
    for place, counts in enumerate(now.counts)
  ]


def parents(before: Branches, after: Branches) -> list[int]:
  """For every branch, which branch of the segment before it comes from."""
  return [
    next(place for place, old in enumerate(before) if branch[0] in old)
    for branch in after
  ]


@dataclasses.dataclass(frozen=True)
class _Planner:
  """Makes the segments of phases; the attributes are those of `make_plan`."""

  sweep: Sweep
  layers: Layers
  examples: int
  share: bool

  def step(self, phase: Phase, time: int) -> int:
    """The step of a phase at a time in the unit of the config."""
    if self.sweep.pruning.unit == "steps":
      return time
    return time * steps_per_epoch(phase, self.examples)

  def updates(self, phase: Phase) -> dict[int, np.ndarray]:
    """Pruned units [level, pool] after the update at a step of the phase."""
    if not any(self.sweep.sparsities):
      return {}
    pruning = update_schedule(self.sweep.pruning)
    counts = allocation.count_table(pruning, self.sweep.sparsities, self.layers)
    steps = [
      phase.begin + self.step(phase, time)
      for time in schedule.update_times(pruning)
    ]
    return dict(zip(steps, counts, strict=True))

  def moves(self, phase: Phase, counts: np.ndarray) -> dict[int, np.ndarray]:
    """Weights [level, layer] that move at a step, of masks of these counts."""
    pruning = self.sweep.pruning
    if pruning.regime != "rigl" or not any(self.sweep.sparsities):
      return {}
    steps = [self.step(phase, one) for one in schedule.update_times(pruning)]
    table = regrowth.move_table(pruning, counts, self.layers)
    return dict(zip(steps, table, strict=True))

  def segments(
    self,
    phase: Phase,
    levels: Sequence[int],
    updates: dict[int, np.ndarray],
    early_from: int | None = None,
  ) -> list[Segment]:
    """The segments of one phase: from one mask update to the next.

    Args:
      phase: the phase.
      levels: the levels that are trained in it.
      updates: pruned units [level, pool] after the update at a step.
      early_from: the step whose weights are kept to go back to.
    """
    pruning, sparsities = self.sweep.pruning, self.sweep.sparsities
    each = steps_per_epoch(phase, self.examples)
    pools = len(allocation.pool_sizes(pruning, self.layers))
    counts = np.zeros((len(sparsities), pools), np.int32)
    branches: Branches = (tuple(levels),)
    if not self.share:
      branches = tuple((level,) for level in levels)
    early = [] if early_from is None else [early_from]
    moves = self.moves(phase, updates.get(phase.begin, counts))
    starts = sorted({phase.begin, *early, *updates, *moves})
    segments = []
    for start, end in zip(
      starts, [*starts[1:], phase.config.epochs * each], strict=True
    ):
      if start in updates:
        counts = updates[start]
        branches = _refine(branches, counts)
      segment = Segment(
        phase=phase,
        steps=range(start, end),
        steps_per_epoch=each,
        branches=branches,
        counts=_rows(counts, branches),
        prunes=start in updates,
        moves=_rows(moves[start], branches) if start in moves else None,
        early=early_from is not None and start >= early_from,
      )
      segments.append(segment)
    return segments


def _rows(table: np.ndarray, branches: Branches) -> tuple[tuple[int, ...], ...]:
  """The rows [level, ...] of the levels that branches stand for."""
  return tuple(tuple(table[branch[0]].tolist()) for branch in branches)


def _refine(branches: Branches, counts: np.ndarray) -> Branches:
  """Parts the levels of each branch whose counts differ in some pool."""
  parted: dict[tuple[int, ...], list[int]] = {}
  for place, branch in enumerate(branches):
    for level in branch:
      key = place, *counts[level].tolist()
      parted.setdefault(key, []).append(level)
  return tuple(tuple(levels) for levels in parted.values())


def _finish(segments: list[Segment]) -> tuple[Segment, ...]:
  """Says of every level in which segment it is seen last, and how."""
  last: dict[int, int] = {}
  changed: dict[int, int] = {}
  for place, segment in enumerate(segments):
    new = changes(segments[max(place - 1, 0)], segment)
    for branch, different in zip(segment.branches, new, strict=True):
      for level in branch:
        last[level] = place
        changed[level] = place if different else changed.get(level, 0)
  return tuple(
    dataclasses.replace(
      segment,
      settled=any(
        changed[level] <= place
        for branch in segment.branches
        for level in branch
      ),
      finished=tuple(
        sorted(level for level, end in last.items() if end == place)
      ),
    )
    for place, segment in enumerate(segments)
  )
