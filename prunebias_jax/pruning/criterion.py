"""What makes a weight worth keeping: the scores that mask updates compare.

A criterion is a function of what is known of one member to scores by path, of
which the smallest magnitudes are pruned; `CRITERIA` says by its name in a
config what it needs. docs/pruning.md tells how to add one.
"""

from collections.abc import Callable, Mapping
import dataclasses
from typing import NamedTuple
import zlib

import jax
import jax.numpy as jnp

Arrays = Mapping[str, jax.Array]


class Evidence(NamedTuple):
  """What a criterion may look at.

  Attributes:
    weights: the prunable arrays by path.
    units: by path, the shape of one score for each unit that is pruned as one,
      to be broadcast over the weights.
    key: of the member alone; None unless the criterion draws.
    gradients: of the loss on the scoring batch, by path; None unless the
      criterion differentiates.
  """

  weights: Arrays
  units: Mapping[str, tuple[int, ...]]
  key: jax.Array | None
  gradients: Arrays | None


@dataclasses.dataclass(frozen=True)
class Criterion:
  """A criterion and what it needs.

  Attributes:
    scores: evidence to arrays of the weights' shapes, by path.
    draws: needs a key.
    differentiates: needs gradients, and so a scoring batch.
  """

  scores: Callable[[Evidence], Arrays]
  draws: bool = False
  differentiates: bool = False


def magnitude(evidence: Evidence) -> Arrays:
  """|w|."""
  return evidence.weights


def random(evidence: Evidence) -> Arrays:
  """Uniform draws, the same at every update, so that masks are nested.

  A layer's draws depend on its path, not on which others are pruned.
  """
  assert evidence.key is not None
  found = {}
  for path, weights in evidence.weights.items():
    key = jax.random.fold_in(evidence.key, zlib.crc32(path.encode()))
    drawn = jax.random.uniform(key, evidence.units[path])
    found[path] = jnp.broadcast_to(drawn, weights.shape)
  return found


def saliency(evidence: Evidence) -> Arrays:
  """|w dL/dw|: how much the loss changes, to first order, without the weight.

  Reference: Lee, Ajanthan and Torr 2019, "SNIP", equation 5, whose division by
  the sum over all weights changes no order.
  """
  assert evidence.gradients is not None
  return {
    path: weights * evidence.gradients[path]
    for path, weights in evidence.weights.items()
  }


CRITERIA: Mapping[str, Criterion] = {
  "magnitude": Criterion(magnitude),
  "random": Criterion(random, draws=True),
  "saliency": Criterion(saliency, differentiates=True),
}
