"""Which member each folder of text files is, by its name."""

from collections.abc import Sequence
import dataclasses
from pathlib import Path
import re

from prunebias_jax.errors import InputError
from prunebias_jax.importing.foreign import check_texts
from prunebias_jax.store import EVALUATED

ACCEPTED = (
  "PRUNER/SPARSITY/RUN, STRATEGY/ATTRIBUTE/SPARSITY/RUN, "
  "ATTRIBUTE/MARKER/SPARSITY/RUN or ATTRIBUTE/MARKER/STRATEGY/SPARSITY/RUN"
)
DENSE = "dense"
# The pruner where folders do not name it.
PRUNED = "pruned"
# Seeds are stored as int64.
MOST_SEED = 2**63 - 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Member:
  """One member's folder.

  Attributes:
    directory: where its outputs are.
    outputs: the files by split.
    attribute: the only one that it predicts; "" for all.
    marker: of backdoored data; "" for none.
    pruner, sparsity, seed: what the names of the folders say.
  """

  directory: Path
  outputs: dict[str, Path]
  attribute: str
  marker: str
  pruner: str
  sparsity: float
  seed: int


def find_members(
  folder: Path,
  names: Sequence[str],
  attribute: str | None,
  marker: str | None,
) -> list[Member]:
  """The members below a folder: dense ones first, then by sparsity and seed.

  Args:
    folder: where to look.
    names: of all attributes, which tell the layouts apart.
    attribute: which of several attributes' networks; None where there is one.
    marker: which of several markers; None where there is one.

  Raises:
    InputError: no outputs, folders of another layout or of several, or a choice
      to be made.
  """
  directories = {
    path.parent
    for split in EVALUATED
    for path in folder.rglob(f"{split}_outputs*.txt")
  }
  if not directories:
    raise InputError(
      f"{folder} has no test_outputs*.txt; accepted: folders {ACCEPTED}"
    )
  members = [_member(folder, one, names) for one in sorted(directories)]
  kinds = {(bool(one.attribute), bool(one.marker)) for one in members}
  if len(kinds) > 1:
    raise InputError(
      f"{folder} holds several layouts; accepted: one of {ACCEPTED}"
    )
  members = _chosen(folder, members, "attribute", attribute)
  members = _chosen(folder, members, "marker", marker)
  return sorted(
    members,
    key=lambda one: (one.pruner != DENSE, one.pruner, one.sparsity, one.seed),
  )


def _member(folder: Path, directory: Path, names: Sequence[str]) -> Member:
  """What the name of a folder says of the member in it."""
  parts = directory.relative_to(folder).parts
  check_texts(parts, f"{folder}: a folder's name")
  attribute = marker = ""
  match parts:
    case (pruner, sparsity, run):
      pass
    case (str() as attribute, str() as marker, sparsity, run) if (
      attribute in names and marker not in names
    ):
      pruner = PRUNED
    case (pruner, str() as attribute, sparsity, run) if attribute in names:
      marker = ""
    case (str() as attribute, str() as marker, pruner, sparsity, run) if (
      attribute in names
    ):
      pass
    case _:
      raise InputError(
        f"{directory} is of no known layout; accepted: {ACCEPTED}"
      )
  level = _sparsity(sparsity, directory)
  if pruner.lower() == DENSE or (pruner == PRUNED and level == 0):
    pruner = DENSE
  numbers = re.findall(r"\d+", run)
  if len(numbers) != 1 or not numbers[0].isascii():
    raise InputError(
      f"{directory}: run {run!r} has not one number; accepted: names such as 3 "
      "or run3"
    )
  if int(numbers[0]) > MOST_SEED:
    raise InputError(
      f"{directory}: the number of run {run!r} is too large; accepted: up to "
      f"{MOST_SEED}"
    )
  return Member(
    directory=directory,
    outputs=_outputs(directory),
    attribute=attribute,
    marker=marker,
    pruner=pruner,
    sparsity=level,
    seed=int(numbers[0]),
  )


def _sparsity(text: str, directory: Path) -> float:
  """ "995" is .995, "0" and "dense" are 0."""
  if text.lower() == DENSE:
    return 0.0
  if not (text.isascii() and text.isdigit()):
    raise InputError(
      f"{directory}: sparsity {text!r}; accepted: the digits after the point, "
      "such as 995 for .995, or 0"
    )
  return float(f"0.{text}")


def _outputs(directory: Path) -> dict[str, Path]:
  """The files of a member by split."""
  found = {}
  for split in EVALUATED:
    paths = sorted(directory.glob(f"{split}_outputs*.txt"))
    if len(paths) > 1:
      raise InputError(
        f"{directory} has {paths[0].name} and {paths[1].name}; accepted: one "
        f"{split}_outputs*.txt"
      )
    if paths:
      found[split] = paths[0]
  if "test" not in found:
    raise InputError(f"{directory} has no test_outputs*.txt")
  return found


def _chosen(
  folder: Path, members: list[Member], what: str, choice: str | None
) -> list[Member]:
  """The members of one attribute, or of one marker."""
  there = sorted({getattr(one, what) for one in members})
  if there == [""]:
    if choice is not None:
      raise InputError(f"{folder}: its networks are of no {what} by itself")
    return members
  if choice is None:
    if len(there) > 1:
      raise InputError(
        f"{folder} holds networks of several {what}s, which make a run each: "
        f"{', '.join(there)}; choose by --{what}"
      )
    return members
  if choice not in there:
    raise InputError(
      f"{folder} has no {what} {choice!r}; accepted: {', '.join(there)}"
    )
  return [one for one in members if getattr(one, what) == choice]
