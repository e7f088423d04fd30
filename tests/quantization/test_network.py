"""Networks of integers against what to expect of them."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from prunebias_jax.errors import InputError
from prunebias_jax.models.conv import Conv
from prunebias_jax.models.layers import find_layers
from prunebias_jax.quantization import Int8, Ranges, halved, with_ranges

SHAPE = (6, 6, 3)


class Mixed(nn.Module):
  """A stride, a depthwise convolution, normalisation, a layer used twice."""

  outputs: int = 4

  @nn.compact
  def __call__(self, images, train):
    x = Conv(8, (3, 3), (2, 2), name="first", lowering="canonical")(images)
    x = nn.relu(nn.BatchNorm(use_running_average=not train, name="norm")(x))
    x = nn.Conv(8, (3, 3), feature_group_count=8, name="each")(x)
    twice = nn.Dense(8, name="twice")
    x = twice(nn.relu(twice(x)))
    return nn.Dense(self.outputs, name="head")(x.mean((1, 2)))


@pytest.fixture(scope="module")
def variables():
  init = jax.jit(lambda x: Mixed().init(jax.random.key(0), x, train=False))
  return dict(init(jnp.ones((1, *SHAPE))))


@pytest.fixture(scope="module")
def images():
  return jax.random.uniform(jax.random.key(1), (5, *SHAPE), minval=-1)


@pytest.fixture(scope="module")
def layers(variables):
  return find_layers(Mixed(), variables, SHAPE)


@pytest.fixture(scope="module")
def ranges(variables, images, layers):
  found = np.asarray(jax.jit(Ranges(Mixed()).apply)(variables, images))
  assert found.shape == (5, 2 * len(layers))
  ends = found.reshape(5, len(layers), 2)
  return np.stack([ends[..., 0].min(0), ends[..., 1].max(0)], axis=1)


@pytest.fixture(scope="module")
def logits(variables, images):
  return jax.jit(Int8(Mixed()).apply)(variables, images)


@pytest.mark.parametrize(
  ("static", "granularity"), [(False, "channel"), (True, "tensor")]
)
def test_logits_are_those_of_the_float_simulation(
  variables, images, layers, ranges, static, granularity
):
  if static:
    fixed = with_ranges(variables["batch_stats"], layers, ranges)
    variables = {**variables, "batch_stats": fixed}
  plain = jax.jit(Mixed().apply, static_argnames="train")(
    variables, images, train=False
  )
  found, expected = (
    jax.jit(Int8(Mixed(), granularity, static, simulated).apply)(
      variables, images
    )
    for simulated in (False, True)
  )
  np.testing.assert_allclose(found, expected, atol=1e-4)
  assert 0 < np.abs(found - plain).max() < 0.2 * plain.std()


def test_a_logit_does_not_depend_on_batch_or_padding(variables, images, logits):
  apply = jax.jit(Int8(Mixed()).apply)
  np.testing.assert_allclose(apply(variables, images[:1]), logits[:1], 1e-6)
  padded = jnp.concatenate([images[:3], jnp.zeros((2, *SHAPE))])
  np.testing.assert_allclose(apply(variables, padded)[:3], logits[:3], 1e-6)


def test_ranges_are_those_of_all_calls(layers, ranges, images):
  assert [one.path for one in layers] == ["first", "each", "twice", "head"]
  assert layers[2].positions == 2 * 3 * 3
  np.testing.assert_allclose(ranges[0], [images.min(), images.max()], 1e-6)
  # After a ReLU nothing is negative; the layer that is used twice sees both.
  assert ranges[1][0] == 0
  assert ranges[2][0] < 0


@pytest.mark.parametrize("granularity", ["channel", "tensor"])
def test_a_linear_layer_by_hand(granularity):
  rng = np.random.default_rng(0)
  kernel = rng.normal(size=(7, 3)).astype(np.float32)
  bias = rng.normal(size=3).astype(np.float32)
  inputs = rng.normal(size=(4, 7)).astype(np.float32)

  class Linear(nn.Module):
    @nn.compact
    def __call__(self, x, train):
      return nn.Dense(3, name="head")(x)

  found = Int8(Linear(), granularity).apply(
    {"params": {"head": {"kernel": kernel, "bias": bias}}}, inputs
  )
  scale = np.abs(kernel).max(0 if granularity == "channel" else None) / 127
  weights = np.round(kernel / scale)
  low = np.minimum(inputs.min(1, keepdims=True), 0)
  step = (np.maximum(inputs.max(1, keepdims=True), 0) - low) / 255
  zero = np.round(-128 - low / step)
  whole = np.clip(np.round(inputs / step) + zero, -128, 127)
  expected = (whole - zero) @ weights * step * scale + bias
  np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_layers_of_a_bfloat16_network_compute_in_float32():
  """Their kernel and bias are not rounded to bfloat16 first."""
  inputs = jnp.linspace(-1, 1, 24).reshape(4, 6)
  wide, narrow = (nn.Dense(3, dtype=one) for one in (None, jnp.bfloat16))
  variables = wide.init(jax.random.key(0), inputs)

  class Network(nn.Module):
    layer: nn.Module

    def __call__(self, x, train):
      return self.layer(x)

  inner = {"params": {"layer": variables["params"]}}
  expected = Int8(Network(wide)).apply(inner, inputs)
  found = Int8(Network(narrow)).apply(inner, inputs)
  assert found.dtype == jnp.bfloat16
  np.testing.assert_array_equal(found, expected.astype(jnp.bfloat16))


def test_float16_is_for_kernels_and_biases_of_layers(variables, layers):
  params = jax.device_get(variables["params"])
  params["norm"]["scale"] = np.full(8, 1 / 3, np.float32)
  found = halved(params, layers)
  for path in ("first", "each", "twice", "head"):
    kernel = params[path]["kernel"]
    rounded = kernel.astype(np.float16).astype(np.float32)
    np.testing.assert_array_equal(found[path]["kernel"], rounded)
    assert (rounded != kernel).any()
  np.testing.assert_array_equal(found["norm"]["scale"], params["norm"]["scale"])


def test_a_network_with_too_large_a_sum_is_refused():
  class Wide(nn.Module):
    @nn.compact
    def __call__(self, x, train):
      return nn.Dense(2)(x)

  shapes = jax.ShapeDtypeStruct((1, 70_000), jnp.float32)
  kernel = jax.ShapeDtypeStruct((70_000, 2), jnp.float32)
  bias = jax.ShapeDtypeStruct((2,), jnp.float32)
  params = {"params": {"Dense_0": {"kernel": kernel, "bias": bias}}}
  with pytest.raises(InputError, match="70,000 products"):
    jax.eval_shape(Int8(Wide()).apply, params, shapes)
