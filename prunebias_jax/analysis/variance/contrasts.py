"""The table "contrasts": every population against dense.

Paired by seed wherever members pair; what is done where they do not, or where
several share a dense parent, is this project's and stands in `reason`.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import xarray as xr

from prunebias_jax.analysis.cells import (
  CROSSED_DESIGN,
  Cells,
  crossed_factors,
  make_cells,
)
from prunebias_jax.analysis.columns import CONTRAST_NUMBERS, TABLES
from prunebias_jax.analysis.evidence import Evidence
from prunebias_jax.analysis.flags import join_reasons
from prunebias_jax.analysis.inference import (
  MARK,
  brown_forsythe,
  fewest_pairs,
  paired_contrast,
  pitman_morgan,
  unlike_normal,
  welch,
)
from prunebias_jax.analysis.parents import by_parent, note_of
from prunebias_jax.analysis.rates import divide
from prunebias_jax.analysis.variance.rows import (
  Numbers,
  adjusted,
  averaged_reasons,
  by_availability,
  missing_reasons,
  part,
)

UNPAIRED = (
  "unpaired: t_p is Welch's, pitman_morgan_p is Brown and Forsythe's, n_seeds "
  "of the smaller side"
)
_HIDDEN = ("nonzero", "unlike")  # no columns: for the reasons
# What a design without independent members leaves.
_DESCRIPTIVE = ("difference", "sd_difference", "variance_ratio")


def contrasts_table(evidence: Evidence, arrays: xr.Dataset) -> pd.DataFrame:
  """The table "contrasts" of one evaluation.

  Empty where there is no dense population to compare with.
  """
  cells = make_cells(arrays)
  found = evidence.populations()
  parts = []
  for population, (dense, pairs) in evidence.compared().items():
    if len(pairs):
      part_of = _paired(evidence, cells, pairs)
    else:
      part_of = _unpaired(evidence, cells, found[population], found[dense])
    columns = _without_inference(evidence, found[population], part_of)
    columns["p_adjusted"] = adjusted(cells.key, columns["t_p"])
    parts.append(part("contrasts", population, cells.key, arrays, columns))
  if not parts:
    return pd.DataFrame(columns=list(TABLES["contrasts"]))
  return pd.concat(parts, ignore_index=True)


def _paired(
  evidence: Evidence,
  cells: Cells,
  pairs: np.ndarray,
) -> dict[str, np.ndarray]:
  """The columns of a population that pairs with dense members."""
  level = evidence.options.level
  values, averaged = cells.flat(pairs.T.ravel())
  both = np.stack(np.split(values, 2))
  note = note_of(pairs)
  both = np.stack([by_parent(one, pairs) for one in both])
  units = both.shape[1]

  def summarise(seeds: np.ndarray, chosen: np.ndarray) -> Numbers:
    compressed, dense = both[:, seeds][:, :, chosen]
    return _contrast(compressed, dense, level, own_dense=not note)

  seeds, numbers = by_availability(
    np.isfinite(both).all(axis=0), (*CONTRAST_NUMBERS, *_HIDDEN), summarise
  )
  nonzero, unlike = (numbers.pop(name) for name in _HIDDEN)
  reason = join_reasons(
    len(cells.key),
    [
      *missing_reasons(seeds, units, "pairs", averaged),
      (np.full(len(cells.key), bool(note)), note),
      *_unavailable(seeds, nonzero, numbers, own_dense=not note),
      (unlike > 0, MARK),
      *averaged_reasons(averaged, cells),
    ],
  )
  return {"n_seeds": seeds, **numbers, "reason": reason}


def _contrast(
  compressed: np.ndarray, dense: np.ndarray, level: float, *, own_dense: bool
) -> Numbers:
  """Contrast and variance ratio by the names of the table's columns."""
  result = paired_contrast(compressed, dense, level=level)
  missing = np.full(compressed.shape[1], np.nan)
  numbers = {
    "difference": result.difference.estimate,
    "low": result.difference.low,
    "high": result.difference.high,
    "sd_difference": result.sd,
    "t_p": result.t_p,
    "signflip_p": result.signflip_p,
    "wilcoxon_p": result.wilcoxon_p,
    "correlation": result.correlation,
    "nonzero": result.nonzero,
    "unlike": unlike_normal(compressed - dense).astype(np.float64),
  }
  names = ("variance_ratio", "ratio_low", "ratio_high", "pitman_morgan_p")
  if not own_dense:
    return {**numbers, **dict.fromkeys(names, missing), "correlation": missing}
  ratio = pitman_morgan(compressed, dense, level=level)
  of_ratio = (ratio.ratio, ratio.low, ratio.high, ratio.p)
  return {**numbers, **dict(zip(names, of_ratio, strict=True))}


def _unpaired(
  evidence: Evidence,
  cells: Cells,
  compressed: np.ndarray,
  dense: np.ndarray,
) -> dict[str, np.ndarray]:
  """The columns of a population whose seeds have nothing to do with dense."""
  level = evidence.options.level
  values, averaged = cells.flat(np.concatenate([compressed, dense]))
  count = len(compressed)
  finite = np.isfinite(values)
  first, second = finite[:count].sum(axis=0), finite[count:].sum(axis=0)

  def summarise(seeds: np.ndarray, chosen: np.ndarray) -> Numbers:
    rows = [seeds[seeds < count], seeds[seeds >= count]]
    missing = np.full(len(chosen), np.nan)
    numbers = dict.fromkeys((*CONTRAST_NUMBERS, "unlike"), missing)
    if not (len(rows[0]) and len(rows[1])):
      return numbers
    one, other = (values[np.ix_(side, chosen)] for side in rows)
    result = welch(one, other, level=level)
    numbers |= {
      "difference": result.difference.estimate,
      "low": result.difference.low,
      "high": result.difference.high,
      "t_p": result.p,
      "pitman_morgan_p": brown_forsythe(one, other),
      "unlike": (unlike_normal(one) | unlike_normal(other)).astype(np.float64),
    }
    if min(map(len, rows)) > 1:
      variances = [side.var(axis=0, ddof=1) for side in (one, other)]
      numbers["sd_difference"] = np.sqrt(variances[0] + variances[1])
      numbers["variance_ratio"] = divide(variances[0], variances[1])
    return numbers

  _, numbers = by_availability(finite, (*CONTRAST_NUMBERS, "unlike"), summarise)
  unlike = numbers.pop("unlike")
  seeds = np.minimum(first, second)
  several = seeds > 0
  reason = join_reasons(
    len(cells.key),
    [
      *missing_reasons(seeds, min(count, len(dense)), "seeds", averaged),
      (several, UNPAIRED),
      (
        several & np.isnan(numbers["t_p"]),
        "interval and t not available: needs two seeds on either side and "
        "some spread",
      ),
      (
        several & np.isnan(numbers["pitman_morgan_p"]),
        "spread not tested: needs 10 seeds on either side",
      ),
      (unlike > 0, MARK),
      *averaged_reasons(averaged, cells),
    ],
  )
  return {"n_seeds": seeds, **numbers, "reason": reason}


def _without_inference(
  evidence: Evidence, places: np.ndarray, columns: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
  """Leaves out intervals and tests where members are not independent."""
  if not crossed_factors(evidence.members.iloc[places]):
    return columns
  found = dict(columns)
  for name in CONTRAST_NUMBERS:
    if name not in _DESCRIPTIVE:
      found[name] = np.full(len(columns[name]), np.nan)
  found["reason"] = join_reasons(
    len(columns["reason"]),
    [
      (np.full(len(columns["reason"]), True), CROSSED_DESIGN),
      *(
        (columns["reason"] == text, text)
        for text in np.unique(columns["reason"]).tolist()
        if text
      ),
    ],
  )
  return found


def _unavailable(
  pairs: np.ndarray,
  nonzero: np.ndarray,
  numbers: Mapping[str, np.ndarray],
  *,
  own_dense: bool,
) -> list[tuple[np.ndarray, str]]:
  """Reasons for the parts of a contrast that are NaN."""
  fewest = fewest_pairs()
  no_spread = numbers["sd_difference"] == 0
  found = [
    (pairs == 1, "interval and t not available: one pair"),
    (
      no_spread,
      "interval and t not available: the same difference in every seed",
    ),
    *(
      (
        (pairs > 0) & (nonzero == count),
        "sign-flip and Wilcoxon not available: "
        f"needs {fewest} non-zero differences, has {count}",
      )
      for count in range(fewest)
    ),
  ]
  if not own_dense:
    text = "correlation and variance ratio not available: shared dense members"
    return [*found, (pairs > 0, text)]
  return [
    *found,
    (
      (pairs > 0) & (pairs < 3),
      "correlation and variance ratio not available: needs K >= 3",
    ),
    (
      (pairs >= 3) & np.isnan(numbers["correlation"]),
      "correlation not available: one side is the same in every seed",
    ),
    (
      (pairs >= 3) & np.isnan(numbers["variance_ratio"]),
      "variance ratio not available: dense is the same in every seed",
    ),
    (
      np.isfinite(numbers["variance_ratio"])
      & np.isnan(numbers["pitman_morgan_p"]),
      "variance ratio not tested: the sides are a straight line of each other, "
      "or compressed is the same in every seed",
    ),
  ]
