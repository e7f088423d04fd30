"""What passes between a chunk in training and the run that it belongs to."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from prunebias_jax.training.checkpoint import Snapshot
from prunebias_jax.training.member import Early, Member
from prunebias_jax.training.plan import Segment
from prunebias_jax.training.population import Population


class EpochEnd(NamedTuple):
  """What is known after an epoch.

  Attributes:
    segment: the segment that the epoch ends in.
    epoch: epochs done, over all phases.
    images: examples that each member was trained on in it.
    loss: mean over the epoch's steps, [seed, branch].
    accuracy: likewise.
    zeros: pruned weights, [seed, branch].
    healthy: whether a member is still trained, [seed, branch].
    valid_loss: validation loss [seed, branch], where the best is kept and
      some branch has its final sparsity.
  """

  segment: Segment
  epoch: int
  images: int
  loss: np.ndarray
  accuracy: np.ndarray
  zeros: np.ndarray
  healthy: np.ndarray
  valid_loss: np.ndarray | None


class Parents(NamedTuple):
  """Dense members that are trained already, on the host.

  Attributes:
    state: [seed, 1, ...].
    early: what they were at the step to go back to; None where none is.
  """

  state: Member
  early: Early | None


class Hooks(NamedTuple):
  """What a run wants to hear of, and to say.

  Attributes:
    epoch: called after every epoch.
    finished: called after a segment with which levels end.
    stop: why to stop; "" for going on.
    parents: dense parents, given fresh members [seed, 1, ...]; None where
      they are yet to be trained.
  """

  epoch: Callable[[EpochEnd], None]
  finished: Callable[[Population, Snapshot, Segment], None]
  stop: Callable[[], str]
  parents: Callable[[Member], Parents | None]
