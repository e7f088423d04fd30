"""Final parameters of every member, one .npz file each.

    RUN/parameters/000012.npz       params/..., batch_stats/..., masks/...
    RUN/parameters/000012-best.npz  the same at the lowest validation loss
    RUN/parameters/000012-ranges.npz  of a member of int8_static: fixed ranges
    RUN/parameters/000012-rewind.npz  of a dense member: at `pruning.rewind`

Any program that reads numpy files can use them; the number is the member's
place on the member axis. The best ones are there where `execution.keep_best`
asked for them; those of the last kind where the regime is `rewind`, so that
levels that are added later start from them.
"""

from collections.abc import Mapping
import os
from pathlib import Path
from typing import Any

from flax import traverse_util
import numpy as np

from prunebias_jax.errors import InputError
from prunebias_jax.training.member import Member

PARAMETERS = "parameters"
KEPT = ("params", "batch_stats", "masks")


def parameters_path(run: Path, index: int, checkpoint: str = "last") -> Path:
  """Where a member's parameters are, its `last` or its `best`."""
  ending = "" if checkpoint == "last" else f"-{checkpoint}"
  return run / PARAMETERS / f"{index:06d}{ending}.npz"


def save_parameters(
  run: Path,
  index: int,
  members: Member,
  place: tuple[int, int],
  checkpoint: str = "last",
) -> None:
  """Writes one member's parameters, statistics and masks, whole or not at all.

  Args:
    run: the run directory.
    index: the member's place on the member axis.
    members: states [seed, branch, ...] on the host.
    place: which of them.
    checkpoint: "last", "best" or "rewind".
  """
  arrays: dict[str, np.ndarray] = {}
  for part in KEPT:
    flat = traverse_util.flatten_dict(getattr(members, part), sep="/")
    arrays |= {f"{part}/{name}": array[place] for name, array in flat.items()}
  write_arrays(parameters_path(run, index, checkpoint), arrays)


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
  """Writes an .npz file whole or not at all, and durably."""
  path.parent.mkdir(exist_ok=True)
  staging = path.with_name(f".{path.name}.partial")
  with staging.open("wb") as file:
    np.savez(file, allow_pickle=False, **arrays)
    file.flush()
    os.fsync(file.fileno())
  staging.replace(path)


def read_arrays(path: Path) -> dict[str, np.ndarray]:
  """What `write_arrays` wrote.

  Raises:
    InputError: a file that cannot be read.
  """
  try:
    with np.load(path) as file:
      return {key: file[key] for key in file.files}
  except Exception as error:
    # Whatever a damaged archive makes numpy and zipfile raise.
    text = " ".join(str(error).split())
    raise InputError(f"{path} cannot be read: {text}") from error


def require_parameters(
  run: Path, index: int, checkpoint: str = "last", name: str = "the member"
) -> None:
  """Refuses a member whose parameters are not there.

  Args:
    run: the run directory.
    index: the member's place on the member axis.
    checkpoint: "last" or "best".
    name: what the message calls the member.

  Raises:
    InputError: they are not kept, or not yet.
  """
  path = parameters_path(run, index, checkpoint)
  if not path.exists():
    asked = "keep_parameters" if checkpoint == "last" else "keep_best"
    raise InputError(
      f"{path} not found: this run keeps no {checkpoint} parameters of {name} "
      f"(execution.{asked}), or it is not finished"
    )


def load_parameters(
  run: Path, index: int, checkpoint: str = "last"
) -> dict[str, Mapping[str, Any]]:
  """One member's `params`, `batch_stats` and `masks`, as numpy arrays.

  Raises:
    InputError: the parameters are not there or cannot be read.
  """
  require_parameters(run, index, checkpoint)
  parts: dict[str, dict[str, np.ndarray]] = {part: {} for part in KEPT}
  for key, array in read_arrays(
    parameters_path(run, index, checkpoint)
  ).items():
    part, name = key.split("/", 1)
    parts[part][name] = array
  masks = parts.pop("masks")
  return {
    **{
      part: traverse_util.unflatten_dict(arrays, sep="/")
      for part, arrays in parts.items()
    },
    "masks": masks,
  }
