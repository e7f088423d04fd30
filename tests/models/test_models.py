"""Parameter counts and shapes of the networks."""

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from prunebias_jax import models
from prunebias_jax.config import NETWORKS, Model
from prunebias_jax.models.parts import FAN_OUT
from prunebias_jax.models.resnet import Bottleneck
from prunebias_jax.pruning.masks import count_prunable, prunable


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
  ("name", "parameters", "kernels"),
  [
    ("resnet18", 11_197_032, 11_187_392),
    ("resnet50", 23_589_992, 23_536_832),
    ("mobilenet_v1", 3_247_976, 3_226_048),
  ],
)
def test_the_published_number_of_parameters(name, parameters, kernels):
  """Iofinova et al. 2023, 40 outputs."""
  params, logits = shapes(Model(name=name, stem="large"), 224)
  assert sum(x.size for x in jax.tree.leaves(params)) == parameters
  assert count_prunable(params) == kernels
  assert logits.shape == (2, 40)


@pytest.mark.parametrize(
  ("name", "parameters"),
  [
    # 3 x 3 in place of 7 x 7 are 40 * 3 * 64 weights less.
    ("resnet18", 11_197_032 - 7_680),
    ("resnet50", 23_589_992 - 7_680),
    ("mobilenet_v1", 3_247_976),
  ],
)
def test_parameters_with_the_small_stem(name, parameters):
  params, _ = shapes(Model(name=name))
  assert sum(x.size for x in jax.tree.leaves(params)) == parameters


@pytest.mark.parametrize("name", NETWORKS)
def test_prunable_are_convolutions_and_the_head(name):
  params, _ = shapes(Model(name=name, width=0.1))
  found = prunable(params)
  assert all(
    x.ndim == (2 if path == "head/kernel" else 4) for path, x in found.items()
  )
  flat = flax.traverse_util.flatten_dict(params, sep="/")
  others = {path.rsplit("/", 1)[1] for path in flat if path not in found}
  assert others == {"scale", "bias"}
  depthwise = [x.shape for path, x in found.items() if "depthwise" in path]
  assert len(depthwise) == (13 if name == "mobilenet_v1" else 0)
  assert all(shape[:3] == (3, 3, 1) for shape in depthwise)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("outputs", [1, 10])
def test_width_and_outputs(name, outputs):
  narrow, logits = shapes(Model(name=name, width=0.25), outputs=outputs)
  wide, _ = shapes(Model(name=name), outputs=outputs)
  assert logits.shape == (2, outputs)
  flat = flax.traverse_util.flatten_dict
  for path, array in flat(wide).items():
    if path[-1] == "kernel" and path[0] not in ("head", "conv0", "stem"):
      small = np.array(flat(narrow)[path].shape[2:])
      inputs = 1 if "depthwise" in path[0] else 4
      np.testing.assert_array_equal(small * [inputs, 4], array.shape[2:])


@pytest.mark.parametrize(
  ("name", "stride"), [("resnet18", 8), ("resnet50", 8), ("mobilenet_v1", 16)]
)
@pytest.mark.parametrize("stem", ["small", "large"])
def test_how_far_images_shrink(name, stride, stem):
  """ResNets to 1/32 with the large stem, MobileNetV1 too: He et al., table 1;
  Howard et al., table 1."""
  model = models.build(
    Model(name=name, stem=stem, width=0.1), outputs=1, lowering="plain"
  )
  images = jnp.zeros((1, 64, 64, 3))
  _, seen = jax.eval_shape(
    lambda: model.init_with_output(
      jax.random.key(0), images, train=False, capture_intermediates=True
    )
  )
  last = "stage4_block" if "resnet" in name else "layer13_pointwise"
  sizes = {
    out["__call__"][0].shape[1]
    for path, out in seen["intermediates"].items()
    if path.startswith(last)
  }
  assert sizes == {64 // (32 if stem == "large" else stride)}


def test_bottlenecks_have_their_stride_on_the_3x3():
  block = Bottleneck(4, 2, "plain", jnp.float32)
  images = jnp.zeros((1, 8, 8, 3))
  _, seen = jax.eval_shape(
    lambda: block.init_with_output(
      jax.random.key(0), images, train=False, capture_intermediates=True
    )
  )
  shape_of = {
    path: out["__call__"][0].shape
    for path, out in seen["intermediates"].items()
    if "conv" in path
  }
  assert shape_of == {
    "conv1": (1, 8, 8, 4),
    "conv2": (1, 4, 4, 4),
    "conv3": (1, 4, 4, 16),
  }


@pytest.mark.parametrize("features", [32, 256])
def test_kernels_start_with_the_published_deviation(features):
  """N(0, 2 / (k * k * channels out)), science of Iofinova et al. 2023."""
  for shape in ((3, 3, 8, features), (3, 3, 1, features)):
    kernel = FAN_OUT(jax.random.key(0), shape)
    expected = np.sqrt(2 / (9 * features))
    assert np.std(kernel) == pytest.approx(expected, rel=0.15)


@pytest.mark.parametrize("name", NETWORKS)
def test_half_precision_ends_before_the_head(name):
  model = models.build(
    Model(name=name, width=0.05),
    outputs=3,
    lowering="canonical",
    dtype=jnp.bfloat16,
  )
  images = jnp.zeros((2, 32, 32, 3))
  variables = jax.eval_shape(
    lambda: model.init(jax.random.key(0), images, train=False)
  )
  assert {str(x.dtype) for x in jax.tree.leaves(variables)} == {"float32"}
  logits, seen = jax.eval_shape(
    lambda v: model.apply(
      v, images, train=True, mutable=True, capture_intermediates=True
    ),
    variables,
  )
  outs = {
    path: out["__call__"][0].dtype
    for path, out in seen["intermediates"].items()
    if isinstance(out, dict) and path != "head"
  }
  assert {*outs.values()} == {jnp.dtype(jnp.bfloat16)}
  assert {str(x.dtype) for x in jax.tree.leaves(seen["batch_stats"])} == {
    "float32"
  }
  assert logits.dtype == jnp.float32


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
