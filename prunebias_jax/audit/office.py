"""One audit at work: the run, its verdicts, its pictures and its queues."""

from collections.abc import Mapping
import errno
import functools
import logging
import math
import threading
from typing import Any

from prunebias_jax import store
from prunebias_jax.audit.cases import read_cases
from prunebias_jax.audit.comparison import Comparer
from prunebias_jax.audit.examples import read_examples
from prunebias_jax.audit.line import Desk, Line, Place, make_line
from prunebias_jax.audit.log import (
  Identity,
  Plan,
  VerdictLog,
  log_path,
  read_log,
)
from prunebias_jax.audit.pictures import Pictures, open_pictures
from prunebias_jax.audit.records import Record
from prunebias_jax.audit.selection import Filters
from prunebias_jax.errors import InputError

log = logging.getLogger(__name__)

# What a directory says that cannot be written.
_READ_ONLY = {errno.EROFS, errno.EACCES, errno.EPERM}
CONTAMINATED = (
  "Verdicts on the test split contaminate it: metrics of the test split, of "
  "this run's successors too, are no longer those of unseen data."
)


class Office:
  """One audit at work.

  Attributes:
    run: the run.
    examples: of the audited split.
    cases: its exemplars.
    plan: how the audit is done.
    ledger: the verdicts.
    read_only: why no verdict can be saved, or "".
  """

  def __init__(
    self, run: store.Run, plan: Plan, *, writes: bool = True
  ) -> None:
    """Opens a run for an audit.

    Args:
      run: analysed.
      plan: how the audit is done, unless it has begun.
      writes: verdicts are to be saved; else nothing is locked or made.

    Raises:
      InputError: it has not been analysed, has no such split, or verdicts that
        are another run's; or another audit of it is open.
    """
    self.run = run
    self.examples = read_examples(run, plan.split)
    self.cases = read_cases(run, self.examples)
    self.identity = Identity.of(run, self.examples.labels_sha256)
    path = log_path(run, plan.split)
    self._log: VerdictLog | None = None
    self.read_only = "" if writes else "opened to be read"
    try:
      if writes:
        self._log = VerdictLog(path, self.identity, plan)
    except OSError as error:
      if error.errno not in _READ_ONLY:
        raise
      self.read_only = (
        f"{run.path} cannot be written: browse as you like, but no verdict can "
        "be saved"
      )
    if self._log is None:
      found, self.ledger = read_log(path, self.identity)
      self.plan = found or plan
    else:
      self.plan, self.ledger = self._log.plan, self._log.ledger
    self.desk = Desk(self.examples, self.plan)
    self.comparer = Comparer(run, self.examples)
    self._pictures: Pictures | None = None
    self.no_pictures = ""
    self._opened = threading.Event()
    # Queues of all attributes of a large run are long.
    self.line = functools.lru_cache(4)(self._make_line)

  def open_pictures(self) -> None:
    """Opens the pictures; may take as long as drawing or decoding them."""
    try:
      self._pictures = open_pictures(self.run, self.examples)
    except (InputError, OSError, ImportError) as error:
      self.no_pictures = f"No pictures: {error}."
      log.info("%s", self.no_pictures)
    finally:
      self._opened.set()

  def wait_for_pictures(self, seconds: float) -> None:
    """Waits so long at most for it to be known whether there are pictures."""
    self._opened.wait(seconds)

  def png(self, row: int, *, small: bool) -> bytes | None:
    """A picture of an example, waited for; None where there are none."""
    self._opened.wait()
    if self._pictures is None:
      return None
    return self._pictures.png(row, small=small)

  def _make_line(
    self, population: int, question: int | None, filters: Filters
  ) -> Line:
    return make_line(
      self.examples, self.cases, self.plan, population, question, filters
    )

  def record(self, asked: Mapping[str, Any], line: Line | None) -> Record:
    """Saves what a reviewer asks for; see `Record`.

    Args:
      asked: kind, key, reviewer, row, question, verdict, note and seconds.
      line: the queue that it is from, if any.

    Raises:
      InputError: a value that is not accepted, or a run that is read only.
      OSError: it could not be saved.
    """
    if self._log is None:
      raise InputError(self.read_only)
    kind, reviewer = asked.get("kind"), asked.get("reviewer")
    key, examples = asked.get("key"), self.examples
    if not (
      isinstance(kind, str)
      and isinstance(reviewer, str)
      and isinstance(key, str)
    ):
      raise InputError("kind, key and reviewer are needed, as text")
    common: dict[str, Any] = {"kind": kind, "reviewer": reviewer}
    if kind == "undo":
      empty = {"example_id": "", "attribute": ""}
      return self._log.append(key, **common, **empty)
    row = whole(asked.get("row"), len(examples), "row")
    question = whole(asked.get("question"), len(examples.questions), "question")
    case = str(examples.ids[row]), examples.questions[question]
    return self._log.append(
      key,
      **common,
      example_id=case[0],
      attribute=case[1],
      verdict=asked.get("verdict", "") if kind == "verdict" else "",
      note=asked.get("note", ""),
      seconds=_seconds(asked.get("seconds")),
      label=examples.label_text(row, question),
      **self._standing(line, row, question, reviewer, case),
    )

  def _standing(
    self,
    line: Line | None,
    row: int,
    question: int,
    reviewer: str,
    case: tuple[str, str],
  ) -> dict[str, Any]:
    """Where in a queue a case stands, and whether it is judged blind."""
    if line is None or (row, question) not in line.index:
      return {}
    place: Place = line.places[line.index[row, question]]
    population = self.examples.populations[line.population]
    return {
      "blind": not (line.reveals or self.ledger.has_seen(reviewer, case)),
      "arm": place.arm,
      "rank": place.rank,
      **population._asdict(),
    }

  def show(self, reviewer: str, row: int, question: int, key: str) -> None:
    """Notes that a reviewer is shown what the models say of a case.

    Only of cases that the reviewer may yet judge, and once.
    """
    case = str(self.examples.ids[row]), self.examples.questions[question]
    if (
      self._log is None or not reviewer or self.ledger.has_seen(reviewer, case)
    ):
      return
    self._log.append(
      key,
      kind="seen",
      reviewer=reviewer,
      example_id=case[0],
      attribute=case[1],
    )

  def close(self) -> None:
    """Lets go of the verdict log."""
    if self._log is not None:
      self._log.close()


def whole(value: Any, below: int, what: str) -> int:
  """A whole number from 0 to below, of JSON or of a link.

  Raises:
    InputError: it is none.
  """
  if isinstance(value, str) and value.isdecimal() and len(value) < 12:
    value = int(value)
  if type(value) is not int or not 0 <= value < below:
    raise InputError(
      f"{what} is {str(value)[:40]!r}; accepted: 0 to {below - 1}"
    )
  return value


def _seconds(value: Any) -> float:
  """Seconds that a page tells; NaN for anything but a sensible number."""
  if type(value) in (int, float) and 0 <= value < math.inf:
    return float(value)
  return math.nan
