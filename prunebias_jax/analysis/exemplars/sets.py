"""The table "exemplar_accuracy": how well the members do on sets of examples.

Reference: Hooker et al. 2020 report accuracy on exemplars and on the others.
Beside them, and this project's, stand two sets that nothing was done to: the
exemplars of permuted members, and as many examples near the dense boundary.
In a binary task one modal label is right on each exemplar: about half is what
no effect gives.
"""

import numpy as np
import pandas as pd
import xarray as xr

from prunebias_jax.analysis.columns import MEAN
from prunebias_jax.analysis.evidence import Evidence
from prunebias_jax.analysis.exemplars.comparison import (
  Comparison,
  questions,
  truths,
)
from prunebias_jax.analysis.exemplars.shares import population_columns
from prunebias_jax.analysis.exemplars.tally import Tally
from prunebias_jax.analysis.exemplars.votes import Votes
from prunebias_jax.analysis.flags import join_reasons
from prunebias_jax.analysis.rates import divide
from prunebias_jax.analysis.tables import frame

TOP = (1, 5, 10)  # per cent
SETS = (
  "all",
  "cie",
  "not_cie",
  *(f"top_{share}" for share in TOP),
  "low_margin",
  "null_cie",
)
LOW_MARGIN = SETS.index("low_margin")
NULL = SETS.index("null_cie")
SIDES = ("dense", "compressed")


def example_sets(comparison: Comparison, closest: np.ndarray) -> np.ndarray:
  """Who is in each set: bool [set, example, question]; none in "null_cie".

  Args:
    comparison: two populations.
    closest: int [question, example], examples by their dense margin.
  """
  exemplar = comparison.exemplar
  length = len(exemplar)
  result = np.zeros((len(SETS), *exemplar.shape), bool)
  result[0], result[1], result[2] = True, exemplar, ~exemplar
  for place, share in enumerate(TOP, 3):
    result[place] = comparison.rank <= max(1, length * share // 100)
  taken = np.arange(length)[:, None] < exemplar.sum(axis=0)
  np.put_along_axis(result[LOW_MARGIN], closest.T, taken, axis=0)
  return result


def member_accuracy(
  votes: Votes, truth: np.ndarray, chosen: np.ndarray
) -> np.ndarray:
  """Each member's accuracy: float64 [member, set, question].

  Args:
    votes: a population's.
    truth: int16 [example, question]; -1 where there is no label.
    chosen: bool [set, example, question].
  """
  chosen = chosen & (truth >= 0)
  sizes = chosen.sum(axis=1)
  result = np.empty((votes.members, *sizes.shape))
  for question, choice in enumerate(votes.choice):
    right = (choice == truth[:, question]).astype(np.float32)
    hits = right @ chosen[:, :, question].T.astype(np.float32)
    result[:, :, question] = divide(hits, sizes[:, question])
  return result


def sets_table(
  evidence: Evidence,
  comparison: Comparison,
  tally: Tally | None,
  closest: np.ndarray,
  where: xr.Dataset,
) -> pd.DataFrame:
  """One row for each attribute, and their mean, and each set.

  Args:
    evidence: the evaluation.
    comparison: two of its populations.
    tally: the null's counts; None where there is no null.
    closest: int [question, example], examples by their dense margin.
    where: knows checkpoint and split.
  """
  truth = truths(evidence)
  chosen = example_sets(comparison, closest)
  names = questions(evidence)
  rows = len(names) + (len(names) > 1)
  numbers = {"n": np.full((rows, len(SETS)), np.nan)}
  numbers["n"][: len(names)] = chosen.sum(axis=1).T
  numbers["n"][:, NULL] = np.nan
  sides = (comparison.sides.dense, comparison.sides.compressed)
  for index, (side, votes) in enumerate(zip(SIDES, sides, strict=True)):
    accuracy = member_accuracy(votes, truth, chosen)
    if rows > len(names):
      there = np.isfinite(accuracy)
      total = np.where(there, accuracy, 0.0).sum(axis=2)
      mean = divide(total, there.sum(axis=2))
      accuracy = np.concatenate([accuracy, mean[:, :, None]], axis=2)
    numbers[f"{side}_accuracy"] = accuracy.mean(axis=0).T
    numbers[f"{side}_sd"] = (
      accuracy.std(axis=0, ddof=1).T
      if votes.members > 1
      else np.full((rows, len(SETS)), np.nan)
    )
    if tally is not None:
      found = tally.set_accuracy[:, index]
      numbers[f"{side}_accuracy"][: len(names), NULL] = found
      numbers[f"{side}_sd"][: len(names), NULL] = tally.set_sd[:, index]
      if rows > len(names) and np.isfinite(found).any():
        numbers[f"{side}_accuracy"][-1, NULL] = np.nanmean(found)
  labels = np.array([*names, MEAN][:rows], object)
  return frame(
    "exemplar_accuracy",
    {
      **population_columns(comparison, rows * len(SETS)),
      "attribute": np.repeat(labels, len(SETS)),
      "set": np.tile(np.array(SETS, object), rows),
      **{name: values.ravel() for name, values in numbers.items()},
      "reason": _reasons(comparison, numbers),
    },
    where,
  )


def _reasons(
  comparison: Comparison, numbers: dict[str, np.ndarray]
) -> np.ndarray:
  shape = numbers["n"].shape
  null = np.zeros(shape, bool)
  null[:, NULL] = True
  nothing = np.isnan(numbers["dense_accuracy"])
  last = np.zeros(shape, bool)
  last[-1] = shape[0] > 1
  members = min(
    comparison.sides.dense.members, comparison.sides.compressed.members
  )
  parts = [
    (last & ~null, "mean over the attributes that have a value"),
    (last & null & ~nothing, "mean over the attributes; no sd"),
    (nothing & ~null, "no labelled example in the set"),
  ]
  if comparison.reason:
    parts.append((nothing & null, comparison.reason))
  else:
    parts.append((nothing & null, "no exemplars under the null"))
  if members == 1:
    parts.append((~nothing, "one member on a side: no sd"))
  return join_reasons(null.size, [(mask.ravel(), text) for mask, text in parts])
