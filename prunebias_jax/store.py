"""The run directory: config, logits of every member, labels and names.

    RUN/
      sweep.json       the resolved config, versions and facts of the run
      logits.zarr/     zarr v3, one group each:
        members        pruner, sparsity, quantization, seed, seeds by purpose,
                       done, diverged                        [member]
        train          labels, identities, truth_*           [example, ...]
        valid, test    the same, logits [member, example, attribute], digest
        last-test-noise-3, best-valid, ...
                       logits of a checkpoint on another split, digest, done;
                       see `evaluations`
      metrics.jsonl    loss, accuracy and zeros of every member and epoch; of
                       several processes each has its own, metrics-1.jsonl
      tensorboard/     the same as TensorBoard event files
      model.txt        the parameters of one member
      layers.csv       sparsity of each layer, overlap of masks between seeds
      costs.csv        parameters, multiplications and bytes of each population
      parameters/      final parameters of every member, 000012.npz
      chunks/, checkpoints/   what a resume needs
      analysis/        tables made from the logits
      report.html

Logits have one uncompressed chunk for each member, so a member is written by
one process and either whole or not at all; its `done` flag is written last (in
the index what training stores, in its own group any other evaluation). A
digest of each member's logits tells a truncated or altered chunk.
"""

from collections.abc import Iterable, Iterator, Mapping
import contextlib
import dataclasses
import fcntl
import hashlib
import json
import os
from pathlib import Path
import shutil
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
import zarr

from prunebias_jax import arrays
from prunebias_jax.data.dataset import SPLITS, Dataset
from prunebias_jax.data.markers import shown
from prunebias_jax.errors import InputError
from prunebias_jax.evaluations import Evaluation, add, added, empty_logits

FORMAT = 1
SWEEP = "sweep.json"
LOGITS = "logits.zarr"
MEMBER_SEEDS = ("seed_init", "seed_order", "seed_augment")
EVALUATED = ("valid", "test")
MEMBER_KEY = ("pruner", "sparsity", "quantization", "seed")
SAMPLES = 24


def output_dimension(task: str) -> str:
  """The name of the logits' last axis: attribute, or class."""
  return "attribute" if task == "multilabel" else "class"


@dataclasses.dataclass(frozen=True)
class Run:
  """A run directory that exists; everything is read when asked for.

  Attributes:
    path: the directory.
    facts: what sweep.json holds: `sweep` (the resolved config), `versions`,
      `device` and so on.
  """

  path: Path
  facts: Mapping[str, Any]

  @property
  def task(self) -> str:
    """The task: "multilabel" or "multiclass"."""
    return self.facts["task"]

  def members(self) -> pd.DataFrame:
    """The members in order.

    Columns: pruner, sparsity, quantization, seed; seed_init, seed_order and
    seed_augment, the seeds by purpose, where known; done (logits are stored)
    and diverged (training met a loss that was not finite).
    """
    table = self._group(self.index).to_dataframe()
    rest = [name for name in MEMBER_SEEDS if name in table]
    return table[[*MEMBER_KEY, *rest, "done", "diverged"]]

  def trained(self) -> pd.DataFrame:
    """The members that were trained, by their place among all `members`.

    The others are made of these: quantized.
    """
    table = self.members()
    return table[table["quantization"] == "none"]

  def evaluations(self) -> list[Evaluation]:
    """What there are logits of: (checkpoint, split), in order."""
    trained = [Evaluation("last", name) for name in EVALUATED]
    return [*trained, *added(self.path / LOGITS)]

  def split(self, name: str, checkpoint: str = "last") -> xr.Dataset:
    """Labels, identities and, but for train, logits of usable members.

    Usable are the members that are done, also in this evaluation, and have not
    diverged.

    Args:
      name: train, valid or test; or what was evaluated besides, "test:noise:3",
        which has the labels and ids of test.
      checkpoint: whose logits, "last" or "best".

    Returns:
      A dataset with the variables `labels` [example, attribute] in {0, 1}, or
      float32 with NaN where some are missing (multi-class: [example]),
      `identities` [example, identity], `truth_*` where known, and
      `logits` [member, example, attribute] (or class), read lazily. Members
      carry the coordinates pruner, sparsity, quantization and seed.

    Raises:
      InputError: labels that do not match their digest, or no such logits.
    """
    evaluation = Evaluation(checkpoint, name)
    is_train = name == SPLITS[0]
    if not is_train:
      self._require(evaluation)
    data = self._group(evaluation.base)
    if _labels_digest(data) != data.attrs["labels_sha256"]:
      raise InputError(
        f"{self.path}: the labels of the {evaluation.base} split are not those "
        "that were stored (truncated or altered)"
      )
    if is_train:
      return data
    members = self.members()
    usable = members["done"].to_numpy() & ~members["diverged"].to_numpy()
    if not evaluation.is_trained:
      found = self._group(evaluation.group)
      usable = usable & found["done"].to_numpy()[: len(members)]
      data = data.drop_vars(["logits", "digest"]).assign(
        logits=found["logits"], digest=found["digest"]
      )
    # Arrays may be longer than the index: growth lengthens them first.
    data = data.isel(member=slice(len(members)))
    data = data.assign_coords(
      {key: ("member", members[key].to_numpy()) for key in MEMBER_KEY}
    )
    return data.isel(member=np.flatnonzero(usable)).drop_vars("digest")

  def verify(self) -> None:
    """Checks all stored logits against their digests.

    Raises:
      InputError: names the first member whose logits are truncated, altered
        or not finite.
    """
    members = self.members()
    for evaluation in self.evaluations():
      data = self._group(evaluation.group)
      again = "train it" if evaluation.is_trained else "evaluate it"
      for index in np.flatnonzero(self._done(evaluation, data)).tolist():
        damage = _damage(data, index)
        if damage:
          raise InputError(
            f"{self.path}: {member_name(members.iloc[index])}: its "
            f"{_words(evaluation)} logits {damage}; {again} again or restore "
            "the file"
          )

  def evaluated(self, evaluation: Evaluation) -> np.ndarray:
    """Whose logits of an evaluation are there and undamaged: bool [member]."""
    if evaluation not in self.evaluations():
      return np.zeros(len(self.members()), bool)
    data = self._group(evaluation.group)
    done = self._done(evaluation, data)
    for index in np.flatnonzero(done).tolist():
      done[index] = not _damage(data, index)
    return done

  def evaluation_facts(self, evaluation: Evaluation) -> Mapping[str, Any]:
    """What was kept with an evaluation when it was added."""
    self._require(evaluation)
    return self._group(evaluation.group).attrs

  def add_evaluation(
    self, evaluation: Evaluation, facts: Mapping[str, Any]
  ) -> None:
    """Makes room for the logits of all members in another evaluation.

    Args:
      evaluation: one that is not there.
      facts: JSON values to keep with it.
    """
    path = self.path / LOGITS
    logits = self._group(evaluation.base)["logits"]
    shape = (len(self.members()), *logits.shape[1:])
    add(path, evaluation, shape, tuple(map(str, logits.dims)), facts)

  def write_evaluation(
    self, evaluation: Evaluation, index: int, logits: np.ndarray
  ) -> None:
    """Stores one member's logits of an evaluation, and marks it done there.

    Args:
      evaluation: one that `add_evaluation` made.
      index: the member's place on the member axis.
      logits: float32 [example, attribute] (or class).
    """
    root = zarr.open_group(self.path / LOGITS, mode="r+")
    _write_logits(root, evaluation.group, index, logits)
    arrays.open_array(root, f"{evaluation.group}/done")[index] = True

  def _done(self, evaluation: Evaluation, data: xr.Dataset) -> np.ndarray:
    """Which members are done in an evaluation: bool [member]."""
    done = self.members()["done"].to_numpy().copy()
    if not evaluation.is_trained:
      done &= data["done"].to_numpy()[: len(done)]
    return done

  def _require(self, evaluation: Evaluation) -> None:
    """Refuses an evaluation that the run does not have."""
    there = self.evaluations()
    if evaluation not in there:
      raise InputError(
        f"{self.path} has no {_words(evaluation)} logits; there are: "
        f"{', '.join(map(_words, there))}; `prunebias evaluate` makes others"
      )

  @property
  def index(self) -> str:
    """The group that says which members there are."""
    return self.facts.get("index", "members")

  def grow(self, members: pd.DataFrame, **facts: Any) -> "Run":
    """Makes room for more members; those there are keep their places.

    Everything new is written beside what is there: longer arrays, and another
    index. The run changes at one point, when sweep.json is replaced.

    Args:
      members: the rows to add, with the columns of the index.
      **facts: facts of the run that change with it.
    """
    table = self.members()
    added = members.assign(done=False, diverged=False)[[*table]]
    grown = pd.concat([table, added], ignore_index=True)
    root = zarr.open_group(self.path / LOGITS, mode="r+")
    for evaluation in self.evaluations():
      flags = () if evaluation.is_trained else ("done",)
      for variable in ("logits", "digest", *flags):
        array = arrays.open_array(root, f"{evaluation.group}/{variable}")
        array.resize((len(grown), *array.shape[1:]))
    generation = int(self.index.partition("-")[2] or 1) + 1
    index = f"members-{generation}"
    _write_index(grown, self.path / LOGITS, index)
    # The index before stays, a few bytes, for whoever is reading by it.
    return self.update_facts(index=index, **facts)

  def samples(self) -> np.ndarray:
    """The first test images: uint8 [example, height, width, channel]."""
    return self._group("samples")["images"].to_numpy()

  def write_member(
    self,
    index: int,
    logits: Mapping[str, np.ndarray],
    *,
    diverged: bool = False,
  ) -> None:
    """Stores one member's logits by split, and marks it done.

    Args:
      index: the member's place on the member axis.
      logits: float32 [example, attribute] for valid and test.
      diverged: whether training met a loss that was not finite; such a member
        is kept out of `split`.
    """
    root = zarr.open_group(self.path / LOGITS, mode="r+")
    for name in EVALUATED:
      _write_logits(root, name, index, logits[name])
    arrays.open_array(root, f"{self.index}/diverged")[index] = diverged
    arrays.open_array(root, f"{self.index}/done")[index] = True

  def logits_of(
    self, index: int, split: str, checkpoint: str = "last"
  ) -> np.ndarray:
    """One member's logits: float32 [example, attribute] (or class)."""
    group = Evaluation(checkpoint, split).group
    return self._group(group)["logits"].isel(member=index).to_numpy()

  def log(self, records: Iterable[Mapping[str, Any]], writer: int = 0) -> None:
    """Appends records to the metrics log, one JSON object a line.

    Args:
      records: one for each member.
      writer: which process writes; each has a file of its own.
    """
    name = f"metrics-{writer}.jsonl" if writer else "metrics.jsonl"
    with (self.path / name).open("a") as file:
      file.writelines(json.dumps(record) + "\n" for record in records)

  def metrics(self) -> pd.DataFrame:
    """The metrics log as a table; empty where there is none.

    A resumed run repeats the epochs after its checkpoint: the last stands.
    """
    lines = [
      line
      for path in sorted(self.path.glob("metrics*.jsonl"))
      for line in path.read_text().splitlines()
    ]
    table = pd.DataFrame([json.loads(line) for line in lines])
    keys = [name for name in (*MEMBER_KEY, "epoch") if name in table]
    return table.drop_duplicates(keys, keep="last").reset_index(drop=True)

  def update_facts(self, **facts: Any) -> "Run":
    """Adds facts to sweep.json, atomically, and returns the run with them."""
    merged = {**self.facts, **facts}
    write_atomically(self.path / SWEEP, json.dumps(merged, indent=1) + "\n")
    return Run(self.path, merged)

  def _group(self, name: str) -> xr.Dataset:
    return arrays.read_group(self.path / LOGITS, name)


def create(
  path: Path,
  *,
  facts: Mapping[str, Any],
  members: pd.DataFrame,
  dataset: Dataset,
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
  path.mkdir(parents=True, exist_ok=True)
  final, staging = path / LOGITS, path / f".{LOGITS}.partial"
  for leftover in (final, staging):
    shutil.rmtree(leftover, ignore_errors=True)
  _write_index(members.assign(done=False, diverged=False), staging, "members")
  for name in SPLITS:
    data = _labelled(dataset, name)
    encoding: dict[str, dict[str, Any]] = {}
    if name in EVALUATED:
      shape = (len(members), data.sizes["example"], len(dataset.names))
      dimensions = ("member", "example", output_dimension(dataset.task))
      variables, encoding = empty_logits(shape, dimensions)
      data = data.assign(variables)
    arrays.write_group(data, staging, name, encoding)
  images = shown(dataset, "test", slice(SAMPLES))
  sample = xr.Dataset({"images": (("example", "y", "x", "channel"), images)})
  arrays.write_group(sample, staging, "samples", {})
  staging.rename(final)
  facts = {"format": FORMAT, "task": dataset.task, **facts}
  return Run(path, {}).update_facts(**facts)


def open_run(path: str | os.PathLike[str]) -> Run:
  """Opens a run directory.

  Raises:
    InputError: the directory holds no run, or one of another format.
  """
  path = Path(path)
  try:
    facts = json.loads((path / SWEEP).read_text())
  except FileNotFoundError:
    raise InputError(f"{path} holds no run ({SWEEP} not found)") from None
  except (OSError, ValueError) as error:
    raise InputError(f"{path / SWEEP} cannot be read: {error}") from None
  if not isinstance(facts, dict) or facts.get("format") != FORMAT:
    found = facts.get("format") if isinstance(facts, dict) else None
    raise InputError(
      f"{path / SWEEP} is of run format {found!r}; accepted: {FORMAT}"
    )
  return Run(path, facts)


def member_name(member: Mapping[str, Any] | pd.Series) -> str:
  """A member as a reader names it: "magnitude, sparsity 0.95, seed 3"."""
  quantization = member["quantization"]
  middle = "" if quantization == "none" else f", {quantization}"
  return (
    f"{member['pruner']}, sparsity {member['sparsity']:g}{middle}, "
    f"seed {member['seed']}"
  )


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
  """Holds the run directory for this process alone.

  Raises:
    InputError: another process trains in it.
  """
  path.mkdir(parents=True, exist_ok=True)
  with (path / ".lock").open("w") as file:
    try:
      fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
      raise InputError(f"{path} is in use by another process") from None
    yield


def write_atomically(path: Path, text: str) -> None:
  """Writes a file whole or not at all, and durably."""
  staging = path.with_name(f".{path.name}.partial")
  with staging.open("w") as file:
    file.write(text)
    file.flush()
    os.fsync(file.fileno())
  staging.replace(path)


def _labelled(dataset: Dataset, name: str) -> xr.Dataset:
  """Labels, identities, truth, ids and names of one split."""
  split = dataset.splits[name]
  output = output_dimension(dataset.task)
  per_output = ("example", output)
  labels = per_output if dataset.task == "multilabel" else ("example",)
  data = xr.Dataset(
    {
      "labels": (labels, split.labels),
      "identities": (("example", "identity"), split.identities),
      **{f"truth_{key}": (per_output, v) for key, v in split.truth.items()},
    },
    coords={
      "example": arrays.as_stored(split.ids),
      output: arrays.as_stored(np.array(dataset.names)),
      "identity": arrays.as_stored(np.array(dataset.identity_names)),
    },
  )
  data.attrs["labels_sha256"] = _labels_digest(data)
  return data


def _write_index(members: pd.DataFrame, path: Path, group: str) -> None:
  """Writes the member axis; flags have a chunk for each member."""
  columns = {
    str(key): arrays.as_stored(members[key].to_numpy()) for key in members
  }
  index = xr.Dataset({key: ("member", one) for key, one in columns.items()})
  flags = {name: {"chunks": (1,)} for name in ("done", "diverged")}
  shutil.rmtree(path / group, ignore_errors=True)
  arrays.write_group(index, path, group, flags)


def _write_logits(
  root: zarr.Group, group: str, index: int, logits: np.ndarray
) -> None:
  """Writes one member's logits and their digest."""
  array = np.ascontiguousarray(logits, np.float32)
  arrays.open_array(root, f"{group}/logits")[index] = array
  arrays.open_array(root, f"{group}/digest")[index] = arrays.digest(array)


def _damage(data: xr.Dataset, index: int) -> str:
  """What is wrong with a member's stored logits; "" for nothing."""
  try:
    logits = data["logits"].isel(member=index).to_numpy()
  except arrays.READ_ERRORS as error:
    return f"cannot be read ({arrays.one_line(error)})"
  if not np.array_equal(arrays.digest(logits), data["digest"][index]):
    return "are not those that were stored (truncated or altered)"
  return ""


def _words(evaluation: Evaluation) -> str:
  """An evaluation as a reader names it: "test", "best test:noise:3"."""
  best = "" if evaluation.checkpoint == "last" else f"{evaluation.checkpoint} "
  return f"{best}{evaluation.split}"


def _labels_digest(data: xr.Dataset) -> str:
  digest = hashlib.sha256()
  for name in ("labels", "identities"):
    digest.update(np.ascontiguousarray(data[name].to_numpy()).data)
  digest.update("\n".join(map(str, data["example"].to_numpy())).encode())
  return digest.hexdigest()
