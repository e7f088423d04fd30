"""What a run's members were evaluated on: a checkpoint and a split each.

Training stores the logits of the last parameters on valid and test, in the
groups of these names. Any other evaluation has a group of its own, whose name
is checkpoint and split with hyphens: "last-test-noise-3", "best-valid". It
holds logits and digests, and a `done` flag for each member, which is written
last; labels, identities and ids are those of the split it is based on.
"""

from collections.abc import Mapping
from pathlib import Path
import shutil
from typing import Any, NamedTuple, Self

import numpy as np
import xarray as xr

from prunebias_jax import arrays

CHECKPOINTS = ("last", "best")
# Among the facts of an evaluation: SHA-256 of its corrupted pixels.
PIXELS = "pixels_sha256"


class Evaluation(NamedTuple):
  """A checkpoint and a split.

  Attributes:
    checkpoint: "last" or "best".
    split: "valid", "test", or one of them with a corruption and its severity:
      "test:noise:3".
  """

  checkpoint: str
  split: str

  @property
  def base(self) -> str:
    """The split whose examples these are."""
    return self.split.partition(":")[0]

  @property
  def is_trained(self) -> bool:
    """Whether training stores it, with the run itself."""
    return self == (CHECKPOINTS[0], self.base)

  @property
  def group(self) -> str:
    """The group of its logits."""
    if self.is_trained:
      return self.split
    return f"{self.checkpoint}-{self.split.replace(':', '-')}"

  @classmethod
  def of_group(cls, name: str) -> Self:
    """The evaluation of a group made by `add`."""
    checkpoint, _, split = name.partition("-")
    return cls(checkpoint, split.replace("-", ":"))


def added(path: Path) -> list[Evaluation]:
  """The evaluations of a store that `add` made: last before best, by name."""
  return sorted(
    (
      Evaluation.of_group(file.parent.name)
      for one in CHECKPOINTS
      for file in path.glob(f"{one}-*/zarr.json")
    ),
    key=lambda one: (CHECKPOINTS.index(one.checkpoint), one.split),
  )


def add(
  path: Path,
  evaluation: Evaluation,
  shape: tuple[int, ...],
  dimensions: tuple[str, ...],
  facts: Mapping[str, Any],
  dtype: str = "float32",
) -> None:
  """Makes an empty place for the logits of an evaluation, whole or not at all.

  Args:
    path: the store.
    evaluation: one that is not there.
    shape: of all members' logits.
    dimensions: their names.
    facts: JSON values to keep with it.
    dtype: the logits' precision.
  """
  staging = path.with_name(f".{evaluation.group}.partial")
  shutil.rmtree(staging, ignore_errors=True)
  variables, encoding = empty_logits(shape, dimensions, dtype)
  variables["done"] = xr.Variable("member", np.zeros(shape[0], bool))
  encoding["done"] = {"chunks": (1,)}
  data = xr.Dataset(variables, attrs=dict(facts))
  arrays.write_group(data, staging, evaluation.group, encoding)
  (staging / evaluation.group).rename(path / evaluation.group)
  shutil.rmtree(staging)


def pixels(facts: Mapping[str, Any]) -> str:
  """The digest of an evaluation's pixels; "" where they are the run's own."""
  return facts.get(PIXELS, "")


def empty_logits(
  shape: tuple[int, ...], dimensions: tuple[str, ...], dtype: str = "float32"
) -> tuple[dict[str, xr.Variable], dict[str, dict[str, Any]]]:
  """Logits [member, ...] and their digests, one chunk a member, none written.

  Returns:
    The variables and their encodings.
  """
  variables = {
    # Fill values only: no chunk is written until its member is done.
    "logits": xr.Variable(
      dimensions, np.broadcast_to(np.array(np.nan, dtype), shape)
    ),
    "digest": xr.Variable(
      ("member", "byte"), np.zeros((shape[0], 32), np.uint8)
    ),
  }
  encoding: dict[str, dict[str, Any]] = {
    "logits": {"chunks": (1, *shape[1:]), "compressors": None},
    "digest": {"chunks": (1, 32)},
  }
  return variables, encoding
