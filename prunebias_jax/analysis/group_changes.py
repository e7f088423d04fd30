"""The table "group_changes": rates of groups against dense, in two units.

Reference: Hooker et al. 2020, "Characterising Bias in Compressed Models", for
the absolute change in points and the relative change in percent of the dense
rate. The intervals over seeds are this project's: t of the paired differences,
and Fieller's of the ratio of the means.
"""

import numpy as np
import pandas as pd
import xarray as xr

from prunebias_jax.analysis.cells import dependence
from prunebias_jax.analysis.columns import (
  ALL,
  CHANGE_NUMBERS,
  CHANGED_RATES,
  COUNTS,
  TABLES,
)
from prunebias_jax.analysis.evidence import Evidence
from prunebias_jax.analysis.flags import (
  NO_THRESHOLD,
  AttributeFlag,
  join_reasons,
)
from prunebias_jax.analysis.inference import (
  MARK,
  mean_interval,
  unlike_normal,
)
from prunebias_jax.analysis.parents import by_parent
from prunebias_jax.analysis.relative import ratio_of_means
from prunebias_jax.analysis.tables import (
  frame,
  output_of,
  population_columns,
  spread,
)


def group_changes_table(evidence: Evidence, arrays: xr.Dataset) -> pd.DataFrame:
  """The table "group_changes"; empty where there is no dense population.

  Args:
    evidence: whose members are compared.
    arrays: their numbers, as `Analysis.arrays` has them.
  """
  values, key, reasons = _rates(arrays)
  found = evidence.populations()
  parts = []
  for population, (dense, pairs) in evidence.compared().items():
    here, there = pairs.T if len(pairs) else (found[population], found[dense])
    compressed = by_parent(values[here], pairs)
    units = len(compressed) if len(pairs) else 0
    numbers, doubts = _compare(
      compressed,
      by_parent(values[there], pairs),
      units,
      evidence.options.level,
    )
    note, independent = dependence(
      evidence.members, found[population], pairs, averaged=True
    )
    if not independent:
      # What was missing among the intervals is no matter of its own now.
      doubts = doubts[:1]
      for name in CHANGE_NUMBERS:
        if name.endswith(("low", "high")):
          numbers[name] = np.full(len(key), np.nan)
    columns: dict[str, np.ndarray] = {
      **population_columns(population, len(key)),
      **{str(name): key[name].to_numpy() for name in key},
      "n_seeds": np.full(len(key), units),
      **numbers,
      "reason": join_reasons(
        len(key),
        [*reasons, (np.full(len(key), bool(note)), note), *doubts],
      ),
    }
    parts.append(frame("group_changes", columns, arrays))
  if not parts:
    return pd.DataFrame(columns=list(TABLES["group_changes"]))
  return pd.concat(parts, ignore_index=True)


def _compare(
  compressed: np.ndarray, dense: np.ndarray, pairs: int, level: float
) -> tuple[dict[str, np.ndarray], list[tuple[np.ndarray, str]]]:
  """The columns `CHANGE_NUMBERS` [row], and why some of them are NaN.

  Args:
    compressed: float64 [seed, row].
    dense: float64 [seed, row], of the same seeds in order if any pair.
    pairs: how many do; 0: both sides are as they come.
    level: of the intervals.
  """
  means = dense.mean(axis=0), compressed.mean(axis=0)
  numbers = {name: np.full(len(means[0]), np.nan) for name in CHANGE_NUMBERS}
  numbers |= {
    "dense": means[0],
    "compressed": means[1],
    "change": 100 * (means[1] - means[0]),
  }
  zero = means[0] == 0
  doubts = [(zero, "relative change not available: the dense rate is 0")]
  if not pairs:
    nonzero = np.where(zero, np.nan, means[0])
    numbers["relative"] = numbers["change"] / nonzero
    everywhere = np.ones(len(zero), bool)
    return numbers, [*doubts, (everywhere, "no intervals: no seed pairs")]
  scale = 100 * np.maximum(compressed, dense).max(axis=0)
  differences = 100 * (compressed - dense)
  change = mean_interval(differences, level=level, scale=scale)
  found = ratio_of_means(compressed, dense, level=level)
  numbers |= {
    "low": change.low,
    "high": change.high,
    "relative": 100 * (found.ratio.estimate - 1),
    "relative_low": 100 * (found.ratio.low - 1),
    "relative_high": 100 * (found.ratio.high - 1),
  }
  there = np.isfinite(means[0])
  if pairs == 1:
    return numbers, [*doubts, (there, "no intervals: one pair")]
  ratio_only = there & ~zero & np.isnan(found.ratio.low)
  return numbers, [
    *doubts,
    (
      there & np.isnan(change.low),
      "no interval of the change: the same in every seed",
    ),
    (
      ratio_only & found.unbounded,
      "no interval of the relative change: the dense rate is not told from 0",
    ),
    (
      ratio_only & ~found.unbounded,
      "no interval of the relative change: the same in every seed",
    ),
    (np.isfinite(change.low) & unlike_normal(differences), MARK),
  ]


def _rates(
  arrays: xr.Dataset,
) -> tuple[np.ndarray, pd.DataFrame, list[tuple[np.ndarray, str]]]:
  """All rates of all groups as rows.

  Returns:
    float64 [member, row], the rows' columns, and the reasons [row] of those
    that are not there.
  """
  output = output_of(arrays)
  dims = ("threshold_rule", output, "group")
  missed = arrays["group_false_negative_rate"].to_numpy()
  rates = {
    "error": 1 - arrays["group_accuracy"].to_numpy(),
    "false_positive_rate": arrays["group_false_positive_rate"].to_numpy(),
    "false_negative_rate": missed,
    "true_positive_rate": 1 - missed,
    "selection_rate": arrays["group_selection_rate"].to_numpy(),
  }
  members = arrays.sizes["member"]
  values = [rates[name].reshape(members, -1) for name in CHANGED_RATES]
  counts = {name: spread(arrays, dims, name) for name in COUNTS}
  flags = arrays["flags"].to_numpy()
  undecided = np.any(flags & AttributeFlag.NO_THRESHOLD, axis=0)
  keys = pd.DataFrame(
    {
      "threshold_rule": spread(arrays, dims, "threshold_rule"),
      "attribute": spread(arrays, dims, output),
      "identity": spread(arrays, dims, "group_identity"),
      "value": spread(arrays, dims, "group_value"),
      **counts,
      "n_examples": spread(arrays, dims, "n_examples"),
      "undecided": np.repeat(undecided.ravel(), arrays.sizes["group"]),
    }
  )
  parts = [keys.assign(rate=name) for name in CHANGED_RATES]
  if output == "class":
    whole = arrays["overall_group_accuracy"].to_numpy()
    values.append(1 - whole.reshape(members, -1))
    everything = keys[keys["attribute"] == keys["attribute"].iloc[0]]
    parts.append(
      everything.assign(
        rate="error", attribute=ALL, n_positive=None, n_negative=None
      )
    )
  key = pd.concat(parts, ignore_index=True)
  rate, empty = key["rate"].to_numpy(), key.pop("n_examples").to_numpy() == 0
  positive, negative = (
    key[name].to_numpy(np.float64, na_value=np.nan) for name in COUNTS
  )
  of_positives = np.isin(rate, ("false_negative_rate", "true_positive_rate"))
  of_negatives = rate == "false_positive_rate"
  filled = ~empty & (rate != "selection_rate")
  reasons = [
    (key.pop("undecided").to_numpy(bool), NO_THRESHOLD),
    (empty, "empty group"),
    (filled & of_positives & (positive == 0), "no positives in the group"),
    (filled & of_negatives & (negative == 0), "no negatives in the group"),
    (
      filled & (rate == "error") & (positive + negative == 0),
      "no labels in the group",
    ),
  ]
  return np.concatenate(values, axis=1), key, reasons
