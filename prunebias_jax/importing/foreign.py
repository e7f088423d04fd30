"""What is imported, in the form of a run; and how it becomes one."""

from collections.abc import Iterator, Mapping, Sequence
import dataclasses
import datetime
import hashlib
import importlib.metadata
from pathlib import Path
import platform
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from prunebias_jax import store
from prunebias_jax.errors import InputError

# What can be said of pairing where a file does not say it.
ASKED_PAIRINGS = ("seed", "none")
NOT_FINITE = "logits that are not finite"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Foreign:
  """Logits of somebody else, checked but for being finite.

  Attributes:
    splits: labels, identities, ids and names by split, as `store.labelled`
      gives them: test, and train and valid where known.
    members: one row a member with the columns of a run's index.
    logits: each member's logits [example, output] by split, in the order of
      the members. Whatever is wrong with all of them is raised at the end.
    evaluated: the splits that there are logits of.
    dtype: the logits' precision.
    pairing: "seed", members of equal seed pair; "parent_seed", by the index;
      "none", seeds of different populations are unrelated.
    files: `origin` of every file that was read; it may grow while logits are.
    bad: what is wrong with logits that are not finite.
  """

  splits: Mapping[str, xr.Dataset]
  members: pd.DataFrame
  logits: Iterator[Mapping[str, np.ndarray]]
  evaluated: tuple[str, ...]
  dtype: str
  pairing: str
  files: list[dict[str, str]]
  bad: str = NOT_FINITE


def origin(name: str, digest: str) -> dict[str, str]:
  """What a run keeps of a file that it was made of: no path, but its bytes."""
  return {"name": name, "sha256": digest}


def write(
  foreign: Foreign, workdir: Path, *, name: str, skip_bad: bool
) -> store.Run:
  """Makes a run, whole or not at all.

  Args:
    foreign: what it is made of.
    workdir: where it goes; it must hold no run.
    name: the run's name.
    skip_bad: members whose logits are not finite are marked as diverged, which
      keeps them out of every statistic, in place of being refused.

  Raises:
    InputError: logits that are not finite, in a line that names the members;
      no member without such; or a workdir that holds a run.
  """
  members = foreign.members.reset_index(drop=True)
  bad: list[str] = []
  with store.staged(workdir, ".import.partial") as staging:
    run = store.create_from_splits(
      staging,
      facts=_facts(foreign, name),
      members=members,
      splits=foreign.splits,
      evaluated=foreign.evaluated,
      dtype=foreign.dtype,
    )
    for index, logits in enumerate(foreign.logits):
      is_bad = not all(np.isfinite(one).all() for one in logits.values())
      if is_bad:
        bad.append(store.member_name(members.iloc[index]))
      run.write_member(index, logits, diverged=is_bad)
    if bad and not skip_bad:
      raise InputError(
        f"{foreign.bad}: {'; '.join(bad)}; --skip-bad leaves these members out"
      )
    if len(bad) == len(members):
      raise InputError(f"{foreign.bad}, in every member")
    imported = {**run.facts[store.IMPORTED], "files": foreign.files}
    run.update_facts(**{store.IMPORTED: imported})
  return store.open_run(workdir)


def check_members(members: pd.DataFrame) -> None:
  """Refuses members that cannot be, or that are there twice.

  Args:
    members: pruner, sparsity, quantization and seed of each.

  Raises:
    InputError: a sparsity outside [0, 1), a pruner "dense" that prunes, or a
      member that is there twice.
  """
  for _, member in members.iterrows():
    sparsity = member["sparsity"]
    if not 0 <= sparsity < 1:
      raise InputError(
        f"sparsity holds {sparsity:g}; accepted: shares from 0 to below 1"
      )
    if member["pruner"] == "dense" and sparsity > 0:
      raise InputError(
        f"the pruner of sparsity {sparsity:g} is called 'dense'; accepted for "
        "it: sparsity 0"
      )
  key = [*store.MEMBER_KEY]
  twice = members[members.duplicated(key)]
  if len(twice):
    raise InputError(
      f"{store.member_name(twice.iloc[0])} is there more than once"
    )


def check_ids(ids: Mapping[str, np.ndarray]) -> None:
  """Refuses ids that do not stand for one example each.

  Args:
    ids: str [example] by split.
  """
  together = np.concatenate([*ids.values()])
  values, counts = np.unique(together, return_counts=True)
  if np.any(counts > 1):
    double = str(values[counts > 1][0])
    where = ", ".join(name for name, one in ids.items() if double in one)
    raise InputError(
      f"example id {double!r} stands for more than one example ({where}); "
      "accepted: ids that are distinct over all splits"
    )


def check_texts(texts: Sequence[str], what: str) -> None:
  """Refuses names that are empty or no single line.

  Raises:
    InputError: names the first such.
  """
  for text in texts:
    if not text or not text.isprintable():
      raise InputError(f"{what} holds {text!r}; accepted: printable text")


def _facts(foreign: Foreign, name: str) -> dict[str, Any]:
  now = datetime.datetime.now(datetime.UTC)
  digest = hashlib.sha256()
  for split, data in foreign.splits.items():
    digest.update(f"{split} {data.attrs['labels_sha256']}\n".encode())
  test = foreign.splits["test"]
  output = "attribute" if test["labels"].ndim == 2 else "class"
  for key in (output, "identity"):
    digest.update(repr(test[key].to_numpy().tolist()).encode())
  return {
    "name": name,
    store.IMPORTED: {
      "files": [],
      "pairing": foreign.pairing,
      "precision": foreign.dtype,
    },
    "created": now.isoformat(timespec="seconds"),
    "versions": {
      "prunebias_jax": importlib.metadata.version("prunebias_jax"),
      "python": platform.python_version(),
      "numpy": np.__version__,
    },
    "data": {
      "name": name,
      "fingerprint": digest.hexdigest(),
      "sizes": {
        split: data.sizes["example"] for split, data in foreign.splits.items()
      },
      "identities": [str(one) for one in test["identity"].to_numpy()],
    },
  }
