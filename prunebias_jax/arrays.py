"""Groups of zarr arrays: written so that they last, read with plain errors."""

from collections.abc import Mapping
import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr

from prunebias_jax.errors import InputError

# What zarr and its codecs raise where a file is missing, cut off or altered.
READ_ERRORS = (OSError, ValueError, KeyError, TypeError, RuntimeError)
# Read when asked for; everything else is small.
LAZY = "logits"


def write_group(
  data: xr.Dataset, path: Path, group: str, encoding: Mapping[str, Any]
) -> None:
  """Writes a group of a store.

  Args:
    data: what it holds; text as `as_stored` gives it.
    path: the store; made if need be.
    group: the group's name.
    encoding: chunks and compressors by variable, as xarray has them.
  """
  data.to_zarr(
    path,
    group=group,
    encoding=encoding,
    consolidated=False,
    zarr_format=3,
    # The default writes no chunk that holds only fill values.
    write_empty_chunks=False,
  )


def read_group(path: Path, name: str) -> xr.Dataset:
  """One group of a store: everything but logits is read at once.

  Raises:
    InputError: it is not there, or cannot be read.
  """
  try:
    data = xr.open_zarr(path, group=name, consolidated=False, chunks=None)
    for key in data.variables:
      if key != LAZY:
        data[key].load()
  except READ_ERRORS as error:
    raise InputError(
      f"{path}: cannot read {name} (truncated or altered): {one_line(error)}"
    ) from error
  texts = {
    key: (variable.dims, np.array(variable.to_numpy().tolist(), str))
    for key, variable in data.variables.items()
    if variable.dtype.kind in "OT"
  }
  return data.assign(texts)


def open_array(root: zarr.Group, name: str) -> zarr.Array:
  """An array of a store, to write to."""
  array = root[name]
  assert isinstance(array, zarr.Array)
  return array


def as_stored(values: np.ndarray) -> np.ndarray:
  """Text as variable-length strings, the text type that zarr v3 specifies."""
  is_text = values.dtype.kind in "UOT"
  return values.astype(np.dtypes.StringDType()) if is_text else values


def digest(logits: np.ndarray) -> np.ndarray:
  """SHA-256 of the values in their own precision: uint8 [32]."""
  data = np.ascontiguousarray(logits)
  return np.frombuffer(hashlib.sha256(data.data).digest(), np.uint8)


def one_line(error: BaseException) -> str:
  """An exception's text in one line."""
  return " ".join(str(error).split()) or type(error).__name__
