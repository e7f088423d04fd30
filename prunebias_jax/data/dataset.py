"""The data set type: uint8 images, labels, ids and names of three splits."""

from collections.abc import Mapping, Sequence
import dataclasses
import hashlib
from typing import Any, Literal, Self

import numpy as np

from prunebias_jax.data import cache
from prunebias_jax.data.groups import identity_columns
from prunebias_jax.data.window import Window
from prunebias_jax.errors import InputError

SPLITS = ("train", "valid", "test")
Task = Literal["multilabel", "multiclass"]
# Examples that the fingerprint reads at a time.
_HASHED = 1024


@dataclasses.dataclass(frozen=True, kw_only=True)
class Split:
  """The examples of one split.

  Attributes:
    images: uint8 [example, height, width, channel].
    labels: uint8 [example, attribute] in {0, 1} for a multi-label task, or
      float32 in {0, 1, NaN} in a split where some are missing (see
      `compact_labels`); int32 [example] class ids for a multi-class task.
    identities: uint8 [example, identity] in {0, 1}: the ground truth that
      defines the groups.
    ids: str [example], stable and distinct within the data set.
    truth: what only a synthetic data set knows, by name: arrays
      [example, attribute] such as `clean` (label before noise), `margin`
      (signed distance to the boundary: difficulty) and `flipped`.
    marked: uint8 [example], 1 where an example carries the data set's marker;
      None where there is no marker.
    window: how the images are scaled and cut as they are used; None where
      networks see them as they are stored.
    corrected: how many corrections changed the split, see `data.corrections`.
  """

  images: np.ndarray
  labels: np.ndarray
  identities: np.ndarray
  ids: np.ndarray
  truth: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
  marked: np.ndarray | None = None
  window: Window | None = None
  corrected: int = 0

  def __len__(self) -> int:
    return len(self.images)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Dataset:
  """Images and labels of the splits train, valid and test, with their names.

  Attributes:
    name: the data set's name.
    task: "multilabel" (binary attributes) or "multiclass" (exclusive classes).
    names: the attribute names, or the class names.
    identity_names: names of the identity attributes; a name that is also in
      `names` is the same attribute, predicted as well.
    splits: `Split` by the names in `SPLITS`.
    marker: the mark that `marked` examples carry as they are used, "" for none;
      `data.markers` puts it on.

  Raises:
    InputError: shapes, types, names or ids that do not fit together.
  """

  name: str
  task: Task
  names: tuple[str, ...]
  identity_names: tuple[str, ...]
  splits: Mapping[str, Split]
  marker: str = ""

  def __post_init__(self) -> None:
    if tuple(self.splits) != SPLITS:
      raise InputError(
        f"data set {self.name}: splits {tuple(self.splits)}, not {SPLITS}"
      )
    for names, what in (
      (self.names, "output"),
      (self.identity_names, "identity"),
    ):
      if len(set(names)) != len(names):
        raise InputError(f"data set {self.name}: {what} names not distinct")
    for name, split in self.splits.items():
      _check_split(f"data set {self.name}, {name} split", self, split)
      shape, expected = split.images.shape[1:], self.stored_shape
      if split.window != self.window:
        expected = self.image_shape
      if shape != expected:
        raise InputError(
          f"data set {self.name}: images of the {name} split, such as "
          f"{str(split.ids[0])!r}, are {_sides(shape)}, those of train "
          f"{_sides(expected)}; accepted: one shape"
        )
    ids = np.concatenate([split.ids for split in self.splits.values()])
    values, counts = np.unique(ids, return_counts=True)
    if np.any(counts > 1):
      raise InputError(
        f"data set {self.name}: example id {str(values[counts > 1][0])!r} "
        "stands for more than one example"
      )

  @classmethod
  def from_arrays(
    cls,
    *,
    images: np.ndarray | Mapping[str, np.ndarray],
    labels: np.ndarray,
    splits: Sequence[str] | np.ndarray,
    names: Sequence[str],
    identities: Mapping[str, Any] | None = None,
    ids: Sequence[Any] | np.ndarray | None = None,
    name: str = "arrays",
  ) -> Self:
    """Makes a data set of arrays over all examples, in any order.

    Args:
      images: uint8 [example, y, x, channel], or [example, y, x] for gray ones;
        or those of each split by its name, in the order of its examples.
      labels: [example, attribute] in {0, 1} for a multi-label task, where NaN
        is a missing label; or [example] whole numbers, the classes, for a
        multi-class one.
      splits: [example], each "train", "valid" or "test".
      names: the attribute names, or the class names.
      identities: values [example] by name, what defines the groups: 0 and 1,
        or categories, of which each becomes an identity "name=value".
      ids: [example], distinct; by default 0, 1, 2, ...
      name: the data set's name.

    Raises:
      InputError: arrays that do not fit together, an unknown or empty split,
        a missing class, an identity with empty cells or a single value.
    """
    where = f"data set {name}"
    if np.ma.is_masked(labels):
      # What is masked is missing; as an array it would be whatever lies there.
      labels = np.ma.filled(labels.astype(float), np.nan)
    labels = _as_array(labels, f"{where}: labels")
    splits = _as_array(splits, f"{where}: splits", flat=True)
    multilabel = labels.ndim == 2
    if not (multilabel or labels.ndim == 1) or (
      labels.dtype.kind not in ("biuf" if multilabel else "biu")
    ):
      raise InputError(
        f"{where}: labels are {labels.dtype} {labels.shape}; accepted: 0, 1 "
        "and NaN (missing) [example, attribute], or integers [example], the "
        "classes, of which none may be missing"
      )
    # As they are, before a type could wrap them round.
    _check_range(where, labels, 1 if multilabel else len(names) - 1)
    groups = identity_columns(identities or {}, where)
    if not isinstance(images, Mapping):
      images = _as_array(images, f"{where}: images")
    elif set(images) != set(SPLITS):
      raise InputError(
        f"{where}: images of {', '.join(map(str, images)) or 'no split'}; "
        f"accepted: of {', '.join(SPLITS)}"
      )
    count = len(splits) if isinstance(images, Mapping) else len(images)
    if ids is None:
      ids = np.arange(count)
    ids = _as_array(ids, f"{where}: ids", flat=True)
    columns = {"labels": labels, "splits": splits, "ids": ids, **groups}
    for what, column in columns.items():
      if len(column) != count:
        raise InputError(
          f"{where}: {what} are {len(column)} for {count} images"
        )
    unknown = set(splits.tolist()) - set(SPLITS)
    if unknown:
      raise InputError(
        f"{where}: unknown split {min(map(str, unknown))!r}; accepted: "
        f"{', '.join(SPLITS)}"
      )
    if not multilabel:
      labels = labels.astype(np.int32)
    none = np.zeros((count, 0), np.uint8)
    grouped = np.column_stack([none, *groups.values()])
    parts = {one: np.flatnonzero(splits == one) for one in SPLITS}
    if not isinstance(images, Mapping):
      images = {one: images[rows] for one, rows in parts.items()}
    return cls(
      name=name,
      task="multilabel" if multilabel else "multiclass",
      names=tuple(map(str, names)),
      identity_names=tuple(groups),
      splits={
        one: Split(
          images=images[one][..., None]
          if images[one].ndim == 3
          else images[one],
          labels=compact_labels(labels[rows]) if multilabel else labels[rows],
          identities=grouped[rows],
          ids=ids[rows].astype(str),
        )
        for one, rows in parts.items()
      },
    )

  @property
  def window(self) -> Window | None:
    """The window of the training images."""
    return self.splits["train"].window

  @property
  def stored_shape(self) -> tuple[int, int, int]:
    """(height, width, channel) of every image as it is stored."""
    height, width, channel = self.splits["train"].images.shape[1:]
    return height, width, channel

  @property
  def image_shape(self) -> tuple[int, int, int]:
    """(height, width, channel) of every image as networks see it."""
    if self.window is None:
      return self.stored_shape
    return self.window.size, self.window.size, self.stored_shape[-1]

  def fingerprint(self) -> str:
    """SHA-256 over every pixel, label and id: equal means the same data."""
    digest = hashlib.sha256(repr((self.task, self.names)).encode())
    for split in self.splits.values():
      for array in (split.images, split.labels, split.identities):
        # Piece by piece: whatever is not contiguous is copied to be read.
        for first in range(0, len(array), _HASHED):
          part = array[first : first + _HASHED]
          digest.update(np.ascontiguousarray(part).data)
          cache.release(array)
      digest.update("\n".join(split.ids.tolist()).encode())
      if split.marked is not None:
        digest.update(self.marker.encode() + split.marked.tobytes())
    if self.window is not None:
      digest.update(repr(self.window).encode())
    return digest.hexdigest()


def _check_split(where: str, dataset: Dataset, split: Split) -> None:
  """Raises InputError where the arrays of a split do not fit together."""
  images, labels, identities = split.images, split.labels, split.identities
  if images.ndim != 4 or images.dtype != np.uint8:
    raise InputError(
      f"{where}: images are {images.dtype} {images.shape}, "
      "not uint8 [example, height, width, channel]"
    )
  count = len(images)
  if count == 0:
    raise InputError(f"{where}: no examples")
  if dataset.task == "multilabel":
    expected: tuple[int, ...] = (count, len(dataset.names))
    highest = 1
  else:
    expected = (count,)
    highest = len(dataset.names) - 1
  if labels.shape != expected:
    raise InputError(f"{where}: labels {labels.shape}, expected {expected}")
  _check_range(where, labels, highest)
  if identities.shape != (count, len(dataset.identity_names)):
    raise InputError(
      f"{where}: identities {identities.shape}, expected "
      f"{(count, len(dataset.identity_names))}"
    )
  if identities.size and not np.isin(identities, (0, 1)).all():
    raise InputError(f"{where}: identity values other than 0 and 1")
  if split.marked is not None and split.marked.shape != (count,):
    raise InputError(f"{where}: {len(split.marked)} marks for {count} examples")
  if split.ids.shape != (count,):
    raise InputError(f"{where}: {len(split.ids)} ids for {count} examples")


def _as_array(values: Any, what: str, *, flat: bool = False) -> np.ndarray:
  """Values as an array, of one dimension if `flat`.

  Raises:
    InputError: rows of different lengths, or other dimensions.
  """
  try:
    array = np.asarray(values)
  except ValueError as error:
    raise InputError(f"{what} make no array: {error}") from None
  if array.ndim == 0 or (flat and array.ndim != 1):
    raise InputError(
      f"{what} are of shape {array.shape}; accepted: one for each example"
    )
  return array


def compact_labels(labels: np.ndarray) -> np.ndarray:
  """Labels of one split in the type that says whether some are missing.

  The type is what later decides: a training program that sees uint8 labels
  knows nothing of missing ones.

  Args:
    labels: [example, attribute] in {0, 1, NaN}, of any type.

  Returns:
    uint8 where no label is missing, else float32 with NaN.
  """
  missing = np.isnan(labels)
  if not missing.any():
    return labels.astype(np.uint8)
  # NaN has many bit patterns, of which fingerprints want one.
  return np.where(missing, np.float32(np.nan), labels.astype(np.float32))


def _sides(shape: tuple[int, ...]) -> str:
  """A shape as a message has it: "218 x 178 x 3"."""
  return " x ".join(map(str, shape))


def _check_range(where: str, labels: np.ndarray, highest: int) -> None:
  if labels.dtype.kind == "f":
    wrong = labels[~(np.isin(labels, (0, 1)) | np.isnan(labels))]
    if wrong.size:
      raise InputError(
        f"{where}: labels hold {wrong[0]:g}; accepted: 0, 1 and NaN (missing)"
      )
  elif labels.size and (labels.min() < 0 or labels.max() > highest):
    raise InputError(
      f"{where}: labels from {labels.min()} to {labels.max()}, "
      f"accepted are 0 to {highest}"
    )
