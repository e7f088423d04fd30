"""The numbers of a run by name: one place where the report looks them up."""

from collections.abc import Mapping
import dataclasses
import functools
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from prunebias_jax import analysis, store
from prunebias_jax.analysis import cells as member_cells
from prunebias_jax.analysis.columns import (
  ALL,
  CELL,
  CHECKPOINT,
  MEAN,
  POPULATION,
  SPLIT,
)
from prunebias_jax.errors import InputError
from prunebias_jax.report.vocabulary import percent

Row = Mapping[str, Any]

ANALYSIS = "analysis"
LEVEL = 0.95


class Population(NamedTuple):
  """Members that differ by seed only."""

  pruner: str
  sparsity: float
  quantization: str

  @property
  def series(self) -> tuple[str, str]:
    """What the populations along one line of a figure share."""
    return self.pruner, self.quantization

  @property
  def label(self) -> str:
    """As a reader names it: "dense", "95 % (gmp)"."""
    middle = "" if self.quantization == "none" else f", {self.quantization}"
    if self.sparsity == 0 and self.pruner == "dense":
      return f"dense{middle}"
    return f"{percent(self.sparsity)} % ({self.pruner}{middle})"


class Cell(NamedTuple):
  """One number of every member: a metric of an attribute and a group."""

  metric: str
  attribute: str = MEAN
  identity: str = ""
  value: str = ""
  rule: str = "default"

  @property
  def key(self) -> tuple[str, ...]:
    """The cell in the order of the tables' columns."""
    row = {
      "threshold_rule": self.rule,
      "metric": self.metric,
      "attribute": self.attribute,
      "identity": self.identity,
      "value": self.value,
    }
    return tuple(row[name] for name in CELL)


@dataclasses.dataclass(frozen=True)
class Source:
  """A run, its analysis, and look-ups in both.

  Attributes:
    run: the run.
    analysis: its numbers, as `prunebias analyze` wrote them.
  """

  run: store.Run
  analysis: analysis.Analysis

  @functools.cached_property
  def members(self) -> pd.DataFrame:
    """All members of the run, finished or not."""
    return self.run.members()

  @functools.cached_property
  def populations(self) -> tuple[Population, ...]:
    """The analysed populations: dense first, then by sparsity."""
    found = [Population(*key) for key in self._places]
    return tuple(
      sorted(found, key=lambda one: (one.sparsity, one != self.dense))
    )

  @functools.cached_property
  def dense(self) -> Population | None:
    """The population that the others are compared with."""
    found = member_cells.baseline(member_cells.members_of(self.analysis.arrays))
    return None if found is None else Population(*found)

  @property
  def compressed(self) -> tuple[Population, ...]:
    """The populations that are not the dense one."""
    return tuple(one for one in self.populations if one != self.dense)

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

  @functools.cached_property
  def few_positives(self) -> frozenset[tuple[str, str, str]]:
    """(attribute, identity, value) with the flag low_n."""
    table = self.table("bias_amplification")
    columns = (table[name] for name in ("attribute", "identity", "value"))
    keys = zip(*columns, table["flags"], strict=True)
    return frozenset(
      (output, identity, value)
      for output, identity, value, flags in keys
      if "low_n" in flags.split()
    )

  @property
  def calibrated(self) -> bool:
    """Whether there are numbers under calibrated thresholds."""
    return self.analysis.arrays.sizes["threshold_rule"] > 1

  @property
  def level(self) -> float:
    """Coverage of the intervals."""
    return float(self.analysis.arrays.attrs.get("level", LEVEL))

  def overall(self, metric: str, **more: str) -> Cell:
    """A metric in one number: of the whole, or the mean over the outputs."""
    whole = Cell(metric, ALL, **more)
    return whole if whole.key in self._column else Cell(metric, MEAN, **more)

  def seeds(self, cell: Cell) -> pd.DataFrame:
    """Each member's number: pruner, sparsity, quantization, seed, value."""
    column = self._column.get(cell.key)
    parts = []
    for population in self.populations:
      places = self._places[population]
      values = np.full(len(places), np.nan)
      if column is not None:
        values = self._flat[population][:, column]
      part = pd.DataFrame({"seed": self._seed[places], "value": values})
      part = part.assign(**population._asdict())
      parts.append(part[[*POPULATION, "seed", "value"]])
    return pd.concat(parts, ignore_index=True)

  def summary(self, cell: Cell) -> Mapping[Population, Row]:
    """Rows of the table "variance" by population."""
    return self._indexed["variance"].rows(cell)

  def contrast(self, cell: Cell) -> Mapping[Population, Row]:
    """Rows of the table "contrasts" by population."""
    return self._indexed["contrasts"].rows(cell)

  def table(self, name: str) -> pd.DataFrame:
    """A table of the analysis by its name in `analysis.TABLES`."""
    return self.analysis.tables[name]

  @functools.cached_property
  def _indexed(self) -> dict[str, "_Index"]:
    return {
      name: _Index(self.analysis.tables[name])
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
  def _flat(self) -> dict[Population, np.ndarray]:
    return {
      key: self._cells.flat(places)[0] for key, places in self._places.items()
    }


def open_source(run: store.Run) -> Source:
  """Reads the analysis of a run.

  Raises:
    InputError: the run has not been analysed, or its analysis cannot be read.
  """
  directory = run.path / ANALYSIS
  if not directory.is_dir():
    raise InputError(
      f"{run.path} has not been analysed; run `prunebias analyze {run.path}` "
      "first"
    )
  return Source(run, analysis.read(directory))


class _Index:
  """The rows of a table over seeds, by cell."""

  def __init__(self, table: pd.DataFrame) -> None:
    here = (table["checkpoint"] == CHECKPOINT) & (table["split"] == SPLIT)
    table = table[here]
    # Thousands of look-ups: lists are a hundred times faster than a frame.
    self._columns = {str(name): table[name].tolist() for name in table}
    cells = zip(*(self._columns[name] for name in CELL), strict=True)
    self._places: dict[tuple[str, ...], list[int]] = {}
    for place, key in enumerate(cells):
      self._places.setdefault(key, []).append(place)

  def rows(self, cell: Cell) -> dict[Population, Row]:
    """The rows of a cell by population."""
    found: dict[Population, Row] = {}
    for place in self._places.get(cell.key, []):
      row = {name: values[place] for name, values in self._columns.items()}
      found[Population(*(row[name] for name in POPULATION))] = row
    return found
