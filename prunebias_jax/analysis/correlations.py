"""The table "correlations": pairs of attributes, over seeds and against dense.

Iofinova et al. 2023 link bias to outputs that grow more correlated; which pairs
do is what this table of this project's says.
"""

import numpy as np
import pandas as pd
import scipy.stats
import xarray as xr

from prunebias_jax.analysis.cells import dependence
from prunebias_jax.analysis.evidence import Evidence
from prunebias_jax.analysis.flags import (
  NO_THRESHOLD,
  AttributeFlag,
  join_reasons,
)
from prunebias_jax.analysis.inference import MARK, Interval, unlike_normal
from prunebias_jax.analysis.inference.spread import ROUNDING
from prunebias_jax.analysis.rates import divide
from prunebias_jax.analysis.tables import frame, population_columns

OF = {
  "predictions": "prediction_correlation",
  "errors": "error_correlation",
}
CONSTANT_LABELS = (
  "labels not available: one of the two is constant in the labels"
)


def correlations_table(evidence: Evidence, arrays: xr.Dataset) -> pd.DataFrame:
  """The table "correlations" of a multi-label task; each pair once.

  Args:
    evidence: whose members they are.
    arrays: their numbers, as `Analysis.arrays` has them.
  """
  compared = evidence.compared()
  names = arrays["attribute"].to_numpy().astype(object)
  first, second = np.triu_indices(len(names), k=1)
  labels = arrays["label_correlation"].to_numpy()[first, second]
  count = len(first)
  undecided = (arrays["flags"].to_numpy() & AttributeFlag.NO_THRESHOLD) > 0
  parts = []
  for of, name in OF.items():
    values = arrays[name].to_numpy()[..., first, second]
    for population, members in evidence.populations().items():
      _, pairs = compared.get(population, (None, np.zeros((0, 2), int)))
      note, independent = dependence(evidence.members, members, pairs)
      note = note if len(pairs) else ""
      for place, rule in enumerate(arrays["threshold_rule"].to_numpy()):
        own = values[members, place]
        lacking = np.any(undecided[:, place], axis=0)
        seeds, mean = _mean(own)
        difference = values[pairs[:, 0], place] - values[pairs[:, 1], place]
        n_pairs, change = mean_of_available(
          difference, level=evidence.options.level
        )
        reasons = _reasons(
          seeds, len(own), n_pairs, len(pairs), change, independent, note
        )
        marked = unlike_normal(difference) & np.isfinite(change.low)
        here = ~(lacking[first] | lacking[second])
        missing = np.full(count, np.nan)
        columns = {
          **population_columns(population, count),
          "threshold_rule": np.full(count, rule, object),
          "of": np.full(count, of, object),
          "attribute": names[first],
          "other": names[second],
          "labels": labels,
          "n_seeds": seeds,
          "correlation": mean,
          "n_pairs": n_pairs,
          "change": change.estimate,
          "low": change.low if independent else missing,
          "high": change.high if independent else missing,
          "reason": join_reasons(
            count,
            [
              (~here, NO_THRESHOLD),
              *((here & mask, text) for mask, text in reasons),
              (here & marked & independent, MARK),
              (np.isnan(labels), CONSTANT_LABELS),
            ],
          ),
        }
        parts.append(frame("correlations", columns, arrays))
  return pd.concat(parts, ignore_index=True)


def mean_of_available(
  values: np.ndarray, *, level: float = 0.95
) -> tuple[np.ndarray, Interval]:
  """Mean over the seeds that have a value, with its t interval.

  Args:
    values: float64 [seed, cell], correlations or their differences, NaN where
      not available.
    level: coverage, in (0, 1).

  Returns:
    The number of seeds with a value, int [cell], and the interval; low and
    high are NaN with fewer than two seeds, and where all agree.
  """
  count, mean = _mean(values)
  finite = np.isfinite(values)
  away = np.where(finite, values - mean, 0.0)
  sd = np.sqrt(divide((away**2).sum(axis=0), np.maximum(count - 1, 0)))
  # Correlations are of the size of 1: below this it is rounding.
  sd = np.where(sd > ROUNDING, sd, np.nan)
  quantile = scipy.stats.t.ppf((1 + level) / 2, np.maximum(count - 1, 1))
  half = quantile * sd / np.sqrt(np.maximum(count, 1))
  return count, Interval(estimate=mean, low=mean - half, high=mean + half)


def _mean(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """How many seeds have a value, and their mean: [cell] each."""
  finite = np.isfinite(values)
  count = finite.sum(axis=0)
  return count, divide(np.where(finite, values, 0.0).sum(axis=0), count)


def _reasons(
  seeds: np.ndarray,
  members: int,
  n_pairs: np.ndarray,
  pairs: int,
  change: Interval,
  independent: bool,
  note: str,
) -> list[tuple[np.ndarray, str]]:
  """What is missing, and in how many seeds: masks [cell], and texts."""
  same = (n_pairs > 1) & np.isnan(change.low) & independent
  return [
    (seeds == 0, "not available: one of the two is constant in every seed"),
    *(
      (seeds == found, f"{found} of {members} seeds have a value")
      for found in range(1, members)
    ),
    *(
      ((seeds > 0) & (n_pairs == found), f"{found} of {pairs} pairs have one")
      for found in range(pairs)
    ),
    (n_pairs == 1, "no interval: one pair"),
    (same, "no interval: the same change in every seed"),
    *([(n_pairs > 0, note)] if note else []),
  ]
