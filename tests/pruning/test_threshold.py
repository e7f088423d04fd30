"""Exact pruning against a stable sort."""

from hypothesis import given, settings
from hypothesis import strategies as st
import hypothesis.extra.numpy as hnp
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from prunebias_jax.pruning.threshold import prune_smallest

SHAPES = ((3, 4), (5,))
prune = jax.jit(prune_smallest)


def by_sorting(scores, alive, count):
  """The same by a stable sort of the magnitudes, pruned ones first."""
  order = np.concatenate([np.abs(x).ravel() for x in scores])
  keep = np.concatenate([x.ravel() for x in alive])
  order = np.where(keep, order, -1)
  kept = np.ones(order.size, bool)
  kept[np.argsort(order, kind="stable")[:count]] = False
  return kept & keep


# Ties, zeros of both signs, denormals, the largest and infinity.
VALUES = [0.0, -0.0, 1e-45, -1e-42, 1.17e-38, 0.5, -0.5, 2.0, 3.4e38, np.inf]
floats = st.one_of(
  st.sampled_from(VALUES),
  st.floats(width=32, allow_nan=False, allow_subnormal=True),
)


def arrays(elements, dtype):
  return st.tuples(*[hnp.arrays(dtype, s, elements=elements) for s in SHAPES])


@settings(deadline=None, max_examples=200)
@given(
  scores=arrays(floats, np.float32),
  alive=arrays(st.booleans(), bool),
  count=st.integers(0, 17),
)
def test_equals_a_stable_sort(scores, alive, count):
  kept = prune(list(scores), list(alive), jnp.int32(count))
  found = np.concatenate([np.asarray(x).ravel() for x in kept])
  np.testing.assert_array_equal(found, by_sorting(scores, alive, count))


@settings(deadline=None, max_examples=50)
@given(scores=arrays(floats, np.float32), counts=st.sets(st.integers(0, 17)))
def test_growing_counts_are_exact_and_nested(scores, counts):
  alive = [np.ones(shape, bool) for shape in SHAPES]
  for count in sorted(counts):
    kept = [np.asarray(x) for x in prune(list(scores), alive, count)]
    assert sum(int((~x).sum()) for x in kept) == count
    pairs = zip(kept, alive, strict=True)
    assert not any(np.any(new & ~old) for new, old in pairs)
    alive = kept


def test_a_smaller_count_revives_nothing():
  scores = [np.arange(6, dtype=np.float32)]
  once = prune(scores, [np.ones(6, bool)], 4)
  again = prune(scores, once, 2)
  np.testing.assert_array_equal(again[0], once[0])


@pytest.mark.parametrize("count", [0, 1, 4999, 50_000, 99_999, 100_000])
def test_counts_may_differ_between_vmapped_members(count):
  rng = np.random.default_rng(0)
  scores = rng.normal(size=(2, 100_000)).astype(np.float32)
  scores[:, ::7] = 0
  alive = np.ones(scores.shape, bool)
  both = jax.jit(jax.vmap(lambda s, a, k: prune_smallest([s], [a], k)[0]))(
    scores, alive, np.array([count, 77], np.int32)
  )
  for member, number in enumerate((count, 77)):
    expected = by_sorting([scores[member]], [alive[member]], number)
    np.testing.assert_array_equal(both[member], expected)


@pytest.mark.parametrize("count", [2047, 2048, 2049, 2999, 3000, 4100, 9000])
def test_ties_over_several_rows_and_arrays(count):
  scores = [np.full((30, 100), 0.5, "f4"), np.full(6000, -0.5, "f4")]
  scores[1][:50] = 0.25
  alive = [np.ones(x.shape, bool) for x in scores]
  kept = prune(scores, alive, jnp.int32(count))
  found = np.concatenate([np.asarray(x).ravel() for x in kept])
  np.testing.assert_array_equal(found, by_sorting(scores, alive, count))
