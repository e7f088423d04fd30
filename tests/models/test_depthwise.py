"""Depthwise convolutions in every lowering, alone and for many members."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from prunebias_jax.models.conv import LOWERINGS, Conv
from prunebias_jax.models.depthwise import DEPTHWISE, by_group, by_taps

CASES = [
  # height, width, channels, taps, stride, padding
  (5, 6, 3, (3, 3), 1, ((1, 1), (1, 1))),
  (6, 7, 2, (3, 3), 2, ((1, 1), (1, 1))),
  (7, 5, 2, (2, 4), 3, ((0, 1), (1, 2))),
]


def arrays(case, *members):
  height, width, channels, taps, _, _ = case
  rng = np.random.default_rng(0)
  images = rng.normal(size=(*members, 3, height, width, channels))
  kernel = rng.normal(size=(*members, *taps, 1, channels))
  return images.astype("f4"), kernel.astype("f4")


def run(convolve, case, images, kernel):
  """Output and both gradients."""
  stride, padding = case[4:]
  out, pullback = jax.vjp(
    lambda x, w: convolve(x, w, stride, padding), images, kernel
  )
  weight = jnp.cos(jnp.arange(out.size, dtype=jnp.float32)).reshape(out.shape)
  return out, *pullback(weight.astype(out.dtype))


def test_every_lowering_has_a_form():
  assert set(DEPTHWISE) == set(LOWERINGS)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_definition(case):
  images, kernel = arrays(case)
  stride, padding = case[4:]
  padded = np.pad(images, ((0, 0), *padding, (0, 0)))
  windows = np.lib.stride_tricks.sliding_window_view(
    padded, kernel.shape[:2], (1, 2)
  )[:, ::stride, ::stride]
  expected = np.einsum("byxcij,ijc->byxc", windows, kernel[:, :, 0])
  for convolve in {*DEPTHWISE.values()}:
    found = convolve(images, kernel, stride, padding)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_gradients_agree_with_plain(case):
  images, kernel = arrays(case)
  for found, expected in zip(
    run(by_taps, case, images, kernel),
    run(by_group, case, images, kernel),
    strict=True,
  ):
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("convolve", [by_taps, by_group])
def test_every_vmapped_member_has_its_own_kernel(convolve):
  case = CASES[1]
  images, kernels = arrays(case, 2)
  together = jax.vmap(lambda x, w: run(convolve, case, x, w))(images, kernels)
  for place in range(2):
    alone = run(by_taps, case, images[place], kernels[place])
    for found, expected in zip(together, alone, strict=True):
      np.testing.assert_allclose(found[place], expected, rtol=1e-4, atol=1e-4)


def test_half_precision_is_summed_in_single():
  case = CASES[0]
  images, kernel = (jnp.asarray(x, jnp.bfloat16) for x in arrays(case))
  found = run(by_taps, case, images, kernel)
  expected = run(
    by_taps, case, images.astype(jnp.float32), kernel.astype(jnp.float32)
  )
  assert {x.dtype for x in found} == {jnp.dtype(jnp.bfloat16)}
  for half, single in zip(found, expected, strict=True):
    np.testing.assert_allclose(
      half.astype(jnp.float32), single, rtol=2e-2, atol=4e-2
    )


@pytest.mark.parametrize("lowering", sorted(LOWERINGS))
@pytest.mark.parametrize(
  "options",
  [
    {"feature_group_count": 4},
    {"feature_group_count": 2},
    {"feature_group_count": 4, "kernel_dilation": 2},
    {"strides": (1, 2)},
    {"strides": 2, "padding": "VALID"},
  ],
  ids=str,
)
def test_any_convolution_of_flax_is_what_flax_computes(options, lowering):
  rng = np.random.default_rng(0)
  images = rng.normal(size=(2, 6, 6, 4)).astype("f4")
  theirs = nn.Conv(4, (3, 3), use_bias=False, **options)
  variables = theirs.init(jax.random.key(0), images)
  ours = Conv(4, (3, 3), lowering=lowering, **options)
  np.testing.assert_allclose(
    ours.apply(variables, images),
    theirs.apply(variables, images),
    rtol=1e-4,
    atol=1e-5,
  )
