"""The table "exemplar_tests": how many exemplars, and is it more than chance?

Reference: the share of modal CIEs is Hooker et al.'s (2020); its null, its
excess and the tests are this project's. In a binary task exactly one of the
two modal labels is right on each exemplar, so that what tells is which: the
change of the majority's accuracy is (n01 - n10) / N.
"""

import numpy as np
import pandas as pd
import xarray as xr

from prunebias_jax.analysis.columns import MEAN, POPULATION
from prunebias_jax.analysis.evidence import Evidence
from prunebias_jax.analysis.exemplars.comparison import (
  Comparison,
  questions,
  truths,
)
from prunebias_jax.analysis.exemplars.conditional import mcnemar
from prunebias_jax.analysis.exemplars.tally import Tally, adjusted, count_in
from prunebias_jax.analysis.flags import join_reasons
from prunebias_jax.analysis.rates import divide
from prunebias_jax.analysis.tables import frame

Columns = dict[str, np.ndarray]


def shares_table(
  evidence: Evidence,
  comparison: Comparison,
  tally: Tally | None,
  where: xr.Dataset,
) -> pd.DataFrame:
  """One row for each attribute and their mean, in each group.

  Args:
    evidence: the evaluation.
    comparison: two of its populations.
    tally: the null's counts; None where there is no null.
    where: knows checkpoint and split.
  """
  groups = evidence.facts.groups
  membership = groups.membership
  sizes = membership.sum(axis=0)
  truth = truths(evidence)
  labelled = count_in(truth >= 0, membership)
  right = comparison.modal_dense == truth
  right_too = comparison.modal_compressed == truth
  cut = _cut(comparison, evidence.options.queue)
  n10 = count_in(right & ~right_too, membership)
  n01 = count_in(right_too & ~right, membership)
  columns: Columns = {
    "n": np.broadcast_to(sizes, labelled.shape),
    "n10": n10,
    "n01": n01,
    "cie_share": divide(count_in(comparison.exemplar, membership), sizes),
    "accuracy_change": divide(n01 - n10, labelled),
    "tie_rate": divide(count_in(comparison.tied, membership), sizes),
    "tied_mass": divide(count_in(comparison.key == cut, membership), sizes),
    "p_conditional": np.where(labelled > 0, mcnemar(n10, n01), np.nan),
  }
  columns |= _tested(comparison, tally, sizes, labelled)
  table = _with_mean(columns) if len(truth.T) > 1 else columns
  families = table["p"][: len(truth.T)]
  table["p_adjusted"] = np.full(table["p"].shape, np.nan)
  table["p_adjusted"][: len(truth.T)] = adjusted(families)
  names = np.array([*questions(evidence), MEAN][: len(table["p"])], object)
  reason = join_reasons(
    table["p"].size,
    _reasons(comparison, table, np.repeat(names == MEAN, len(sizes))),
  )
  rows = len(names)
  keyed = {
    **population_columns(comparison, table["p"].size),
    "attribute": np.repeat(names, len(sizes)),
    "identity": np.tile(np.array(groups.identity, object), rows),
    "value": np.tile(np.array(groups.value, object), rows),
    "excess": (table["cie_share"] - table["null_mean"]).ravel(),
    "reason": reason,
  }
  return frame(
    "exemplar_tests",
    {**{name: values.ravel() for name, values in table.items()}, **keyed},
    where,
  )


def population_columns(comparison: Comparison, rows: int) -> Columns:
  """Which populations: the columns that are the same in all rows of a table."""
  exchange = comparison.sides.exchange
  null = "none"
  if exchange is not None:
    null = "paired" if exchange.paired else "free"
  fixed: dict[str, object] = {
    **dict(zip(POPULATION, comparison.population, strict=True)),
    "n_dense": comparison.sides.dense.members,
    "n_compressed": comparison.sides.compressed.members,
    "null": null,
    "n_permutations": 0 if exchange is None else exchange.count,
  }
  return {
    name: np.full(rows, value, object if isinstance(value, str) else None)
    for name, value in fixed.items()
  }


def _tested(
  comparison: Comparison,
  tally: Tally | None,
  sizes: np.ndarray,
  labelled: np.ndarray,
) -> Columns:
  """What the null says, of each question and of their mean, by group."""
  exchange = comparison.sides.exchange
  rows = len(labelled) + (len(labelled) > 1)
  missing = np.full((rows, len(sizes)), np.nan)
  if exchange is None or tally is None:
    return {"null_mean": missing, "p": missing, "p_accuracy": missing}
  share = divide(tally.exemplars, sizes)
  change = divide(tally.gain, labelled)
  if len(labelled) > 1:
    share, change = (
      np.concatenate([one, _mean(one, axis=1)[:, None]], axis=1)
      for one in (share, change)
    )
  # Where the sides could change places, the change is symmetric about 0.
  middle = 0.0 if exchange.mirrored else change.mean(axis=0)
  p, p_accuracy = (
    exchange.share(share),
    exchange.share(np.abs(change - middle)),
  )
  for values, of in ((p, share), (p_accuracy, change)):
    values[np.isnan(of[0]) | (exchange.reason != "")] = np.nan
  return {"null_mean": exchange.mean(share), "p": p, "p_accuracy": p_accuracy}


def _cut(comparison: Comparison, length: int) -> np.ndarray:
  """The key of the last example in each question's queue: float64 [question].

  NaN where the queue is empty.
  """
  key, rank = comparison.key, comparison.rank
  last = np.where((key > 0) & (rank <= length), rank, 0)
  found = np.take_along_axis(key, last.argmax(axis=0)[None], axis=0)[0]
  return np.where(last.any(axis=0), found, np.nan)


def _mean(values: np.ndarray, axis: int) -> np.ndarray:
  """Mean over the questions that have a value; NaN where none has."""
  there = np.isfinite(values)
  total = np.where(there, values, 0.0).sum(axis=axis)
  return divide(total, there.sum(axis=axis))


def _with_mean(columns: Columns) -> Columns:
  """Adds the row of the mean over questions to all that has none."""
  rows = columns["null_mean"]
  result = {}
  for name, values in columns.items():
    if len(values) == len(rows):
      result[name] = values
      continue
    last = np.full((1, rows.shape[1]), np.nan)
    if name == "n":
      last = values[:1]
    elif name not in ("n10", "n01", "p_conditional"):
      last = _mean(values, axis=0)[None]
    result[name] = np.concatenate([values, last])
  return result


def _reasons(
  comparison: Comparison, table: Columns, averaged: np.ndarray
) -> list[tuple[np.ndarray, str]]:
  exchange = comparison.sides.exchange
  everywhere = np.ones(table["p"].size, bool)
  why = comparison.reason if exchange is None else exchange.reason
  empty = table["n"].ravel() == 0
  unlabelled = np.isnan(table["accuracy_change"].ravel()) & ~empty
  reasons = [
    (empty, "empty group"),
    (unlabelled, "no labels in the group: no accuracy"),
    (averaged, "mean over the attributes that have a value"),
  ]
  return [*reasons, (everywhere & ~empty, why)] if why else reasons
