"""What the page shows, as JSON values: a function for each request."""

from collections.abc import Mapping
import secrets
from typing import Any

import numpy as np

from prunebias_jax.audit.agreement import agreements, rates
from prunebias_jax.audit.examples import Examples
from prunebias_jax.audit.item import blind_item, open_item
from prunebias_jax.audit.line import Line
from prunebias_jax.audit.office import CONTAMINATED, Office, whole
from prunebias_jax.audit.records import VERDICTS, check_reviewer
from prunebias_jax.audit.selection import (
  SORTS,
  Filters,
  exemplar_mask,
  matching,
  ordered,
  read_number,
  scores,
)
from prunebias_jax.errors import InputError

MOST_ROWS = 500

Query = Mapping[str, str]


def session(office: Office, token: str, reviewer: str) -> dict[str, Any]:
  """What the page needs to know of the run, once."""
  examples, plan = office.examples, office.plan
  office.wait_for_pictures(1.0)
  notices = [office.read_only, office.cases.reason, office.no_pictures]
  if plan.split == "test":
    notices.append(CONTAMINATED)
  onsets = office.cases.table["onset"].dropna().unique()
  return {
    "token": token,
    "name": office.run.name or office.run.path.name,
    "split": plan.split,
    "count": len(examples),
    "version": office.identity.digest[-12:],
    "reviewer": reviewer,
    "reviewers": office.ledger.reviewers(),
    "can_write": not office.read_only,
    "has_pictures": not office.no_pictures,
    "hide_groups": plan.hide_groups,
    "notices": [one for one in notices if one],
    "verdicts": [{"key": key, "text": text} for key, text in VERDICTS.items()],
    "questions": list(examples.questions),
    "classes": list(examples.names) if examples.multiclass else [],
    "identities": list(examples.identity_names),
    "knows_flipped": "flipped" in examples.truth,
    "dense": examples.dense,
    "populations": [
      {"label": one.label, **one._asdict()} for one in examples.populations
    ],
    "compressed": list(examples.compressed),
    "onsets": sorted(onsets.tolist()),
    "sorts": [{"key": key, "text": text} for key, text in SORTS.items()],
  }


def next_case(office: Office, query: Query) -> dict[str, Any]:
  """The next case of a queue for a reviewer, or one judged before."""
  reviewer = query.get("reviewer", "")
  check_reviewer(reviewer)
  line = line_of(office, query)
  ledger = office.ledger
  history = [
    record
    for record in ledger.history(reviewer)
    if office.desk.key(record.case) in line.index
  ]
  back = whole(query.get("back", "0"), len(history) + 1, "back")
  place, left = office.desk.next(line, ledger, reviewer)
  item = None
  if back:
    item = _case(office, reviewer, *office.desk.key(history[-back].case))
  elif place is not None:
    item = _case(office, reviewer, place.row, place.question)
  return {
    "item": item,
    "left": left,
    "total": len(line.places),
    "reveals": line.reveals,
    "done": sum(record.kind == "verdict" for record in history),
    "history": len(history),
    "seconds": float(
      np.nansum([record.seconds for record in history] or [0.0])
    ),
  }


def _case(
  office: Office, reviewer: str, row: int, question: int
) -> dict[str, Any]:
  """A case as a reviewer gets it in the queue, with what was said of it."""
  examples = office.examples
  case = str(examples.ids[row]), examples.questions[question]
  mine = office.ledger.current(reviewer, case)
  is_judged = mine is not None and mine.kind == "verdict"
  found = blind_item(
    examples, row, question, groups=is_judged or not office.plan.hide_groups
  )
  if mine is not None:
    found["mine"] = mine.to_dict()
  return found


def item(office: Office, query: Query) -> dict[str, Any]:
  """One case with everything that the models say; noted for its reviewer."""
  examples = office.examples
  row, question = case_of(examples, query)
  reviewer = query.get("reviewer", "")
  if reviewer:
    check_reviewer(reviewer)
    office.show(reviewer, row, question, secrets.token_hex(8))
  found = open_item(examples, office.cases, row, question)
  case = str(examples.ids[row]), examples.questions[question]
  mine = office.ledger.current(reviewer, case)
  found["mine"] = mine.to_dict() if mine else None
  return found


def gallery(office: Office, query: Query) -> dict[str, Any]:
  """A stretch of the examples that filters let through, in order."""
  examples, cases = office.examples, office.cases
  population = population_of(office, query)
  question = whole(
    query.get("question", "0"), len(examples.questions), "question"
  )
  filters = Filters.read(query, examples)
  sort = query.get("sort") or "rank"
  values = scores(examples, cases, population, question, sort)
  rows = ordered(
    values,
    matching(examples, cases, population, question, filters),
    sort,
    query.get("direction", ""),
  )
  offset = whole(query.get("offset", "0"), 10**9, "offset")
  limit = whole(query.get("limit", "100"), MOST_ROWS + 1, "limit")
  shown = rows[offset : offset + limit]
  is_exemplar = exemplar_mask(examples, cases, population, question)
  here = examples.votes(population, question)
  dense = (
    None if examples.dense is None else examples.votes(examples.dense, question)
  )
  return {
    "total": len(rows),
    "offset": offset,
    "items": [
      {
        "row": row,
        "example_id": str(examples.ids[row]),
        "label": examples.label_text(row, question),
        "dense": None if dense is None else float(dense.mean[row]),
        "compressed": float(here.mean[row]),
        "exemplar": bool(is_exemplar[row]),
        "score": float(values[row]),
      }
      for row in shown.tolist()
    ],
  }


def compare(office: Office, query: Query) -> dict[str, Any]:
  """Dense against one population at a threshold, by group."""
  examples = office.examples
  question = whole(
    query.get("question", "0"), len(examples.questions), "question"
  )
  asked = query.get("threshold", "0")
  threshold = None
  if asked != "calibrated":
    threshold = read_number(asked, "threshold")
    if threshold is None or not np.isfinite(threshold):
      raise InputError(f"threshold is {asked[:40]!r}; accepted: a number")
  return office.comparer.compare(
    population_of(office, query), question, threshold
  )


def results(office: Office) -> dict[str, Any]:
  """What the verdicts add up to."""
  verdicts = office.ledger.verdicts()
  by_reviewer: dict[str, int] = {}
  for record in verdicts:
    by_reviewer[record.reviewer] = by_reviewer.get(record.reviewer, 0) + 1
  return {
    "reviewers": [{"name": n, "verdicts": v} for n, v in by_reviewer.items()],
    "rates": rates(verdicts),
    "agreement": agreements(verdicts),
  }


def case_of(examples: Examples, query: Query) -> tuple[int, int]:
  """Row and question of a link."""
  return (
    whole(query.get("row"), len(examples), "row"),
    whole(query.get("question", "0"), len(examples.questions), "question"),
  )


def population_of(office: Office, query: Query) -> int:
  """The compressed population of a link; the first unless given."""
  compressed = office.examples.compressed
  if "population" in query:
    count = len(office.examples.populations)
    return whole(query["population"], count, "population")
  return compressed[0] if compressed else 0


def line_of(office: Office, query: Query) -> Line:
  """The queue of a link.

  Raises:
    InputError: a value that is not accepted, or a filter by groups where these
      are hidden until the verdict.
  """
  examples = office.examples
  question = None
  if query.get("question"):
    question = whole(query["question"], len(examples.questions), "question")
  filters = Filters.read(query, examples)
  if filters.groups and office.plan.hide_groups:
    raise InputError("groups are hidden until the verdict in this audit")
  return office.line(population_of(office, query), question, filters)
