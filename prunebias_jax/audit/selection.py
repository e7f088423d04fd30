"""Which examples are shown, and in what order: filters and sorts by name."""

from collections.abc import Mapping
import dataclasses
from typing import Self

import numpy as np

from prunebias_jax.audit.cases import Cases
from prunebias_jax.audit.examples import Examples
from prunebias_jax.errors import InputError, choose

CELLS = ("tp", "fp", "tn", "fn", "right", "wrong", "unlabelled")
CONFIDENCE = ("sure", "unsure")
SIDES = ("dense", "compressed")
YES_NO = ("yes", "no")
# Sure is outside of these mean probabilities, after the papers' uncertainty.
_UNSURE = (0.1, 0.9)
SORTS = {
  "rank": "Rank among the exemplars",
  "taxicab": "Taxicab distance",
  "change": "Change of mean probability",
  "dense_margin": "Dense margin",
  "dense_entropy": "Dense entropy",
  "dense_variance": "Dense variance over seeds",
  "compressed_entropy": "Compressed entropy",
  "compressed_variance": "Compressed variance over seeds",
  "loss": "Compressed loss",
  "dense_loss": "Dense loss",
  "onset": "Onset sparsity",
  "place": "Order of the data set",
}
# Large comes first in these unless told otherwise; small in the others.
_LARGE_FIRST = {*SORTS} - {"rank", "dense_margin", "onset", "place"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Filters:
  """What to show; every field by its name in a link.

  Attributes:
    groups: (identity place, value) that all must hold.
    cell: one of `CELLS`, "" for all.
    confidence: one of `CONFIDENCE`, "" for all.
    side: whose answer cell and confidence are about.
    exemplar: "yes", "no" or "" for all: modal labels differ.
    onset: sparsity of the lasting flip; None for all.
    flipped: "yes", "no" or "" for all: the label was flipped when the data
      were made.
    text: what the id contains, "" for all.
  """

  groups: tuple[tuple[int, int], ...] = ()
  cell: str = ""
  confidence: str = ""
  side: str = "compressed"
  exemplar: str = ""
  onset: float | None = None
  flipped: str = ""
  text: str = ""

  @property
  def reveals(self) -> bool:
    """Whether they tell what models say of a case, or how it was labelled.

    Onset and exemplar do not: controls pass them unasked.
    """
    return bool(self.cell or self.confidence or self.flipped)

  @classmethod
  def read(cls, query: Mapping[str, str], examples: Examples) -> Self:
    """Reads filters from a link's query.

    Raises:
      InputError: a value that is not accepted.
    """
    for name, accepted in (
      ("cell", CELLS),
      ("confidence", CONFIDENCE),
      ("side", SIDES),
      ("exemplar", YES_NO),
      ("flipped", YES_NO),
    ):
      if query.get(name):
        choose(query[name], accepted, name)
    groups = []
    for part in filter(None, query.get("groups", "").split(",")):
      place, _, value = part.partition(":")
      if not (
        place.isdecimal()
        and int(place) < len(examples.identity_names)
        and value in ("0", "1")
      ):
        raise InputError(f"groups {part[:40]!r}; accepted: PLACE:0 or PLACE:1")
      groups.append((int(place), int(value)))
    if query.get("flipped") and "flipped" not in examples.truth:
      raise InputError("flipped: these data do not know which labels are")
    return cls(
      groups=tuple(groups),
      cell=query.get("cell", ""),
      confidence=query.get("confidence", ""),
      side=query.get("side") or "compressed",
      exemplar=query.get("exemplar", ""),
      onset=read_number(query.get("onset", ""), "onset"),
      flipped=query.get("flipped", ""),
      text=query.get("text", ""),
    )


def read_number(text: str, what: str) -> float | None:
  """A number in a link; None for ""."""
  try:
    return float(text) if text else None
  except ValueError:
    raise InputError(f"{what} is {text[:40]!r}; accepted: a number") from None


def matching(
  examples: Examples,
  cases: Cases,
  population: int,
  question: int,
  filters: Filters,
) -> np.ndarray:
  """Which examples the filters let through: bool [example]."""
  found = np.ones(len(examples), bool)
  for place, value in filters.groups:
    found &= examples.identities[:, place] == value
  side = examples.dense if filters.side == "dense" else population
  if side is None:
    side = population
  if filters.cell:
    found &= in_cell(examples, side, question, filters.cell)
  if filters.confidence:
    mean = examples.votes(side, question).mean
    sure = (mean <= _UNSURE[0]) | (mean >= _UNSURE[1])
    found &= sure == (filters.confidence == "sure")
  if filters.exemplar:
    is_exemplar = exemplar_mask(examples, cases, population, question)
    found &= is_exemplar == (filters.exemplar == "yes")
  if filters.onset is not None:
    found &= cases.onset(examples, population, question) == filters.onset
  if filters.flipped:
    flipped = examples.truth["flipped"][:, question] == 1
    found &= flipped == (filters.flipped == "yes")
  if filters.text:
    wanted = filters.text.lower()
    found &= np.array([wanted in one.lower() for one in examples.ids])
  return found


def in_cell(
  examples: Examples, population: int, question: int, cell: str
) -> np.ndarray:
  """Whether a population's modal answer falls in a confusion cell."""
  labels = examples.labels[:, question]
  if cell == "unlabelled":
    return np.isnan(labels)
  answer = examples.votes(population, question).modal
  right = answer == labels
  if cell in ("right", "wrong"):
    return (right == (cell == "right")) & ~np.isnan(labels)
  if examples.multiclass:
    raise InputError(
      f"cell {cell!r} is of attributes; accepted of classes: right, wrong"
    )
  wanted_right, wanted_answer = cell[0] == "t", int(cell[1] == "p")
  return (right == wanted_right) & (answer == wanted_answer) & ~np.isnan(labels)


def exemplar_mask(
  examples: Examples, cases: Cases, population: int, question: int
) -> np.ndarray:
  """Which examples are exemplars of a population: bool [example]."""
  rows = cases.of(population, question)
  found = np.zeros(len(examples), bool)
  found[rows.loc[rows["is_cie"], "row"].to_numpy()] = True
  return found


def scores(
  examples: Examples, cases: Cases, population: int, question: int, sort: str
) -> np.ndarray:
  """What is sorted by: float64 [example], NaN where there is none.

  Raises:
    InputError: no such sort, or there is no dense population for it.
  """
  choose(sort, SORTS, "sort")
  if sort == "place":
    return np.arange(len(examples), dtype=float)
  if sort == "onset":
    return cases.onset(examples, population, question)
  if sort == "rank":
    rows = cases.of(population, question)
    found = np.full(len(examples), np.nan)
    found[rows["row"].to_numpy()] = rows["rank"].to_numpy()
    return found
  here = examples.votes(population, question)
  if sort in ("compressed_entropy", "compressed_variance"):
    return getattr(here, sort.removeprefix("compressed_"))
  if sort == "loss":
    return _loss(examples, population, question)
  if examples.dense is None:
    raise InputError(f"sort {sort!r} needs dense members; there are none")
  dense = examples.votes(examples.dense, question)
  if sort == "dense_loss":
    return _loss(examples, examples.dense, question)
  if sort == "dense_margin":
    return dense.lead
  if sort == "change":
    return np.abs(here.mean - dense.mean)
  if sort == "taxicab":
    return taxicab(examples, population, question)
  return getattr(dense, sort.removeprefix("dense_"))


def taxicab(examples: Examples, population: int, question: int) -> np.ndarray:
  """L1 distance of the histograms of votes to the dense ones: [example].

  Reference: Hooker et al. 2020, "Characterising Bias in Compressed Models".
  """
  if examples.dense is None:
    return np.full(len(examples), np.nan)
  first, second = (
    examples.histogram(place, question)
    for place in (examples.dense, population)
  )
  return np.abs(first - second).sum(axis=0)


def ordered(
  values: np.ndarray, found: np.ndarray, sort: str, direction: str
) -> np.ndarray:
  """The examples let through, in order; those without a score last.

  Ties keep the order of the data set, so that a link always shows the same.
  """
  rows = np.flatnonzero(found)
  is_up = sort not in _LARGE_FIRST
  if direction:
    choose(direction, ("up", "down"), "direction")
    is_up = direction == "up"
  key = values[rows] if is_up else -values[rows]
  return rows[np.argsort(key, kind="stable")]


def _loss(examples: Examples, population: int, question: int) -> np.ndarray:
  """Cross-entropy of the mean probability; NaN without a label: [example]."""
  labels = examples.labels[:, question]
  mean = examples.votes(population, question).mean
  if not examples.multiclass:
    mean = np.where(labels == 1, mean, 1 - mean)
  mean = np.where(np.isnan(labels), np.nan, mean)
  return -np.log(np.maximum(mean, np.finfo(np.float32).tiny))
