"""The table "power": how many seeds a change needs, and what these seeds show.

For a two-sided paired t test at the level of the intervals, with power .8. The
rows are those of means over attributes and of a classifier as a whole, for
everyone and for the single values of identities: what a study is planned by.
"""

import numpy as np
import pandas as pd
import scipy.stats
import xarray as xr

from prunebias_jax.analysis.cells import crossed_factors
from prunebias_jax.analysis.columns import ALL, CELL, MEAN, POPULATION, TABLES
from prunebias_jax.analysis.evidence import Evidence
from prunebias_jax.analysis.flags import join_reasons
from prunebias_jax.analysis.inference import detectable, seeds_needed
from prunebias_jax.analysis.tables import frame
from prunebias_jax.analysis.variance.rows import CROSSED_DESIGN

DELTAS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05)
POWER = 0.8
# A change this small, in units of its sd, needs some 10^9 seeds.
SMALLEST = 1e-4


def power_table(
  evidence: Evidence, arrays: xr.Dataset, contrasts: pd.DataFrame
) -> pd.DataFrame:
  """The table "power" of one evaluation; empty where nothing pairs.

  Args:
    evidence: the evaluation.
    arrays: what was measured of its members.
    contrasts: its table "contrasts".
  """
  found = evidence.populations()
  parts = []
  for population, (_, pairs) in evidence.compared().items():
    if not len(pairs):
      continue
    own = np.logical_and.reduce(
      [
        contrasts[name] == one
        for name, one in zip(POPULATION, population, strict=True)
      ]
    )
    rows = contrasts[own & summarised(contrasts)]
    crossed = crossed_factors(evidence.members.iloc[found[population]])
    parts += [
      _of_delta(rows, delta, evidence.options.level, arrays, bool(crossed))
      for delta in DELTAS
    ]
  if not parts:
    return pd.DataFrame(columns=list(TABLES["power"]))
  return pd.concat(parts, ignore_index=True)


def summarised(key: pd.DataFrame) -> np.ndarray:
  """Which cells are means over outputs, or of the whole, but of no crossing."""
  crossing = key["identity"].str.contains("*", regex=False)
  return (key["attribute"].isin([MEAN, ALL]) & ~crossing).to_numpy()


def _of_delta(
  rows: pd.DataFrame,
  delta: float,
  level: float,
  arrays: xr.Dataset,
  crossed: bool,
) -> pd.DataFrame:
  """The rows of one change.

  Args:
    rows: of the table "contrasts".
    delta: the change.
    level: of the test and of the sd's interval.
    arrays: whose numbers they are.
    crossed: the members are not independent.
  """
  pairs = rows["n_seeds"].to_numpy()
  sd = rows["sd_difference"].to_numpy(np.float64)
  if crossed:
    sd = np.full(len(sd), np.nan)
  df = np.where(pairs > 1, pairs - 1.0, np.nan)
  tail = (1 - level) / 2
  low, high = (
    sd * np.sqrt(df / scipy.stats.chi2.ppf(share, df))
    for share in (1 - tail, tail)
  )
  needed = [
    seeds_needed(
      np.where(one < delta / SMALLEST, one, np.nan),
      delta,
      power=POWER,
      level=level,
    )
    for one in (sd, low, high)
  ]
  reason = join_reasons(
    len(rows),
    [
      (np.full(len(rows), crossed), CROSSED_DESIGN),
      (pairs < 2, "not available: needs two pairs"),
      (sd == 0, "not available: the same difference in every seed"),
      (high >= delta / SMALLEST, "too many seeds to count are given as NaN"),
    ],
  )
  columns = {name: rows[name].to_numpy() for name in (*POPULATION, *CELL)}
  columns |= {
    "delta": np.full(len(rows), delta),
    "n_now": pairs,
    "sd_difference": sd,
    "n_seeds": needed[0],
    "n_low": needed[1],
    "n_high": needed[2],
    "detectable_now": detectable(sd, pairs, power=POWER, level=level),
    "reason": reason,
  }
  return frame("power", columns, arrays)
