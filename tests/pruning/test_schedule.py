"""The cubic schedule and the counts it gives."""

from fractions import Fraction

import numpy as np
import pytest

from prunebias_jax.config import Pruning
from prunebias_jax.pruning.schedule import (
  cubic,
  prune_counts,
  sparsities,
  update_times,
)

PUBLISHED = Pruning(start=10, every=10, end=81)


def counts_of(pruning, levels, weights):
  """Counts [update, level] of one pool."""
  return prune_counts(pruning, np.array(levels)[:, None], [weights])[..., 0]


def test_the_published_schedule():
  """Levels of Iofinova et al. 2023 for 95 %, 100 epochs."""
  assert update_times(PUBLISHED) == [10, 20, 30, 40, 50, 60, 70, 80]
  expected = [0.05, 0.379, 0.616, 0.777, 0.875, 0.927, 0.947, 0.95]
  np.testing.assert_allclose(cubic(PUBLISHED, 0.95), expected, atol=5e-4)
  assert cubic(PUBLISHED, 0.95)[-1] == 0.95


@pytest.mark.parametrize("level", [0.0, 0.02, 0.05, 0.5, 0.995])
@pytest.mark.parametrize(
  "pruning",
  [PUBLISHED, Pruning(start=2, every=1, end=16), Pruning(start=0, end=1)],
)
def test_sparsity_never_falls_and_ends_at_the_level(pruning, level):
  sparsities = cubic(pruning, level)
  assert len(sparsities) == len(update_times(pruning))
  assert all(np.diff(sparsities) >= 0)
  assert sparsities[-1] == level


def test_counts_are_rounded_half_to_even_in_float64():
  pruning = Pruning(start=0, every=1, end=1)
  np.testing.assert_array_equal(
    counts_of(pruning, (0.0, 0.5, 0.25), 10), [[0, 5, 2]]
  )
  np.testing.assert_array_equal(counts_of(pruning, (0.5,), 7), [[4]])
  weights = 23_536_832  # ResNet-50's: float32 is off by one here
  for level in (0.8, 0.9, 0.95, 0.98, 0.99, 0.995):
    exact = round(Fraction(level) * weights)
    assert counts_of(pruning, (level,), weights)[-1, 0] == exact


def test_dense_is_never_pruned():
  assert not counts_of(PUBLISHED, (0.0,), 1000).any()


def test_constant_has_the_target_from_the_first_update_on():
  pruning = Pruning(start=2, every=3, end=9, schedule="constant")
  assert sparsities(pruning, 0.9) == [0.9, 0.9, 0.9]
  np.testing.assert_array_equal(
    counts_of(pruning, (0.0, 0.9), 10), [[0, 9]] * 3
  )
  assert sparsities(PUBLISHED, 0.9) == cubic(PUBLISHED, 0.9)
