"""What the test splits of two runs have in common."""

from collections.abc import Iterable
import dataclasses

import numpy as np
import xarray as xr

from prunebias_jax.errors import InputError

_SHOWN = 4


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ground:
  """What two runs can be compared on.

  Attributes:
    outputs: the attributes or classes, in the first run's order.
    identities: the identities that put the same examples into their groups.
    same_test: whether both were tested on the same examples with the same
      labels of `outputs`: else a difference may be that of the test sets.
    reasons: what is not compared and why, a sentence each.
  """

  outputs: tuple[str, ...]
  identities: tuple[str, ...]
  same_test: bool
  reasons: tuple[str, ...]


def common_ground(first: xr.Dataset, second: xr.Dataset) -> Ground:
  """Finds what two runs can be compared on.

  Args:
    first: a test split: `labels` [example, attribute] (or, of exclusive
      classes, [example]), `identities` [example, identity], named coordinates.
    second: that of the other run.

  Returns:
    The ground.

  Raises:
    InputError: the tasks are not of one kind, the classes are not the same, or
      there is no attribute that both predict.
  """
  exclusive = [one["labels"].ndim == 1 for one in (first, second)]
  if exclusive[0] != exclusive[1]:
    kinds = [
      "exclusive classes" if one else "binary attributes" for one in exclusive
    ]
    raise InputError(
      f"runs of different tasks cannot be compared: one predicts {kinds[0]}, "
      f"the other {kinds[1]}"
    )
  dimension = "class" if exclusive[0] else "attribute"
  mine, other = (_names(one, dimension) for one in (first, second))
  shared = tuple(one for one in mine if one in set(other))
  if not shared or (exclusive[0] and set(mine) != set(other)):
    raise InputError(
      f"runs of other {'classes' if exclusive[0] else 'attributes'} cannot be "
      f"compared: one predicts {_few(mine)}, the other {_few(other)}"
    )
  reasons = []
  if len(shared) < max(len(mine), len(other)):
    alone = [one for one in (*mine, *other) if one not in shared]
    reasons.append(
      f"Only one of the runs predicts {_few(alone)}: the comparison goes over "
      f"the {len(shared)} attributes that both predict, and interdependence, "
      "which is explained by all others, is not compared."
    )
  sides = _aligned(first, second)
  if sides is None:
    reasons.append(
      "The test sets are not the same examples: differences between the runs "
      "would be those of the test sets, too, and are not given."
    )
    both = set(_names(second, "identity"))
    identities = [one for one in _names(first, "identity") if one in both]
    return Ground(
      outputs=shared,
      identities=tuple(identities),
      same_test=False,
      reasons=tuple(reasons),
    )
  outputs, same_test = _same_labels(sides, shared, dimension, reasons)
  return Ground(
    outputs=outputs,
    identities=_same_identities(sides, reasons),
    same_test=same_test,
    reasons=tuple(reasons),
  )


def _same_labels(
  sides: tuple[xr.Dataset, xr.Dataset],
  shared: tuple[str, ...],
  dimension: str,
  reasons: list[str],
) -> tuple[tuple[str, ...], bool]:
  """The outputs of equal test labels, and whether there are any."""
  if dimension == "class":
    names = [_names(one, dimension) for one in sides]
    truth = [
      np.array(of)[one["labels"].to_numpy().astype(int)]
      for of, one in zip(names, sides, strict=True)
    ]
    different = int(np.count_nonzero(truth[0] != truth[1]))
    same = shared if not different else ()
  else:
    labels = [
      one["labels"].sel(attribute=list(shared)).to_numpy().astype(np.float64)
      for one in sides
    ]
    equal = (labels[0] == labels[1]) | np.isnan(labels).all(axis=0)
    same = tuple(np.array(shared)[equal.all(axis=0)].tolist())
    different = int(np.count_nonzero(~equal))
  if not same:
    reasons.append(
      f"The test labels are not the same ({different:,} of them differ): "
      "differences between the runs would be those of the labels, too, and "
      "are not given."
    )
    return shared, False
  others = [one for one in shared if one not in same]
  if others:
    reasons.append(
      f"The test labels of {_few(others)} are not the same in both runs "
      f"({different:,} differ): what is compared leaves these out."
    )
  return same, True


def _same_identities(
  sides: tuple[xr.Dataset, xr.Dataset], reasons: list[str]
) -> tuple[str, ...]:
  """The identities with the same examples in their groups."""
  both = [_names(one, "identity") for one in sides]
  shared = [one for one in both[0] if one in both[1]]
  groups = [one["identities"].sel(identity=shared).to_numpy() for one in sides]
  equal = (groups[0] == groups[1]).all(axis=0)
  same = tuple(np.array(shared)[equal].tolist())
  others = [one for one in dict.fromkeys(both[0] + both[1]) if one not in same]
  if others:
    reasons.append(
      f"Groups of {_few(others)} are not compared: only one run has them, or "
      "they hold other examples."
    )
  return same


def _aligned(
  first: xr.Dataset, second: xr.Dataset
) -> tuple[xr.Dataset, xr.Dataset] | None:
  """Both in the order of the examples' ids; None where these differ."""
  ids = [one["example"].to_numpy().astype(str) for one in (first, second)]
  orders = [np.argsort(one, kind="stable") for one in ids]
  if not np.array_equal(ids[0][orders[0]], ids[1][orders[1]]):
    return None
  return first.isel(example=orders[0]), second.isel(example=orders[1])


def _names(data: xr.Dataset, dimension: str) -> tuple[str, ...]:
  if dimension not in data.coords:
    return ()
  return tuple(map(str, data[dimension].to_numpy()))


def _few(names: Iterable[str]) -> str:
  """The first of some names, and how many more there are."""
  listed = list(dict.fromkeys(names))
  more = f" and {len(listed) - _SHOWN} more" if listed[_SHOWN:] else ""
  return ", ".join(listed[:_SHOWN]) + more
