"""Means over the outputs that members share, so that they can be compared."""

from typing import NamedTuple

import numpy as np

from prunebias_jax.analysis.cells import Cells


class Shared(NamedTuple):
  """Every member's cells, with means over what all members have.

  Attributes:
    values: float64 [member, cell]; NaN where there is no value.
    used: int [cell], the outputs in the mean; -1 in a cell that is not one.
    averaged: bool [block, output], which outputs these are.
  """

  values: np.ndarray
  used: np.ndarray
  averaged: np.ndarray


def shared_means(cells: Cells) -> Shared:
  """Means over the outputs that have a value in every member.

  Where no output has (there is only one, say, and a member that predicts
  nothing has no value of it), members without a value are left out: as few as
  will do. Their means are NaN.
  """
  everyone = np.arange(len(cells.values))
  values, used = cells.flat(everyone)
  averaged = cells.averaged(everyone)
  families = cells.blocks.groupby(
    ["threshold_rule", "metric", "identity"], sort=False
  ).indices
  for blocks in families.values():
    if averaged[blocks].any():
      continue
    found = np.isfinite(cells.values[:, blocks])
    # A group that nobody has a value in does not take it from the others.
    known = found.any(axis=(0, 2))
    members, outputs = most_members(found[:, known].all(axis=1))
    if not members.size:
      continue
    for block in blocks[known]:
      mean = cells.values[np.ix_(members, [block], outputs)].mean(axis=(1, 2))
      column = block * (len(cells.names) + 1) + len(cells.names)
      values[members, column] = mean
      used[column] = len(outputs)
      averaged[block, outputs] = True
  return Shared(values, used, averaged)


def most_members(found: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """The most members that have a value in some common output.

  Args:
    found: bool [member, output], whether there is a value.

  Returns:
    Places of the members, and of all outputs that these have in common; both
    empty where there is no value.
  """
  counts = found.sum(axis=0)
  if not counts.any():
    return np.zeros(0, int), np.zeros(0, int)
  sets = [found[:, one] for one in np.flatnonzero(counts == counts.max())]
  # Of equally many members, those with the most outputs in common.
  members = max(sets, key=lambda one: found[one].all(axis=0).sum())
  return np.flatnonzero(members), np.flatnonzero(found[members].all(axis=0))
