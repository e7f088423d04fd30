"""Parameter counts and shapes of the networks."""

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from prunebias_jax import models
from prunebias_jax.config import Model
from prunebias_jax.pruning.masks import count_prunable


def shapes(config, size=32, outputs=40):
  model = models.build(config, outputs=outputs, lowering="plain")
  images = jnp.zeros((2, size, size, 3))
  variables = jax.eval_shape(
    lambda: model.init(jax.random.key(0), images, train=False)
  )
  logits = jax.eval_shape(
    lambda v: model.apply(v, images, train=False), variables
  )
  return variables["params"], logits


@pytest.mark.parametrize(
  ("stem", "size", "parameters", "prunable"),
  [("large", 224, 11_197_032, 11_187_392), ("small", 32, 11_189_352, None)],
)
def test_resnet18_has_the_published_number_of_parameters(
  stem, size, parameters, prunable
):
  """Iofinova et al. 2023, ResNet-18 with 40 outputs."""
  params, logits = shapes(Model(name="resnet18", stem=stem), size)
  assert sum(x.size for x in jax.tree.leaves(params)) == parameters
  if prunable:
    assert count_prunable(params) == prunable
  assert logits.shape == (2, 40)


@pytest.mark.parametrize("name", ["cnn", "resnet18"])
@pytest.mark.parametrize("outputs", [1, 10])
def test_width_and_outputs(name, outputs):
  narrow, logits = shapes(Model(name=name, width=0.25), outputs=outputs)
  wide, _ = shapes(Model(name=name), outputs=outputs)
  assert logits.shape == (2, outputs)
  flat = flax.traverse_util.flatten_dict
  for path, array in flat(wide).items():
    if path[-1] == "kernel" and path[0] not in ("head", "conv0", "stem"):
      small = flat(narrow)[path].shape
      np.testing.assert_array_equal(4 * np.array(small[2:]), array.shape[2:])


@pytest.mark.parametrize("name", ["cnn", "resnet18"])
def test_evaluation_does_not_depend_on_the_batch(name):
  model = models.build(
    Model(name=name, width=0.1), outputs=3, lowering="canonical"
  )
  rng = np.random.default_rng(0)
  images = rng.normal(size=(4, 16, 16, 3)).astype("f4")
  variables = model.init(jax.random.key(0), images, train=False)
  together = model.apply(variables, images, train=False)
  apart = [model.apply(variables, one[None], train=False) for one in images]
  np.testing.assert_allclose(together, np.concatenate(apart), atol=1e-5)
