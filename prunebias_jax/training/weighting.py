"""What each training label counts where classes or groups are reweighted.

The cells of an attribute are the values of its label, or the values of its
label in each group. With n labels that are there, K cells that hold any and n_c
of them in cell c,

    w_c = n / (K n_c)

so that every cell has the same sum of weights, n / K, and the mean weight of
the attribute's labels is 1. In a multi-class task cells are classes, or classes
in each group. Inverse frequency is an old remedy; this normalisation is this
project's choice.
"""

from collections.abc import Iterator
import logging
from typing import NamedTuple

import numpy as np
import pandas as pd

from prunebias_jax.config import Loss
from prunebias_jax.data.dataset import Dataset
from prunebias_jax.errors import choose

log = logging.getLogger(__name__)

REWEIGHTED = ("class_reweighted", "group_reweighted")
# Cells that a warning names.
_SHOWN = 3


class Cells(NamedTuple):
  """The cells of all attributes; of a multi-class task there is one column.

  Attributes:
    label: int64 [example, attribute], values of the labels; -1 where missing.
    group: int64 [example].
    groups: the groups' names, such as "1*0"; one, "", where there are none.
    counts: int64 [attribute, group, value], labels in each cell.
  """

  label: np.ndarray
  group: np.ndarray
  groups: tuple[str, ...]
  counts: np.ndarray

  @property
  def weights(self) -> np.ndarray:
    """The weight of each cell [attribute, group, value]; 0 where empty."""
    full = self.counts > 0
    total = self.counts.sum((1, 2), keepdims=True)
    each = full.sum((1, 2), keepdims=True) * np.maximum(self.counts, 1)
    return np.where(full, total / np.maximum(each, 1), 0.0)


def require_identities(dataset: Dataset, loss: Loss) -> None:
  """Refuses groups that the data set does not have.

  Raises:
    InputError: names the first unknown identity.
  """
  for name in loss.identities:
    choose(name, dataset.identity_names, "identity in loss.identities")


def label_weights(dataset: Dataset, loss: Loss) -> np.ndarray:
  """Weights of the training labels, float32 of their shape; 0 if missing."""
  cells = make_cells(dataset, loss)
  columns = np.arange(cells.label.shape[1])
  weights = cells.weights[columns, cells.group[:, None], cells.label]
  weights = np.where(cells.label >= 0, weights, 0).astype(np.float32)
  return weights.reshape(dataset.splits["train"].labels.shape)


def weight_table(dataset: Dataset, loss: Loss) -> pd.DataFrame:
  """What every cell holds and weighs.

  Returns:
    Columns attribute (of a multi-class task the class), label (1 for a class),
    identity ("Male*Young", empty without groups), value ("1*0"), n (labels in
    the cell) and weight.
  """
  return pd.DataFrame(_rows(dataset, loss, make_cells(dataset, loss)))


def log_empty(dataset: Dataset, loss: Loss) -> None:
  """Warns of cells without a training label: nothing can weigh them up."""
  table = weight_table(dataset, loss)
  # Men who are labelled not Male are missing by definition.
  empty = table[(table["n"] == 0) & ~table["attribute"].isin(loss.identities)]
  if not len(empty):
    return
  named = [
    f"{row['attribute']} {row['label']}"
    + (f" in {row['identity']} {row['value']}" if row["identity"] else "")
    for _, row in empty.head(_SHOWN).iterrows()
  ]
  log.warning(
    "loss.kind %s: %d of %d cells have no training example and weigh 0 (%s%s)",
    loss.kind,
    len(empty),
    len(table),
    ", ".join(named),
    ", ..." if len(empty) > _SHOWN else "",
  )


def make_cells(dataset: Dataset, loss: Loss) -> Cells:
  """Counts the training labels of every cell."""
  split = dataset.splits["train"]
  given = np.asarray(split.labels).reshape(len(split), -1)
  values = 2 if dataset.task == "multilabel" else len(dataset.names)
  label = np.where(np.isnan(given), -1, given).astype(np.int64)
  group = np.zeros(len(split), np.int64)
  groups: tuple[str, ...] = ("",)
  for name in loss.identities:
    column = split.identities[:, dataset.identity_names.index(name)]
    group = 2 * group + column
    groups = tuple(f"{one}*{value}" for one in groups for value in (0, 1))
  shape = (label.shape[1], len(groups), values)
  columns = np.broadcast_to(np.arange(label.shape[1]), label.shape)
  rows = np.broadcast_to(group[:, None], label.shape)
  there = label >= 0
  places = np.ravel_multi_index(
    (columns[there], rows[there], label[there]), shape
  )
  counts = np.bincount(places, minlength=np.prod(shape)).reshape(shape)
  names = tuple(one.removeprefix("*") for one in groups)
  return Cells(label, group, names, counts)


def _rows(
  dataset: Dataset, loss: Loss, cells: Cells
) -> Iterator[dict[str, object]]:
  """The rows of `weight_table`."""
  weights = cells.weights
  for place in np.ndindex(cells.counts.shape):
    attribute, group, value = place
    classes = dataset.task == "multiclass"
    yield {
      "attribute": dataset.names[value if classes else attribute],
      "label": 1 if classes else value,
      "identity": "*".join(loss.identities),
      "value": cells.groups[group],
      "n": cells.counts[place],
      "weight": weights[place],
    }
