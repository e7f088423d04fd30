"""Dense against compressed at a threshold, by group: flips, FPR and FNR."""

from collections.abc import Mapping
import dataclasses
import functools
from typing import Any

import numpy as np

from prunebias_jax import store
from prunebias_jax.analysis.calibration import calibrated_thresholds
from prunebias_jax.audit.examples import Examples
from prunebias_jax.errors import InputError

CALIBRATION = "valid"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Thresholds:
  """Calibrated thresholds of every member.

  Attributes:
    value: float64 [member, attribute], logits; None where there are none.
    reason: why there are none, or "".
  """

  value: np.ndarray | None
  reason: str = ""


def read_thresholds(run: store.Run, examples: Examples) -> Thresholds:
  """Thresholds at which a member predicts as many positives as there are.

  On the validation split, after Iofinova et al. 2023; see
  `analysis.calibration`.
  """
  if examples.multiclass:
    return Thresholds(value=None, reason="exclusive classes have no threshold")
  if CALIBRATION not in run.member_splits:
    return Thresholds(value=None, reason="there are no validation logits")
  data = run.split(CALIBRATION)
  keys = [data[name].to_numpy().tolist() for name in store.MEMBER_KEY]
  place_of = {key: place for place, key in enumerate(zip(*keys, strict=True))}
  labels = data["labels"].to_numpy().astype(float)
  present = ~np.isnan(labels)
  positives = np.nansum(labels, axis=0).astype(np.int64)
  found = []
  for member in examples.members.itertuples(index=False):
    key = tuple(getattr(member, name) for name in store.MEMBER_KEY)
    if key not in place_of:
      return Thresholds(
        value=None, reason="some members have no validation logits"
      )
    logits = data["logits"].isel(member=place_of[key]).to_numpy()
    found.append(
      calibrated_thresholds(
        logits, positives, present=None if present.all() else present
      ).value
    )
  return Thresholds(value=np.array(found))


class Comparer:
  """Compares populations on one split; what it reads once it keeps."""

  def __init__(self, run: store.Run, examples: Examples) -> None:
    self._run, self._examples = run, examples

  @functools.cached_property
  def thresholds(self) -> Thresholds:
    """The calibrated thresholds, read when first asked for."""
    return read_thresholds(self._run, self._examples)

  def compare(
    self, population: int, question: int, threshold: float | None
  ) -> dict[str, Any]:
    """Dense and one population at a threshold.

    Args:
      population: the compressed one.
      question: the attribute.
      threshold: a logit; None takes each member's calibrated one.

    Raises:
      InputError: there is no dense population, or no calibrated threshold.
    """
    examples = self._examples
    if examples.dense is None:
      raise InputError("there are no dense members to compare with")
    sides = {"dense": examples.dense, "compressed": population}
    groups = group_columns(examples)
    found: dict[str, Any] = {
      "groups": [
        {"name": name, "value": value, "n": int(member.sum())}
        for (name, value), member in groups.items()
      ]
    }
    matrix = np.stack([*groups.values()], axis=1)
    self._add_flips(found["groups"], sides, question, matrix)
    if examples.multiclass:
      return {**found, "reason": "exclusive classes have no threshold"}
    calibrated = self.thresholds
    found |= {"calibrated": {}, "reason": calibrated.reason}
    for side, place in sides.items():
      members = examples.places(place)
      if calibrated.value is not None:
        mine = calibrated.value[members, question]
        if np.isfinite(mine).all():
          found["calibrated"][side] = float(mine.mean())
    if threshold is None and len(found["calibrated"]) < len(sides):
      raise InputError(calibrated.reason or "no label to calibrate on")
    labels = examples.labels[:, question]
    for side, place in sides.items():
      members = examples.places(place)
      at: Any = threshold
      if threshold is None and calibrated.value is not None:
        at = calibrated.value[members, question][:, None]
      predicted = examples.logits[question, members] > at
      rates = group_rates(predicted, labels, matrix)
      for number, group in enumerate(found["groups"]):
        group[side] = {
          name: [_number(v) for v in values[:, number]]
          for name, values in rates.items()
        }
    return found

  def _add_flips(
    self,
    groups: list[dict[str, Any]],
    sides: Mapping[str, int],
    question: int,
    matrix: np.ndarray,
  ) -> None:
    """Counts the examples of each group whose modal answer differs."""
    examples = self._examples
    dense = examples.votes(sides["dense"], question).modal
    here = examples.votes(sides["compressed"], question).modal
    labels = examples.labels[:, question]
    counts = {
      "flips": dense != here,
      "lost": (dense == labels) & (here != labels),
      "won": (dense != labels) & (here == labels) & ~np.isnan(labels),
      "positives": labels == 1,
      "negatives": labels == 0,
    }
    for name, which in counts.items():
      if examples.multiclass and name in ("positives", "negatives"):
        continue
      for group, count in zip(groups, which @ matrix, strict=True):
        group[name] = int(count)


def group_columns(examples: Examples) -> dict[tuple[str, str], np.ndarray]:
  """Who is in which group: float32 [example] by identity and value."""
  found = {("", ""): np.ones(len(examples), np.float32)}
  for place, name in enumerate(examples.identity_names):
    for value in (0, 1):
      member = examples.identities[:, place] == value
      found[name, str(value)] = member.astype(np.float32)
  return found


def group_rates(
  predicted: np.ndarray, labels: np.ndarray, groups: np.ndarray
) -> dict[str, np.ndarray]:
  """False positive and negative rates: float64 [member, group], NaN of none.

  Args:
    predicted: bool [member, example].
    labels: [example], 0, 1 or NaN, which counts in neither.
    groups: [example, group], 1 where an example is in it.
  """
  found = {}
  for name, of, wrong in (
    ("fpr", labels == 0, predicted),
    ("fnr", labels == 1, ~predicted),
  ):
    mine = groups[of].astype(np.float32)
    total = mine.sum(axis=0)
    hits = wrong[:, of].astype(np.float32) @ mine
    found[name] = np.divide(
      hits.astype(float),
      total,
      out=np.full(hits.shape, np.nan),
      where=total > 0,
    )
  return found


def _number(value: float) -> float | None:
  return float(value) if np.isfinite(value) else None
