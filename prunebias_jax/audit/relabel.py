"""Corrections of labels from the verdicts of an audit."""

from collections import Counter
from collections.abc import Sequence
import dataclasses

import pandas as pd

from prunebias_jax import store
from prunebias_jax.audit.examples import WHICH_CLASS
from prunebias_jax.audit.log import Identity, log_path, read_log
from prunebias_jax.audit.records import Case, Record
from prunebias_jax.errors import InputError

WRONG = ("flip", "missing", "exclude")
AMBIGUOUS = ("keep", "missing", "exclude")
COLUMNS = (
  "example_id", "attribute", "label", "was", "verdict", "reviewers", "of",
  "split",
)  # fmt: skip


@dataclasses.dataclass(frozen=True, kw_only=True)
class Opinion:
  """What the reviewers of one case agree on.

  Attributes:
    case: example id and attribute.
    verdict: that of more than half of them.
    reviewers: how many gave it.
    of: how many judged the case.
    label: what was judged, "0", "1", a class or "".
  """

  case: Case
  verdict: str
  reviewers: int
  of: int
  label: str


def opinions(verdicts: Sequence[Record], least: int = 1) -> list[Opinion]:
  """The cases on which more than half of the reviewers agree.

  Args:
    verdicts: those that stand.
    least: reviewers that must have given the verdict.
  """
  by_case: dict[Case, list[Record]] = {}
  for record in verdicts:
    by_case.setdefault(record.case, []).append(record)
  found = []
  for case, records in by_case.items():
    [(verdict, count)] = Counter(r.verdict for r in records).most_common(1)
    if count >= least and 2 * count > len(records):
      found.append(
        Opinion(
          case=case,
          verdict=verdict,
          reviewers=count,
          of=len(records),
          label=records[-1].label,
        )
      )
  return found


def corrections(
  run: store.Run,
  splits: Sequence[str] = ("valid",),
  *,
  wrong: str | None = None,
  ambiguous: str = "keep",
  least: int = 1,
) -> pd.DataFrame:
  """The corrections that the verdicts on a run's splits make.

  Args:
    run: with verdicts.
    splits: whose verdicts count.
    wrong: what a wrong label becomes: its opposite ("flip", the default for
      attributes), "missing", or its example is left out ("exclude", the only
      one for exclusive classes).
    ambiguous: what becomes of an ambiguous label: "keep", "missing" or
      "exclude".
    least: reviewers that must say so, and be more than half of the case's.

  Returns:
    A table with `COLUMNS`; `data.corrections` reads the first three.

  Raises:
    InputError: no verdicts, none that corrects anything, or what exclusive
      classes do not have.
  """
  is_multiclass = run.task == "multiclass"
  wrong = wrong or ("exclude" if is_multiclass else "flip")
  if is_multiclass and {wrong, ambiguous} & {"flip", "missing"}:
    raise InputError(
      "exclusive classes: a verdict does not name the right class, and no "
      "class may be missing; accepted: exclude"
    )
  if least < 1:
    raise InputError(f"least {least}; accepted: 1 and more reviewers")
  action = {"wrong_label": wrong, "ambiguous_label": ambiguous}
  rows = []
  for split in splits:
    for opinion in opinions(_verdicts(run, split), least):
      row = _row(opinion, action.get(opinion.verdict, "keep"), split)
      if row is not None:
        rows.append(row)
  table = pd.DataFrame(rows, columns=list(COLUMNS))
  # An example may be left out for several of its attributes.
  table = table.drop_duplicates(["example_id", "attribute"], ignore_index=True)
  if table.empty:
    raise InputError(
      f"{run.path}: no verdict on {', '.join(splits)} corrects a label"
    )
  return table


def _verdicts(run: store.Run, split: str) -> list[Record]:
  path = log_path(run, split)
  if not path.exists():
    raise InputError(
      f"{run.path} has no verdicts on {split}; give some: prunebias audit "
      f"{run.path} --split {split}"
    )
  labels = run.split(split).attrs["labels_sha256"]
  _, ledger = read_log(path, Identity.of(run, labels))
  return ledger.verdicts()


def _row(
  opinion: Opinion, action: str, split: str
) -> tuple[object, ...] | None:
  """One row of the table, None where nothing changes."""
  example, attribute = opinion.case
  label = ""
  if action == "exclude":
    attribute = ""
  elif action == "flip":
    if opinion.label not in ("0", "1"):
      return None
    label = str(1 - int(opinion.label))
  elif action == "keep" or attribute == WHICH_CLASS:
    return None
  return (
    example,
    attribute,
    label,
    opinion.label,
    opinion.verdict,
    opinion.reviewers,
    opinion.of,
    split,
  )
