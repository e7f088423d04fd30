"""Integer products against sums by numpy in 64 bits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from prunebias_jax.errors import InputError
from prunebias_jax.quantization import products
from prunebias_jax.quantization.affine import Quantized

LAYOUT = ("NHWC", "HWIO", "NHWC")


def make(shape, scales, seed, lowest=-128):
  """Random integers, with a zero point and scale for each example or one."""
  rng = np.random.default_rng(seed)
  values = rng.integers(lowest, 128, shape).astype(np.int8)
  zero = np.zeros(scales, np.int32)
  if lowest == -128:
    zero = rng.integers(-128, 128, scales).astype(np.int32)
  scale = rng.uniform(0.01, 0.1, scales).astype(np.float32)
  return Quantized(*map(jnp.asarray, (values, scale, zero)))


def convolved(inputs, kernel, strides, padding, dilation, groups):
  """The sums of a convolution, tap by tap, of integers in 64 bits."""
  whole = np.asarray(inputs.values, np.int64) - np.asarray(inputs.zero_point)
  weights = np.asarray(kernel.values, np.int64)
  whole = np.pad(whole, ((0, 0), *padding, (0, 0)))
  rows, columns, _, features = weights.shape
  reach = [
    (size - 1) * step
    for size, step in zip((rows, columns), dilation, strict=True)
  ]
  places = [
    (size - far - 1) // step + 1
    for size, far, step in zip(whole.shape[1:3], reach, strides, strict=True)
  ]
  out = np.zeros((len(whole), *places, features), np.int64)
  parts = np.split(whole, groups, axis=-1)
  split = np.split(weights, groups, axis=-1)
  of_group = features // groups
  for group, (part, taps) in enumerate(zip(parts, split, strict=True)):
    for row in range(rows):
      for column in range(columns):
        top, left = row * dilation[0], column * dilation[1]
        seen = part[
          :,
          top : top + (places[0] - 1) * strides[0] + 1 : strides[0],
          left : left + (places[1] - 1) * strides[1] + 1 : strides[1],
        ]
        out[..., group * of_group : (group + 1) * of_group] += (
          seen @ taps[row, column]
        )
  return out


@pytest.mark.parametrize("zeros", ["each example", "all"])
@pytest.mark.parametrize(
  ("kernel", "strides", "padding", "dilation", "groups"),
  [
    ((3, 3, 4, 5), (1, 1), ((1, 1), (1, 1)), (1, 1), 1),
    ((3, 3, 4, 5), (2, 2), ((0, 1), (0, 1)), (1, 1), 1),
    ((1, 1, 4, 6), (2, 2), ((0, 0), (0, 0)), (1, 1), 1),
    ((3, 3, 1, 4), (1, 1), ((1, 1), (1, 1)), (1, 1), 4),
    ((3, 3, 1, 4), (2, 2), ((1, 1), (1, 1)), (1, 1), 4),
    ((3, 3, 2, 6), (1, 2), ((1, 1), (2, 0)), (2, 1), 2),
  ],
  ids=["3x3", "stride", "1x1", "depthwise", "depthwise-stride", "any"],
)
def test_sums_of_convolutions(
  kernel, strides, padding, dilation, groups, zeros
):
  examples = 3 if zeros == "each example" else 1
  inputs = make((3, 6, 7, 4), (examples, 1, 1, 1), seed=1)
  weights = make(kernel, (1, 1, 1, kernel[-1]), seed=2, lowest=-127)
  geometry = {
    "lhs_dilation": (1, 1),
    "rhs_dilation": dilation,
    "dimension_numbers": jax.lax.conv_dimension_numbers(
      (3, 6, 7, 4), kernel, LAYOUT
    ),
    "feature_group_count": groups,
  }
  sums = products.convolution(inputs, weights, strides, padding, **geometry)
  assert sums.dtype == jnp.int32
  expected = convolved(inputs, weights, strides, padding, dilation, groups)
  np.testing.assert_array_equal(sums, expected)
  floats = products.in_floats(jax.lax.conv_general_dilated)
  np.testing.assert_array_equal(
    floats(inputs, weights, strides, padding, **geometry), expected
  )
  real = products.scaled(sums, inputs, weights, 3)
  scale = np.asarray(inputs.scale) * np.asarray(weights.scale)
  np.testing.assert_allclose(real, expected * scale, rtol=1e-6)


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
def test_padding_by_name(padding):
  inputs = make((2, 5, 5, 3), (2, 1, 1, 1), seed=3)
  weights = make((3, 3, 3, 2), (1, 1, 1, 1), seed=4, lowest=-127)
  sums = products.convolution(
    inputs,
    weights,
    (2, 2),
    padding,
    lhs_dilation=(1, 1),
    rhs_dilation=(1, 1),
    dimension_numbers=jax.lax.conv_dimension_numbers(
      (2, 5, 5, 3), (3, 3, 3, 2), LAYOUT
    ),
    feature_group_count=1,
  )
  around = ((1, 1), (1, 1)) if padding == "SAME" else ((0, 0), (0, 0))
  expected = convolved(inputs, weights, (2, 2), around, (1, 1), 1)
  np.testing.assert_array_equal(sums, expected)


@pytest.mark.parametrize("shape", [(3, 8), (3, 5, 8), (8,)])
def test_sums_of_linear_layers(shape):
  examples = shape[0] if len(shape) > 1 else 1
  inputs = make(shape, (examples, *(1,) * (len(shape) - 1)), seed=5)
  weights = make((8, 4), (1, 4), seed=6, lowest=-127)
  dimensions = (((len(shape) - 1,), (0,)), ((), ()))
  sums = products.dot(inputs, weights, dimensions)
  assert sums.dtype == jnp.int32
  whole = np.asarray(inputs.values, np.int64) - np.asarray(inputs.zero_point)
  expected = whole @ np.asarray(weights.values, np.int64)
  np.testing.assert_array_equal(sums, expected)
  floats = products.in_floats(jax.lax.dot_general)
  np.testing.assert_array_equal(floats(inputs, weights, dimensions), expected)
  real = products.scaled(sums, inputs, weights, 1)
  assert real.shape == (*shape[:-1], 4)


def test_the_largest_sums_are_exact():
  """Everything at its end: 255 * 127 in each of 66,311 terms."""
  terms = 66311
  inputs = Quantized(
    jnp.full((1, terms), 127, jnp.int8),
    jnp.ones((1, 1)),
    jnp.full((1, 1), -128, jnp.int32),
  )
  kernel = Quantized(
    jnp.full((terms, 1), -127, jnp.int8),
    jnp.ones((1, 1)),
    jnp.zeros((1, 1), jnp.int32),
  )
  dimensions = (((1,), (0,)), ((), ()))
  sums = products.dot(inputs, kernel, dimensions)
  assert int(sums[0, 0]) == -255 * 127 * terms


def test_sums_that_32_bits_might_not_hold_are_refused():
  inputs = Quantized(
    jnp.zeros((1, 66312), jnp.int8), jnp.ones((1, 1)), jnp.zeros((1, 1), int)
  )
  kernel = inputs._replace(values=jnp.zeros((66312, 2), jnp.int8))
  with pytest.raises(InputError, match="66,312 products"):
    products.dot(inputs, kernel, (((1,), (0,)), ((), ())))


def test_members_at_once_are_members_in_turn():
  """Lifted over members with kernels of their own: the same integers."""
  inputs = make((4, 2, 5, 5, 3), (4, 2, 1, 1, 1), seed=7)
  kernels = make((4, 3, 3, 3, 6), (4, 1, 1, 1, 6), seed=8, lowest=-127)
  numbers = jax.lax.conv_dimension_numbers((2, 5, 5, 3), (3, 3, 3, 6), LAYOUT)

  def one(inputs, kernel):
    return products.convolution(
      inputs,
      kernel,
      (1, 1),
      "SAME",
      lhs_dilation=(1, 1),
      rhs_dilation=(1, 1),
      dimension_numbers=numbers,
      feature_group_count=1,
    )

  together = jax.vmap(one)(inputs, kernels)
  last = one(*jax.tree.map(lambda x: x[-1], (inputs, kernels)))
  np.testing.assert_array_equal(together[-1], last)
