"""How far the rates of an identity's groups lie apart.

Differences are largest minus smallest, ratios smallest over largest, over the
groups of an identity (or of a crossing) that have the rate. The names and
formulas are those of fairlearn (Bird et al. 2020); equalized odds and equal
opportunity are Hardt, Price and Srebro 2016; worst-group accuracy is that of
Sagawa et al. 2020. NaN where fewer than two groups have the rate is this
project's.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import xarray as xr

from prunebias_jax.analysis.columns import (
  ALL,
  EVERYONE,
  FAIRNESS_COUNTS,
  FAIRNESS_METRICS,
  GROUP_METRICS,
  OVERALL_FAIRNESS_METRICS,
)
from prunebias_jax.analysis.flags import (
  NO_THRESHOLD,
  AttributeFlag,
  join_reasons,
)
from prunebias_jax.analysis.rates import Rates, divide
from prunebias_jax.analysis.tables import (
  SINGLE_CLASSES,
  frame,
  member_columns,
  output_of,
  spread,
)


def fairness(rates: Rates) -> dict[str, np.ndarray]:
  """Differences and ratios of the rates of one identity's groups.

  Args:
    rates: float64 [..., group], NaN where a group does not have the rate.

  Returns:
    float64 [...] by the names of `columns.FAIRNESS_METRICS`; NaN where fewer
    than two groups have the rate, and a ratio where no group's is above 0.
  """
  selected = _extremes(rates.selection_rate)
  hit = _extremes(1 - rates.false_negative_rate)
  alarm = _extremes(rates.false_positive_rate)
  right = _extremes(rates.accuracy)
  return {
    "demographic_parity_difference": selected[1] - selected[0],
    "demographic_parity_ratio": divide(*selected),
    "equalized_odds_difference": np.maximum(
      hit[1] - hit[0], alarm[1] - alarm[0]
    ),
    "equalized_odds_ratio": np.minimum(divide(*hit), divide(*alarm)),
    "equal_opportunity_difference": hit[1] - hit[0],
    "worst_group_accuracy": right[0],
    "accuracy_gap": right[1] - right[0],
  }


def _extremes(rate: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Smallest and largest over the groups; NaN of fewer than two values."""
  enough = np.isfinite(rate).sum(axis=-1) > 1
  # fmin and fmax pass NaN over.
  low, high = np.fmin.reduce(rate, axis=-1), np.fmax.reduce(rate, axis=-1)
  return np.where(enough, low, np.nan), np.where(enough, high, np.nan)


def with_fairness(arrays: xr.Dataset) -> xr.Dataset:
  """Adds the metrics of every identity and crossing, from the groups' rates.

  Args:
    arrays: as `assembly.assemble` returns them.

  Returns:
    The same with variables [member, threshold_rule, output, family], those
    of a classifier as a whole [member, threshold_rule, family], what they
    rest on [output, family], and the coordinate `family_identity`.
  """
  names = arrays["group_identity"].to_numpy()
  found = [name for name in dict.fromkeys(names.tolist()) if name != EVERYONE]
  groups = [np.flatnonzero(names == name) for name in found]
  dims = ("member", "threshold_rule", output_of(arrays))

  def add(
    name: str, dims: tuple[str, ...], parts: Sequence[np.ndarray]
  ) -> None:
    shape = tuple(arrays.sizes[dimension] for dimension in dims)
    values = np.stack(parts, axis=-1) if parts else np.zeros((*shape, 0))
    added[name] = ((*dims, "family"), values)

  added: dict[str, tuple[tuple[str, ...], np.ndarray]] = {}
  each = [fairness(_rates_of(arrays, places)) for places in groups]
  for name in FAIRNESS_METRICS:
    add(name, dims, [one[name] for one in each])
  if "overall_group_accuracy" in arrays:
    whole = arrays["overall_group_accuracy"].to_numpy()
    ends = [_extremes(whole[..., places]) for places in groups]
    add("overall_worst_group_accuracy", dims[:2], [low for low, _ in ends])
    add("overall_accuracy_gap", dims[:2], [high - low for low, high in ends])
  filled = arrays["n_examples"].to_numpy() > 0
  for sign in ("positive", "negative"):
    counts = arrays[f"n_{sign}"].to_numpy()
    inside = [counts[:, places[filled[places]]] for places in groups]
    add(f"fewest_{sign}", dims[2:], [one.min(axis=1) for one in inside])
    having = [np.count_nonzero(one, axis=1) for one in inside]
    add(f"groups_with_{sign}s", dims[2:], having)
  add("n_groups", (), [filled[places].sum() for places in groups])
  return arrays.assign(added).assign_coords(
    family_identity=("family", np.array(found, str))
  )


def _rates_of(arrays: xr.Dataset, groups: np.ndarray) -> Rates:
  return Rates(
    **{
      name: arrays[f"group_{name}"].to_numpy()[..., groups]
      for name in GROUP_METRICS
    }
  )


def fairness_table(arrays: xr.Dataset) -> pd.DataFrame:
  """The table "fairness"; no row without identity attributes.

  Args:
    arrays: as `with_fairness` returns them.
  """
  output = output_of(arrays)
  dims = ("member", "threshold_rule", output, "family")
  columns = {
    **member_columns(arrays, dims),
    "threshold_rule": spread(arrays, dims, "threshold_rule"),
    "attribute": spread(arrays, dims, output),
    "identity": spread(arrays, dims, "family_identity"),
    **{name: spread(arrays, dims, name) for name in FAIRNESS_COUNTS},
    **{name: arrays[name].to_numpy().ravel() for name in FAIRNESS_METRICS},
    "reason": _reasons(arrays, dims),
  }
  parts = [frame("fairness", columns, arrays)]
  if output == "class":
    parts.append(_whole(arrays))
  return pd.concat(parts, ignore_index=True)


def _reasons(arrays: xr.Dataset, dims: Sequence[str]) -> np.ndarray:
  """Why numbers are missing, or which groups they leave out: object [row]."""
  groups = spread(arrays, dims, "n_groups")
  flags = spread(arrays, dims, "flags")
  undecided = (flags & AttributeFlag.NO_THRESHOLD) > 0
  several = (groups > 1) & ~undecided
  parts = [(groups < 2, _few("", "examples")), (undecided, NO_THRESHOLD)]
  for what, lost in (
    ("positives", "equal_opportunity_difference and equalized odds "),
    ("negatives", "equalized odds "),
  ):
    having = spread(arrays, dims, f"groups_with_{what}")
    parts.append((several & (having < 2), _few(lost, what)))
    some = several & (having > 1) & (having < groups)
    parts.append((some, f"without groups that have no {what}"))
  for metric, text in (
    ("demographic_parity_ratio", "nothing is predicted positive"),
    ("equalized_odds_ratio", "a rate is 0 in every group"),
  ):
    difference, ratio = (
      arrays[name].to_numpy().ravel()
      for name in (metric.replace("ratio", "difference"), metric)
    )
    none = np.isfinite(difference) & np.isnan(ratio)
    parts.append((none, f"{metric} not available: {text}"))
  return join_reasons(len(groups), parts)


def _few(lost: str, what: str) -> str:
  return f"{lost}not available: fewer than two groups have {what}"


def _whole(arrays: xr.Dataset) -> pd.DataFrame:
  """The rows "(all)" of exclusive classes."""
  dims = ("member", "threshold_rule", "family")
  groups = spread(arrays, dims, "n_groups")
  blank = (*FAIRNESS_COUNTS, *FAIRNESS_METRICS)
  columns = {
    **member_columns(arrays, dims),
    "threshold_rule": spread(arrays, dims, "threshold_rule"),
    "attribute": np.full(len(groups), ALL, object),
    "identity": spread(arrays, dims, "family_identity"),
    **{name: np.full(len(groups), np.nan) for name in blank},
    "n_groups": groups,
    **{
      name: arrays[f"overall_{name}"].to_numpy().ravel()
      for name in OVERALL_FAIRNESS_METRICS
    },
    "reason": np.where(groups < 2, _few("", "examples"), SINGLE_CLASSES).astype(
      object
    ),
  }
  return frame("fairness", columns, arrays)
