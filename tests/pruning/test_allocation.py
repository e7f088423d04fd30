"""Tables of counts against their closed forms, and laws they obey."""

import math

from hypothesis import given, settings
from hypothesis import strategies as st
import jax.numpy as jnp
import numpy as np
import pytest

from prunebias_jax.config import Pruning
from prunebias_jax.pruning.allocation import (
  count_table,
  erk_densities,
)
from prunebias_jax.pruning.structure import update_masks

LAYERS = {
  "conv0/kernel": (3, 3, 3, 8),
  "conv1/kernel": (3, 3, 8, 16),
  "head/kernel": (16, 4),
}
SIZES = np.array([216, 1152, 64])


def pruning_of(**changes):
  return Pruning(start=0, every=1, end=4, **changes)


def test_global_is_one_pool():
  table = count_table(pruning_of(), (0.0, 0.9), LAYERS)
  assert table.shape == (4, 2, 1)
  assert table[-1].tolist() == [[0], [round(0.9 * 1432)]]


def test_uniform_prunes_the_same_share_of_every_layer():
  pruning = pruning_of(allocation="uniform")
  table = count_table(pruning, (0.0, 0.3, 0.9), LAYERS)
  assert table[-1].tolist() == [
    [0, 0, 0],
    [round(0.3 * size) for size in SIZES],
    [round(0.9 * size) for size in SIZES],
  ]
  assert table[0, 2].tolist() == [round(0.05 * size) for size in SIZES]


def test_erk_without_a_cap_is_proportional_to_its_closed_form():
  """(n_in + n_out + h + w) / (n_in n_out h w), by hand."""
  shapes = list(LAYERS.values())
  densities = erk_densities(shapes, 40)
  factors = [17 / 216, 30 / 1152, 20 / 64]
  kept_by_factor_one = 17 + 30 + 20
  np.testing.assert_allclose(
    densities, np.array(factors) * 40 / kept_by_factor_one
  )
  assert densities.max() < 1


def test_erk_keeps_whole_what_would_be_denser_than_one():
  """Half of the weights: the head (20/64) and conv0 (17/216) are capped."""
  densities = erk_densities(list(LAYERS.values()), 716)
  np.testing.assert_allclose(densities, [1, (716 - 216 - 64) / 1152, 1])


def test_erk_ends_at_its_densities_with_an_exact_total():
  pruning = pruning_of(allocation="erk")
  levels = (0.0, 0.5, 0.9, 0.97)
  table = count_table(pruning, levels, LAYERS)
  for level, counts in zip(levels, table[-1], strict=True):
    total = round(level * 1432)
    assert counts.sum() == total
    densities = erk_densities(list(LAYERS.values()), 1432 - total)
    assert np.abs(counts - (1 - densities) * SIZES).max() < 1


dimension = st.integers(1, 12)
shapes = st.lists(
  st.one_of(
    st.tuples(dimension, dimension),
    st.tuples(st.just(3), st.just(3), dimension, dimension),
  ),
  min_size=1,
  max_size=6,
)


@settings(deadline=None, max_examples=200)
@given(
  shapes=shapes,
  level=st.floats(0, 0.999),
  allocation=st.sampled_from(["global", "uniform", "erk"]),
)
def test_counts_never_fall_fit_their_layers_and_end_exactly(
  shapes, level, allocation
):
  layers = {f"layer{i}/kernel": shape for i, shape in enumerate(shapes)}
  sizes = [math.prod(shape) for shape in shapes]
  pruning = pruning_of(allocation=allocation)
  table = count_table(pruning, (level,), layers)[:, 0]
  assert (np.diff(table, axis=0) >= 0).all()
  assert (table >= 0).all()
  if allocation == "global":
    assert table.shape[1] == 1
  else:
    assert (table <= sizes).all()
  ends = np.rint(level * np.array(sizes))
  expected = (
    ends.sum() if allocation == "uniform" else round(level * sum(sizes))
  )
  assert table[-1].sum() == expected


@settings(deadline=None, max_examples=100)
@given(shapes=shapes, kept=st.floats(0.01, 1))
def test_erk_densities_add_up_and_are_proportional_below_one(shapes, kept):
  sizes = np.array([math.prod(shape) for shape in shapes])
  densities = erk_densities(shapes, kept * sizes.sum())
  np.testing.assert_allclose(densities @ sizes, kept * sizes.sum())
  factors = np.array([sum(shape) for shape in shapes]) / sizes
  scales = densities / factors
  free = densities < 1
  if free.any():
    np.testing.assert_allclose(scales[free], scales[free][0])
    assert (scales[~free] <= scales[free][0] * (1 + 1e-9)).all()


@pytest.mark.parametrize("allocation", ["uniform", "erk"])
def test_masks_have_the_counts_of_the_table_layer_by_layer(allocation):
  rng = np.random.default_rng(0)
  scores = {
    path: rng.integers(-3, 4, shape).astype("f4")  # many ties
    for path, shape in LAYERS.items()
  }
  masks = {path: jnp.ones(shape, bool) for path, shape in LAYERS.items()}
  pruning = pruning_of(allocation=allocation)
  for counts in count_table(pruning, (0.8,), LAYERS)[:, 0]:
    before = masks
    masks = update_masks(pruning, scores, before, jnp.asarray(counts))
    for path, count in zip(LAYERS, counts, strict=True):
      kept = np.asarray(masks[path])
      assert (~kept).sum() == count
      order = np.argsort(np.abs(scores[path]).ravel(), kind="stable")
      assert not kept.ravel()[order[:count]].any()
