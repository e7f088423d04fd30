"""Sums of influences over members and examples, gathered member by member."""

import dataclasses

import numpy as np

from prunebias_jax.analysis.inference import ExampleSums
from prunebias_jax.analysis.rates import divide


@dataclasses.dataclass(frozen=True, kw_only=True)
class Moments:
  """What crossed intervals need of cells, but for the members' own values.

  float64 [cell] each; NaN: not available.

  Attributes:
    examples: the examples that the cell is about, n.
    squares: sum over members and examples of influence^2.
    mean_squares: sum over examples of (mean over members of influence)^2.
  """

  examples: np.ndarray
  squares: np.ndarray
  mean_squares: np.ndarray

  def sums(self, values: np.ndarray, chosen: np.ndarray) -> ExampleSums:
    """The sums of value + influence, as if that were seen for each example.

    Args:
      values: float64 [seed, chosen], the members' values, finite.
      chosen: int [chosen], the cells.
    """
    examples = self.examples[chosen]
    return ExampleSums(
      member_means=values,
      examples=examples,
      squared_means=(
        examples * values.mean(axis=0) ** 2 + self.mean_squares[chosen]
      ),
      squares=examples * (values**2).sum(axis=0) + self.squares[chosen],
    )

  def at(self, place: int | np.ndarray) -> "Moments":
    """Those at some places of the last axis."""
    return Moments(
      **{
        field.name: getattr(self, field.name)[..., place]
        for field in dataclasses.fields(self)
      }
    )


class Collector:
  """Gathers the influences of one metric on all outputs and on their mean.

  The influence of an example on the mean over outputs is the mean of its
  influences on those, each scaled to the same number of examples: outputs
  whose labels are missing in places have fewer.
  """

  def __init__(
    self,
    *,
    finite: np.ndarray,
    total: np.ndarray,
    used: np.ndarray,
    size: int,
    few: np.ndarray | None = None,
  ):
    """Starts with no member.

    Args:
      finite: bool [member, output]: the member has a value.
      total: float64 [output], examples that count.
      used: bool [output]: part of the mean.
      size: examples in all.
      few: bool [output]: too few to tell how far they spread.
    """
    outputs = finite.shape[1]
    self._finite = finite
    self._total = total
    self._used = np.flatnonzero(used)
    self._size = size
    self._few = np.zeros(outputs, bool) if few is None else few
    self._share = divide(np.array(float(size)), total)[self._used] / max(
      len(self._used), 1
    )
    self._squares = np.zeros(outputs)
    self._of_mean = 0.0
    self._sum = np.zeros((size, outputs))

  def add(self, member: int, influence: np.ndarray) -> None:
    """Adds a member's influences, float64 [example, output]."""
    there = self._finite[member]
    if not there.all():
      influence = np.where(there, influence, 0.0)
    self._squares += np.einsum("ia,ia->a", influence, influence)
    self._sum += influence
    if len(self._used):
      mean = influence[:, self._used] @ self._share
      self._of_mean += float(mean @ mean)

  def moments(self) -> Moments:
    """Those of each output, then of the mean: [output + 1]."""
    members = self._finite.sum(axis=0)
    average = divide(self._sum, members)
    single = np.where(self._few, np.nan, self._squares)
    mean_square = np.nan
    if len(self._used):
      mean = average[:, self._used] @ self._share
      mean_square = float(mean @ mean)
    return Moments(
      examples=np.append(self._total, self._size),
      squares=np.append(single, self._of_mean if len(self._used) else np.nan),
      mean_squares=np.append(
        np.einsum("ia,ia->a", average, average), mean_square
      ),
    )
