"""Sums for the rates of groups: from votes, without a pass for each group.

A prediction is 0 or 1, and so is its square: how often the members of a
population predict an example positive, its votes, says all about one rate of
one output. Two matrix products with the groups' indicators give the sums of
all groups. The mean over outputs needs each member's own predictions. This is
this project's.
"""

from collections.abc import Mapping

import numpy as np

from prunebias_jax.analysis.columns import GROUP_METRICS
from prunebias_jax.analysis.facts import Groups
from prunebias_jax.analysis.rates import divide
from prunebias_jax.analysis.variance.influence import Truth
from prunebias_jax.analysis.variance.moments import Moments

ROWS = 4096  # examples at a time, to stay in the cache


class RateSums:
  """Gathers the predictions of one population under one rule."""

  def __init__(
    self,
    *,
    truth: Truth,
    groups: Groups,
    values: Mapping[str, np.ndarray],
    used: Mapping[str, np.ndarray],
  ):
    """Starts with no member.

    Args:
      truth: the labels.
      groups: the groups.
      values: float64 [member, output, group] by the names in GROUP_METRICS.
      used: bool [output, group] by the same names: part of the mean.
    """
    self._truth = truth
    self._membership = groups.membership
    # The groups of an identity follow each other; an example is in one.
    names = np.array(groups.identity, object)
    self._starts = np.flatnonzero(np.append(True, names[1:] != names[:-1]))
    self._values = values
    self._counts = self._group_counts()
    self._votes = np.zeros(truth.positive.shape, np.int32)
    self._squares = {
      name: np.zeros(groups.membership.shape[1]) for name in GROUP_METRICS
    }
    self._sums = {
      name: np.zeros((len(groups.membership), len(self._starts)))
      for name in GROUP_METRICS
    }
    self._share = {name: self._shares(name, used[name]) for name in used}
    self._has_mean = {name: used[name].any(axis=0) for name in used}

  def add(self, member: int, predicted: np.ndarray) -> None:
    """Adds a member's predictions, bool [example, output]."""
    self._votes += predicted
    levels = {
      name: np.nan_to_num(self._values[name][member]) for name in GROUP_METRICS
    }
    for start in range(0, len(predicted), ROWS):
      rows = slice(start, start + ROWS)
      inside = self._membership[rows]
      parts = self._influences(rows, predicted[rows], levels)
      for name, influence in parts.items():
        influence *= inside
        self._squares[name] += np.einsum("ig,ig->g", influence, influence)
        self._sums[name][rows] += np.add.reduceat(
          influence, self._starts, axis=1
        )

  def _influences(
    self,
    rows: slice,
    predicted: np.ndarray,
    levels: Mapping[str, np.ndarray],
  ) -> dict[str, np.ndarray]:
    """On the means over outputs: float64 [row, group], also outside it."""
    positive = self._truth.positive[rows]
    negative = self._truth.negative[rows]
    chosen = predicted.astype(np.float64)
    hit, alarm = chosen * positive, chosen * negative
    share = self._share
    result = {
      # Missed: 1 - prediction, of the positives.
      "false_negative_rate": positive
      @ (share["false_negative_rate"] * (1 - levels["false_negative_rate"]))
      - hit @ share["false_negative_rate"],
      "false_positive_rate": alarm @ share["false_positive_rate"]
      - negative
      @ (share["false_positive_rate"] * levels["false_positive_rate"]),
      "selection_rate": chosen @ share["selection_rate"]
      - np.sum(share["selection_rate"] * levels["selection_rate"], axis=0),
    }
    accuracy, weight = levels["accuracy"], share["accuracy"]
    result["accuracy"] = (
      (hit - alarm) @ weight
      + negative @ (weight * (1 - accuracy))
      - positive @ (weight * accuracy)
    )
    return result

  def moments(self, name: str) -> Moments:
    """Those of one rate, each output and then the mean: [output + 1, group]."""
    members = len(self._values[name])
    counts = self._counts[name]
    values = self._values[name]
    mean = values.mean(axis=0)
    of_votes = self._vote_squares(name) / members**2
    squares = counts * (values * (1 - values)).sum(axis=0)
    sums = self._sums[name] / members
    family = np.zeros(len(self._membership[0]), int)
    family[self._starts[1:]] = 1
    of_means = (self._membership * (sums**2)[:, np.cumsum(family)]).sum(axis=0)
    there = self._has_mean[name]
    return Moments(
      examples=np.vstack([counts, self._membership.sum(axis=0)]),
      squares=np.vstack(
        [squares, np.where(there, self._squares[name], np.nan)]
      ),
      mean_squares=np.vstack(
        [of_votes - counts * mean**2, np.where(there, of_means, np.nan)]
      ),
    )

  def _vote_squares(self, name: str) -> np.ndarray:
    """Sums of the squared votes for the rate: float64 [output, group]."""
    votes = self._votes.astype(np.float64)
    against = len(self._values[name]) - votes
    truth = self._truth
    if name == "selection_rate":
      squares = votes**2
    elif name == "false_positive_rate":
      squares = truth.negative * votes**2
    elif name == "false_negative_rate":
      squares = truth.positive * against**2
    else:
      squares = truth.positive * votes**2 + truth.negative * against**2
    return squares.T @ self._membership

  def _group_counts(self) -> dict[str, np.ndarray]:
    """The examples that each rate is about: float64 [output, group]."""
    truth, inside = self._truth, self._membership
    positive, negative = truth.positive.T @ inside, truth.negative.T @ inside
    return {
      "accuracy": positive + negative,
      "false_positive_rate": negative,
      "false_negative_rate": positive,
      "selection_rate": np.broadcast_to(inside.sum(axis=0), positive.shape),
    }

  def _shares(self, name: str, used: np.ndarray) -> np.ndarray:
    """An example's weight in the mean over outputs: float64 [output, group]."""
    sizes = self._membership.sum(axis=0)
    scale = divide(sizes, self._counts[name])
    share = divide(scale, used.sum(axis=0))
    return np.where(used, share, 0.0)
