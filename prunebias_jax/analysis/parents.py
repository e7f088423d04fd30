"""Members of one dense parent: no independent pairs, but their means are."""

import numpy as np

ONE_PARENT = (
  "all share one dense member: about compressed members against that one, "
  "whose own spread over seeds is not seen"
)
FEW_PARENTS = "members of one dense parent are averaged: n_seeds counts parents"
SHARED = (ONE_PARENT, FEW_PARENTS)


def note_of(pairs: np.ndarray) -> str:
  """What is to be said of pairs, int [pair, 2], that share dense members."""
  distinct = len(np.unique(pairs[:, 1])) if len(pairs) else 0
  if distinct == len(pairs):
    return ""
  return ONE_PARENT if distinct == 1 else FEW_PARENTS


def by_parent(values: np.ndarray, pairs: np.ndarray) -> np.ndarray:
  """One side of pairs, or its means over the pairs of each dense parent.

  Args:
    values: float64 [pair, ...].
    pairs: int [pair, 2], places of the compressed and the dense member.

  Returns:
    float64 [parent, ...] where a few dense members have several compressed
    ones each, else `values`. A mean is NaN where one of its values is.
  """
  if note_of(pairs) != FEW_PARENTS:
    return values
  parents = np.unique(pairs[:, 1], return_inverse=True)[1].ravel()
  return np.stack(
    [values[parents == one].mean(axis=0) for one in range(parents.max() + 1)]
  )
