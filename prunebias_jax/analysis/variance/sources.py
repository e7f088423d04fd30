"""The table "sources": where the variance over seeds comes from.

For crossed designs, whose members share the seeds of some purposes:
initialisation, order of the examples, augmentation.
"""

import numpy as np
import pandas as pd
import xarray as xr

from prunebias_jax.analysis.cells import (
  Cells,
  Population,
  crossed_factors,
  make_cells,
)
from prunebias_jax.analysis.columns import EVERYONE, PURPOSES, TABLES
from prunebias_jax.analysis.evidence import Evidence
from prunebias_jax.analysis.flags import join_reasons
from prunebias_jax.analysis.inference import components
from prunebias_jax.analysis.variance.power import summarised
from prunebias_jax.analysis.variance.rows import averaged_reasons, part

NOT_BALANCED = (
  "not available: not one member for each combination of the seeds, or more "
  "than three purposes' worth of them"
)
RESIDUAL = "the highest interaction is the residual, device noise in it"
SOME_MISSING = "not available: some members have no value"


def sources_table(evidence: Evidence, arrays: xr.Dataset) -> pd.DataFrame:
  """The table "sources" of one evaluation; empty without a crossed design.

  Args:
    evidence: the evaluation.
    arrays: what was measured of its members.
  """
  cells = make_cells(arrays)
  parts = [
    one
    for population, places in evidence.populations().items()
    if crossed_factors(evidence.members.iloc[places])
    for one in _rows(evidence, arrays, cells, population, places)
  ]
  if not parts:
    return pd.DataFrame(columns=list(TABLES["sources"]))
  return pd.concat(parts, ignore_index=True)


def factors_of(members: pd.DataFrame) -> dict[str, np.ndarray]:
  """The factors of a population's design.

  Purposes that change together are one factor ("order+augment"); those that
  stay the same are none.

  Args:
    members: of one population, with the seeds by purpose.

  Returns:
    By name, int [member], the level that each member has.
  """
  found: dict[bytes, tuple[list[str], np.ndarray]] = {}
  for purpose in PURPOSES:
    if purpose in members:
      levels = pd.factorize(members[purpose])[0]
      if levels.max() > 0:
        names, _ = found.setdefault(levels.tobytes(), ([], levels))
        names.append(purpose.removeprefix("seed_"))
  return {"+".join(names): levels for names, levels in found.values()}


def _rows(
  evidence: Evidence,
  arrays: xr.Dataset,
  cells: Cells,
  population: Population,
  places: np.ndarray,
) -> list[pd.DataFrame]:
  """The rows of one population, source by source."""
  values, averaged = cells.flat(places)
  everyone = (cells.key["identity"] == EVERYONE).to_numpy()
  shown = everyone | summarised(cells.key)
  key, values = cells.key[shown], values[:, shown]
  reasons = [
    (mask[shown], text) for mask, text in averaged_reasons(averaged, cells)
  ]
  missing = np.full(len(key), np.nan)

  def rows(
    source: str,
    levels: str,
    df: float,
    mean_square: np.ndarray,
    variance: np.ndarray,
    more: list[tuple[np.ndarray, str]],
  ) -> pd.DataFrame:
    columns = {
      "source": np.full(len(key), source, object),
      "n_levels": np.full(len(key), levels, object),
      "df": np.full(len(key), df),
      "mean_square": mean_square,
      "variance": variance,
      "reason": join_reasons(len(key), [*reasons, *more]),
    }
    return part("sources", population, key, arrays, columns)

  factors = factors_of(evidence.members.iloc[places])
  sizes = [int(levels.max()) + 1 for levels in factors.values()]
  design = tuple(factors.values())
  combinations = len(set(zip(*(one.tolist() for one in design), strict=True)))
  if not (
    len(sizes) in (2, 3) and combinations == len(places) == np.prod(sizes)
  ):
    everywhere = np.full(len(key), True)
    return [
      rows("", "", np.nan, missing, missing, [(everywhere, NOT_BALANCED)])
    ]
  finite = np.isfinite(values).all(axis=0)
  grid = np.zeros((*sizes, int(finite.sum())))
  grid[design] = values[:, finite]
  found = components(grid, list(factors))
  parts = []
  for place, source in enumerate(found.sources):
    square, variance = missing.copy(), missing.copy()
    square[finite] = found.mean_squares[place]
    variance[finite] = found.variance[place]
    more = [(~finite & (averaged[shown] != 0), SOME_MISSING)]
    if found.reasons[place]:
      more.append((finite, "not available: " + found.reasons[place]))
    if place == len(found.sources) - 1:
      more.append((finite, RESIDUAL))
    levels = "*".join(
      str(sizes[i])
      for i, name in enumerate(factors)
      if name in source.split("*")
    )
    parts.append(
      rows(source, levels, float(found.df[place]), square, variance, more)
    )
  return parts
