"""The numbers of a run by name: one place where the report looks them up."""

from collections.abc import Mapping
import dataclasses
import functools

import numpy as np
import pandas as pd
import xarray as xr

from prunebias_jax import analysis, store
from prunebias_jax.analysis import Interval, mean_interval
from prunebias_jax.analysis import cells as member_cells
from prunebias_jax.analysis.columns import (
  ALL,
  CELL,
  MAIN,
  MEAN,
  PARENT,
  POPULATION,
  PURPOSES,
  RULES,
)
from prunebias_jax.analysis.flags import BiasFlag
from prunebias_jax.report.keys import Cell, Index, Population, Row, is_whole
from prunebias_jax.report.means import Shared, shared_means
from prunebias_jax.report.vocabulary import group_name

LEVEL = 0.95
# The tables that the report is made of.
SHOWN = (
  "attributes",
  "classes",
  "bias_amplification",
  "groups",
  "variance",
  "contrasts",
)


@dataclasses.dataclass(frozen=True)
class Source:
  """A run, its analysis, and look-ups in both.

  Attributes:
    run: the run.
    analysis: its numbers, as `prunebias analyze` wrote them, of the last
      parameters on the test split.
    others: the members' numbers in other evaluations, by checkpoint and split.
  """

  run: store.Run
  analysis: analysis.Analysis
  others: Mapping[tuple[str, str], xr.Dataset] = dataclasses.field(
    default_factory=dict
  )

  @functools.cached_property
  def members(self) -> pd.DataFrame:
    """All members of the run, finished or not."""
    return self.run.members()

  @functools.cached_property
  def populations(self) -> tuple[Population, ...]:
    """The analysed populations: dense first, then by sparsity."""
    found = [Population(*key) for key in self._places]
    return tuple(
      sorted(found, key=lambda one: (one.sparsity, one != self.dense_of(one)))
    )

  @property
  def dense(self) -> Population | None:
    """The population that the sparsest one is compared with."""
    return self.dense_of(self.sparsest)

  def dense_of(self, population: Population | None) -> Population | None:
    """The population that one is compared with; itself where it is dense."""
    return self._baselines[population]

  @property
  def compressed(self) -> tuple[Population, ...]:
    """The populations that are not dense."""
    return tuple(one for one in self.populations if one != self.dense_of(one))

  @property
  def sparsest(self) -> Population | None:
    """The first population at the highest sparsity, unquantized if any is."""
    return max(
      self.compressed,
      key=lambda one: (one.sparsity, one.quantization == "none"),
      default=None,
    )

  @property
  def most_seeds(self) -> int:
    """The number of seeds in the largest population."""
    return max(map(len, self._places.values()))

  @property
  def output(self) -> str:
    """The word for an output: "attribute" or "class"."""
    return store.output_dimension(self.run.task)

  @property
  def outputs(self) -> tuple[str, ...]:
    """The attributes or classes."""
    return tuple(map(str, self.analysis.arrays[self.output].to_numpy()))

  @property
  def pairs(self) -> tuple[tuple[str, str], ...]:
    """Identity and value of the groups of bias amplification."""
    arrays = self.analysis.arrays
    columns = (arrays["pair_identity"], arrays["pair_value"])
    return tuple(
      zip(*(map(str, one.to_numpy()) for one in columns), strict=True)
    )

  @property
  def groups(self) -> tuple[tuple[str, str], ...]:
    """Identity and value of every group; ("", "") is everyone."""
    arrays = self.analysis.arrays
    columns = (arrays["group_identity"], arrays["group_value"])
    return tuple(
      zip(*(map(str, one.to_numpy()) for one in columns), strict=True)
    )

  def few(self, *populations: Population | None) -> np.ndarray:
    """Bias amplifications that rest on little: bool [output, pair].

    In some member of these populations there are fewer than 10 positives in a
    group, or fewer than 10 predicted positives in all.
    """
    flags = self.analysis.arrays["bias_amplification_flags"].to_numpy()[:, 0]
    places = [self._places[one] for one in populations if one is not None]
    bits = BiasFlag.LOW_N | BiasFlag.FEW_PREDICTED
    return np.any(flags[np.concatenate(places)] & bits, axis=0)

  def group_name(self, identity: str, value: str) -> str:
    """A group as a reader names it."""
    return group_name(identity, value, valued=self._valued)

  def counts(
    self, identity: str, value: str, population: Population | None = None
  ) -> tuple[range, range]:
    """Positives and negatives of a group: smallest and largest over outputs.

    Over the outputs that the false negative and the false positive rate are
    averaged over: in all members, or in those of `sides`.

    Returns:
      Two ranges from the smallest to the largest, both included; empty where
      no output is averaged.
    """
    arrays = self.analysis.arrays
    group = self.groups.index((identity, value))
    found = []
    for name, metric in (
      ("n_positive", "false_negative_rate"),
      ("n_negative", "false_positive_rate"),
    ):
      block = self._block[metric, identity, value]
      used = self._averaged[population][block]
      counts = arrays[name].to_numpy()[used, group]
      found.append(
        range(counts.min(), counts.max() + 1) if counts.size else range(0)
      )
    return found[0], found[1]

  @property
  def calibrated(self) -> bool:
    """Whether there are numbers under calibrated thresholds."""
    return self.analysis.arrays.sizes["threshold_rule"] > 1

  @property
  def level(self) -> float:
    """Coverage of the intervals."""
    return float(self.analysis.arrays.attrs.get("level", LEVEL))

  @functools.cached_property
  def is_complete(self) -> bool:
    """No number of what the report shows is missing that could be there.

    An attribute against itself has none, nor have columns that are defined
    for single classes where a row is about all of them.
    """
    tables = self.analysis.tables
    return all(is_whole(tables[name]) for name in SHOWN if name in tables)

  def overall(self, metric: str, **more: str) -> Cell:
    """A metric in one number: of the whole, or the mean over the outputs."""
    whole = Cell(metric, ALL, **more)
    return whole if whole.key in self._column else Cell(metric, MEAN, **more)

  def used(self, cell: Cell) -> int:
    """How many outputs `seeds` averages over; -1 where it is no mean."""
    column = self._column.get(cell.key)
    return -1 if column is None else int(self._shared.used[column])

  def seeds(self, cell: Cell) -> pd.DataFrame:
    """Each member's number: pruner, sparsity, quantization, seed, value.

    A mean over the outputs goes over those that have a value in every member
    of the run, so that all of them can be compared; see `means.shared_means`
    for where there is none.
    """
    column = self._column.get(cell.key)
    parts = []
    for population in self.populations:
      places = self._places[population]
      values = np.full(len(places), np.nan)
      if column is not None:
        values = self._shared.values[places, column]
      part = pd.DataFrame({"seed": self._seed[places], "value": values})
      part = part.assign(**population._asdict())
      parts.append(part[[*POPULATION, "seed", "value"]])
    return pd.concat(parts, ignore_index=True)

  def means(self, cell: Cell) -> Mapping[Population, Interval]:
    """Means of `seeds` with their t interval, [1] each, where there are any."""
    column = self._column.get(cell.key)
    found: dict[Population, Interval] = {}
    for population in self.populations if column is not None else ():
      values = self._shared.values[self._places[population], column]
      if np.isfinite(values).any():
        found[population] = self.mean_of(values)
    return found

  def mean_of(self, values: np.ndarray) -> Interval:
    """Mean of the members that have a value, with its t interval, [1] each.

    Without interval where members share seeds of a purpose: they are not
    independent.
    """
    mean = mean_interval(values[np.isfinite(values), None], level=self.level)
    if self.crossed:
      none = np.full(1, np.nan)
      return Interval(estimate=mean.estimate, low=none, high=none)
    return mean

  @property
  def crossed(self) -> bool:
    """Whether members share the seeds of a purpose."""
    return any(name in self.analysis.arrays.coords for name in PURPOSES)

  def sides(self, cell: Cell, population: Population) -> tuple[float, float]:
    """Means of dense and of a population over what their difference rests on.

    These are the pairs in which both have a value and, where it is a mean
    over the outputs, the outputs of the row in the table "contrasts".
    """
    dense, here = self.paired(cell, population)
    if not dense.size:
      return np.nan, np.nan
    return float(dense.mean()), float(here.mean())

  def paired(self, cell: Cell, population: Population) -> np.ndarray:
    """The numbers of `sides`: float64 [2, pair], dense and the population.

    Only pairs in which both have a value; none where there is no such pair.
    """
    column = self._column.get(cell.key)
    pairs = self.pairs_with(population)
    if column is None or not pairs:
      return np.zeros((2, 0))
    values = self._paired[population][:, column].reshape(2, pairs)
    return values[::-1, np.isfinite(values).all(axis=0)]

  def apart(
    self, cell: Cell, population: Population
  ) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of dense and of a population that need not pair: float64 [seed].

    Those that have a value; a mean over the outputs goes over the outputs of
    the row in the table "contrasts" of an unpaired population.
    """
    dense, column = self.dense_of(population), self._column.get(cell.key)
    if dense is None or column is None:
      return np.zeros(0), np.zeros(0)
    values = self._apart[population][:, column]
    sides = np.split(values, [self.size(population)])
    here, there = (side[np.isfinite(side)] for side in sides)
    return there, here

  def pairs_with(self, population: Population) -> int:
    """The number of pairs that a population makes with dense."""
    return len(self._pair_places[population]) // 2

  @functools.cached_property
  def pairs_by_seed(self) -> bool:
    """Whether members of equal seed pair: not so in some imported runs."""
    arrays = self.analysis.arrays
    return bool((arrays[PARENT] == arrays["seed"]).all())

  def size(self, population: Population) -> int:
    """The number of members of a population."""
    return len(self._places[population])

  def summary(self, cell: Cell) -> Mapping[Population, Row]:
    """Rows of the table "variance" by population."""
    return self._indexed["variance"].rows(cell)

  def contrast(self, cell: Cell) -> Mapping[Population, Row]:
    """Rows of the table "contrasts" by population, of those that pair."""
    rows = self.difference(cell)
    return {key: row for key, row in rows.items() if self.pairs_with(key)}

  def difference(self, cell: Cell) -> Mapping[Population, Row]:
    """Rows of the table "contrasts" by population, unpaired ones too."""
    return self._indexed["contrasts"].rows(cell)

  def table(self, name: str) -> pd.DataFrame:
    """A table of the analysis by its name in `analysis.TABLES`."""
    return self.analysis.tables[name]

  @functools.cached_property
  def _indexed(self) -> dict[str, "Index"]:
    return {
      name: Index(self.analysis.tables[name])
      for name in ("variance", "contrasts")
    }

  @functools.cached_property
  def _cells(self) -> member_cells.Cells:
    return member_cells.make_cells(self.analysis.arrays)

  @functools.cached_property
  def _column(self) -> dict[tuple[str, ...], int]:
    keys = self._cells.key[list(CELL)].itertuples(index=False, name=None)
    return {key: place for place, key in enumerate(keys)}

  @functools.cached_property
  def _places(self) -> dict[Population, np.ndarray]:
    members = member_cells.members_of(self.analysis.arrays)
    found = member_cells.populations(members)
    return {Population(*key): places for key, places in found.items()}

  @functools.cached_property
  def _seed(self) -> np.ndarray:
    return self.analysis.arrays["seed"].to_numpy()

  @functools.cached_property
  def _baselines(self) -> dict[Population | None, Population | None]:
    members = member_cells.members_of(self.analysis.arrays)
    found = {
      key: member_cells.baseline(members, key) for key in (*self._places, None)
    }
    return {
      key: None if dense is None else Population(*dense)
      for key, dense in found.items()
    }

  @functools.cached_property
  def _shared(self) -> Shared:
    return shared_means(self._cells)

  @functools.cached_property
  def _pair_places(self) -> dict[Population, np.ndarray]:
    """Members of a population, then the dense ones that they pair with."""
    members = member_cells.members_of(self.analysis.arrays)
    found = {}
    for population, places in self._places.items():
      dense = self.dense_of(population)
      found[population] = np.zeros(0, int)
      if dense is not None and dense != population:
        both = member_cells.paired(members, places, self._places[dense])
        found[population] = np.concatenate(both)
    return found

  @functools.cached_property
  def _paired(self) -> dict[Population, np.ndarray]:
    return {
      population: self._cells.flat(places)[0]
      for population, places in self._pair_places.items()
      if places.size
    }

  @functools.cached_property
  def _apart(self) -> dict[Population, np.ndarray]:
    """Cells of each population's members, then of its dense ones."""
    found = {}
    for population in self.compressed:
      dense = self.dense_of(population)
      if dense is not None:
        both = [self._places[population], self._places[dense]]
        found[population] = self._cells.flat(np.concatenate(both))[0]
    return found

  @functools.cached_property
  def _averaged(self) -> dict[Population | None, np.ndarray]:
    """`Cells.averaged` of the pairs of each population; None: of everyone."""
    found: dict[Population | None, np.ndarray] = {
      population: self._cells.averaged(places)
      for population, places in self._pair_places.items()
    }
    return found | {None: self._shared.averaged}

  @functools.cached_property
  def _block(self) -> dict[tuple[str, str, str], int]:
    """Places of the blocks under the default rule."""
    columns = ("threshold_rule", "metric", "identity", "value")
    rows = zip(*(self._cells.blocks[name] for name in columns), strict=True)
    return {
      (metric, identity, value): place
      for place, (rule, metric, identity, value) in enumerate(rows)
      if rule == RULES[0]
    }

  @functools.cached_property
  def _valued(self) -> frozenset[str]:
    """The identities that have values other than 0 and 1."""
    return frozenset(
      identity
      for identity, value in self.groups
      if "*" not in identity and value not in ("", "0", "1")
    )


def open_source(run: store.Run) -> Source:
  """Reads the analysis of a run.

  Raises:
    InputError: the run has not been analysed, or its analysis cannot be read.
  """
  found = run.analysis()
  return Source(run, found.at(*MAIN), found.others)
