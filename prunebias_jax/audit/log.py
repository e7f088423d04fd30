"""The verdict log: JSON lines that are only ever appended to, and durable.

    RUN/audit/valid.jsonl
      {"format": 1, "run": ..., "name": ..., "plan": {...}}     whose it is
      {"serial": 1, "kind": "verdict", "reviewer": ...}         `records.Record`
      ...

A record is saved once its line is on the disk (fsync). A line without its end
is what a crash leaves: it was never confirmed, and is cut off when the log is
next opened for writing. One process writes at a time.
"""

import contextlib
import dataclasses
import datetime
import json
import os
from pathlib import Path
import threading
from typing import Any, Self

from prunebias_jax import store
from prunebias_jax.audit.ledger import Ledger
from prunebias_jax.audit.records import Record
from prunebias_jax.errors import InputError

FORMAT = 1
FOLDER = "audit"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
  """How an audit is done; fixed when its first verdict is saved.

  Attributes:
    split: what is audited.
    controls: share of the queue that are controls.
    overlap: share of the queue that every reviewer gets; the rest is judged
      once, by whoever comes first.
    hide_groups: the groups of a case are shown only after the verdict.
    seed: of where controls stand, and of which cases everyone gets.

  Raises:
    InputError: a share that is not accepted.
  """

  split: str = "valid"
  controls: float = 0.15
  overlap: float = 0.2
  hide_groups: bool = False
  seed: int = 0

  def __post_init__(self) -> None:
    if not 0 <= self.controls <= 0.5:
      raise InputError(f"controls {self.controls}; accepted: 0 to 0.5")
    if not 0 <= self.overlap <= 1:
      raise InputError(f"overlap {self.overlap}; accepted: 0 to 1")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Identity:
  """Which run a verdict log belongs to."""

  name: str
  digest: str

  @classmethod
  def of(cls, run: store.Run, labels_sha256: str) -> Self:
    """That of a run: when it was begun, and the audited split's labels."""
    return cls(
      name=run.name,
      digest=f"{run.facts.get('created', '')} {labels_sha256}",
    )


def log_path(run: store.Run, split: str) -> Path:
  """Where the verdicts on a split are."""
  return run.path / FOLDER / f"{split}.jsonl"


def read_log(path: Path, identity: Identity) -> tuple[Plan | None, Ledger]:
  """Reads a verdict log.

  Returns:
    Its plan, None where there is no log yet, and what it holds.

  Raises:
    InputError: it is another run's, or damaged before its end.
  """
  plan, records, _ = _read(path, identity)
  return plan, Ledger(records)


class VerdictLog:
  """A verdict log that is open for writing, by this process alone.

  Attributes:
    plan: how the audit is done.
    ledger: what has been recorded.
  """

  def __init__(self, path: Path, identity: Identity, plan: Plan) -> None:
    """Opens or begins a log.

    Args:
      path: its file; the folder is made if need be.
      identity: of the run.
      plan: for a log that is begun; one that is there keeps its own.

    Raises:
      InputError: another process writes it, it is another run's or damaged, or
        there is a file where its folder should be.
      OSError: the directory cannot be written.
    """
    if path.parent.exists() and not path.parent.is_dir():
      raise InputError(
        f"{path.parent} is a file; accepted: a folder of verdicts"
      )
    self._held = contextlib.ExitStack()
    try:
      self._held.enter_context(store.locked(path.parent))
    except InputError:
      raise InputError(
        f"{path.parent} is in use: another audit page of this run is open; "
        "use that one, or stop it"
      ) from None
    try:
      found, records, self._size = _read(path, identity)
      self.plan, self.ledger = found or plan, Ledger(records)
      flags = os.O_RDWR | os.O_CREAT | os.O_APPEND
      self._file = os.open(path, flags, 0o644)
      self._held.callback(os.close, self._file)
      os.ftruncate(self._file, self._size)
    except BaseException:
      self._held.close()
      raise
    self._identity, self._folder = identity, path.parent
    self._lock = threading.Lock()

  def append(self, key: str, **values: Any) -> Record:
    """Records something; it is on the disk when this returns.

    Args:
      key: of the request; one that is there already is not recorded twice.
      **values: the other fields of `Record`, but serial and time.

    Returns:
      The record.

    Raises:
      InputError: a value that is not accepted.
      OSError: it could not be saved, and is not in the log.
    """
    with self._lock:
      there = self.ledger.by_key(key)
      if there is not None:
        return there
      if values["kind"] == "undo":
        last = self.ledger.last(values["reviewer"])
        if last is None:
          raise InputError(f"{values['reviewer']} has nothing to undo")
        values |= {
          "undoes": last.serial,
          "example_id": last.example_id,
          "attribute": last.attribute,
        }
      now = datetime.datetime.now(datetime.UTC)
      record = Record(
        serial=self.ledger.next_serial,
        key=key,
        time=now.isoformat(timespec="milliseconds"),
        **values,
      )
      if not self._size:
        self._write(
          {
            "format": FORMAT,
            "run": self._identity.digest,
            "name": self._identity.name,
            "plan": dataclasses.asdict(self.plan),
          }
        )
        self._keep_folder()
      self._write(record.to_dict())
      self.ledger.add(record)
      return record

  def close(self) -> None:
    """Lets go of the log."""
    self._held.close()

  def _write(self, values: dict[str, Any]) -> None:
    """Appends one line, durably or not at all."""
    line = json.dumps(values, ensure_ascii=False, allow_nan=False) + "\n"
    left = memoryview(line.encode())
    size = self._size + len(left)
    try:
      while left:
        left = left[os.write(self._file, left) :]
      os.fsync(self._file)
    except OSError:
      os.ftruncate(self._file, self._size)
      raise
    self._size = size

  def _keep_folder(self) -> None:
    """Makes the file's being there durable."""
    folder = os.open(self._folder, os.O_RDONLY)
    try:
      os.fsync(folder)
    finally:
      os.close(folder)


def _read(
  path: Path, identity: Identity
) -> tuple[Plan | None, list[Record], int]:
  """Plan, records, and the bytes that whole lines take."""
  try:
    content = path.read_bytes()
  except FileNotFoundError:
    return None, [], 0
  size = content.rfind(b"\n") + 1
  lines = content[:size].split(b"\n")[:-1]
  if not lines:
    return None, [], 0
  plan = _read_header(lines[0], path, identity)
  records: list[Record] = []
  for number, line in enumerate(lines[1:], 2):
    try:
      record = Record.from_dict(_object(line))
      if record.serial != len(records) + 1:
        raise InputError(f"serial {record.serial}, not {len(records) + 1}")
    except ValueError as error:
      raise InputError(
        f"{path}, line {number} is damaged: {error}; restore the file, or "
        "move it away to begin anew"
      ) from None
    records.append(record)
  return plan, records, size


def _read_header(line: bytes, path: Path, identity: Identity) -> Plan:
  """The plan of a log of this run."""
  try:
    header = _object(line)
    plan = Plan(**header["plan"])
    owner = header["run"]
  except (ValueError, KeyError, TypeError) as error:
    raise InputError(f"{path} is no verdict log: {error}") from None
  if header.get("format") != FORMAT:
    raise InputError(
      f"{path} is of verdict format {header.get('format')!r}; accepted: "
      f"{FORMAT}"
    )
  if owner != identity.digest:
    raise InputError(
      f"{path} holds verdicts on another run ({str(header.get('name'))!r}); "
      "move it away to begin anew"
    )
  return plan


def _object(line: bytes) -> dict[str, Any]:
  found = json.loads(line)
  if not isinstance(found, dict):
    raise InputError("not a JSON object")
  return found
