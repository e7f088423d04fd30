"""Thresholds of each group, calibrated on the validation split.

Iofinova et al. 2023 calibrate a threshold for each attribute; one for each
group is this project's extension. It needs the group of every example, in use
as much as here.
"""

from collections.abc import Sequence

import numpy as np

from prunebias_jax.analysis.calibration import calibrated_thresholds
from prunebias_jax.analysis.facts import Facts
from prunebias_jax.analysis.parity import Parity


def group_thresholds(
  logits: np.ndarray,
  facts: Facts,
  identity: str,
  values: Sequence[str],
  overall: np.ndarray,
  parity: Parity,
) -> np.ndarray:
  """Thresholds that predict as many validation positives as each group has.

  Args:
    logits: [example, attribute], validation.
    facts: its ground truth.
    identity: whose values make the groups.
    values: the groups that are wanted.
    overall: float64 [attribute], for groups without any validation label.
    parity: see `calibrated_thresholds`.

  Returns:
    float64 [value, attribute], logits.
  """
  keys = list(zip(facts.groups.identity, facts.groups.value, strict=True))
  result = np.tile(overall, (len(values), 1))
  for place, value in enumerate(values):
    if (identity, value) not in keys:
      continue
    column = facts.groups.membership[:, keys.index((identity, value))]
    rows = np.flatnonzero(column)
    if not rows.size:
      continue
    found = calibrated_thresholds(
      logits[rows],
      facts.labels[rows].sum(axis=0),
      present=None if facts.present is None else facts.present[rows],
      parity=parity,
    )
    result[place] = np.where(found.no_label, overall, found.value)
  return result
