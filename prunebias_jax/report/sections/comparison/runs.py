"""Two analysed runs, what they have in common, and their comparison."""

import dataclasses
import functools

import numpy as np
import pandas as pd

from prunebias_jax.analysis import Interval
from prunebias_jax.analysis.cells import Population as Members
from prunebias_jax.analysis.columns import ALL, CELL, MEAN
from prunebias_jax.analysis.comparison import (
  Ground,
  Joined,
  Match,
  common_ground,
  comparison_table,
  join,
)
from prunebias_jax.errors import InputError
from prunebias_jax.report.drawing import plain
from prunebias_jax.report.keys import Cell, Population, Row
from prunebias_jax.report.sections.comparison import settings
from prunebias_jax.report.source import Source

LONGEST = 20  # of a run's name in a drawing or a table's head


@dataclasses.dataclass(frozen=True)
class Comparison:
  """Two runs and what `analysis.comparison` says of them.

  Attributes:
    first: the run of the report.
    second: the one that it is compared with.
    ground: what both have in common.
    joined: both runs' members.
    by_seed: whether members of equal seed are pairs across the runs.
    why: the sentence that says why, or why not.
    table: `analysis.comparison.COLUMNS`; empty where the test sets differ.
  """

  first: Source
  second: Source
  ground: Ground
  joined: Joined
  by_seed: bool
  why: str
  table: pd.DataFrame

  @property
  def sources(self) -> tuple[Source, Source]:
    """Both runs."""
    return self.first, self.second

  @functools.cached_property
  def names(self) -> tuple[str, str]:
    """What the runs are called, short and distinct."""
    runs = (self.first.run, self.second.run)
    for found in (
      [run.name or run.path.name for run in runs],
      [run.path.resolve().name for run in runs],
    ):
      short = [plain(one, LONGEST) for one in found]
      if short[0] != short[1]:
        return short[0], short[1]
    return "this run", "the other run"

  @property
  def matches(self) -> tuple[Match, ...]:
    """The populations that are compared, dense first."""
    return self.joined.matches

  def label(self, match: Match) -> str:
    """A matching pair of populations as a reader names it."""
    first, second = Population(*match.first), Population(*match.second)
    if match.is_dense:
      return "dense"
    if first == second:
      return first.label
    return f"{first.label} / {second.label}"

  def overall(self, metric: str, identity: str = "", value: str = "") -> Cell:
    """A metric in one number: of the whole, or the mean over the outputs."""
    whole = Cell(metric, ALL, identity, value)
    return (
      whole if whole.key in self._column else whole._replace(attribute=MEAN)
    )

  def has(self, cell: Cell) -> bool:
    """Whether both runs have a cell."""
    return cell.key in self._column

  def members(
    self, run: int, population: Members, cell: Cell
  ) -> tuple[np.ndarray, np.ndarray]:
    """Seeds and numbers of a run's members, [member] each.

    A mean over the outputs goes over those that have a value in every member
    of both runs.
    """
    places = self.joined.places(run, population)
    seeds = self.joined.members["seed"].to_numpy()[places]
    column = self._column.get(cell.key)
    if column is None:
      return seeds, np.full(len(places), np.nan)
    return seeds, self._flat[0][places, column]

  def mean(self, run: int, values: np.ndarray) -> Interval | None:
    """Mean of a run's members that have a value, with its interval, if any."""
    return (
      self.sources[run].mean_of(values) if np.isfinite(values).any() else None
    )

  def used(self, cell: Cell) -> int:
    """How many outputs `members` averages over; -1 where it is no mean."""
    column = self._column.get(cell.key)
    return -1 if column is None else int(self._flat[1][column])

  def row(self, match: Match, quantity: str, cell: Cell) -> Row | None:
    """A row of the table; None where there is none."""
    return self._rows.get((match.first, quantity, cell.key))

  @functools.cached_property
  def _column(self) -> dict[tuple[str, ...], int]:
    keys = self.joined.cells.key[list(CELL)].itertuples(index=False, name=None)
    return {key: place for place, key in enumerate(keys)}

  @functools.cached_property
  def _flat(self) -> tuple[np.ndarray, np.ndarray]:
    return self.joined.cells.flat(np.arange(len(self.joined.members)))

  @functools.cached_property
  def _rows(self) -> dict[tuple[object, str, tuple[str, ...]], Row]:
    summary = self.table[self.table["attribute"].isin([MEAN, ALL])]
    keys = ["pruner_first", "sparsity", "quantization"]
    return {
      (
        tuple(row[name] for name in keys),
        str(row["quantity"]),
        tuple(str(row[name]) for name in CELL),
      ): {str(name): value for name, value in row.items()}
      for row in summary.to_dict("records")
    }


def compare(first: Source, second: Source) -> Comparison:
  """Compares two analysed runs.

  Raises:
    InputError: they are one run, were analysed by different rules, or have
      nothing in common, see `analysis.comparison.common_ground`.
  """
  if first.run.path.resolve() == second.run.path.resolve():
    raise InputError(
      f"{first.run.path} cannot be compared with itself; accepted: another run"
    )
  parity = [one.analysis.arrays.attrs["parity"] for one in (first, second)]
  if parity[0] != parity[1]:
    raise InputError(
      f"{first.run.path} was analysed with --parity {parity[0]}, "
      f"{second.run.path} with --parity {parity[1]}; analyze both alike"
    )
  ground = common_ground(first.run.split("test"), second.run.split("test"))
  joined = join(first.analysis.arrays, second.analysis.arrays, ground)
  by_seed, why = settings.pairing(first.run.facts, second.run.facts)
  table = comparison_table(joined, by_seed=by_seed, level=first.level)
  return Comparison(
    first,
    second,
    ground,
    joined,
    by_seed,
    why,
    table if ground.same_test else table.iloc[:0],
  )
