"""Both max-pools against a window reduction and its gradient."""

import jax
import numpy as np
import pytest

from prunebias_jax.models.pool import max_pool, overlapping_max_pool

WINDOWS = {
  max_pool: ((1, 2, 2, 1), "VALID"),
  overlapping_max_pool: ((1, 3, 3, 1), ((0, 0), (1, 1), (1, 1), (0, 0))),
}


@pytest.mark.parametrize("pool", WINDOWS)
@pytest.mark.parametrize("shape", [(2, 4, 6, 3), (2, 5, 7, 3), (1, 3, 2, 1)])
def test_max_pools_agree_with_a_window_reduction(shape, pool):
  rng = np.random.default_rng(0)
  images = rng.permutation(np.prod(shape)).reshape(shape).astype("f4")
  window, padding = WINDOWS[pool]

  def reduced(x):
    return jax.lax.reduce_window(
      x, -np.inf, jax.lax.max, window, (1, 2, 2, 1), padding
    )

  found, pullback = jax.vjp(pool, images)
  expected, reference = jax.vjp(reduced, images)
  np.testing.assert_array_equal(found, expected)
  weight = rng.normal(size=found.shape).astype("f4")
  np.testing.assert_allclose(
    pullback(weight)[0], reference(weight)[0], rtol=1e-5, atol=1e-5
  )
