"""What the verdict log amounts to: which verdicts stand, and who did what."""

from collections.abc import Iterable

from prunebias_jax.audit.records import Case, Record


class Ledger:
  """The verdicts and skips that stand, of every reviewer.

  A later verdict of a reviewer on a case takes the place of an earlier one; an
  undo brings the earlier one back.
  """

  def __init__(self, records: Iterable[Record] = ()) -> None:
    self.records: list[Record] = []
    self._standing: dict[str, dict[int, Record]] = {}
    self._cases: dict[tuple[str, Case], list[int]] = {}
    self._keys: dict[str, Record] = {}
    self._seen: set[tuple[str, Case]] = set()
    for record in records:
      self.add(record)

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

  def by_key(self, key: str) -> Record | None:
    """The record that was asked for with this key, if any."""
    return self._keys.get(key)

  def reviewers(self) -> list[str]:
    """Everyone with a verdict or skip that stands, by name."""
    return sorted(name for name, found in self._standing.items() if found)

  def current(self, reviewer: str, case: Case) -> Record | None:
    """A reviewer's verdict or skip on a case; None where there is none."""
    serials = self._cases.get((reviewer, case))
    return self._standing[reviewer][serials[-1]] if serials else None

  def last(self, reviewer: str) -> Record | None:
    """What an undo of this reviewer takes back."""
    standing = self._standing.get(reviewer)
    return next(reversed(standing.values())) if standing else None

  def history(self, reviewer: str) -> list[Record]:
    """A reviewer's verdicts and skips that stand, one a case, in order."""
    return [
      record
      for record in self._standing.get(reviewer, {}).values()
      if self._cases[reviewer, record.case][-1] == record.serial
    ]

  def verdicts(self) -> list[Record]:
    """All verdicts that stand, one a reviewer and case, as they were given."""
    found = [
      record
      for reviewer in self._standing
      for record in self.history(reviewer)
      if record.kind == "verdict"
    ]
    return sorted(found, key=lambda record: record.serial)

  def has_seen(self, reviewer: str, case: Case) -> bool:
    """Whether a reviewer was shown what the models say of a case."""
    return (reviewer, case) in self._seen
