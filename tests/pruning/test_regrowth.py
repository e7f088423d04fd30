"""Moving masks: how many, which, and exactly as many as before."""

import math

from hypothesis import given, settings
from hypothesis import strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from prunebias_jax.config import Pruning
from prunebias_jax.pruning.allocation import count_table
from prunebias_jax.pruning.regrowth import fraction, move, move_table
from prunebias_jax.training.plan import update_schedule

LAYERS = {"first/kernel": (20, 30), "second/kernel": (400,)}


def rigl(**changes):
  values = {"start": 1, "every": 1, "end": 8, **changes}
  return Pruning(regime="rigl", **values)


def table_of(pruning, levels):
  counts = count_table(update_schedule(pruning), levels, LAYERS)
  assert counts.shape[:2] == (1, len(levels))
  return counts[0], move_table(pruning, counts[0], LAYERS)


def test_the_fraction_falls_along_a_cosine():
  pruning = rigl(regrow=0.4)
  assert fraction(pruning, 0) == pytest.approx(0.4)
  assert fraction(pruning, 4) == pytest.approx(0.2)
  assert fraction(pruning, 8) == pytest.approx(0)
  assert fraction(pruning, 2) == pytest.approx(0.2 * (1 + math.sqrt(0.5)))


@pytest.mark.parametrize("allocation", ["global", "uniform"])
def test_each_layer_moves_its_own_share(allocation):
  pruning = rigl(allocation=allocation, start=4, end=5, regrow=1.0)
  _, moves = table_of(pruning, (0.0, 0.2, 0.8, 0.9))
  share = 0.5 * (1 + math.cos(math.pi * 4 / 5))
  assert moves.shape == (1, 4, 2)
  assert moves[0].tolist() == [
    [round(share * 600 * kept), round(share * 400 * kept)]
    if kept < 1
    else [0, 0]
    for kept in (1, 0.8, 0.2, 0.1)
  ]


def test_no_more_move_than_there_are_places_to_grow():
  _, moves = table_of(rigl(allocation="uniform", regrow=1.0), (0.1,))
  assert moves[0].tolist() == [[60, 40]]
  counts, moves = table_of(rigl(allocation="erk", regrow=1.0), (0.1, 0.9))
  kept = np.array([600, 400]) - counts
  assert (moves <= np.minimum(counts, kept)).all()


def reference(weights, gradients, mask, count):
  """By sorting: first the drop, then the growth among what was pruned."""
  weights, gradients, mask = (x.ravel() for x in (weights, gradients, mask))
  kept, pruned = np.flatnonzero(mask), np.flatnonzero(~mask)
  count = min(count, len(kept), len(pruned))
  dropped = kept[np.argsort(np.abs(weights[kept]), kind="stable")[:count]]
  order = np.argsort(np.abs(gradients[pruned]), kind="stable")
  grown = pruned[order[len(pruned) - count :]]
  after = mask.copy()
  after[dropped], after[grown] = False, True
  return after, grown


@settings(deadline=None, max_examples=30)
@given(
  seed=st.integers(0, 2**32 - 1),
  share=st.floats(0, 1),
  count=st.integers(0, 80),
  ties=st.booleans(),
)
def test_moves_are_those_of_sorting(seed, share, count, ties):
  rng = np.random.default_rng(seed)
  weights, gradients = rng.normal(size=(2, 6, 10)).astype(np.float32)
  if ties:
    weights, gradients = np.round(weights), np.round(gradients)
  mask = rng.uniform(size=(6, 10)) < share
  after, grown = jax.jit(move)(
    {"a": weights}, {"a": gradients}, {"a": mask}, jnp.array([count])
  )
  expected, indices = reference(weights, gradients, mask, count)
  np.testing.assert_array_equal(np.ravel(after["a"]), expected)
  assert np.flatnonzero(grown["a"]).tolist() == sorted(indices.tolist())
  assert after["a"].sum() == mask.sum()
  # What was dropped does not come back at once.
  assert not (np.asarray(grown["a"]) & mask).any()


def test_layers_move_by_themselves():
  weights = {"a": jnp.array([1.0, 2, 3, 4]), "b": jnp.array([5.0, 6, 7, 8])}
  gradients = {"a": jnp.array([9.0, 9, 1, 2]), "b": jnp.array([4.0, 3, 9, 9])}
  masks = {name: jnp.array([True, True, False, False]) for name in "ab"}
  after, grown = move(weights, gradients, masks, jnp.array([1, 2]))
  assert after["a"].tolist() == [False, True, False, True]
  assert after["b"].tolist() == [False, False, True, True]
  assert grown["a"].tolist() == [False, False, False, True]
