"""Tables of the members: one row per member, rule, attribute and group."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import xarray as xr

from prunebias_jax.analysis.columns import (
  ALL,
  ATTRIBUTE_METRICS,
  CLASS_METRICS,
  COUNTS,
  DIRECTIONAL_METRICS,
  GROUP_METRICS,
  KEY,
  MARKED,
  MEMBER,
  NULLABLE,
  OVERALL_METRICS,
  POPULATION,
  PURPOSES,
  TABLES,
  WHERE,
)
from prunebias_jax.analysis.flags import (
  ATTRIBUTE_REASONS,
  BIAS_REASONS,
  BIAS_WORDS,
  CLASS_REASONS,
  DIRECTION_REASONS,
  NO_THRESHOLD,
  PAPER_ATTRIBUTE_REASONS,
  PAPER_BIAS_REASONS,
  PAPER_CLASS_REASONS,
  AttributeFlag,
  describe,
  join_reasons,
)

SINGLE_CLASSES = "the other columns are defined for single classes"


def attributes_table(arrays: xr.Dataset) -> pd.DataFrame:
  """The table "attributes" of a multi-label task."""
  paper = arrays.attrs["parity"] == "paper"
  texts = PAPER_ATTRIBUTE_REASONS if paper else ATTRIBUTE_REASONS
  dimensions = ("member", "threshold_rule", "attribute")
  columns = {
    **member_columns(arrays, dimensions),
    "threshold_rule": spread(arrays, dimensions, "threshold_rule"),
    "attribute": spread(arrays, dimensions, "attribute"),
    **{name: arrays[name].to_numpy().ravel() for name in ATTRIBUTE_METRICS},
    "reason": describe(arrays["flags"].to_numpy().ravel(), texts),
  }
  return frame("attributes", columns, arrays)


def classes_table(arrays: xr.Dataset) -> pd.DataFrame:
  """The table "classes" of a multi-class task, with the row "(all)"."""
  paper = arrays.attrs["parity"] == "paper"
  texts = PAPER_CLASS_REASONS if paper else CLASS_REASONS
  dimensions = ("member", "threshold_rule", "class")
  columns = {
    **member_columns(arrays, dimensions),
    "class": spread(arrays, dimensions, "class"),
    **{name: arrays[name].to_numpy().ravel() for name in CLASS_METRICS},
    "reason": describe(arrays["flags"].to_numpy().ravel(), texts),
  }
  members = arrays.sizes["member"]
  overall = {
    **member_columns(arrays, ("member",)),
    "class": np.full(members, ALL, object),
    **{name: np.full(members, np.nan) for name in CLASS_METRICS},
    **{
      name: arrays[f"overall_{name}"].to_numpy().ravel()
      for name in OVERALL_METRICS
    },
    "reason": np.full(members, SINGLE_CLASSES, object),
  }
  parts = [
    frame("classes", columns, arrays),
    frame("classes", overall, arrays),
  ]
  return pd.concat(parts, ignore_index=True)


def bias_amplification_table(arrays: xr.Dataset) -> pd.DataFrame:
  """The table "bias_amplification"; no row without identity attributes."""
  paper = arrays.attrs["parity"] == "paper"
  output = output_of(arrays)
  dimensions = ("member", "threshold_rule", output, "pair")
  flags = arrays["bias_amplification_flags"].to_numpy().ravel()
  values = arrays["bias_amplification"].to_numpy().ravel()
  identity = spread(arrays, dimensions, "pair_identity")
  reason = describe(flags, PAPER_BIAS_REASONS if paper else BIAS_REASONS)
  if paper:
    # Markers are exempt from what the paper excludes.
    reason = np.where(identity == MARKED, describe(flags, BIAS_REASONS), reason)
    reason = np.where(np.isnan(values), reason, "")
  columns = {
    **member_columns(arrays, dimensions),
    "threshold_rule": spread(arrays, dimensions, "threshold_rule"),
    "identity": identity,
    "value": spread(arrays, dimensions, "pair_value"),
    "attribute": spread(arrays, dimensions, output),
    "bias_amplification": values,
    "flags": describe(flags, BIAS_WORDS, " "),
    "reason": reason,
  }
  return frame("bias_amplification", columns, arrays)


def directional_table(arrays: xr.Dataset) -> pd.DataFrame:
  """The table "directional"; no row without identity attributes."""
  dimensions = ("member", "threshold_rule", "identity")
  flags = arrays["directional_flags"].to_numpy().ravel()
  columns = {
    **member_columns(arrays, dimensions),
    "threshold_rule": spread(arrays, dimensions, "threshold_rule"),
    "identity": spread(arrays, dimensions, "identity"),
    **{name: arrays[name].to_numpy().ravel() for name in DIRECTIONAL_METRICS},
    "reason": describe(flags, DIRECTION_REASONS),
  }
  return frame("directional", columns, arrays)


def groups_table(arrays: xr.Dataset) -> pd.DataFrame:
  """The table "groups": everyone, every value and every crossing of two.

  With the rows "(all)" of a multi-class task: the share of a group whose
  likeliest class is right.
  """
  output = output_of(arrays)
  dimensions = ("member", "threshold_rule", output, "group")
  counts = {name: spread(arrays, dimensions, name) for name in COUNTS}
  empty = spread(arrays, dimensions, "n_examples") == 0
  no_positive = counts["n_positive"] == 0
  no_negative = counts["n_negative"] == 0
  flags = spread(arrays, dimensions, "flags")
  undecided = (flags & AttributeFlag.NO_THRESHOLD) > 0
  reason = join_reasons(
    len(no_positive),
    [
      (empty, "empty group"),
      (no_positive & no_negative & ~empty, "no labels in the group"),
      (
        no_positive & ~no_negative,
        "false_negative_rate not available: no positives",
      ),
      (
        no_negative & ~no_positive,
        "false_positive_rate not available: no negatives",
      ),
      (undecided, NO_THRESHOLD),
    ],
  )
  columns = {
    **member_columns(arrays, dimensions),
    "threshold_rule": spread(arrays, dimensions, "threshold_rule"),
    "attribute": spread(arrays, dimensions, output),
    "identity": spread(arrays, dimensions, "group_identity"),
    "value": spread(arrays, dimensions, "group_value"),
    **counts,
    **{
      name: arrays[f"group_{name}"].to_numpy().ravel() for name in GROUP_METRICS
    },
    "reason": reason,
  }
  parts = [frame("groups", columns, arrays)]
  if output == "class":
    parts.append(_whole_groups(arrays))
  return pd.concat(parts, ignore_index=True)


def _whole_groups(arrays: xr.Dataset) -> pd.DataFrame:
  """The rows "(all)" of the table "groups"."""
  dimensions = ("member", "threshold_rule", "group")
  accuracy = arrays["overall_group_accuracy"].to_numpy().ravel()
  columns = {
    **member_columns(arrays, dimensions),
    "threshold_rule": spread(arrays, dimensions, "threshold_rule"),
    "attribute": np.full(len(accuracy), ALL, object),
    "identity": spread(arrays, dimensions, "group_identity"),
    "value": spread(arrays, dimensions, "group_value"),
    **{
      name: np.full(len(accuracy), np.nan) for name in (*COUNTS, *GROUP_METRICS)
    },
    "accuracy": accuracy,
    "reason": np.where(
      np.isnan(accuracy), "empty group", SINGLE_CLASSES
    ).astype(object),
  }
  return frame("groups", columns, arrays)


def output_of(arrays: xr.Dataset) -> str:
  """The outputs' dimension: "attribute" or "class"."""
  return "class" if "class" in arrays.dims else "attribute"


def frame(
  name: str, columns: Mapping[str, np.ndarray], arrays: xr.Dataset
) -> pd.DataFrame:
  """A table of the contract: its columns, in its order, and no others.

  Tables of members have the seeds by purpose after the key, where `arrays` has
  them: in crossed designs.

  Args:
    name: the table's name in `columns.TABLES`.
    columns: the columns without checkpoint and split.
    arrays: whose numbers they are; they know checkpoint and split.
  """
  length = len(next(iter(columns.values())))
  columns = {
    **columns,
    **{key: np.full(length, arrays.attrs[key], object) for key in WHERE},
  }
  wanted = TABLES[name]
  if KEY[: len(MEMBER)] == wanted[: len(MEMBER)]:
    purposes = tuple(key for key in PURPOSES if key in arrays.coords)
    wanted = (*KEY, *purposes, *wanted[len(KEY) :])
  assert set(columns) == set(wanted)
  table = pd.DataFrame({key: columns[key] for key in wanted})
  counts = NULLABLE[name]
  return table.astype(dict.fromkeys(counts, "Int64")) if counts else table


def member_columns(
  arrays: xr.Dataset, dimensions: Sequence[str]
) -> dict[str, np.ndarray]:
  """The columns that say which member a row is of."""
  purposes = [key for key in PURPOSES if key in arrays.coords]
  return {key: spread(arrays, dimensions, key) for key in (*MEMBER, *purposes)}


def population_columns(
  population: tuple[str, float, str], count: int
) -> dict[str, np.ndarray]:
  """The columns that say which population all of the rows are of."""
  return {
    name: np.full(count, value, object if type(value) is str else None)
    for name, value in zip(POPULATION, population, strict=True)
  }


def spread(
  arrays: xr.Dataset, dimensions: Sequence[str], name: str
) -> np.ndarray:
  """A variable repeated over `dimensions` and flattened, as a column."""
  variable = arrays[name]
  values = variable.to_numpy()
  if values.dtype.kind in "UT":
    values = values.astype(object)
  shape = [
    arrays.sizes[dimension] if dimension in variable.dims else 1
    for dimension in dimensions
  ]
  full = tuple(arrays.sizes[dimension] for dimension in dimensions)
  return np.broadcast_to(values.reshape(shape), full).ravel()
