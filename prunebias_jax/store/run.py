"""A run directory that exists: read when asked for, and added to."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
import dataclasses
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import pandas as pd
import xarray as xr
import zarr

from prunebias_jax import arrays
from prunebias_jax.errors import InputError
from prunebias_jax.evaluations import Evaluation, add, added
from prunebias_jax.store.directory import write_atomically
from prunebias_jax.store.integrity import damage, labels_digest
from prunebias_jax.store.layout import (
  EVALUATED,
  FORMAT,
  IMPORTED,
  LOGITS,
  MEMBER_KEY,
  MEMBER_SEEDS,
  PARENT,
  SPLITS,
  SWEEP,
  member_name,
)
from prunebias_jax.store.writing import write_index, write_logits

if TYPE_CHECKING:
  from prunebias_jax.analysis import Analysis, Options
  from prunebias_jax.config import Sweep


@dataclasses.dataclass(frozen=True)
class Run:
  """A run directory that exists; everything is read when asked for.

  Attributes:
    path: the directory.
    facts: what sweep.json holds: `sweep` (the resolved config), `versions`,
      `device` and so on; of an imported run `imported` in place of these.
  """

  path: Path
  facts: Mapping[str, Any]

  def _repr_html_(self) -> str:
    # Imported here: it is for notebooks only.
    from prunebias_jax.store.display import run_html

    return run_html(self)

  @property
  def task(self) -> str:
    """The task: "multilabel" or "multiclass"."""
    return self.facts["task"]

  @property
  def name(self) -> str:
    """The run's name; "" for none."""
    return self.facts.get("sweep", self.facts).get("name", "")

  @property
  def imported(self) -> Mapping[str, Any] | None:
    """What an imported run knows of where it is from; None where trained."""
    return self.facts.get(IMPORTED)

  def require_trained(self) -> None:
    """Refuses a run that was imported: it has no config, no parameters."""
    if self.imported is not None:
      raise InputError(
        f"{self.path} was imported: it has logits and labels, but no config, "
        "images or parameters to train, evaluate, quantize or export with"
      )

  def sweep(self) -> "Sweep":
    """The config that the run was trained with.

    Raises:
      InputError: it was not trained but imported.
    """
    # Imported here: reading a run needs no config.
    from prunebias_jax.config import Sweep

    self.require_trained()
    return Sweep.from_dict(self.facts["sweep"])

  @property
  def splits(self) -> tuple[str, ...]:
    """The splits that there are labels of: test, mostly train and valid."""
    return tuple(self.facts.get("splits", SPLITS))

  @property
  def member_splits(self) -> tuple[str, ...]:
    """The splits that `write_member` takes logits of: test, mostly valid."""
    return tuple(self.facts.get("evaluated", EVALUATED))

  def members(self) -> pd.DataFrame:
    """The members in order.

    Columns: pruner, sparsity, quantization, seed; seed_init, seed_order and
    seed_augment, the seeds by purpose, where known; parent_seed where members
    pair by another seed than their own; done (logits are stored) and diverged
    (training met a loss that was not finite; of an imported member, its logits
    are not).
    """
    table = self._group(self.index).to_dataframe()
    rest = [name for name in (*MEMBER_SEEDS, PARENT) if name in table]
    return table[[*MEMBER_KEY, *rest, "done", "diverged"]]

  def trained(self) -> pd.DataFrame:
    """The members that were trained, by their place among all `members`.

    The others are made of these: quantized.
    """
    table = self.members()
    return table[table["quantization"] == "none"]

  def evaluations(self) -> list[Evaluation]:
    """What there are logits of: (checkpoint, split), in order."""
    trained = [Evaluation("last", name) for name in self.member_splits]
    return [*trained, *added(self.path / LOGITS)]

  def split(self, name: str, checkpoint: str = "last") -> xr.Dataset:
    """Labels, identities and, but for train, logits of usable members.

    Usable are the members that are done, also in this evaluation, and have not
    diverged. An imported run may have a validation split without logits.

    Args:
      name: train, valid or test; or what was evaluated besides, "test:noise:3",
        which has the labels and ids of test.
      checkpoint: whose logits, "last" or "best".

    Returns:
      A dataset with the variables `labels` [example, attribute] in {0, 1}, or
      float32 with NaN where some are missing (multi-class: [example]),
      `identities` [example, identity], `truth_*` where known, and
      `logits` [member, example, attribute] (or class), read lazily. Members
      carry the coordinates pruner, sparsity, quantization and seed; the seeds
      by purpose where known; and parent_seed, the seed of the dense member
      that each pairs with (-1 for none), where it is not their own. The
      attribute `paired` is False where seeds of different populations have
      nothing to do with each other; `left_out` names the members that have
      diverged.

    Raises:
      InputError: labels that do not match their digest, or no such split or
        logits.
    """
    evaluation = Evaluation(checkpoint, name)
    has_logits = evaluation in self.evaluations()
    if not has_logits and (name not in self.splits or checkpoint != "last"):
      self._refuse(evaluation)
    data = self._group(evaluation.base)
    if labels_digest(data) != data.attrs["labels_sha256"]:
      raise InputError(
        f"{self.path}: the labels of the {evaluation.base} split are not those "
        "that were stored (truncated or altered)"
      )
    pairing = (self.imported or {}).get("pairing", "seed")
    data.attrs["paired"] = pairing != "none"
    if not has_logits:
      return data
    members = self.members()
    diverged = members[members["done"] & members["diverged"]]
    data.attrs["left_out"] = [
      member_name(member) for _, member in diverged.iterrows()
    ]
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
      {
        key: ("member", members[key].to_numpy())
        for key in (*MEMBER_KEY, *MEMBER_SEEDS, PARENT)
        if key in members
      }
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
        found = damage(data, index)
        if found:
          raise InputError(
            f"{self.path}: {member_name(members.iloc[index])}: its "
            f"{_words(evaluation)} logits {found}; {again} again or restore "
            "the file"
          )

  def evaluated(self, evaluation: Evaluation) -> np.ndarray:
    """Whose logits of an evaluation are there and undamaged: bool [member]."""
    if evaluation not in self.evaluations():
      return np.zeros(len(self.members()), bool)
    data = self._group(evaluation.group)
    done = self._done(evaluation, data)
    for index in np.flatnonzero(done).tolist():
      done[index] = not damage(data, index)
    return done

  def evaluation_facts(self, evaluation: Evaluation) -> Mapping[str, Any]:
    """What was kept with an evaluation when it was added."""
    if evaluation not in self.evaluations():
      self._refuse(evaluation)
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
    dimensions = tuple(map(str, logits.dims))
    add(path, evaluation, shape, dimensions, facts, str(logits.dtype))

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
    write_logits(root, evaluation.group, index, logits)
    arrays.open_array(root, f"{evaluation.group}/done")[index] = True

  def _done(self, evaluation: Evaluation, data: xr.Dataset) -> np.ndarray:
    """Which members are done in an evaluation: bool [member]."""
    done = self.members()["done"].to_numpy().copy()
    if not evaluation.is_trained:
      done &= data["done"].to_numpy()[: len(done)]
    return done

  def _refuse(self, evaluation: Evaluation) -> NoReturn:
    """Refuses a split or evaluation that the run does not have."""
    if evaluation.split == SPLITS[0]:
      raise InputError(f"{self.path} has no {evaluation.split} labels")
    there = ", ".join(map(_words, self.evaluations()))
    if self.imported is None:
      there += "; `prunebias evaluate` makes others"
    raise InputError(
      f"{self.path} has no {_words(evaluation)} logits; there are: {there}"
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
    write_index(grown, self.path / LOGITS, index)
    # The index before stays, a few bytes, for whoever is reading by it.
    return self.update_facts(index=index, **facts)

  def samples(self) -> np.ndarray:
    """The first test images: uint8 [example, height, width, channel].

    None of an imported run: [0, 0, 0, 3].
    """
    if self.imported is not None:
      return np.zeros((0, 0, 0, 3), np.uint8)
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
      logits: [example, attribute] for valid and test, or what there is of
        them in an imported run.
      diverged: whether training met a loss that was not finite; such a member
        is kept out of `split`.
    """
    root = zarr.open_group(self.path / LOGITS, mode="r+")
    for name in self.member_splits:
      write_logits(root, name, index, logits[name])
    arrays.open_array(root, f"{self.index}/diverged")[index] = diverged
    arrays.open_array(root, f"{self.index}/done")[index] = True

  def logits_of(
    self, index: int, split: str, checkpoint: str = "last"
  ) -> np.ndarray:
    """One member's logits: [example, attribute] (or class), as stored."""
    group = Evaluation(checkpoint, split).group
    return self._group(group)["logits"].isel(member=index).to_numpy()

  def analyze(
    self, options: "Options | None" = None, notes: Sequence[str] = ()
  ) -> "Analysis":
    """Computes every statistic from the logits and writes RUN/analysis.

    Args:
      options: the user's choices; None for the defaults.
      notes: sentences to keep among those of the analysis.

    Returns:
      What was written.

    Raises:
      InputError: damaged logits, or what `analysis.analyze` refuses; an
        analysis that is there stays then.
    """
    # Imported here: whoever trains needs no statistics.
    from prunebias_jax.store import statistics

    return statistics.analyze(self, options, notes)

  def analysis(self) -> "Analysis":
    """The statistics that `analyze`, or the command of that name, wrote.

    Raises:
      InputError: the run has not been analysed, or its analysis cannot be read.
    """
    from prunebias_jax.store import statistics

    return statistics.read(self)

  def log(self, records: Iterable[Mapping[str, Any]], writer: int = 0) -> None:
    """Appends records to the metrics log, one JSON object a line.

    Args:
      records: one for each member.
      writer: which process writes; each has a file of its own.
    """
    name = f"metrics-{writer}.jsonl" if writer else "metrics.jsonl"
    with (self.path / name).open("ab+") as file:
      # What follows a torn line begins its own.
      if file.tell():
        file.seek(-1, os.SEEK_END)
        if file.read() != b"\n":
          file.write(b"\n")
      file.writelines(f"{json.dumps(record)}\n".encode() for record in records)

  def metrics(self) -> pd.DataFrame:
    """The metrics log as a table; empty where there is none.

    A resumed run repeats the epochs after its checkpoint: the last stands. A
    line that training was killed in the middle of is left out.

    Raises:
      InputError: a line that is no record.
    """
    paths = sorted(self.path.glob("metrics*.jsonl"))
    table = pd.DataFrame([one for path in paths for one in _records(path)])
    keys = [name for name in (*MEMBER_KEY, "epoch") if name in table]
    return table.drop_duplicates(keys, keep="last").reset_index(drop=True)

  def update_facts(self, **facts: Any) -> "Run":
    """Adds facts to sweep.json, atomically, and returns the run with them."""
    merged = {**self.facts, **facts}
    write_atomically(self.path / SWEEP, json.dumps(merged, indent=1) + "\n")
    return Run(self.path, merged)

  def _group(self, name: str) -> xr.Dataset:
    return arrays.read_group(self.path / LOGITS, name)


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


def _records(path: Path) -> Iterator[dict[str, Any]]:
  """The records of a metrics log."""
  lines = path.read_text(errors="replace").split("\n")
  for number, line in enumerate(lines, 1):
    try:
      record = json.loads(line or "{}")
    except ValueError:
      record = {} if line.startswith("{") else None
    if not isinstance(record, dict):
      raise InputError(
        f"{path}, line {number}: {line[:40]!r} is no record; accepted: JSON "
        "objects as training writes them, or no such file"
      )
    if record:
      yield record


def _words(evaluation: Evaluation) -> str:
  """An evaluation as a reader names it: "test", "best test:noise:3"."""
  best = "" if evaluation.checkpoint == "last" else f"{evaluation.checkpoint} "
  return f"{best}{evaluation.split}"
