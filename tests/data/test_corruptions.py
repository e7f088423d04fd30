"""Corruptions: each picture by itself, growing with severity, repeatable."""

import hashlib

import numpy as np
import pytest
from scipy import ndimage

from prunebias_jax.data.corruptions import (
  LEVELS,
  SEVERITIES,
  Named,
  corrupted,
  parse,
)
from prunebias_jax.errors import InputError

SHAPES = ((8, 8, 1), (32, 32, 3), (37, 50, 3), (50, 37, 1))


def pictures(shape, count=6, seed=0):
  """Smooth pictures with some texture: like photographs, unlike noise."""
  rng = np.random.default_rng(seed)
  rough = rng.normal(size=(count, *shape))
  smooth = ndimage.gaussian_filter(rough, (0, 3, 3, 0))
  smooth /= smooth.std(axis=(1, 2, 3), keepdims=True)
  return np.clip(110 + 45 * smooth + 8 * rough, 0, 255).astype(np.uint8)


def names(count):
  return np.array([f"photo {index}.jpg" for index in range(count)])


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("kind", LEVELS)
def test_the_distance_to_the_picture_rises_with_severity(kind, shape):
  images = pictures(shape)
  before = images.copy()
  distances = []
  for severity in SEVERITIES:
    found = corrupted(images, names(6), kind, severity)
    assert found.dtype == np.uint8
    assert found.shape == images.shape
    distances.append(np.abs(found.astype(float) - images).mean())
  assert distances[0] > 0
  assert np.all(np.diff(distances) > 0)
  np.testing.assert_array_equal(images, before)


@pytest.mark.parametrize("kind", LEVELS)
def test_a_picture_is_the_same_in_any_subset_and_order(kind):
  images, ids = pictures((33, 32, 3)), names(6)
  whole = corrupted(images, ids, kind, 3)
  order = np.array([4, 0, 5])
  np.testing.assert_array_equal(
    corrupted(images[order], ids[order], kind, 3), whole[order]
  )
  parts = [corrupted(images[[i]], ids[[i]], kind, 3) for i in range(6)]
  np.testing.assert_array_equal(np.concatenate(parts), whole)
  assert not len(corrupted(images[:0], ids[:0], kind, 3))


def test_noise_is_normal_and_goes_by_the_id():
  gray = np.full((4, 32, 32, 3), 128, np.uint8)
  found = corrupted(gray, ["a", "b", "a", "c"], "noise", 5).astype(float) - 128
  np.testing.assert_array_equal(found[0], found[2])
  assert abs(np.corrcoef(found[0].ravel(), found[1].ravel())[0, 1]) < 0.05
  assert abs(found.std() / 255 - LEVELS["noise"][4]) < 0.005
  assert abs(found.mean()) < 1
  weak = corrupted(gray[:1], ["a"], "noise", 1).astype(float) - 128
  assert np.corrcoef(weak.ravel(), found[0].ravel())[0, 1] > 0.99


def test_noise_is_stronger_in_larger_pictures():
  def sd(size):
    gray = np.full((1, size, size + 9, 1), 128, np.uint8)
    return corrupted(gray, ["a"], "noise", 1).astype(float).std()

  assert sd(128) / sd(32) == pytest.approx(2, rel=0.1)


def test_contrast_and_brightness_by_hand():
  image = np.zeros((1, 2, 2, 3), np.uint8)
  image[0, 0] = [200, 100, 250]
  half = corrupted(image, ["a"], "contrast", 2)
  np.testing.assert_array_equal(half[0, 0, 0], [150, 75, 188])
  np.testing.assert_array_equal(half[0, 1, 1], [50, 25, 62])
  lighter = corrupted(image, ["a"], "brightness", 5)
  np.testing.assert_array_equal(lighter[0, 0, 0], [255, 202, 255])
  np.testing.assert_array_equal(lighter[0, 1, 1], [102, 102, 102])


def test_pixelate_takes_means_of_blocks():
  image = pictures((32, 32, 1), 1)
  found = corrupted(image, ["a"], "pixelate", 5)[0, ..., 0]
  blocks = image[0, ..., 0].reshape(8, 4, 8, 4).mean((1, 3))
  wanted = np.repeat(np.repeat(blocks, 4, 0), 4, 1)
  assert np.abs(found - wanted).max() <= 1


def test_noise_has_the_bits_it_had():
  """Changes with numpy's normal numbers: then stored evaluations are old."""
  gray = np.full((1, 8, 8, 1), 128, np.uint8)
  found = corrupted(gray, ["000001.jpg"], "noise", 3)
  digest = hashlib.sha256(found.tobytes()).hexdigest()
  assert digest.startswith("8ed403708e3a8a17")


@pytest.mark.parametrize(
  ("name", "named"),
  [
    ("test", Named("test")),
    ("valid", Named("valid")),
    ("valid:blur:1", Named("valid", "blur", 1)),
    ("test:jpeg:5", Named("test", "jpeg", 5)),
  ],
)
def test_names_of_splits(name, named):
  assert parse(name) == named


@pytest.mark.parametrize(
  ("name", "message"),
  [
    ("train", "split is 'train'; accepted: valid, test"),
    ("train:noise:1", "split is 'train:noise:1'; accepted: valid, test"),
    ("test:noise", "such as test:noise:3"),
    ("test:noise:3:4", "such as test:noise:3"),
    ("", "split is ''; accepted"),
    ("test:fog:3", "unknown corruption 'fog'; accepted: noise, blur, contrast"),
    ("test:noise:0", "severity '0'; accepted: 1 to 5"),
    ("test:noise:6", "severity '6'"),
    ("test:noise:x", "severity 'x'"),
    ("test:noise:03", "severity '03'"),
  ],
)
def test_bad_names_of_splits(name, message):
  with pytest.raises(InputError, match=message) as caught:
    parse(name)
  assert "\n" not in str(caught.value)


def test_pictures_of_four_channels_are_refused():
  with pytest.raises(InputError, match="4 channels"):
    corrupted(np.zeros((1, 8, 8, 4), np.uint8), ["a"], "blur", 1)
