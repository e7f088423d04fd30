"""Every lowering computes the plain convolution and its gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from prunebias_jax.models.conv import LOWERINGS, plain

CASES = [
  # height, width, channels, features, taps, stride, padding
  (8, 8, 3, 4, (3, 3), 1, ((1, 1), (1, 1))),
  (8, 8, 3, 4, (3, 3), 2, ((1, 1), (1, 1))),
  (7, 9, 2, 5, (3, 3), 2, ((0, 1), (0, 1))),
  (8, 8, 4, 6, (1, 1), 1, ((0, 0), (0, 0))),
  (8, 8, 4, 6, (1, 1), 2, ((0, 0), (0, 0))),
  (9, 9, 4, 6, (1, 1), 2, ((1, 1), (1, 1))),
  (16, 16, 3, 4, (7, 7), 2, ((3, 3), (3, 3))),
  (5, 6, 2, 3, (2, 4), 1, ((0, 1), (1, 2))),
  (14, 14, 64, 64, (3, 3), 1, ((1, 1), (1, 1))),
  (13, 18, 64, 80, (3, 3), 1, ((0, 0), (1, 3))),
]


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("batch", [1, 6, 16])
@pytest.mark.parametrize("lowering", sorted(set(LOWERINGS) - {"plain"}))
def test_lowering_agrees_with_plain(lowering, batch, case):
  height, width, channels, features, taps, stride, padding = case
  rng = np.random.default_rng(0)
  images = rng.normal(size=(batch, height, width, channels)).astype("f4")
  kernel = rng.normal(size=(*taps, channels, features)).astype("f4")

  def run(convolve):
    out, pullback = jax.vjp(
      lambda x, w: convolve(x, w, stride, padding), images, kernel
    )
    weight = jnp.cos(jnp.arange(out.size, dtype=out.dtype)).reshape(out.shape)
    return out, *pullback(weight)

  for found, expected in zip(run(LOWERINGS[lowering]), run(plain), strict=True):
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
