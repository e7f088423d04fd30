"""The table "trends": does the spread over seeds grow with sparsity?"""

from collections.abc import Iterator

import numpy as np
import pandas as pd
import xarray as xr

from prunebias_jax.analysis.cells import (
  Cells,
  Population,
  crossed_factors,
  make_cells,
)
from prunebias_jax.analysis.columns import CELL, EVERYONE, PARENT, TABLES
from prunebias_jax.analysis.evidence import Evidence
from prunebias_jax.analysis.flags import join_reasons
from prunebias_jax.analysis.inference import fewest_pairs, spread_trend
from prunebias_jax.analysis.tables import frame
from prunebias_jax.analysis.variance.power import summarised
from prunebias_jax.analysis.variance.rows import (
  CROSSED_DESIGN,
  Numbers,
  adjusted,
  averaged_reasons,
  by_availability,
  missing_reasons,
)

# Of two levels Pitman and Morgan's test in "contrasts" says more.
FEWEST_LEVELS = 3
_NUMBERS = ("sd_first", "sd_last", "slope", "p", "nonzero")


def trends_table(evidence: Evidence, arrays: xr.Dataset) -> pd.DataFrame:
  """The table "trends" of one evaluation.

  A row for each pruner and quantization with three levels or more that share
  seeds; single outputs of everyone, and the rows that "power" has too.

  Args:
    evidence: the evaluation.
    arrays: what was measured of its members.
  """
  cells = make_cells(arrays)
  parts = [
    _rows(evidence, arrays, cells, levels, places)
    for levels, places in _families(evidence)
  ]
  if not parts:
    return pd.DataFrame(columns=list(TABLES["trends"]))
  return pd.concat(parts, ignore_index=True)


def _families(
  evidence: Evidence,
) -> Iterator[tuple[list[Population], np.ndarray]]:
  """Populations along sparsity with the seeds that all of them share.

  Yields:
    The populations, dense first, and int [level, seed], places on the member
    axis.
  """
  found = evidence.populations()
  kinds = dict.fromkeys(
    (pruner, quantization) for pruner, _, quantization in found
  )
  for pruner, quantization in kinds:
    levels = sorted(
      (one for one in found if (one[0], one[2]) == (pruner, quantization)),
      key=lambda one: one[1],
    )
    dense = ("dense", 0.0, quantization)
    if pruner != "dense" and dense in found and levels[0][1] > 0:
      levels = [dense, *levels]
    if len(levels) < FEWEST_LEVELS:
      continue
    by_seed = [_by_parent(evidence.members, found[one]) for one in levels]
    shared = [
      seed for seed in by_seed[0] if all(seed in one for one in by_seed)
    ]
    if shared:
      yield levels, np.array([[one[i] for i in shared] for one in by_seed])


def _by_parent(members: pd.DataFrame, places: np.ndarray) -> dict[int, int]:
  """Places by the seed of the dense member, where it is of one member only."""
  parents = members[PARENT].to_numpy()[places]
  values, counts = np.unique(parents, return_counts=True)
  own = set(values[(counts == 1) & (values >= 0)].tolist())
  return {
    parent: place
    for parent, place in zip(parents.tolist(), places.tolist(), strict=True)
    if parent in own
  }


def _rows(
  evidence: Evidence,
  arrays: xr.Dataset,
  cells: Cells,
  levels: list[Population],
  places: np.ndarray,
) -> pd.DataFrame:
  """The rows of one pruner and quantization."""
  flat, averaged = cells.flat(places.ravel())
  everyone = (cells.key["identity"] == EVERYONE).to_numpy()
  shown = everyone | summarised(cells.key)
  key = cells.key[shown]
  values = flat[:, shown].reshape(*places.shape, -1)

  def summarise(seeds: np.ndarray, chosen: np.ndarray) -> Numbers:
    complete = values[:, seeds][:, :, chosen]
    found = spread_trend(complete)
    missing = np.full(len(chosen), np.nan)
    sds = [
      one.std(axis=0, ddof=1) if len(seeds) > 1 else missing
      for one in (complete[0], complete[-1])
    ]
    numbers = (*sds, found.slope, found.p, found.nonzero)
    return dict(zip(_NUMBERS, numbers, strict=True))

  seeds, numbers = by_availability(
    np.isfinite(values).all(axis=0), _NUMBERS, summarise
  )
  crossed = any(crossed_factors(evidence.members.iloc[row]) for row in places)
  if crossed:
    numbers["p"] = np.full(len(key), np.nan)
  nonzero = numbers.pop("nonzero")
  reason = join_reasons(
    len(key),
    [
      (np.full(len(key), crossed), CROSSED_DESIGN),
      *missing_reasons(seeds, places.shape[1], "seeds", averaged[shown]),
      *_too_few(seeds, nonzero),
      *[
        (mask[shown], text) for mask, text in averaged_reasons(averaged, cells)
      ],
    ],
  )
  fixed = {
    "pruner": levels[-1][0],
    "quantization": levels[-1][2],
    "levels": " ".join(f"{one[1]:g}" for one in levels),
  }
  columns = {
    **{name: np.full(len(key), text, object) for name, text in fixed.items()},
    **{name: key[name].to_numpy() for name in CELL},
    "n_seeds": seeds,
    **numbers,
    "p_adjusted": adjusted(key, numbers["p"]),
    "reason": reason,
  }
  return frame("trends", columns, arrays)


def _too_few(
  seeds: np.ndarray, nonzero: np.ndarray
) -> list[tuple[np.ndarray, str]]:
  """Reasons where too few seeds have a trend of their own for the test."""
  fewest = fewest_pairs()
  return [
    (
      (seeds > 0) & (nonzero == count),
      f"trend not tested: needs {fewest} seeds with a slope, has {count}",
    )
    for count in range(fewest)
  ]
