"""What splits must be like to be analysed; everything else is refused."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import xarray as xr

from prunebias_jax.analysis.columns import (
  ALL,
  MEAN,
  MEMBER,
  PARENT,
  PURPOSES,
)
from prunebias_jax.errors import InputError


def check_names(names: Sequence[str], output: str) -> None:
  """Refuses names that the tables use for something else.

  Raises:
    InputError: an attribute or class of such a name.
  """
  for name in (MEAN, ALL):
    if name in names:
      raise InputError(
        f"{output} {name!r} has the name that the tables use for all of them; "
        "rename it"
      )


def check_identities(names: Sequence[str]) -> None:
  """Refuses identities whose names would be taken for crossings.

  Raises:
    InputError: an identity of such a name.
  """
  for name in names:
    if "*" in name:
      raise InputError(
        f"identity {name!r}: the tables join the names of crossed identities "
        "by '*'; rename it"
      )


def check_split(name: str, data: xr.Dataset, outputs: int) -> None:
  """Refuses a split without examples, and labels that are none.

  Args:
    name: the split's name.
    data: its `labels` [example, attribute], NaN where missing, or class ids
      [example].
    outputs: the number of attributes or classes.

  Raises:
    InputError: names the split and the first label that is not accepted.
  """
  labels = data["labels"].to_numpy()
  if not labels.size:
    raise InputError(f"the {name} split is empty")
  if labels.ndim == 1:
    accepted = np.isin(labels, np.arange(outputs))
    words = f"the class ids 0 to {outputs - 1}"
  else:
    accepted = np.isin(labels, (0, 1)) | np.isnan(labels)
    words = "0, 1 and NaN (missing)"
  if not accepted.all():
    raise InputError(
      f"the labels of the {name} split hold {labels[~accepted][0]}; "
      f"accepted: {words}"
    )


def members_in(data: xr.Dataset) -> pd.DataFrame:
  """The members of a split's logits.

  Returns:
    One row a member, in order: pruner, sparsity, quantization, seed; the seeds
    by purpose where they are known; and parent_seed: the seed of the dense
    member that it pairs with, -1 for none. That is its own seed unless `data`
    has such a coordinate, or says by its attribute `paired` that nothing pairs.

  Raises:
    InputError: no member, or two that are the same.
  """
  there = [*MEMBER, *(key for key in PURPOSES if key in data.coords)]
  members = pd.DataFrame({key: data[key].to_numpy() for key in there})
  if members.empty:
    raise InputError("nothing to analyse: the run has no finished member")
  twice = members[members.duplicated([*MEMBER])]
  if len(twice):
    raise InputError(f"{name_of(twice.iloc[0])} is there more than once")
  if not data.attrs.get("paired", True):
    return members.assign(**{PARENT: -1})
  parents = data[PARENT] if PARENT in data.coords else data["seed"]
  return members.assign(**{PARENT: parents.to_numpy()})


def places_of(members: pd.DataFrame, valid: xr.Dataset) -> np.ndarray:
  """Where each member's validation logits are: int [member].

  Raises:
    InputError: names the members without validation logits.
  """
  found = {
    key: place
    for place, key in enumerate(
      members_in(valid)[[*MEMBER]].itertuples(index=False, name=None)
    )
  }
  wanted = list(members[[*MEMBER]].itertuples(index=False, name=None))
  missing = [place for place, key in enumerate(wanted) if key not in found]
  if missing:
    names = [name_of(members.iloc[place]) for place in missing]
    raise InputError("there are no validation logits of " + "; ".join(names))
  return np.array([found[key] for key in wanted], int)


def population_text(pruner: str, sparsity: float, quantization: str) -> str:
  """A population as a reader names it: "magnitude, sparsity 0.95"."""
  middle = "" if quantization == "none" else f", {quantization}"
  return f"{pruner}, sparsity {sparsity:g}{middle}"


def name_of(member: pd.Series) -> str:
  """A member as a reader names it: "magnitude, sparsity 0.95, seed 3"."""
  pruner, sparsity, quantization, seed = (member[key] for key in MEMBER)
  return f"{population_text(pruner, sparsity, quantization)}, seed {seed}"
