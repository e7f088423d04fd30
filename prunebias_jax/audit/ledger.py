"""What the verdict log amounts to: which verdicts stand, and who did what."""

from collections.abc import Callable, Iterable
import functools
import threading
from typing import Concatenate, ParamSpec, TypeVar

from prunebias_jax.audit.records import Case, Record

_P = ParamSpec("_P")
_R = TypeVar("_R")


def _alone(
  method: Callable[Concatenate["Ledger", _P], _R],
) -> Callable[Concatenate["Ledger", _P], _R]:
  """A method during which no other thread is in the ledger."""

  @functools.wraps(method)
  def held(self: "Ledger", *values: _P.args, **named: _P.kwargs) -> _R:
    with self._lock:
      return method(self, *values, **named)

  return held


class Ledger:
  """The verdicts and skips that stand, of every reviewer.

  A later verdict of a reviewer on a case takes the place of an earlier one; an
  undo brings the earlier one back. Threads may share it.
  """

  def __init__(self, records: Iterable[Record] = ()) -> None:
    self._lock = threading.RLock()
    self.records: list[Record] = []
    self._standing: dict[str, dict[int, Record]] = {}
    self._cases: dict[tuple[str, Case], list[int]] = {}
    self._keys: dict[str, Record] = {}
    self._seen: set[tuple[str, Case]] = set()
    for record in records:
      self.add(record)

  @_alone
  def add(self, record: Record) -> None:
    """Takes the next record of the log in."""
    self.records.append(record)
    self._keys[record.key] = record
    standing = self._standing.setdefault(record.reviewer, {})
    if record.kind == "seen":
      self._seen.add((record.reviewer, record.case))
    elif record.kind == "undo":
      undone = standing.pop(record.undoes, None)
      if undone is not None:
        self._cases[record.reviewer, undone.case].remove(undone.serial)
    else:
      standing[record.serial] = record
      self._cases.setdefault((record.reviewer, record.case), []).append(
        record.serial
      )

  @property
  def next_serial(self) -> int:
    """The number of the record to come."""
    return len(self.records) + 1

  @_alone
  def by_key(self, key: str) -> Record | None:
    """The record that was asked for with this key, if any."""
    return self._keys.get(key)

  @_alone
  def reviewers(self) -> list[str]:
    """Everyone with a verdict or skip that stands, by name."""
    return sorted(name for name, found in self._standing.items() if found)

  @_alone
  def current(self, reviewer: str, case: Case) -> Record | None:
    """A reviewer's verdict or skip on a case; None where there is none."""
    serials = self._cases.get((reviewer, case))
    return self._standing[reviewer][serials[-1]] if serials else None

  @_alone
  def last(self, reviewer: str) -> Record | None:
    """What an undo of this reviewer takes back."""
    standing = self._standing.get(reviewer)
    return next(reversed(standing.values())) if standing else None

  @_alone
  def history(self, reviewer: str) -> list[Record]:
    """A reviewer's verdicts and skips that stand, one a case, in order."""
    return [
      record
      for record in self._standing.get(reviewer, {}).values()
      if self._cases[reviewer, record.case][-1] == record.serial
    ]

  @_alone
  def verdicts(self) -> list[Record]:
    """All verdicts that stand, one a reviewer and case, as they were given."""
    found = [
      record
      for reviewer in self._standing
      for record in self.history(reviewer)
      if record.kind == "verdict"
    ]
    return sorted(found, key=lambda record: record.serial)

  @_alone
  def has_seen(self, reviewer: str, case: Case) -> bool:
    """Whether a reviewer was shown what the models say of a case."""
    return (reviewer, case) in self._seen
