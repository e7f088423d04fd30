"""The k smallest of many scores, exactly, without sorting.

A non-negative float32 orders like its bits read as an integer, so the k-th
smallest score is found by bisection over the bits: 32 counting passes, however
many scores there are. Nothing is rounded, denormals included, and the number
k may differ between the members of a vmapped population.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

import jax
from jax import lax
import jax.numpy as jnp

_T = TypeVar("_T")

_LOWEST = -1  # the order of a weight that is pruned already: below every score
_HIGHEST = 0x7FFFFFFF


def prune_smallest(
  scores: Sequence[jax.Array], alive: Sequence[jax.Array], count: jax.Array
) -> list[jax.Array]:
  """Keeps all but the `count` smallest scores over all arrays together.

  What is pruned already stays pruned and counts first, so masks are nested;
  ties are broken by index (array after array, row-major).

  Args:
    scores: float32 arrays; their magnitudes are compared.
    alive: bool arrays of the same shapes, False where pruned already.
    count: int32 [], how many are pruned in the end, at most all.

  Returns:
    The new masks, True where kept; exactly `count` are False unless more were
    pruned already.
  """
  orders = [
    jnp.where(keep, _magnitude_bits(score), _LOWEST)
    for score, keep in zip(scores, alive, strict=True)
  ]
  threshold = _bisect(
    lambda bits: _count(orders, lambda order: order <= bits) >= count,
    _LOWEST,
    _HIGHEST,
  )
  below = _count(orders, lambda order: order < threshold)
  tied = _count(orders, lambda order: order == threshold)
  places = _places(orders)
  total = sum(order.size for order in orders)

  def split_ties() -> jax.Array:
    """The place before which tied scores are pruned."""
    return _bisect(
      lambda place: (
        _count(
          list(zip(orders, places, strict=True)),
          lambda pair: (pair[0] == threshold) & (pair[1] < place),
        )
        >= count - below
      ),
      0,
      total,
    )

  last = lax.cond(below + tied == count, lambda: jnp.int32(total), split_ties)
  return [
    keep & (order >= threshold) & ((order != threshold) | (place >= last))
    for order, keep, place in zip(orders, alive, places, strict=True)
  ]


def _magnitude_bits(score: jax.Array) -> jax.Array:
  """int32 that orders as the magnitudes do; -0 and 0 are equal."""
  bits = lax.bitcast_convert_type(score.astype(jnp.float32), jnp.int32)
  return bits & _HIGHEST


def _count(
  arrays: Sequence[_T], condition: Callable[[_T], jax.Array]
) -> jax.Array:
  """How many elements of all arrays together meet the condition: int32 []."""
  counts = [jnp.sum(condition(one), dtype=jnp.int32) for one in arrays]
  return jnp.sum(jnp.stack(counts))


def _places(arrays: Sequence[jax.Array]) -> list[jax.Array]:
  """The index of every element in the row-major order of all arrays."""
  places, first = [], 0
  for array in arrays:
    flat = jnp.arange(first, first + array.size, dtype=jnp.int32)
    places.append(flat.reshape(array.shape))
    first += array.size
  return places


def _bisect(
  reached: Callable[[jax.Array], jax.Array], low: int, high: int
) -> jax.Array:
  """The smallest integer in [low, high] that `reached`, which is monotone."""

  def halve(
    _: int, bounds: tuple[jax.Array, jax.Array]
  ) -> tuple[jax.Array, jax.Array]:
    low, high = bounds
    # The span of all int32 above -1 overflows; as unsigned it does not.
    span = lax.bitcast_convert_type(high - low, jnp.uint32) >> 1
    middle = low + lax.bitcast_convert_type(span, jnp.int32)
    enough = reached(middle)
    return jnp.where(enough, low, middle + 1), jnp.where(enough, middle, high)

  passes = (high - low).bit_length()
  bounds = (jnp.int32(low), jnp.int32(high))
  return lax.fori_loop(0, passes, halve, bounds)[0]
