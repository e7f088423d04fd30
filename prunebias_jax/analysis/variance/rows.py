"""Rows over seeds: which seeds have a value, and what is said of the others."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
import xarray as xr

from prunebias_jax.analysis.cells import Cells, Population
from prunebias_jax.analysis.columns import ALL, CELL, EVERYONE, MEAN, POPULATION
from prunebias_jax.analysis.inference import benjamini_hochberg
from prunebias_jax.analysis.tables import frame

Numbers = dict[str, np.ndarray]

CROSSED_DESIGN = (
  "members share seeds by purpose and are not independent: no intervals and "
  "tests, see sources.csv"
)


def by_availability(
  finite: np.ndarray,
  names: Sequence[str],
  summarise: Callable[[np.ndarray, np.ndarray], Mapping[str, np.ndarray]],
) -> tuple[np.ndarray, Numbers]:
  """Summarises cells together that have values in the same seeds.

  Args:
    finite: bool [seed, cell], the seed has a value.
    names: the names of what `summarise` returns.
    summarise: from seeds, int [seed], and cells, int [chosen], to numbers
      float64 [chosen].

  Returns:
    The number of seeds that have a value, int [cell], and the numbers, float64
    [cell]: NaN where no seed has one.
  """
  cells = finite.shape[1]
  numbers = {name: np.full(cells, np.nan) for name in names}
  patterns, which = np.unique(finite, axis=1, return_inverse=True)
  for index, pattern in enumerate(patterns.T):
    if not pattern.any():
      continue
    chosen = np.flatnonzero(which.ravel() == index)
    for name, values in summarise(np.flatnonzero(pattern), chosen).items():
      numbers[name][chosen] = values
  return finite.sum(axis=0), numbers


def missing_reasons(
  count: np.ndarray, total: int, what: str, averaged: np.ndarray
) -> list[tuple[np.ndarray, str]]:
  """Reasons where some seeds or pairs have no finite value."""
  return [
    # A mean has a value in all of them or in none; see `Cells.averaged`.
    (
      (count == found) & (averaged < 0),
      f"{found} of {total} {what} have a value",
    )
    for found in range(total)
  ]


def averaged_reasons(
  averaged: np.ndarray, cells: Cells
) -> list[tuple[np.ndarray, str]]:
  """Reasons where a mean over the outputs leaves some out, or all."""
  total = len(cells.names)
  plural = "attributes" if cells.output == "attribute" else "classes"
  grouped = (cells.key["identity"] != EVERYONE).to_numpy()
  nothing = f"no {cells.output} has a value in every seed"
  return [
    ((averaged == 0) & ~grouped, nothing),
    ((averaged == 0) & grouped, f"{nothing} and group"),
    *(
      (averaged == used, f"mean over {used} of {total} {plural}")
      for used in np.unique(averaged[averaged > 0]).tolist()
      if used < total
    ),
  ]


def part(
  name: str,
  population: Population,
  key: pd.DataFrame,
  arrays: xr.Dataset,
  columns: Mapping[str, np.ndarray],
) -> pd.DataFrame:
  """The rows of one population, with its key and the cells'."""
  fixed = {
    column: np.full(len(key), value, object if type(value) is str else None)
    for column, value in zip(POPULATION, population, strict=True)
  }
  cells = {column: key[column].to_numpy() for column in CELL}
  return frame(name, {**fixed, **cells, **columns}, arrays)


def adjusted(key: pd.DataFrame, p: np.ndarray) -> np.ndarray:
  """Benjamini and Hochberg's p within one rule and metric.

  Single attributes and groups are one family, the means over attributes (and a
  classifier as a whole) another: these say the same again.
  """
  summary = key["attribute"].isin([MEAN, ALL]).to_numpy()
  result = np.full(len(p), np.nan)
  families = key.groupby(["threshold_rule", "metric", summary], sort=False)
  for places in families.indices.values():
    result[places] = benjamini_hochberg(p[places])
  return result
