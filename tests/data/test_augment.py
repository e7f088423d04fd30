"""Flips and shifts, against slicing a padded image."""

import jax
import numpy as np
import pytest

from prunebias_jax.data.augment import Augment, normalise

IMAGES = np.random.default_rng(0).integers(1, 256, (64, 6, 5, 2)).astype("u1")


def variants(image, flip, crop):
  """All that augmentation may make of an image."""
  padded = np.pad(image, ((crop, crop), (crop, crop), (0, 0)))
  for source in [padded, padded[:, ::-1]] if flip else [padded]:
    for top in range(2 * crop + 1):
      for left in range(2 * crop + 1):
        yield source[top : top + 6, left : left + 5].tobytes()


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("crop", [0, 2])
def test_each_image_is_one_of_its_variants(flip, crop):
  out = np.asarray(Augment(flip=flip, crop=crop)(jax.random.key(0), IMAGES))
  assert out.dtype == np.uint8
  for before, after in zip(IMAGES, out, strict=True):
    assert after.tobytes() in set(variants(before, flip, crop))
  changed = (out != IMAGES).any((1, 2, 3)).mean()
  expected = 1 - (0.5 if flip else 1) / (2 * crop + 1) ** 2
  assert abs(changed - expected) < 0.2


def test_keys_decide():
  augment = Augment(flip=True, crop=1)
  one, two, again = (augment(jax.random.key(k), IMAGES) for k in (1, 2, 1))
  np.testing.assert_array_equal(one, again)
  assert np.any(np.asarray(one) != np.asarray(two))


def test_normalise_spans_minus_one_to_one():
  pixels = np.array([0, 51, 255], np.uint8)
  np.testing.assert_allclose(normalise(pixels), [-1, -0.6, 1], atol=1e-6)
