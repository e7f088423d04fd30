"""The table "safety": verdicts, bounds and a sentence for each attribute."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import xarray as xr

from prunebias_jax.analysis.available import DOUBTFUL
from prunebias_jax.analysis.columns import MEAN, TABLES
from prunebias_jax.analysis.criteria.families import BIAS, Family
from prunebias_jax.analysis.criteria.safety import (
  NOT_AVAILABLE,
  NOT_SAFE,
  SAFE,
  UNDECIDED,
)
from prunebias_jax.analysis.flags import join_reasons
from prunebias_jax.analysis.parents import SHARED, by_parent, note_of
from prunebias_jax.analysis.tables import frame, output_of


def safety_table(
  arrays: xr.Dataset, families: Sequence[Family]
) -> pd.DataFrame:
  """The table "safety"; no row where no compressed member has a partner.

  Args:
    arrays: the measured arrays: names of rules and outputs, margin.
    families: from `judged_families`.
  """
  parts = [_rows(arrays, family) for family in families]
  if not parts:
    return pd.DataFrame(columns=list(TABLES["safety"]))
  return pd.concat(parts, ignore_index=True)


def _rows(arrays: xr.Dataset, family: Family) -> pd.DataFrame:
  """The rows of one pruner and quantization."""
  safety = family.safety
  names = [*map(str, arrays[output_of(arrays)].to_numpy()), MEAN]
  shape = safety.pairs.shape
  level, rule, measure, output = (axis.ravel() for axis in np.indices(shape))
  texts = np.array(family.measures, object)
  sparsity = np.array([one[1] for one in family.levels])
  is_safe = safety.verdict == SAFE
  highest = np.where(is_safe, sparsity.reshape(-1, 1, 1, 1), -1.0).max(axis=0)
  safe_up_to = np.where(highest < 0, np.nan, highest)
  sentences = np.empty(shape[1:], object)
  for i, j, k in np.ndindex(*shape[1:]):
    sentences[i, j, k] = _sentence(family, arrays, (i, j, k), names[k])
  pruner, _, quantization = family.levels[0]
  count = len(level)
  columns = {
    "pruner": np.full(count, pruner, object),
    "sparsity": sparsity[level],
    "quantization": np.full(count, quantization, object),
    "threshold_rule": arrays["threshold_rule"].to_numpy().astype(object)[rule],
    "metric": texts[measure, 0],
    "attribute": np.array(names, object)[output],
    "identity": texts[measure, 1],
    "value": texts[measure, 2],
    "n_seeds": safety.pairs.ravel(),
    "change": safety.change.ravel(),
    "lower": safety.lower.ravel(),
    "upper": safety.upper.ravel(),
    "p_safe": safety.p_safe.ravel(),
    "p_not_safe": safety.p_not_safe.ravel(),
    "verdict": safety.verdict.ravel(),
    "safe_up_to": safe_up_to[rule, measure, output],
    "sentence": sentences[rule, measure, output],
    "reason": _reasons(family, arrays),
  }
  return frame("safety", columns, arrays)


def _reasons(family: Family, arrays: xr.Dataset) -> np.ndarray:
  """Why something is missing or undecidable, in the order of the rows."""
  pairs, change = family.safety.pairs, family.safety.change
  totals = np.array([len(by_parent(one, one)) for one in family.pairs])
  total = np.broadcast_to(totals.reshape(-1, 1, 1, 1), pairs.shape)
  notes = np.array([note_of(one) for one in family.pairs], object)
  note = np.broadcast_to(notes.reshape(-1, 1, 1, 1), pairs.shape)
  outputs = pairs.shape[-1] - 1
  averaged = np.full(pairs.shape, -1)
  averaged[..., -1] = family.averaged
  plural = "attributes" if output_of(arrays) == "attribute" else "classes"
  masks = [
    (total == 0, "no pair at this level"),
    ((pairs == 0) & (total > 0), "no pair has a value"),
    *(
      (
        (pairs == some) & (pairs < total),
        f"{some} of {many} pairs have a value: cannot be safe",
      )
      for some, many in np.unique(
        np.stack([pairs.ravel(), total.ravel()]), axis=1
      ).T.tolist()
      if 0 < some < many
    ),
    (pairs == 1, "needs two pairs"),
    (
      (pairs > 1) & np.isfinite(change) & np.isnan(family.safety.lower),
      "the same change in every seed: no bounds",
    ),
    *(((note == text) & (pairs > 0), text) for text in SHARED),
    (family.safety.doubtful, DOUBTFUL),
    *(
      (averaged == count, f"mean over {count} of {outputs} {plural}")
      for count in range(outputs)
    ),
  ]
  return join_reasons(
    pairs.size, [(mask.ravel(), text) for mask, text in masks]
  )


def _sentence(
  family: Family, arrays: xr.Dataset, cell: tuple[int, int, int], name: str
) -> str:
  """What the levels say of one attribute and kind of bias.

  Args:
    family: the levels.
    arrays: the rules' names and the margin.
    cell: rule, measure and output.
    name: the output's.
  """
  safety = family.safety
  rule, measure, output = cell
  metric, identity, value = family.measures[measure]
  verdicts = safety.verdict[:, rule, measure, output].tolist()
  change, lower, upper, pairs = (
    array[:, rule, measure, output]
    for array in (safety.change, safety.lower, safety.upper, safety.pairs)
  )
  sparsity = [f"{level[1]:g}" for level in family.levels]
  parts = []
  safe = [i for i, one in enumerate(verdicts) if one == SAFE]
  if safe:
    top = safe[-1]
    parts.append(
      f"safe up to sparsity {sparsity[top]} (there {change[top]:+.4f}, at most "
      f"{upper[top]:+.4f})"
    )
  elif set(verdicts) != {NOT_AVAILABLE}:
    parts.append("not shown to be safe at any level")
  parts += [
    _undecided(sparsity[i], change[i], lower[i], upper[i], int(pairs[i]))
    for i, one in enumerate(verdicts)
    if one == UNDECIDED
  ]
  parts += [
    f"not safe at {sparsity[i]} ({change[i]:+.4f}, at least {lower[i]:+.4f})"
    for i, one in enumerate(verdicts)
    if one == NOT_SAFE
  ]
  missing = [
    sparsity[i] for i, one in enumerate(verdicts) if one == NOT_AVAILABLE
  ]
  if missing:
    parts.append("not available at " + ", ".join(missing))
  kind = "|log tcb|"
  if metric == BIAS:
    kind = f"|bias amplification| by {identity} = {value}"
  who = "mean over attributes" if name == MEAN else name
  if name == MEAN and output_of(arrays) == "class":
    who = "mean over classes"
  pruner, _, quantization = family.levels[0]
  how = pruner if quantization == "none" else f"{pruner}, {quantization}"
  rules = arrays["threshold_rule"].to_numpy()
  return (
    f"{who}, {kind} ({how}, {rules[rule]} thresholds, margin "
    f"{arrays.attrs['safe_margin']:g}): {'; '.join(parts)}."
  )


def _undecided(
  sparsity: str, change: float, lower: float, upper: float, pairs: int
) -> str:
  """One undecided level in a sentence."""
  seeds = "1 seed" if pairs == 1 else f"{pairs} seeds"
  bounds = "" if np.isnan(lower) else f", {lower:+.4f} to {upper:+.4f}"
  return f"undecided with {seeds} at {sparsity} ({change:+.4f}{bounds})"
