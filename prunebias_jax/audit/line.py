"""The queue: ranked cases with controls among them, blinded.

What a reviewer gets of a case does not tell an exemplar from a control. The
order depends on the exemplars, the plan and the filters alone.
"""

from collections.abc import Mapping
import dataclasses
import hashlib
import time
from typing import NamedTuple

import numpy as np
import pandas as pd

from prunebias_jax.audit.cases import Cases
from prunebias_jax.audit.examples import Examples
from prunebias_jax.audit.ledger import Ledger
from prunebias_jax.audit.log import Plan
from prunebias_jax.audit.selection import Filters, matching

# Seconds for which a case that one reviewer looks at is not given to another.
HELD = 600
# Controls are spread over blocks of this length.
_BLOCK = 20


class Place(NamedTuple):
  """One case of the queue.

  Attributes:
    row: the example's place.
    question: the attribute's.
    arm: "exemplar", "control" or "rest".
    rank: within its attribute.
  """

  row: int
  question: int
  arm: str
  rank: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Line:
  """A queue: its cases in order, and where each is.

  Attributes:
    population: whose exemplars.
    reveals: its filters tell what the models say.
    places: the cases.
    index: the place of each row and question.
  """

  population: int
  reveals: bool
  places: tuple[Place, ...]
  index: Mapping[tuple[int, int], int]


def make_line(
  examples: Examples,
  cases: Cases,
  plan: Plan,
  population: int,
  question: int | None,
  filters: Filters,
) -> Line:
  """The queue of one population's exemplars.

  Of several attributes the largest excess (Taxicab where there is none) comes
  first, then the smaller rank, then the attribute's place. In every twenty
  cases `plan.controls` are controls, as long as there are any, at places drawn
  from the plan's seed. What only exemplars can have is not asked of controls.
  """
  table = cases.of(population, question)
  if filters != Filters():
    is_control = table["control"].to_numpy()
    of_controls = dataclasses.replace(filters, onset=None, exemplar="")
    through = np.where(
      is_control,
      _let_through(examples, cases, table, population, of_controls),
      _let_through(examples, cases, table, population, filters),
    )
    table = table[through]
  key = table["excess"].fillna(table["taxicab"])
  table = table.assign(key=-key.fillna(0.0))
  order = ["key", "rank", "question"]
  ranked = table[~table["control"]].sort_values(order, kind="stable")
  others = table[table["control"]].sample(frac=1, random_state=plan.seed)
  at = _interleaved(
    len(ranked),
    len(others),
    plan.controls,
    np.random.default_rng(plan.seed),
  )
  # The place of each in the joined table, ranked first.
  source = np.where(at, len(ranked) + np.cumsum(at), np.cumsum(~at)) - 1
  places = _places(pd.concat([ranked, others]).iloc[source])
  return Line(
    population=population,
    reveals=filters.reveals,
    places=places,
    index={(one.row, one.question): n for n, one in enumerate(places)},
  )


def _let_through(
  examples: Examples,
  cases: Cases,
  table: pd.DataFrame,
  population: int,
  filters: Filters,
) -> np.ndarray:
  """Which rows of the table the filters let through."""
  found = np.zeros(len(table), bool)
  questions = table["question"].to_numpy()
  rows = table["row"].to_numpy()
  for one in np.unique(questions).tolist():
    mine = questions == one
    through = matching(examples, cases, population, one, filters)
    found[mine] = through[rows[mine]]
  return found


def _places(table: pd.DataFrame) -> tuple[Place, ...]:
  arms = np.where(
    table["control"], "control", np.where(table["is_cie"], "exemplar", "rest")
  )
  columns = (
    table["row"].tolist(),
    table["question"].tolist(),
    arms.tolist(),
    table["rank"].fillna(0).astype(int).tolist(),
  )
  return tuple(map(Place._make, zip(*columns, strict=True)))


def _interleaved(
  ranked: int, controls: int, share: float, rng: np.random.Generator
) -> np.ndarray:
  """Where controls stand among the ranked, so many of each block.

  Args:
    ranked: how many there are; the queue ends with the last of them.
    controls: how many there are at most.
    share: of controls in a block.
    rng: draws their places.

  Returns:
    bool [place].
  """
  blocks = (ranked + controls) // _BLOCK + 1
  order = rng.random((blocks, _BLOCK)).argsort(axis=1)
  found = (order < round(share * _BLOCK)).ravel()
  found &= np.cumsum(found) <= controls
  return found[
    : np.searchsorted(np.cumsum(~found), ranked) + 1 if ranked else 0
  ]


class Desk:
  """Who is looking at what, and what comes next for whom."""

  def __init__(self, examples: Examples, plan: Plan) -> None:
    self._examples, self._plan = examples, plan
    self._held: dict[tuple[int, int], tuple[str, float]] = {}

  def next(
    self, line: Line, ledger: Ledger, reviewer: str
  ) -> tuple[Place | None, int]:
    """The next case for a reviewer, and how many are left with it.

    What somebody else has judged, or is looking at, is left out unless it is
    for everyone. Skipped cases come once more at the end.
    """
    done, skipped = set(), []
    for record in ledger.history(reviewer):
      key = self.key(record.case)
      if key in line.index:
        done.add(key)
        if record.kind == "skip":
          skipped.append(line.places[line.index[key]])
    for record in ledger.verdicts():
      key = self.key(record.case)
      if key in line.index and not self.is_for_everyone(record.case):
        done.add(key)
    now = time.monotonic()
    first = None
    for place in line.places:
      if (place.row, place.question) not in done and not self._is_held(
        place, reviewer, now
      ):
        first = place
        break
    if first is None and skipped:
      first = skipped[0]
    if first is None:
      return None, 0
    self._held[first.row, first.question] = reviewer, now
    return first, len(line.places) - len(done) + len(skipped)

  def key(self, case: tuple[str, str]) -> tuple[int, int]:
    """Row and question of a case; -1 for what the run does not have."""
    example, attribute = case
    questions = self._examples.questions
    return (
      self._examples.rows.get(example, -1),
      questions.index(attribute) if attribute in questions else -1,
    )

  def case(self, place: Place) -> tuple[str, str]:
    """Example id and attribute of a place."""
    return (
      str(self._examples.ids[place.row]),
      self._examples.questions[place.question],
    )

  def is_for_everyone(self, case: tuple[str, str]) -> bool:
    """Whether every reviewer judges a case, for agreement."""
    text = "\0".join((str(self._plan.seed), *case))
    drawn = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])
    return drawn / 2**64 < self._plan.overlap

  def _is_held(self, place: Place, reviewer: str, now: float) -> bool:
    key = place.row, place.question
    holder, since = self._held.get(key, (reviewer, 0.0))
    if holder == reviewer or now - since >= HELD:
      return False
    return not self.is_for_everyone(self.case(place))
