"""Making a run directory: labels and names, and room for every logit."""

from collections.abc import Mapping
from pathlib import Path
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from prunebias_jax import arrays
from prunebias_jax.evaluations import empty_logits
from prunebias_jax.store.integrity import labels_digest
from prunebias_jax.store.layout import (
  EVALUATED,
  FORMAT,
  LOGITS,
  SAMPLES,
  SPLITS,
  output_dimension,
)
from prunebias_jax.store.run import Run
from prunebias_jax.store.writing import write_index

if TYPE_CHECKING:
  from prunebias_jax.data.dataset import Dataset


def create(
  path: Path,
  *,
  facts: Mapping[str, Any],
  members: pd.DataFrame,
  dataset: "Dataset",
) -> Run:
  """Makes a run directory with an empty place for every member's logits.

  Args:
    path: the directory; made if need be.
    facts: the config and whatever else describes the run, as JSON values.
    members: one row a member with the columns `MEMBER_KEY`, in order, and any
      others that tell members apart.
    dataset: labels, names, ids and sample images are taken from it.

  Returns:
    The run. sweep.json is written last: a directory without it holds no run.
  """
  # Imported here: reading a run needs nothing of images.
  from prunebias_jax.data.markers import shown

  splits = {}
  for name in SPLITS:
    split = dataset.splits[name]
    splits[name] = labelled(
      labels=split.labels,
      identities=split.identities,
      ids=split.ids,
      names=dataset.names,
      identity_names=dataset.identity_names,
      truth=split.truth,
    )
  return create_from_splits(
    path,
    facts=facts,
    members=members,
    splits=splits,
    images=shown(dataset, "test", slice(SAMPLES)),
  )


def create_from_splits(
  path: Path,
  *,
  facts: Mapping[str, Any],
  members: pd.DataFrame,
  splits: Mapping[str, xr.Dataset],
  evaluated: tuple[str, ...] = EVALUATED,
  dtype: str = "float32",
  images: np.ndarray | None = None,
) -> Run:
  """Makes a run directory of labels, with or without images.

  Args:
    path: the directory; made if need be.
    facts: whatever describes the run, as JSON values.
    members: one row a member, as `create` takes them.
    splits: what `labelled` gave; train and valid may be missing.
    evaluated: the splits that there are logits of.
    dtype: the logits' precision.
    images: the first test images, uint8 [example, y, x, channel], if any.

  Returns:
    The run. sweep.json is written last: a directory without it holds no run.
  """
  path.mkdir(parents=True, exist_ok=True)
  final, staging = path / LOGITS, path / f".{LOGITS}.partial"
  for leftover in (final, staging):
    shutil.rmtree(leftover, ignore_errors=True)
  write_index(members.assign(done=False, diverged=False), staging, "members")
  task = "multilabel" if splits["test"]["labels"].ndim == 2 else "multiclass"
  output = output_dimension(task)
  for name, data in splits.items():
    encoding: dict[str, dict[str, Any]] = {}
    if name in evaluated:
      shape = (len(members), data.sizes["example"], data.sizes[output])
      dimensions = ("member", "example", output)
      variables, encoding = empty_logits(shape, dimensions, dtype)
      data = data.assign(variables)
    arrays.write_group(data, staging, name, encoding)
  if images is not None:
    sample = xr.Dataset({"images": (("example", "y", "x", "channel"), images)})
    arrays.write_group(sample, staging, "samples", {})
  staging.rename(final)
  facts = {"format": FORMAT, "task": task, **facts}
  if (tuple(splits), evaluated) != (SPLITS, EVALUATED):
    facts |= {"splits": list(splits), "evaluated": list(evaluated)}
  return Run(path, {}).update_facts(**facts)


def labelled(
  *,
  labels: np.ndarray,
  identities: np.ndarray,
  ids: np.ndarray,
  names: tuple[str, ...],
  identity_names: tuple[str, ...],
  truth: Mapping[str, np.ndarray] | None = None,
) -> xr.Dataset:
  """One split as a run stores it: labels, identities, truth, ids and names.

  Args:
    labels: [example, attribute], or class ids [example].
    identities: uint8 [example, identity].
    ids: str [example].
    names: of the attributes or classes.
    identity_names: of the identities.
    truth: what only synthetic data know, [example, attribute] by name.
  """
  output = output_dimension("multilabel" if labels.ndim == 2 else "multiclass")
  per_output = ("example", output)
  data = xr.Dataset(
    {
      "labels": (per_output if labels.ndim == 2 else ("example",), labels),
      "identities": (("example", "identity"), identities),
      **{f"truth_{key}": (per_output, v) for key, v in (truth or {}).items()},
    },
    coords={
      "example": arrays.as_stored(ids),
      output: arrays.as_stored(np.array(names)),
      "identity": arrays.as_stored(np.array(identity_names)),
    },
  )
  data.attrs["labels_sha256"] = labels_digest(data)
  return data
