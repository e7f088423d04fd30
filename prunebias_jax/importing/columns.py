"""Names, labels and identities of an archive, checked."""

from collections.abc import Mapping

import numpy as np

from prunebias_jax import store
from prunebias_jax.analysis.checks import check_identities, check_names
from prunebias_jax.data.dataset import compact_labels
from prunebias_jax.data.faces.attributes import IDENTITIES, NAMES
from prunebias_jax.data.groups import identity_columns
from prunebias_jax.errors import InputError
from prunebias_jax.importing.foreign import check_texts

Arrays = Mapping[str, np.ndarray]


def texts(array: np.ndarray, what: str) -> list[str]:
  """An array of text as a list.

  Raises:
    InputError: numbers, bytes that are no UTF-8, or text that is no name.
  """
  if array.dtype.kind == "S":
    try:
      array = np.char.decode(array, "utf-8")
    except UnicodeDecodeError:
      raise InputError(f"{what} holds bytes that are no UTF-8") from None
  if array.dtype.kind != "U" or array.ndim != 1:
    raise InputError(
      f"{what} is {array.dtype} of shape {array.shape}; accepted: one text each"
    )
  found = array.tolist()
  check_texts(found, what)
  return found


def names_in(array: np.ndarray, what: str) -> list[str]:
  """An array of names, each there once, as a list.

  Raises:
    InputError: what `texts` refuses, or a name that is there twice.
  """
  found = texts(array, what)
  double = [one for one in dict.fromkeys(found) if found.count(one) > 1]
  if double:
    raise InputError(f"{what} holds {double[0]!r} more than once")
  return found


def read_names(found: Arrays, outputs: int, exclusive: bool) -> tuple[str, ...]:
  """The attributes' or classes' names; numbered where there are none.

  Raises:
    InputError: names that are not distinct, or not as many as outputs.
  """
  output = "class" if exclusive else "attribute"
  key, other = f"{output}_names", "class_names"
  if exclusive:
    other = "attribute_names"
    if outputs < 2:
      raise InputError(
        "test_labels [example] are class ids, but the logits are of one class; "
        "accepted for one attribute: labels [example, 1]"
      )
  if other in found:
    raise InputError(
      f"there are {other}, but test_labels of shape "
      f"{found['test_labels'].shape} are those of {output}s: {key}"
    )
  if key not in found:
    return tuple(f"{output}_{index}" for index in range(outputs))
  names = names_in(found[key], key)
  if len(names) != outputs:
    raise InputError(f"{key} are {len(names)}, the logits are of {outputs}")
  check_names(names, output)
  return tuple(names)


def read_labels(
  array: np.ndarray, what: str, names: tuple[str, ...], exclusive: bool
) -> np.ndarray:
  """Labels of one split, as a run stores them.

  Returns:
    uint8 [example, attribute], float32 with NaN where some are missing; or
    int32 [example], class ids.

  Raises:
    InputError: another shape, or other values.
  """
  if array.ndim != (1 if exclusive else 2) or not array.size:
    raise InputError(
      f"{what} are of shape {array.shape}; accepted: "
      + ("[example], class ids" if exclusive else "[example, attribute]")
    )
  if not exclusive and array.shape[1] != len(names):
    raise InputError(
      f"{what} are of {array.shape[1]} attributes, the logits of {len(names)}"
    )
  if array.dtype.kind not in ("iu" if exclusive else "biuf"):
    raise InputError(
      f"{what} are {array.dtype}; accepted: "
      + ("whole numbers, class ids" if exclusive else "0, 1 and NaN (missing)")
    )
  if exclusive:
    wrong = array[(array < 0) | (array >= len(names))]
    accepted = f"class ids 0 to {len(names) - 1}"
  else:
    wrong = array[~(np.isin(array, (0, 1)) | np.isnan(array))]
    accepted = "0, 1 and NaN (missing)"
  if wrong.size:
    raise InputError(f"{what} hold {wrong[0]}; accepted: {accepted}")
  return array.astype(np.int32) if exclusive else compact_labels(array)


def group_columns(
  found: Arrays, labels: Arrays
) -> dict[str, dict[str, np.ndarray]]:
  """Identities that are no attributes: uint8 [example] by name, by split.

  A column of 0 and 1 is one identity; any other is taken as categories, each an
  identity "name=value".

  Raises:
    InputError: groups of some splits only, of another shape, or of values that
      are neither numbers, dates nor printable text.
  """
  given = [split for split in store.SPLITS if f"{split}_groups" in found]
  if "group_names" not in found:
    if given:
      raise InputError(f"there are {given[0]}_groups without group_names")
    return {split: {} for split in labels}
  names = names_in(found["group_names"], "group_names")
  if given != [*labels]:
    raise InputError(
      f"groups are given of {', '.join(given) or 'no split'}, labels of "
      f"{', '.join(labels)}; accepted: of the same splits"
    )
  for split in given:
    shape, expected = (
      found[f"{split}_groups"].shape,
      (len(labels[split]), len(names)),
    )
    if shape != expected:
      raise InputError(
        f"{split}_groups are of shape {shape}; accepted: {expected}, [example, "
        "group]"
      )
  ends = np.cumsum([len(labels[split]) for split in given])[:-1]
  columns = {
    name: _values(
      [found[f"{split}_groups"][:, place] for split in given],
      f"groups: {name!r}",
    )
    for place, name in enumerate(names)
  }
  parted = {
    name: np.split(column, ends)
    for name, column in identity_columns(columns, "groups").items()
  }
  return {
    split: {name: parts[place] for name, parts in parted.items()}
    for place, split in enumerate(given)
  }


def read_identities(
  found: Arrays,
  labels: Arrays,
  names: tuple[str, ...],
  exclusive: bool,
  groups: Mapping[str, Mapping[str, np.ndarray]],
) -> tuple[tuple[str, ...], dict[str, np.ndarray]]:
  """The identities: some of the attributes, then the group columns.

  Args:
    found: the archive, whose `identity_names` are attributes; without it those
      of CelebA's four that are there, if all attributes are CelebA's.
    labels: by split.
    names: of the attributes or classes.
    exclusive: these are classes, of which none is an identity.
    groups: what `group_columns` gave.

  Returns:
    The identities' names, and uint8 [example, identity] by split.

  Raises:
    InputError: an identity that is no attribute, has missing labels, has the
      name of a group column too, or a name with "*".
  """
  if "identity_names" in found:
    array = found["identity_names"]
    chosen = names_in(array, "identity_names") if array.size else []
  else:
    is_celeba = not exclusive and set(names) <= set(NAMES)
    chosen = [one for one in IDENTITIES if is_celeba and one in names]
  for name in chosen:
    if exclusive or name not in names:
      accepted = "none" if exclusive else ", ".join(names)
      raise InputError(
        f"unknown identity {name!r} in identity_names; accepted: {accepted} "
        "(others as group_names)"
      )
    for split, array in labels.items():
      missing = np.isnan(array[:, names.index(name)]).sum()
      if missing:
        raise InputError(
          f"identity {name!r} has {missing} missing labels in {split}; "
          "accepted in identity_names: attributes without missing labels"
        )
  more = list(groups["test"])
  double = [name for name in more if name in names]
  if double:
    raise InputError(
      f"{double[0]!r} is an attribute and in group_names; name it in "
      "identity_names, or call the group otherwise"
    )
  check_identities([*chosen, *more])
  places = [names.index(name) for name in chosen]
  identities = {}
  for split, array in labels.items():
    columns = [array[:, place].astype(np.uint8) for place in places]
    columns += groups[split].values()
    none = np.zeros((len(array), 0), np.uint8)
    identities[split] = np.column_stack([none, *columns])
  return (*chosen, *more), identities


def _values(parts: list[np.ndarray], what: str) -> np.ndarray:
  """A group column of all splits; text that is all 0 and 1 as numbers.

  Columns of one array share a type, so that numbers may come as text.
  """
  for part in parts:
    if part.dtype.kind not in "biufUSM":
      raise InputError(
        f"{what} is {part.dtype}; accepted: numbers, text or dates"
      )
  column = np.concatenate(parts)
  if column.dtype.kind not in "US":
    return column
  if column.dtype.kind == "S":
    try:
      column = np.char.decode(column, "utf-8")
    except UnicodeDecodeError:
      raise InputError(f"{what} holds bytes that are no UTF-8") from None
  check_texts(np.unique(column).tolist(), what)
  if np.isin(column, ("0", "1")).all():
    return column.astype(np.uint8)
  return column
