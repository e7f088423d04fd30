"""Which chunks a run is trained in, and which process trains them.

    RUN/chunks/seed-0-4c1fe2.json    seeds and levels that are trained together

A chunk is planned once and kept by every resume, whatever the number of
processes then. Its file belongs to the process that it was dealt to: where the
memory does not hold the chunk, that process replaces it by its halves.
"""

from collections.abc import Iterator
import dataclasses
import hashlib
import itertools
import json
import logging
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd

from prunebias_jax import store
from prunebias_jax.training.engine import Engine
from prunebias_jax.training.measuring import chunk_rows
from prunebias_jax.training.members import seed_rows

log = logging.getLogger(__name__)

CHUNKS = "chunks"


@dataclasses.dataclass(frozen=True)
class Plan:
  """A chunk as it is recorded.

  Attributes:
    seeds: the seeds, as the run's index has them.
    sparsities: their levels.
  """

  seeds: tuple[int, ...]
  sparsities: tuple[float, ...]

  @property
  def name(self) -> str:
    """The name of its checkpoints."""
    members = [*self.seeds], self.sparsities
    code = hashlib.sha256(repr(members).encode()).hexdigest()[:12]
    return f"seed-{self.seeds[0]}-{code}"

  @property
  def members(self) -> Iterator[tuple[int, float]]:
    """Seed and level of every member."""
    return itertools.product(self.seeds, self.sparsities)

  def halves(self) -> list["Plan"]:
    """The chunk in two."""
    middle = (len(self.seeds) + 1) // 2
    parts = (self.seeds[:middle], self.seeds[middle:])
    return [Plan(part, self.sparsities) for part in parts]


@dataclasses.dataclass(frozen=True)
class Share:
  """What one process trains in one go: a chunk, or the parts it fell into.

  Attributes:
    path: its file.
    plans: its chunks, in order.
  """

  path: Path
  plans: tuple[Plan, ...]

  @classmethod
  def read(cls, path: Path) -> Self:
    """Reads a share."""
    plans = json.loads(path.read_text())
    return cls(
      path,
      tuple(
        Plan(tuple(plan["seeds"]), tuple(plan["sparsities"])) for plan in plans
      ),
    )

  def write(self) -> None:
    """Writes the share whole or not at all."""
    self.path.parent.mkdir(exist_ok=True)
    plans = [dataclasses.asdict(plan) for plan in self.plans]
    store.write_atomically(self.path, json.dumps(plans, indent=1))

  def without(self, plan: Plan, *parts: Plan) -> Self:
    """The share with some chunks in the place of one."""
    place = self.plans.index(plan)
    plans = (*self.plans[:place], *parts, *self.plans[place + 1 :])
    return dataclasses.replace(self, plans=plans)


def read_shares(run: store.Run, names: list[str]) -> list[Share]:
  """Shares by the names that `deal` gave."""
  return [Share.read(run.path / CHUNKS / name) for name in names]


def deal(engine: Engine, run: store.Run, count: int) -> list[list[str]]:
  """Plans what is not planned yet, and deals what is not done.

  Args:
    engine: tells how much fits the devices.
    run: the run.
    count: how many processes there are, each with devices as the engine's.

  Returns:
    Names of shares for each process.
  """
  members = run.trained()
  keys = zip(members["seed"], members["sparsity"], strict=True)
  place = dict(zip(keys, members.index.tolist(), strict=True))
  folder = run.path / CHUNKS
  shares = [Share.read(path) for path in folder.glob("seed-*.json")]
  planned = {key for share in shares for key in _members(share)}
  added = list(_plans(engine, members, planned, count))
  if len(added) > 1:
    log.info("training in %d chunks", len(added))
  for plan in added:
    share = Share(folder / f"{plan.name}.json", (plan,))
    share.write()
    shares.append(share)
  # The first seed's members first: others may start from its dense one.
  shares.sort(key=lambda share: min(place[key] for key in _members(share)))
  done = members["done"]
  left = [
    share.path.name
    for share in shares
    if not all(done[place[key]] for key in _members(share))
  ]
  if 0 < len(left) < count:
    log.info(
      "%d of %d processes have nothing to train", count - len(left), count
    )
  return [left[index::count] for index in range(count)]


def _members(share: Share) -> set[tuple[int, float]]:
  return {key for plan in share.plans for key in plan.members}


def _plans(
  engine: Engine,
  members: pd.DataFrame,
  planned: set[tuple[int, float]],
  count: int,
) -> Iterator[Plan]:
  """Chunks of the members that are neither done nor planned."""
  # Seeds that lack the same levels can be trained together.
  lacking: dict[tuple[float, ...], list[int]] = {}
  for row, part in itertools.product(
    seed_rows(engine.sweep), engine.sweep.parts()
  ):
    mine = members[members["seed"] == row["seed"]]
    levels = tuple(
      level
      for level in mine.loc[~mine["done"], "sparsity"].tolist()
      if level in part.sparsities and (row["seed"], level) not in planned
    )
    if levels:
      lacking.setdefault(levels, []).append(row["seed"])
  for levels, seeds in lacking.items():
    chunks = _chunks(engine, len(seeds), count)
    for some in np.array_split(np.array(seeds), chunks):
      yield Plan(tuple(some.tolist()), levels)


def _chunks(engine: Engine, rows: int, count: int) -> int:
  """How many chunks: as few as fit the memory, as many for each process."""
  each = -(-rows // count)
  return min(rows, count * -(-each // chunk_rows(engine, each)))
