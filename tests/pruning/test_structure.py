"""N:M groups and whole channels: exact counts, nested, ties by index."""

from hypothesis import given, settings
from hypothesis import strategies as st
import hypothesis.extra.numpy as hnp
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from prunebias_jax.config import Pattern, Pruning, Sweep
from prunebias_jax.errors import InputError
from prunebias_jax.pruning import channels, patterns, structure
from prunebias_jax.pruning.allocation import count_table, erk_densities

LAYERS = {
  "conv0/kernel": (3, 3, 3, 8),
  "conv1/kernel": (3, 3, 8, 16),
  "conv2/kernel": (16, 4),
}
UNITS = np.array([8, 16, 4])
prune_groups = jax.jit(patterns.prune_groups, static_argnums=2)
update_masks = jax.jit(structure.update_masks, static_argnums=0)


def pruning_of(**changes):
  return Pruning(start=0, every=1, end=4, **changes)


def scores_of(layers=LAYERS, *, ties=False):
  rng = np.random.default_rng(0)
  draw = (
    (lambda shape: rng.integers(-3, 4, shape)) if ties else
    (lambda shape: rng.normal(size=shape))
  )  # fmt: skip
  return {path: draw(shape).astype("f4") for path, shape in layers.items()}


def full(layers=LAYERS):
  return {path: jnp.ones(shape, bool) for path, shape in layers.items()}


def groups_by_sorting(scores, alive, size, count):
  """The same by a stable sort of every group, one after the other."""
  order = np.where(alive, np.abs(scores), -1)
  kept = alive.copy()
  for place in np.ndindex(*scores.shape[:-2], scores.shape[-1]):
    column = (*place[:-1], slice(None), place[-1])
    for first in range(0, scores.shape[-2], size):
      group = order[column][first : first + size]
      gone = max(count - (size - len(group)), 0)
      lowest = np.argsort(group, kind="stable")[:gone]
      kept[column][first + lowest] = False
  return kept


def test_sorting_writes_through_its_views():
  kept = groups_by_sorting(np.ones((4, 1)), np.ones((4, 1), bool), 4, 1)
  assert kept.ravel().tolist() == [False, True, True, True]


@settings(deadline=None, max_examples=50)
@given(
  scores=hnp.arrays(
    np.float32,
    (2, 1, 8, 2),
    elements=st.sampled_from([0.0, -0.0, 1e-45, 0.5, -0.5, 2.0, 3.4e38]),
  ),
  size=st.sampled_from([3, 4, 9]),
  data=st.data(),
)
def test_groups_equal_a_stable_sort_and_are_nested(scores, size, data):
  alive = np.ones(scores.shape, bool)
  for count in sorted(data.draw(st.sets(st.integers(0, size - 1), min_size=1))):
    kept = np.asarray(prune_groups(scores, alive, size, count))
    np.testing.assert_array_equal(
      kept, groups_by_sorting(scores, alive, size, count)
    )
    assert not (kept & ~alive).any()
    alive = kept


@pytest.mark.parametrize("pattern", ["2:4", "1:4", "4:8", "3:5"])
def test_every_group_ends_with_exactly_n_and_passes_through_patterns(pattern):
  pruning = pruning_of(structure=pattern)
  kept, size = pruning.pattern
  layers = {"conv/kernel": (3, 3, 2 * size, 4), "head/kernel": (3 * size, 5)}
  masks, scores = full(layers), scores_of(layers, ties=True)
  table = count_table(pruning, (0.0, 1 - kept / size), layers)
  assert table.shape == (4, 2, 1)
  assert not table[:, 0].any()
  for (count,) in table[:, 1]:
    before = masks
    masks = update_masks(pruning, scores, masks, jnp.array([count]))
    for path, mask in masks.items():
      groups = np.moveaxis(mask, -2, -1).reshape(-1, size)
      assert (groups.sum(1) == size - count).all()
      assert not (mask & ~before[path]).any()
  assert count == size - kept


def test_a_rest_keeps_n_of_its_inputs_or_all():
  pattern = Pattern(2, 4)
  for inputs, left in ((1, 1), (2, 2), (3, 2), (4, 2), (5, 3), (7, 4)):
    scores = np.arange(1, inputs + 1, dtype="f4")[:, None]
    kept = prune_groups(scores, np.ones((inputs, 1), bool), 4, 2)
    assert int(kept.sum()) == left
  layers = {"a/kernel": (3, 3, 3, 8), "b/kernel": (8, 2), "c/kernel": (9, 2)}
  assert patterns.incomplete(pattern, layers) == [
    "a/kernel has 3 inputs, and of the last 3 keeps 2",
    "c/kernel has 9 inputs, and of the last 1 keeps 1",
  ]


def test_patterns_are_pruned_alike_in_vmapped_members():
  scores = np.stack([scores_of(ties=True)["conv1/kernel"]] * 2)
  alive = np.ones(scores.shape, bool)
  both = jax.vmap(
    lambda s, a, k: patterns.prune_groups(s, a, 4, k)
  )(scores, alive, jnp.array([1, 2]))  # fmt: skip
  for member, count in enumerate((1, 2)):
    np.testing.assert_array_equal(
      both[member], groups_by_sorting(scores[member], alive[member], 4, count)
    )


@pytest.mark.parametrize("allocation", ["global", "uniform", "erk"])
def test_channels_go_whole_in_exact_numbers_and_nested(allocation):
  pruning = pruning_of(structure="channels", allocation=allocation)
  masks, scores = full(), scores_of()
  for counts in count_table(pruning, (0.0, 0.75), LAYERS)[:, 1]:
    before = masks
    masks = update_masks(pruning, scores, before, jnp.asarray(counts))
    left = []
    for path, mask in masks.items():
      flat = np.asarray(mask).reshape(-1, mask.shape[-1])
      assert (flat == flat[0]).all()
      assert flat[0].any()
      assert not (mask & ~before[path]).any()
      left.append(flat[0].sum())
    gone = UNITS - left
    expected = gone.sum() if allocation == "global" else gone
    np.testing.assert_array_equal(expected, counts.squeeze())
  assert gone.sum() == round(0.75 * 28)


def test_within_a_layer_channels_go_by_their_l1_norm():
  pruning = pruning_of(structure="channels", allocation="uniform")
  scores = scores_of(ties=True)
  masks = update_masks(pruning, scores, full(), jnp.array([3, 9, 2]))
  for path, gone in zip(LAYERS, (3, 9, 2), strict=True):
    norms = np.abs(scores[path]).sum(tuple(range(scores[path].ndim - 1)))
    lowest = np.argsort(norms, kind="stable")[:gone]
    kept = np.reshape(masks[path], (-1, len(norms)))[0]
    assert set(np.flatnonzero(~kept)) == set(lowest)


def test_channels_of_all_layers_compare_whatever_their_size():
  """Each layer's channels relative to its mean; the best always stays."""
  scores = {
    "small/kernel": 1e-3 * np.array([[1.0, 2.0, 3.0]], "f4"),
    "large/kernel": np.array([[6.0, 6.5, 5.0, 6.5]], "f4").repeat(50, 0),
  }
  alive = {path: jnp.ones(x.shape[-1], bool) for path, x in scores.items()}
  relative = [1 / 2, 1.0, np.inf]
  np.testing.assert_allclose(
    channels.channel_scores(scores["small/kernel"], alive["small/kernel"]),
    relative,
  )
  pruning = pruning_of(structure="channels")
  masks = full({path: x.shape for path, x in scores.items()})
  masks = update_masks(pruning, scores, masks, jnp.array([5]))
  kept = {path: np.asarray(mask)[0].tolist() for path, mask in masks.items()}
  assert kept["small/kernel"] == [False, False, True]
  assert kept["large/kernel"] == [False, True, False, False]


def test_erk_spreads_channels_by_its_closed_form():
  """Densities (h + w + in + out) / (h w in out), of channels kept."""
  pruning = pruning_of(structure="channels", allocation="erk")
  counts = count_table(pruning, (0.75,), LAYERS)[-1, 0]
  factors = np.array([17 / 216, 30 / 1152, 20 / 64])
  densities = factors * 7 / (factors @ UNITS)
  np.testing.assert_allclose(
    erk_densities(list(LAYERS.values()), 7, UNITS), densities
  )
  assert counts.sum() == 21
  assert np.abs(UNITS - counts - densities * UNITS).max() < 1


@pytest.mark.parametrize(
  ("allocation", "level", "message"),
  [
    ("global", 0.93, "prunes 26 of the 28 channels of all 3 layers; .*to 25"),
    ("uniform", 0.95, "prunes 8 of the 8 channels of conv0/kernel; .*to 7"),
  ],
)
def test_a_layer_without_channels_is_refused(allocation, level, message):
  pruning = pruning_of(structure="channels", allocation=allocation)
  with pytest.raises(InputError, match=message) as caught:
    count_table(pruning, (level,), LAYERS)
  assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    ({"structure": "4:4"}, "'4:4'; accepted: N:M with N from 1 to M - 1"),
    ({"structure": "0:4"}, "'0:4'; accepted: N:M with N from 1 to M - 1"),
    ({"structure": "2-4"}, "'2-4'; accepted: unstructured, channels, or N:M"),
    ({"structure": "2:4", "allocation": "erk"}, "accepted: global, uniform"),
  ],
)
def test_structures_that_make_no_sense_are_refused(changes, message):
  with pytest.raises(InputError, match=message) as caught:
    Pruning(**changes)
  assert "\n" not in str(caught.value)


def test_patterns_fix_the_sparsity():
  Sweep(sparsities=(0.0, 0.5), pruning=Pruning(structure="2:4"))
  Sweep(sparsities=(1 / 3,), pruning=Pruning(structure="2:3"))
  with pytest.raises(InputError, match=r"holds 0.9; accepted .*'1:4': 0 and 0"):
    Sweep(sparsities=(0.0, 0.75, 0.9), pruning=Pruning(structure="1:4"))


def test_kernels_without_inputs_are_refused():
  layers = {"a/kernel": (3, 4), "b/kernel": (5,)}
  structure.require_axes(Pruning(), layers)
  with pytest.raises(InputError, match=r"but b/kernel is \[5\]; accepted"):
    structure.require_axes(Pruning(structure="2:4"), layers)
