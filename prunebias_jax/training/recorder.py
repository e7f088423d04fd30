"""What a chunk produces, written into the run."""

from collections.abc import Callable, Iterator, Sequence
import itertools
import logging
import time
from typing import Any

import jax
import numpy as np

from prunebias_jax import store
from prunebias_jax.training import parameters
from prunebias_jax.training.board import Board
from prunebias_jax.training.checkpoint import Snapshot
from prunebias_jax.training.chunk import Chunk
from prunebias_jax.training.hooks import EpochEnd, Hooks, Parents
from prunebias_jax.training.member import Early, Member
from prunebias_jax.training.plan import Segment
from prunebias_jax.training.population import Population

log = logging.getLogger(__name__)


class Recorder:
  """Writes what a chunk produces into the run."""

  def __init__(
    self,
    run: store.Run,
    chunk: Chunk,
    seeds: Sequence[int],
    board: Board,
    writer: int,
  ) -> None:
    """Writes as process `writer`, which has a metrics log of its own."""
    self.engine, self.run, self.chunk = chunk.engine, run, chunk
    self.writer = writer
    members = run.members()
    places = {
      (member["seed"], member["sparsity"]): index
      for index, member in run.trained().iterrows()
    }
    # The member axis: [seed of the chunk, level].
    self.index = np.array(
      [[places[seed, level] for level in chunk.sparsities] for seed in seeds]
    )
    keys = members.drop(columns=["done", "diverged"]).to_dict("records")
    self.members: list[dict[str, Any]] = [
      {str(key): value for key, value in member.items()} for member in keys
    ]
    self.board = board
    self.last = time.monotonic()

  def is_done(self) -> bool:
    """Whether every member of the chunk is stored."""
    return bool(self.run.members()["done"].to_numpy()[self.index].all())

  def hooks(self, stop: Callable[[], str]) -> Hooks:
    """What the chunk calls."""
    return Hooks(
      epoch=self.log_epoch,
      finished=self.store_members,
      stop=stop,
      parents=self.trained_parents,
    )

  def log_epoch(self, end: EpochEnd) -> None:
    """Appends an epoch to the metrics log, a line for each member."""
    now = time.monotonic()
    trained = end.loss.size * end.images
    speed, self.last = trained / (now - self.last), now
    records = list(self._records(end, speed))
    self.run.log(records, self.writer)
    self.board.write(records)

  def _records(self, end: EpochEnd, speed: float) -> Iterator[dict[str, Any]]:
    for place, branch in enumerate(end.segment.branches):
      for row, level in itertools.product(range(len(self.index)), branch):
        yield {
          **self.members[self.index[row, level]],
          "epoch": end.epoch,
          "loss": float(end.loss[row, place]),
          "accuracy": float(end.accuracy[row, place]),
          "zeros": int(end.zeros[row, place]),
          "healthy": bool(end.healthy[row, place]),
          **(
            {"valid_loss": float(end.valid_loss[row, place])}
            if end.valid_loss is not None
            else {}
          ),
          "images_per_second": round(speed, 1),
        }

  def store_members(
    self, population: Population, snapshot: Snapshot, segment: Segment
  ) -> None:
    """Stores parameters and logits of the members that are finished."""
    logits = self.engine.predict(population, snapshot.state)
    host, _, best, early = jax.device_get(population.unpadded(snapshot))
    healthy = host.healthy
    kept = {"last": host} if self.engine.sweep.execution.keep_parameters else {}
    if best is not None:
      kept["best"] = host._replace(
        params=best.params, batch_stats=best.batch_stats
      )
    if early is not None and kept:
      kept["rewind"] = host._replace(
        params=early.params, batch_stats=early.batch_stats
      )
    done = self.run.members()["done"]
    for place, branch in enumerate(segment.branches):
      for row, level in itertools.product(range(len(self.index)), branch):
        index = int(self.index[row, level])
        if level not in segment.finished or done[index]:
          continue
        for name, states in kept.items():
          if name == "best" and not np.isfinite(best.loss[row, place]):
            continue
          parameters.save_parameters(
            self.run.path, index, states, (row, place), name
          )
        if not healthy[row, place]:
          name = store.member_name(self.members[index])
          log.warning("%s diverged: its loss was not finite", name)
        self.run.write_member(
          index,
          {name: values[row, place] for name, values in logits.items()},
          diverged=not healthy[row, place],
        )

  def trained_parents(self, fresh: Member) -> Parents | None:
    """The dense parents, where they and the seeds' dense members are stored.

    Args:
      fresh: members [seed, 1, ...] on the host; only parameters and statistics
        are replaced.
    """
    members = self.run.trained()
    parents = members["seed"][members["sparsity"] == 0]
    dense = dict(zip(parents, parents.index.tolist(), strict=True))
    if not dense:
      return None
    own = [dense[members["seed"][index]] for index in self.index[:, 0]]
    shared = self.engine.sweep.pruning.shared_dense_parent
    indices = [min(dense.values())] * len(own) if shared else own
    if not members["done"][[*own, *indices]].all():
      return None
    rewinds = self.engine.sweep.pruning.regime == "rewind"
    found = {}
    for name in ("last", "rewind") if rewinds else ("last",):
      paths = [
        parameters.parameters_path(self.run.path, index, name)
        for index in indices
      ]
      if not shared and not all(path.exists() for path in paths):
        return None
      found[name] = self._stacked(indices, name)
    early = found.get("rewind")
    return Parents(fresh._replace(**found["last"]._asdict()), early)

  def _stacked(self, indices: Sequence[int], checkpoint: str) -> Early:
    """Stored parameters and statistics of members: [seed, 1, ...]."""
    stored = [
      parameters.load_parameters(self.run.path, index, checkpoint)
      for index in indices
    ]
    return Early(
      *(
        jax.tree.map(
          lambda *xs: np.stack(xs)[:, None], *[one[part] for one in stored]
        )
        for part in Early._fields
      )
    )
