"""What a sweep does when: phases, mask updates, and which levels are still one.

Levels of a seed that have been treated alike so far are one model: they are
trained once, as a branch. The dense level parts from the others at the first
mask update, the others at the first update whose targets differ. A plan is the
list of segments between such events, made on the host before anything runs.
"""

from collections.abc import Sequence
import dataclasses

import numpy as np

from prunebias_jax.config import Pruning, Sweep, Train
from prunebias_jax.pruning import allocation, schedule
from prunebias_jax.pruning.allocation import Layers

Branches = tuple[tuple[int, ...], ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Phase:
  """A stretch of training with one optimiser and schedule.

  Attributes:
    name: "train" or "finetune".
    config: optimiser, schedule and epochs.
    first_epoch: epochs of the phases before.
  """

  name: str
  config: Train
  first_epoch: int = 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Segment:
  """Epochs in which nothing forks and no mask changes.

  Attributes:
    phase: the phase it belongs to.
    epochs: epochs counted over all phases.
    branches: the levels that each branch stands for.
    counts: pruned units of each branch and pool.
    prunes: whether masks are updated to `counts` at the beginning.
    finished: levels whose training ends with this segment.
  """

  phase: Phase
  epochs: range
  branches: Branches
  counts: tuple[tuple[int, ...], ...]
  prunes: bool
  finished: tuple[int, ...]


def make_plan(
  sweep: Sweep, layers: Layers, *, share: bool = True
) -> tuple[Segment, ...]:
  """The segments of a sweep, in order.

  Args:
    sweep: regime, schedules and sparsities.
    layers: shapes of the prunable arrays.
    share: train levels that are still one once; the results are the same
      either way.
  """
  levels = range(len(sweep.sparsities))
  pruned = [level for level in levels if sweep.sparsities[level] > 0]
  train = Phase(name="train", config=sweep.train, first_epoch=0)
  if sweep.pruning.regime == "gmp-ri":
    updates = _updates(sweep, layers)
    return _finish(_segments(sweep, layers, train, levels, updates, share))
  segments = _segments(sweep, layers, train, levels, {}, share)
  if pruned:
    finetune = Phase(
      name="finetune", config=sweep.finetune, first_epoch=sweep.train.epochs
    )
    updates = _updates(sweep, layers)
    segments += _segments(sweep, layers, finetune, pruned, updates, share)
  return _finish(segments)


def update_schedule(pruning: Pruning) -> Pruning:
  """The schedule of mask updates; one-shot is a single one at the beginning."""
  if pruning.regime != "one-shot":
    return pruning
  return dataclasses.replace(pruning, start=0, every=1, end=1)


def parents(before: Branches, after: Branches) -> list[int]:
  """For every branch, which branch of the segment before it comes from."""
  return [
    next(place for place, old in enumerate(before) if branch[0] in old)
    for branch in after
  ]


def _updates(sweep: Sweep, layers: Layers) -> dict[int, np.ndarray]:
  """Pruned units [level, pool] after the update at an epoch of the phase."""
  if not any(sweep.sparsities):
    return {}
  pruning = update_schedule(sweep.pruning)
  counts = allocation.count_table(pruning, sweep.sparsities, layers)
  return dict(zip(schedule.update_epochs(pruning), counts, strict=True))


def _segments(
  sweep: Sweep,
  layers: Layers,
  phase: Phase,
  levels: Sequence[int],
  updates: dict[int, np.ndarray],
  share: bool,
) -> list[Segment]:
  """The segments of one phase: from one mask update to the next."""
  pools = len(allocation.pool_sizes(sweep.pruning, layers))
  counts = np.zeros((len(sweep.sparsities), pools), np.int32)
  branches: Branches = (tuple(levels),)
  if not share:
    branches = tuple((level,) for level in levels)
  segments = []
  starts = sorted({0, *updates})
  for start, end in zip(
    starts, [*starts[1:], phase.config.epochs], strict=True
  ):
    if start in updates:
      counts = updates[start]
      branches = _refine(branches, counts)
    segment = Segment(
      phase=phase,
      epochs=range(phase.first_epoch + start, phase.first_epoch + end),
      branches=branches,
      counts=tuple(tuple(counts[branch[0]].tolist()) for branch in branches),
      prunes=start in updates,
      finished=(),
    )
    segments.append(segment)
  return segments


def _refine(branches: Branches, counts: np.ndarray) -> Branches:
  """Parts the levels of each branch whose counts differ in some pool."""
  parted: dict[tuple[int, ...], list[int]] = {}
  for place, branch in enumerate(branches):
    for level in branch:
      key = place, *counts[level].tolist()
      parted.setdefault(key, []).append(level)
  return tuple(tuple(levels) for levels in parted.values())


def _finish(segments: list[Segment]) -> tuple[Segment, ...]:
  """Says of every level in which segment it is seen last."""
  last = {
    level: place
    for place, segment in enumerate(segments)
    for branch in segment.branches
    for level in branch
  }
  return tuple(
    dataclasses.replace(
      segment,
      finished=tuple(sorted(k for k, end in last.items() if end == place)),
    )
    for place, segment in enumerate(segments)
  )
