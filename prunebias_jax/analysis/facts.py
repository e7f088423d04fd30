"""What a data set says by itself: labels, groups and base rates."""

from collections.abc import Mapping, Sequence
import dataclasses
import itertools

import numpy as np
import xarray as xr

from prunebias_jax.analysis.bias import GroupPairs
from prunebias_jax.analysis.checks import (
  check_identities,
  check_names,
  check_split,
)
from prunebias_jax.analysis.columns import EVERYONE, MARKED
from prunebias_jax.analysis.directional import Directions, make_directions
from prunebias_jax.analysis.rates import divide
from prunebias_jax.errors import InputError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Groups:
  """Groups of the test examples: everyone, each value, each pair's crossings.

  Attributes:
    identity: "" for everyone, "Male", "Male*Young".
    value: "" for everyone, "1", "1*0".
    membership: float64 [example, group] in {0, 1}.
  """

  identity: tuple[str, ...]
  value: tuple[str, ...]
  membership: np.ndarray


@dataclasses.dataclass(frozen=True, kw_only=True)
class Facts:
  """The ground truth of a run, in the form that the metrics want.

  Attributes:
    output: the outputs' dimension, "attribute" or "class".
    names: the attributes or classes.
    identity_names: the identity attributes.
    labels: bool [example, output], test; one-hot for exclusive classes; False
      where missing.
    present: bool [example, output], test: the label is there; None where none
      is missing.
    n_labels: int [output] by the name of a split: labels that are there.
    n_missing: the same of those that are missing.
    groups: the groups of the test examples.
    pairs: the groups of bias amplification with their train rates.
    directions: the identities' values with theirs.
    prevalence: float64 [output], train, of the labels that are there; NaN
      without any.
    has_train: there are train labels.
  """

  output: str
  names: tuple[str, ...]
  identity_names: tuple[str, ...]
  labels: np.ndarray
  present: np.ndarray | None
  n_labels: Mapping[str, np.ndarray]
  n_missing: Mapping[str, np.ndarray]
  groups: Groups
  pairs: GroupPairs
  directions: Directions
  prevalence: np.ndarray
  has_train: bool

  @property
  def exclusive(self) -> bool:
    """Whether the outputs are exclusive classes."""
    return self.output == "class"

  def label_counts(self) -> dict[str, np.ndarray]:
    """Positives and negatives in each group: float64 [output, group]."""
    membership = self.groups.membership
    positive = self.labels.T.astype(np.float64) @ membership
    total = membership.sum(axis=0)
    if self.present is not None:
      total = self.present.T.astype(np.float64) @ membership
    return {"n_positive": positive, "n_negative": total - positive}


def gather(splits: Mapping[str, xr.Dataset]) -> Facts:
  """Takes from the splits all that does not depend on a member.

  Args:
    splits: "test", and "train" where there is one, as a run stores them.

  Returns:
    The facts.

  Raises:
    InputError: no test logits, fewer than two exclusive classes, a split
      that `checks` refuses.
  """
  test, train = splits.get("test"), splits.get("train")
  if test is None or "logits" not in test:
    raise InputError("nothing to analyse: no logits of the test split")
  output = str(test["logits"].dims[-1])
  names = tuple(map(str, test[output].to_numpy()))
  if output == "class" and len(names) < 2:
    raise InputError(f"one class ({names[0]}); two or more are needed")
  check_names(names, output)
  for name, data in splits.items():
    check_split(name, data, len(names))
  identity_names = tuple(map(str, test["identity"].to_numpy()))
  check_identities(identity_names)
  labels = indicators(test, len(names))
  identities = test["identities"].to_numpy()
  given = [identities]
  prevalence = np.full(len(names), np.nan)
  train_labels = train_present = train_identities = None
  if train is not None:
    train_labels, train_present = indicators(train, len(names)), presence(train)
    train_identities = train["identities"].to_numpy()
    prevalence = divide(
      train_labels.sum(axis=0), _label_count(train, len(names))
    )
    given.append(train_identities)
  values = _values(np.concatenate(given))
  groups = make_groups(identities, identity_names, values)
  return Facts(
    output=output,
    names=names,
    identity_names=identity_names,
    labels=labels,
    present=presence(test),
    n_labels={
      name: _label_count(data, len(names)) for name, data in splits.items()
    },
    n_missing={
      name: len(data["labels"]) - _label_count(data, len(names))
      for name, data in splits.items()
    },
    groups=groups,
    pairs=_make_pairs(
      groups,
      train_identities,
      train_labels,
      train_present,
      identity_names,
      names,
      values,
    ),
    directions=make_directions(
      values,
      # The values follow everyone, in the same order.
      1 + np.arange(sum(map(len, values))),
      np.array(
        [
          names.index(name) if output == "attribute" and name in names else -1
          for name in identity_names
        ],
        int,
      ),
      len(names),
      None
      if train_labels is None or train_identities is None
      else (train_identities, train_labels, train_present),
    ),
    prevalence=prevalence,
    has_train=train is not None,
  )


def indicators(split: xr.Dataset, outputs: int) -> np.ndarray:
  """A split's labels as bool [example, output]; class ids become one-hot.

  A missing label is False: see `presence`.
  """
  labels = split["labels"].to_numpy()
  if labels.ndim == 1:
    return labels[:, None] == np.arange(outputs)
  return labels == 1


def presence(split: xr.Dataset) -> np.ndarray | None:
  """Which labels are there: bool [example, output]; None where all are."""
  present = ~np.isnan(split["labels"].to_numpy())
  return None if present.all() else present


def _label_count(split: xr.Dataset, outputs: int) -> np.ndarray:
  """How many labels of each output are there: int [output]."""
  present = presence(split)
  if present is None:
    return np.full(outputs, len(split["labels"]))
  return present.sum(axis=0)


def make_groups(
  identities: np.ndarray,
  names: Sequence[str],
  values: Sequence[Sequence[int]],
) -> Groups:
  """Everyone, every value of an identity, every crossing of two identities.

  Args:
    identities: int [example, identity].
    names: the identities' names.
    values: the values of each identity, present or not.
  """
  rows: list[tuple[str, str, np.ndarray]] = [
    (EVERYONE, EVERYONE, np.ones(len(identities), bool))
  ]
  singles = [
    [(name, str(value), identities[:, i] == value) for value in values[i]]
    for i, name in enumerate(names)
  ]
  for single in singles:
    rows += single
  for first, second in itertools.combinations(singles, 2):
    for (name, value, member), (name2, value2, member2) in itertools.product(
      first, second
    ):
      rows.append((f"{name}*{name2}", f"{value}*{value2}", member & member2))
  return Groups(
    identity=tuple(row[0] for row in rows),
    value=tuple(row[1] for row in rows),
    membership=np.stack([row[2] for row in rows], axis=1).astype(np.float64),
  )


def _values(identities: np.ndarray) -> list[list[int]]:
  """The values of each identity; 0 and 1 count even where one is absent."""
  found = [np.unique(column).tolist() for column in identities.T]
  return [[0, 1] if set(values) <= {0, 1} else values for values in found]


def _make_pairs(
  groups: Groups,
  train_identities: np.ndarray | None,
  train_labels: np.ndarray | None,
  train_present: np.ndarray | None,
  identity_names: Sequence[str],
  names: Sequence[str],
  values: Sequence[Sequence[int]],
) -> GroupPairs:
  """Each value against the rest; for two values the second one says it all."""
  chosen = [
    (i, value)
    for i, present in enumerate(values)
    for value in (present[1:] if len(present) == 2 else present)
  ]
  shape = (len(chosen), len(names))
  inside = outside = np.full(shape, np.nan)
  empty = np.zeros(len(chosen), bool)
  if train_labels is not None and train_identities is not None:
    member = _membership(train_identities, chosen)
    positive = member.T @ train_labels.astype(np.float64)
    size = member.sum(axis=0)[:, None]
    empty = np.isin(size[:, 0], (0, len(train_labels)))
    total: float | np.ndarray = float(len(train_labels))
    if train_present is not None:
      size = member.T @ train_present.astype(np.float64)
      total = train_present.sum(axis=0)
    inside = divide(positive, size)
    outside = divide(train_labels.sum(axis=0) - positive, total - size)
  keys = [(identity_names[i], str(value)) for i, value in chosen]
  rows = {
    key: row
    for row, key in enumerate(zip(groups.identity, groups.value, strict=True))
  }
  same = [[identity == name for name in names] for identity, _ in keys]
  return GroupPairs(
    identity=tuple(name for name, _ in keys),
    value=tuple(value for _, value in keys),
    group=np.array([rows[key] for key in keys], int),
    inside=inside,
    outside=outside,
    empty=empty,
    same=np.array(same, bool).reshape(shape),
    binary=np.array([len(values[i]) <= 2 for i, _ in chosen], bool),
    marker=np.array([identity_names[i] == MARKED for i, _ in chosen], bool),
    has_train=train_labels is not None,
  )


def _membership(
  identities: np.ndarray, chosen: Sequence[tuple[int, int]]
) -> np.ndarray:
  """Indicators of (identity, value): float64 [example, pair]."""
  columns = [identities[:, i] == value for i, value in chosen]
  if not columns:
    return np.zeros((len(identities), 0))
  return np.stack(columns, axis=1).astype(np.float64)
