"""Whether what is stored is what was written."""

import hashlib

import numpy as np
import xarray as xr

from prunebias_jax import arrays


def damage(data: xr.Dataset, index: int) -> str:
  """What is wrong with a member's stored logits; "" for nothing."""
  try:
    logits = data["logits"].isel(member=index).to_numpy()
  except arrays.READ_ERRORS as error:
    return f"cannot be read ({arrays.one_line(error)})"
  if not np.array_equal(arrays.digest(logits), data["digest"][index]):
    return "are not those that were stored (truncated or altered)"
  return ""


def labels_digest(data: xr.Dataset) -> str:
  """SHA-256 of a split's labels, identities and ids."""
  digest = hashlib.sha256()
  for name in ("labels", "identities"):
    digest.update(np.ascontiguousarray(data[name].to_numpy()).data)
  digest.update("\n".join(map(str, data["example"].to_numpy())).encode())
  return digest.hexdigest()
