"""Real numbers as integers: bounds that hold for any of them."""

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
import numpy as np

from prunebias_jax.quantization import affine

# Not so small that XLA takes a scale for zero.
FINITE = st.floats(-1000, 1000, width=32).map(
  lambda x: 0.0 if abs(x) < 1e-3 else x
)
SHAPE = (3, 4, 5)
SOME = arrays.arrays(np.float32, SHAPE, elements=FINITE)
QUICK = settings(deadline=None, max_examples=30)
PER_CHANNEL, PER_TENSOR = (0, 1), (0, 1, 2)


def real(quantized):
  """scale * (integer - zero point), in float64."""
  values, scale, zero = (np.asarray(part, np.float64) for part in quantized)
  return scale * (values - zero)


@QUICK
@given(SOME)
def test_weights_move_by_half_a_scale_and_zeros_stay(array):
  array[np.abs(array) < 500] = 0
  for axes in (PER_CHANNEL, PER_TENSOR):
    quantized = affine.weights(array, axes)
    values = np.asarray(quantized.values)
    assert values.dtype == np.int8
    assert values.min() >= -127
    error = np.abs(real(quantized) - array)
    half = np.broadcast_to(np.asarray(quantized.scale) / 2, SHAPE)
    assert (error <= half * (1 + 1e-5)).all()
    assert (values[array == 0] == 0).all()
    assert not np.asarray(quantized.zero_point).any()


@QUICK
@given(SOME)
def test_the_bound_of_a_channel_is_no_larger_than_that_of_the_kernel(array):
  channel = affine.weights(array, PER_CHANNEL).scale
  tensor = affine.weights(array, PER_TENSOR).scale
  largest = np.abs(array).max((0, 1))
  # A channel of zeros has the scale 1, and no error.
  assert (np.asarray(channel).ravel() <= np.asarray(tensor).ravel())[
    largest > 0
  ].all()


@QUICK
@given(arrays.arrays(np.float32, (4, 6), elements=FINITE))
def test_activations_move_by_half_a_scale_and_zero_is_an_integer(array):
  array[:, 0] = 0
  low, high = affine.range_of(array, (1,))
  quantized = affine.activations(array, low, high)
  scale = np.broadcast_to(np.asarray(quantized.scale), array.shape)
  # Half a scale for the value, half for the zero point.
  assert (np.abs(real(quantized) - array) <= scale * (1 + 1e-4)).all()
  assert (real(quantized)[array == 0] == 0).all()


def test_a_range_that_does_not_reach_zero_is_widened():
  array = np.array([[2.0, 3.0, 5.1]], np.float32)
  low, high = affine.range_of(array, (1,))
  quantized = affine.activations(array, low, high)
  assert quantized.zero_point.tolist() == [[-128]]
  np.testing.assert_allclose(quantized.scale, [[5.1 / 255]], rtol=1e-6)
  np.testing.assert_array_equal(quantized.values, [[-28, 22, 127]])


def test_what_is_outside_a_fixed_range_is_clipped():
  array = np.array([[-9.0, -1.0, 0.0, 1.0, 9.0]], np.float32)
  ends = np.full((1, 1), -1, np.float32), np.full((1, 1), 1.55, np.float32)
  quantized = affine.activations(array, *ends)
  np.testing.assert_array_equal(quantized.values, [[-128, -128, -28, 72, 127]])


def test_nothing_but_zeros():
  zeros = np.zeros((2, 3), np.float32)
  assert not real(affine.weights(zeros, (0,))).any()
  assert not real(
    affine.activations(zeros, *affine.range_of(zeros, (1,)))
  ).any()


def test_half_is_float16():
  found = affine.half(np.array([1 + 2**-11, 1 / 3, 1e-9], np.float32))
  assert found.dtype == np.float32
  np.testing.assert_array_equal(found, [1.0, np.float16(1 / 3), 0.0])
