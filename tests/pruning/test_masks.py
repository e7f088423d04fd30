"""Which arrays are prunable, and which are excluded."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from prunebias_jax import models
from prunebias_jax.config import Model, Pruning
from prunebias_jax.errors import InputError
from prunebias_jax.pruning.masks import (
  apply_masks,
  count_prunable,
  full_masks,
  prunable,
)
from prunebias_jax.pruning.structure import update_masks


def shapes_of(name):
  model = models.build(
    Model(name=name, width=0.25), outputs=3, lowering="plain"
  )
  images = jnp.zeros((1, 16, 16, 3))
  return jax.eval_shape(
    lambda: model.init(jax.random.key(0), images, train=False)
  )["params"]


@pytest.mark.parametrize(
  ("name", "patterns", "left"),
  [
    ("cnn", (), {"conv0", "conv1", "conv2", "head"}),
    ("cnn", ("head/kernel",), {"conv0", "conv1", "conv2"}),
    ("cnn", ("conv[01]/*", "head/*"), {"conv2"}),
  ],
)
def test_patterns_exclude_layers(name, patterns, left):
  found = prunable(shapes_of(name), Pruning(exclude=patterns))
  assert set(found) == {f"{layer}/kernel" for layer in left}


def test_counts_are_over_the_rest():
  shapes = shapes_of("resnet18")
  shortcuts = [path for path in prunable(shapes) if "shortcut" in path]
  pruning = Pruning(exclude=("*/shortcut/*",))
  assert len(shortcuts) == 3
  assert not set(shortcuts) & set(prunable(shapes, pruning))
  assert count_prunable(shapes, pruning) == count_prunable(shapes) - sum(
    prunable(shapes)[path].size for path in shortcuts
  )


@pytest.mark.parametrize(
  ("patterns", "message"),
  [
    (("head",), r"'head', which matches no kernel; .*conv0/kernel, .*head/k"),
    (("conv0/bias",), "'conv0/bias', which matches no kernel"),
    (("*",), "leaves nothing to prune"),
  ],
)
def test_patterns_that_make_no_sense_are_refused(patterns, message):
  with pytest.raises(InputError, match=message) as caught:
    prunable(shapes_of("cnn"), Pruning(exclude=patterns))
  assert "\n" not in str(caught.value)


def test_excluded_weights_are_never_pruned():
  rng = np.random.default_rng(0)
  params = {
    layer: {"kernel": rng.normal(size=(4, 5)).astype("f4")}
    for layer in ("first", "second", "third")
  }
  params["second"]["kernel"] *= 1e-3
  masks = full_masks(params, Pruning(exclude=("second/*",)))
  masks = update_masks(
    Pruning(), prunable(params), masks, jnp.array([31], jnp.int32)
  )
  assert set(masks) == {"first/kernel", "third/kernel"}
  assert sum(int((~mask).sum()) for mask in masks.values()) == 31
  kept = apply_masks(params, masks)
  np.testing.assert_array_equal(
    kept["second"]["kernel"], params["second"]["kernel"]
  )
  zeros = [int((kept[x]["kernel"] == 0).sum()) for x in ("first", "third")]
  assert sum(zeros) == 31


@pytest.mark.parametrize("name", ["cnn", "resnet18", "mobilenet_v1"])
def test_channels_spare_the_outputs(name):
  shapes = shapes_of(name)
  found = prunable(shapes, Pruning(structure="channels"))
  assert set(prunable(shapes)) - set(found) == {"head/kernel"}
  assert "head/kernel" in prunable(shapes, Pruning(structure="2:4"))


@pytest.mark.parametrize(
  ("layers", "message"),
  [
    (("a", "last"), "spare the outputs, but no layer is called head/kernel"),
    (("head",), "leaves nothing to prune but the outputs"),
  ],
)
def test_channels_of_unknown_outputs_are_refused(layers, message):
  params = {name: {"kernel": np.ones((2, 3))} for name in layers}
  with pytest.raises(InputError, match=message):
    prunable(params, Pruning(structure="channels"))


def test_outputs_of_another_name_can_be_excluded():
  params = {name: {"kernel": np.ones((2, 3))} for name in ("a", "last")}
  pruning = Pruning(structure="channels", exclude=("last/*",))
  assert set(prunable(params, pruning)) == {"a/kernel"}
