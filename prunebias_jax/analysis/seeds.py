"""Tables over seeds: how much every number moves, and against dense.

All of it is this project's: the estimand is the mean over seeds, training and
test set being fixed.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
import xarray as xr

from prunebias_jax.analysis.cells import (
  Cells,
  Population,
  baseline,
  make_cells,
  members_of,
  paired,
  populations,
)
from prunebias_jax.analysis.columns import CELL, EVERYONE, POPULATION, TABLES
from prunebias_jax.analysis.flags import join_reasons
from prunebias_jax.analysis.inference import (
  fewest_pairs,
  mean_interval,
  paired_contrast,
  sd_interval,
)
from prunebias_jax.analysis.tables import frame

INTERVAL = "t for the mean, chi-square for the sd: assumes normal seeds"
ONE_SEED = "not available: one seed"
NO_SEED = "not available: no seed has a value"
NO_SPREAD = "not available: the same in every seed"


def variance_table(arrays: xr.Dataset, *, level: float) -> pd.DataFrame:
  """The table "variance": mean and sd over seeds with intervals at `level`."""
  cells = make_cells(arrays)
  key = cells.key
  parts = []
  for population, places in populations(members_of(arrays)).items():
    values, averaged = cells.flat(places)

    def summarise(complete: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
      mean = mean_interval(complete[0], level=level)
      sd = sd_interval(complete[0], level=level)
      return {
        "mean": mean.estimate,
        "mean_low": mean.low,
        "mean_high": mean.high,
        "sd": sd.estimate,
        "sd_low": sd.low,
        "sd_high": sd.high,
      }

    names = ("mean", "mean_low", "mean_high", "sd", "sd_low", "sd_high")
    seeds, numbers = _by_availability([values], names, summarise)
    interval = np.full(len(key), INTERVAL, object)
    interval[numbers["sd"] == 0] = NO_SPREAD
    interval[seeds == 1] = ONE_SEED
    interval[seeds == 0] = NO_SEED
    reason = join_reasons(
      len(key),
      [
        *_missing(seeds, len(places), "seeds", averaged),
        (numbers["sd"] == 0, "the same in every seed: no interval"),
        *_averaged(averaged, cells),
      ],
    )
    parts.append(
      _part(
        "variance",
        population,
        key,
        arrays,
        {"n_seeds": seeds, **numbers, "interval": interval, "reason": reason},
      )
    )
  return pd.concat(parts, ignore_index=True)


def contrasts_table(arrays: xr.Dataset, *, level: float) -> pd.DataFrame:
  """The table "contrasts": every population against dense, paired by seed.

  Empty where there is no dense population, or none that shares a seed.
  """
  members = members_of(arrays)
  all_places = populations(members)
  cells = make_cells(arrays)
  key = cells.key
  parts = []
  for population, places in all_places.items():
    dense = baseline(members, population)
    if dense is None or population == dense:
      continue
    first, second = paired(members, places, all_places[dense])
    if not first.size:
      continue
    values, averaged = cells.flat(np.concatenate([first, second]))
    both = [values[: len(first)], values[len(first) :]]
    pairs, numbers = _by_availability(
      both, _CONTRAST, lambda complete: _contrast(complete, level)
    )
    nonzero = numbers.pop("nonzero")
    reason = join_reasons(
      len(key),
      [
        *_missing(pairs, len(first), "pairs", averaged),
        *_unavailable(pairs, nonzero, numbers),
        *_averaged(averaged, cells),
      ],
    )
    parts.append(
      _part(
        "contrasts",
        population,
        key,
        arrays,
        {"n_seeds": pairs, **numbers, "reason": reason},
      )
    )
  if not parts:
    return pd.DataFrame(columns=list(TABLES["contrasts"]))
  return pd.concat(parts, ignore_index=True)


_CONTRAST = (
  "difference",
  "low",
  "high",
  "sd_difference",
  "t_p",
  "signflip_p",
  "wilcoxon_p",
  "correlation",
  "nonzero",  # not a column: for the reasons
)


def _contrast(
  complete: Sequence[np.ndarray], level: float
) -> dict[str, np.ndarray]:
  """`paired_contrast` by the names of the table's columns."""
  result = paired_contrast(complete[0], complete[1], level=level)
  return {
    "difference": result.difference.estimate,
    "low": result.difference.low,
    "high": result.difference.high,
    "sd_difference": result.sd,
    "t_p": result.t_p,
    "signflip_p": result.signflip_p,
    "wilcoxon_p": result.wilcoxon_p,
    "correlation": result.correlation,
    "nonzero": result.nonzero,
  }


def _by_availability(
  samples: Sequence[np.ndarray],
  names: Sequence[str],
  summarise: Callable[[Sequence[np.ndarray]], Mapping[str, np.ndarray]],
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
  """Summarises cells together that have values in the same seeds.

  Args:
    samples: arrays [seed, cell]; a seed counts where all are finite.
    names: the names of what `summarise` returns.
    summarise: from complete samples [seed, cell] to numbers [cell].

  Returns:
    The number of seeds that count, int [cell], and the numbers, float64
    [cell]: NaN where no seed counts.
  """
  finite = np.logical_and.reduce([np.isfinite(sample) for sample in samples])
  cells = finite.shape[1]
  numbers = {name: np.full(cells, np.nan) for name in names}
  patterns, which = np.unique(finite, axis=1, return_inverse=True)
  for index, pattern in enumerate(patterns.T):
    if not pattern.any():
      continue
    chosen = np.flatnonzero(which.ravel() == index)
    seeds = np.flatnonzero(pattern)
    complete = [sample[np.ix_(seeds, chosen)] for sample in samples]
    for name, values in summarise(complete).items():
      numbers[name][chosen] = values
  return finite.sum(axis=0), numbers


def _missing(
  count: np.ndarray, total: int, what: str, averaged: np.ndarray
) -> list[tuple[np.ndarray, str]]:
  """Reasons where some seeds or pairs have no finite value."""
  return [
    # A mean has a value in all of them or in none; see `_averaged`.
    (
      (count == found) & (averaged < 0),
      f"{found} of {total} {what} have a value",
    )
    for found in range(total)
  ]


def _averaged(
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


def _unavailable(
  pairs: np.ndarray, nonzero: np.ndarray, numbers: Mapping[str, np.ndarray]
) -> list[tuple[np.ndarray, str]]:
  """Reasons for the parts of a contrast that are NaN."""
  fewest = fewest_pairs()
  no_spread = numbers["sd_difference"] == 0
  return [
    (pairs == 1, "interval and t not available: one pair"),
    (
      no_spread,
      "interval and t not available: the same difference in every seed",
    ),
    *(
      (
        (pairs > 0) & (nonzero == found),
        "sign-flip and Wilcoxon not available: "
        f"needs {fewest} non-zero differences, has {found}",
      )
      for found in range(fewest)
    ),
    (
      (pairs > 0) & (pairs < 3),
      "correlation not available: needs K >= 3",
    ),
    (
      (pairs >= 3) & np.isnan(numbers["correlation"]),
      "correlation not available: one side is the same in every seed",
    ),
  ]


def _part(
  name: str,
  population: Population,
  key: pd.DataFrame,
  arrays: xr.Dataset,
  columns: Mapping[str, np.ndarray],
) -> pd.DataFrame:
  """The rows of one population."""
  fixed = {
    column: np.full(len(key), value, object if type(value) is str else None)
    for column, value in zip(POPULATION, population, strict=True)
  }
  cells = {column: key[column].to_numpy() for column in CELL}
  return frame(name, {**fixed, **cells, **columns}, arrays)
