"""Writing the member axis, and the logits of one member."""

from pathlib import Path
import shutil

import numpy as np
import pandas as pd
import xarray as xr
import zarr

from prunebias_jax import arrays
from prunebias_jax.store.layout import FLAGS


def write_index(members: pd.DataFrame, path: Path, group: str) -> None:
  """Writes the member axis; flags have a chunk for each member."""
  columns = {
    str(key): arrays.as_stored(members[key].to_numpy()) for key in members
  }
  index = xr.Dataset({key: ("member", one) for key, one in columns.items()})
  flags = {name: {"chunks": (1,)} for name in FLAGS}
  shutil.rmtree(path / group, ignore_errors=True)
  arrays.write_group(index, path, group, flags)


def write_logits(
  root: zarr.Group, group: str, index: int, logits: np.ndarray
) -> None:
  """Writes one member's logits, in the store's precision, and their digest."""
  stored = arrays.open_array(root, f"{group}/logits")
  array = np.ascontiguousarray(logits, stored.dtype)
  stored[index] = array
  arrays.open_array(root, f"{group}/digest")[index] = arrays.digest(array)
