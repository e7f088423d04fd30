"""The examples of one split, and what every population says of them."""

from collections.abc import Mapping
import dataclasses
import functools
from typing import NamedTuple

import numpy as np
import pandas as pd
import scipy.special
import xarray as xr

from prunebias_jax import store
from prunebias_jax.errors import InputError

# The only question where classes are exclusive, as the tables name it.
WHICH_CLASS = "(all)"


class Population(NamedTuple):
  """Members that differ by seed only."""

  pruner: str
  sparsity: float
  quantization: str

  @property
  def label(self) -> str:
    """As a reader names it: "dense", "95 % (gmp)"."""
    middle = "" if self.quantization == "none" else f", {self.quantization}"
    if self.sparsity == 0 and self.pruner == "dense":
      return f"dense{middle}"
    return f"{100 * self.sparsity:.4g} % ({self.pruner}{middle})"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Votes:
  """What the members of one population say to one question.

  Attributes:
    share: float64 [example]: of members that say 1; or the labelled class.
    mean: float64 [example]: mean probability of 1; or of the labelled class.
    variance: float64 [example]: of that probability over the members, ddof 1;
      0 of a single member.
    modal: int16 [example], what most members say; a tie goes to the larger
      mean probability, then to the smaller id.
    lead: float64 [example] in [0, 1]: mean probability of the likeliest answer
      less that of the next.
    entropy: float64 [example] in bits: of the mean probabilities.
  """

  share: np.ndarray
  mean: np.ndarray
  variance: np.ndarray
  modal: np.ndarray
  lead: np.ndarray
  entropy: np.ndarray


@dataclasses.dataclass(frozen=True, kw_only=True)
class Examples:
  """Labels, groups and logits of one split.

  A question is what one vote answers: an attribute, or which class.

  Attributes:
    split: its name.
    ids: str [example].
    names: of the attributes or classes.
    labels: float32 [example, question]: 0, 1 or NaN; or class ids.
    identity_names: of the identities.
    identities: uint8 [example, identity].
    truth: what only synthetic data know of attributes, [example, question] by
      name.
    multiclass: classes are exclusive.
    members: pruner, sparsity, quantization and seed of each member.
    logits: float32 [output, member, example].
    labels_sha256: of labels, identities and ids.
  """

  split: str
  ids: np.ndarray
  names: tuple[str, ...]
  labels: np.ndarray
  identity_names: tuple[str, ...]
  identities: np.ndarray
  truth: Mapping[str, np.ndarray]
  multiclass: bool
  members: pd.DataFrame
  logits: np.ndarray
  labels_sha256: str

  def __len__(self) -> int:
    return len(self.ids)

  @property
  def questions(self) -> tuple[str, ...]:
    """The questions' names, in the order of the labels."""
    return (WHICH_CLASS,) if self.multiclass else self.names

  @functools.cached_property
  def rows(self) -> Mapping[str, int]:
    """The place of every id."""
    return {one: place for place, one in enumerate(self.ids.tolist())}

  @functools.cached_property
  def populations(self) -> tuple[Population, ...]:
    """The populations in the order of the members, dense ones first."""
    keys = zip(
      *(self.members[name] for name in Population._fields), strict=True
    )
    found = dict.fromkeys(Population(*key) for key in keys)
    return tuple(sorted(found, key=lambda one: one.pruner != "dense"))

  @functools.cached_property
  def compressed(self) -> tuple[int, ...]:
    """The places of the populations that are compared with a dense one."""
    dense = self.dense
    return tuple(
      place
      for place in range(len(self.populations))
      if place != dense and dense is not None
    )

  @property
  def dense(self) -> int | None:
    """The place of the population that the others are compared with.

    The unquantized one of the pruner "dense"; where there is none, the first
    unquantized one of sparsity 0; None where there is none either.
    """
    plain = [
      place
      for place, one in enumerate(self.populations)
      if (one.sparsity, one.quantization) == (0.0, "none")
    ]
    return plain[0] if plain else None

  def places(self, population: int) -> np.ndarray:
    """Where a population's members are on the member axis."""
    key = self.populations[population]
    chosen = np.ones(len(self.members), bool)
    for name, value in key._asdict().items():
      chosen &= (self.members[name] == value).to_numpy()
    return np.flatnonzero(chosen)

  def votes(self, population: int, question: int) -> Votes:
    """What a population says to a question."""
    key = population, question
    if key not in self._known:
      self._known[key] = self._count(population, question)
    return self._known[key]

  @functools.cached_property
  def _known(self) -> dict[tuple[int, int], Votes]:
    return {}

  @functools.cached_property
  def points(self) -> np.ndarray:
    """Mean dense logits, each output scaled: float32 [output, example]."""
    if self.dense is None:
      return np.zeros((len(self.names), len(self)), np.float32)
    mean = self.logits[:, self.places(self.dense)].mean(axis=1)
    spread = mean.std(axis=1, keepdims=True)
    return mean / np.where(spread > 0, spread, 1)

  def probabilities(
    self, places: np.ndarray, rows: slice | np.ndarray, question: int
  ) -> np.ndarray:
    """Probability of every answer: float64 [answer, member, example]."""
    if self.multiclass:
      logits = self.logits[:, places][:, :, rows].astype(np.float64)
      return scipy.special.softmax(logits, axis=0)
    logits = self.logits[question, places][:, rows].astype(np.float64)
    return np.stack([scipy.special.expit(-logits), scipy.special.expit(logits)])

  def histogram(
    self,
    population: int,
    question: int,
    rows: slice | np.ndarray = slice(None),
  ) -> np.ndarray:
    """Share of members that give each answer: float64 [answer, example]."""
    places = self.places(population)
    if self.multiclass:
      chosen = np.argmax(self.logits[:, places][:, :, rows], axis=0)
    else:
      chosen = (self.logits[question, places][:, rows] > 0).astype(np.int64)
    answers = len(self.names) if self.multiclass else 2
    return np.stack([np.mean(chosen == one, axis=0) for one in range(answers)])

  def _count(self, population: int, question: int) -> Votes:
    places = self.places(population)
    everyone = self.probabilities(places, slice(None), question)
    counts = np.rint(self.histogram(population, question) * len(places))
    mean = everyone.mean(axis=1)
    rows = np.arange(len(self))
    of = np.ones(len(self), np.int64)
    if self.multiclass:
      of = self.labels[:, 0].astype(np.int64)
    own = everyone[of, :, rows]
    ordered = np.sort(mean, axis=0)
    return Votes(
      share=counts[of, rows] / len(places),
      mean=mean[of, rows],
      variance=own.var(axis=1, ddof=1) if len(places) > 1 else 0 * mean[0],
      # Half of a probability is less than a vote: it only breaks ties.
      modal=np.argmax(counts + mean / 2, axis=0).astype(np.int16),
      lead=ordered[-1] - ordered[-2],
      entropy=-scipy.special.xlogy(mean, mean).sum(axis=0) / np.log(2),
    )

  def label_text(self, row: int, question: int) -> str:
    """A label as a reader has it: "1", "0", a class, "" where it is missing."""
    label = self.labels[row, question]
    if np.isnan(label):
      return ""
    return self.names[int(label)] if self.multiclass else str(int(label))

  def answer_text(self, answer: int) -> str:
    """An answer as a reader has it: "1", "0" or a class."""
    return self.names[answer] if self.multiclass else str(answer)


def read_examples(run: store.Run, split: str) -> Examples:
  """Reads labels and all logits of a split.

  Raises:
    InputError: the run has no such split, no logits of it, or no finished
      member.
  """
  if split not in run.member_splits:
    raise InputError(
      f"{run.path} has no logits of the split {split!r} to audit; accepted: "
      f"{', '.join(run.member_splits)}"
    )
  data = run.split(split)
  if not data.sizes["member"]:
    raise InputError(
      f"{run.path} has no finished member; train it to the end first"
    )
  return Examples(
    split=split,
    ids=np.array(data["example"].to_numpy().tolist(), object),
    names=_texts(data[store.output_dimension(run.task)]),
    labels=_as_columns(data["labels"].to_numpy()).astype(np.float32),
    identity_names=_texts(data["identity"]),
    identities=data["identities"].to_numpy(),
    truth={
      str(name).removeprefix("truth_"): data[name].to_numpy()
      for name in data.data_vars
      if str(name).startswith("truth_") and run.task == "multilabel"
    },
    multiclass=run.task == "multiclass",
    members=data.coords.to_dataset()[list(store.MEMBER_KEY)]
    .reset_coords()
    .to_dataframe()
    .reset_index(drop=True)[[*store.MEMBER_KEY]],
    logits=_by_output(data["logits"]),
    labels_sha256=data.attrs["labels_sha256"],
  )


def _by_output(logits: xr.DataArray) -> np.ndarray:
  """Logits as float32 [output, member, example], member by member."""
  members, examples, outputs = logits.shape
  found = np.empty((outputs, members, examples), np.float32)
  for place in range(members):
    found[:, place] = logits.isel(member=place).to_numpy().T
  return found


def _as_columns(values: np.ndarray) -> np.ndarray:
  return values[:, None] if values.ndim == 1 else values


def _texts(names: xr.DataArray) -> tuple[str, ...]:
  return tuple(map(str, names.to_numpy().tolist()))
