"""The k smallest of many scores, exactly, without sorting.

A non-negative float32 orders like its bits read as an integer, so the k-th
smallest score is found by bisection over the bits: 32 counting passes, however
many scores there are. Nothing is rounded, denormals included, and the number
k may differ between the members of a vmapped population. Passes read the
scores in rows, so the k-th is a row and a place in it, and ties cost no more.
"""

from collections.abc import Callable, Sequence
import math

import jax
from jax import lax
import jax.numpy as jnp

LOWEST = -1  # the order of a weight that is pruned already: below every score
_HIGHEST = 0x7FFFFFFF
_ROW = 2048  # elements counted in int16, which is several times faster


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
  orders = _in_rows(
    [
      magnitude_order(score, keep)
      for score, keep in zip(scores, alive, strict=True)
    ]
  )
  threshold = _bisect(
    lambda bits: _count_rows(orders <= bits).sum() >= count, LOWEST, _HIGHEST
  )
  tied = orders == threshold
  last = _place_of(tied, count - _count_rows(orders < threshold).sum())
  places = lax.iota(jnp.int32, orders.size).reshape(orders.shape)
  kept = (orders > threshold) | (tied & (places > last) & (orders > LOWEST))
  return _from_rows(kept, [array.shape for array in scores])


def magnitude_order(score: jax.Array, alive: jax.Array) -> jax.Array:
  """int32 that orders as magnitudes do, `LOWEST` where pruned already."""
  return jnp.where(alive, _magnitude_bits(score), LOWEST)


def _magnitude_bits(score: jax.Array) -> jax.Array:
  """int32 that orders as the magnitudes do; -0 and 0 are equal."""
  bits = lax.bitcast_convert_type(score.astype(jnp.float32), jnp.int32)
  return bits & _HIGHEST


def _in_rows(arrays: Sequence[jax.Array]) -> jax.Array:
  """All elements [row, `_ROW`], array after array, filled up with `_HIGHEST`.

  What fills is last in every order, so it changes no choice.
  """
  flat = jnp.concatenate([array.ravel() for array in arrays])
  filled = jnp.pad(flat, (0, -flat.size % _ROW), constant_values=_HIGHEST)
  return filled.reshape(-1, _ROW)


def _from_rows(
  rows: jax.Array, shapes: Sequence[tuple[int, ...]]
) -> list[jax.Array]:
  """The arrays that `_in_rows` put into rows."""
  arrays, first, flat = [], 0, rows.ravel()
  for shape in shapes:
    size = math.prod(shape)
    arrays.append(flat[first : first + size].reshape(shape))
    first += size
  return arrays


def _count_rows(condition: jax.Array) -> jax.Array:
  """How many elements of each row are True: int32 [row]."""
  return condition.sum(-1, dtype=jnp.int16).astype(jnp.int32)


def _place_of(condition: jax.Array, number: jax.Array) -> jax.Array:
  """Index of the `number`-th True, counted from 1, in row-major order."""
  until = jnp.cumsum(_count_rows(condition))
  row = jnp.sum(until < number, dtype=jnp.int32)
  found = lax.dynamic_index_in_dim(condition, row, keepdims=False)
  inside = jnp.cumsum(found, dtype=jnp.int32)
  before = until[row] - inside[-1]
  column = jnp.sum(before + inside < number, dtype=jnp.int32)
  return row * _ROW + column


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
