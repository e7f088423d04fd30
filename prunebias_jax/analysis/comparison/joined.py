"""The members of two runs as one set of cells, and which populations match."""

import dataclasses

import numpy as np
import pandas as pd
import xarray as xr

from prunebias_jax.analysis import cells as member_cells
from prunebias_jax.analysis.cells import Cells, Population
from prunebias_jax.analysis.columns import CELL, PURPOSES, RULES
from prunebias_jax.analysis.comparison.ground import Ground

# What is compared, under the default rule.
COMPARED = (
  "accuracy",
  "balanced_accuracy",
  "recall",
  "auc",
  "uncertainty",
  "entropy",
  "ece",
  "interdependence",
  "tcb",
  "predicted_positive",
  "bias_amplification",
  "false_positive_rate",
  "false_negative_rate",
)
# An attribute's is that of all the attributes beside it.
_OF_ALL = ("interdependence",)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Match:
  """A population of the first run and the one that it is compared with.

  Attributes:
    first: the population of the first run.
    second: that of the second: of another pruner where each run has one only.
    places: int [member], of each, on the joined member axis.
    pairs: int [pair, 2], of each: a compressed member and its dense one; empty
      where the population is dense itself, or nothing pairs.
    is_dense: whether these are the populations that others are compared with.
  """

  first: Population
  second: Population
  places: tuple[np.ndarray, np.ndarray]
  pairs: tuple[np.ndarray, np.ndarray]
  is_dense: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class Joined:
  """Two runs' members on one axis, the first run's first.

  Attributes:
    cells: what both have, so that means go over the same outputs.
    members: their key, parent and seeds by purpose, and `run`: 0 or 1.
    matches: the populations that are compared, dense first, then by sparsity.
  """

  cells: Cells
  members: pd.DataFrame
  matches: tuple[Match, ...]

  def places(self, run: int, population: Population) -> np.ndarray:
    """Places of a run's population: int [member]."""
    own = self.members[self.members["run"] == run]
    return _populations(own)[population]

  def populations(self, run: int) -> tuple[Population, ...]:
    """The populations of one run, in its order."""
    return tuple(_populations(self.members[self.members["run"] == run]))


def join(first: xr.Dataset, second: xr.Dataset, ground: Ground) -> Joined:
  """Joins the members' numbers of two runs.

  Args:
    first: arrays of an analysis, see `results.Analysis`.
    second: those of the other run, of the same parity.
    ground: what both have in common.
  """
  sides = [member_cells.make_cells(one) for one in (first, second)]
  members = pd.concat(
    [_members(one, run) for run, one in enumerate((first, second))],
    ignore_index=True,
  )
  return Joined(
    cells=_common(sides[0], sides[1], ground),
    members=members,
    matches=_matches(members),
  )


def _members(arrays: xr.Dataset, run: int) -> pd.DataFrame:
  members = member_cells.members_of(arrays).assign(run=run)
  for name in PURPOSES:
    # Where nothing is said of it, a member has one seed for all.
    found = arrays[name] if name in arrays.coords else arrays["seed"]
    members[name] = found.to_numpy()
  return members


def _common(first: Cells, second: Cells, ground: Ground) -> Cells:
  """The cells that both have, of both runs' members."""
  same_names = set(first.names) == set(second.names)
  blocks = _shared(first.blocks, second.blocks, ground, same_names)
  whole = _shared(first.whole_key, second.whole_key, ground, same_names)
  values, wholes = [], []
  for place, side in enumerate((first, second)):
    columns = [side.names.index(name) for name in ground.outputs]
    chosen = [one[place] for one in blocks]
    values.append(side.values[:, chosen][:, :, columns])
    wholes.append(side.whole[:, [one[place] for one in whole]])
  rows = [one[0] for one in blocks]
  return Cells(
    values=np.concatenate(values),
    blocks=first.blocks.iloc[rows].reset_index(drop=True),
    whole=np.concatenate(wholes),
    whole_key=first.whole_key.iloc[[one[0] for one in whole]],
    names=ground.outputs,
    output=first.output,
  )


def _shared(
  first: pd.DataFrame,
  second: pd.DataFrame,
  ground: Ground,
  same_names: bool,
) -> list[tuple[int, int]]:
  """Places of the rows that both have and that can be compared."""
  columns = [one for one in CELL if one in first]
  there = {
    key: place
    for place, key in enumerate(
      second[columns].itertuples(index=False, name=None)
    )
  }
  found = []
  rows = first[columns].itertuples(index=False, name=None)
  for place, key in enumerate(rows):
    row = dict(zip(columns, key, strict=True))
    identities = [one for one in row["identity"].split("*") if one]
    if (
      key in there
      and row["threshold_rule"] == RULES[0]
      and row["metric"] in COMPARED
      and all(one in ground.identities for one in identities)
      and (same_names or row["metric"] not in _OF_ALL)
    ):
      found.append((place, there[key]))
  return found


def _populations(members: pd.DataFrame) -> dict[Population, np.ndarray]:
  """Populations of one run with their places on the joined axis."""
  found = member_cells.populations(members)
  index = members.index.to_numpy()
  return {key: index[places] for key, places in found.items()}


def _matches(members: pd.DataFrame) -> tuple[Match, ...]:
  """Which populations are compared, dense first."""
  runs = [members[members["run"] == run] for run in (0, 1)]
  found = [_populations(one) for one in runs]
  dense = [member_cells.baseline(one) for one in runs]
  matches = []
  for first in found[0]:
    second = _counterpart(first, found[0], found[1], dense)
    if second is None:
      continue
    keys = (first, second)
    places = (found[0][first], found[1][second])
    pairs = tuple(
      _pairs(members, runs[run], found[run], keys[run]) for run in (0, 1)
    )
    matches.append(
      Match(
        first=first,
        second=second,
        places=places,
        pairs=(pairs[0], pairs[1]),
        is_dense=first == dense[0] and second == dense[1],
      )
    )
  return tuple(
    sorted(matches, key=lambda one: (one.first[1], not one.is_dense))
  )


def _counterpart(
  population: Population,
  here: dict[Population, np.ndarray],
  there: dict[Population, np.ndarray],
  dense: list[Population | None],
) -> Population | None:
  """The other run's population to compare one with; None where none is."""
  if population in there:
    return population
  if population == dense[0] and dense[1] is not None:
    return dense[1]
  alike = [
    [one for one in side if one[1:] == population[1:]] for side in (here, there)
  ]
  if population[1] > 0 and len(alike[0]) == len(alike[1]) == 1:
    return alike[1][0]
  return None


def _pairs(
  members: pd.DataFrame,
  run: pd.DataFrame,
  found: dict[Population, np.ndarray],
  population: Population,
) -> np.ndarray:
  """A population's members with their dense ones: int [pair, 2]."""
  dense = member_cells.baseline(run, population)
  if dense is None or dense == population:
    return np.zeros((0, 2), int)
  both = member_cells.paired(members, found[population], found[dense])
  return np.stack(both, axis=1)
