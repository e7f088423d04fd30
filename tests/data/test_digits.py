"""The handwritten digits in both views."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from prunebias_jax.config import Data
from prunebias_jax.data import digits, load
from prunebias_jax.errors import InputError


def make(**changes):
  base = Data(name="digits", size=8, train=0, valid=0, test=0)
  return base.override(
    {name.replace("__", "."): value for name, value in changes.items()}
  )


def joined(dataset, what):
  return np.concatenate([getattr(s, what) for s in dataset.splits.values()])


def test_pictures_and_classes_are_scikit_learns():
  dataset = load(make(digits__view="classes"))
  pictures, classes = load_digits(return_X_y=True)
  place = [int(one.removeprefix("digit-")) for one in joined(dataset, "ids")]
  assert sorted(place) == list(range(1797))
  np.testing.assert_array_equal(joined(dataset, "labels"), classes[place])
  np.testing.assert_array_equal(
    joined(dataset, "images").reshape(-1, 64),
    np.rint(pictures[place] * 255 / 16),
  )


def test_attributes_are_those_of_the_digit():
  dataset = load(make())
  classes = load(make(digits__view="classes"))
  labels, digit = joined(dataset, "labels"), joined(classes, "labels")
  names = list(dataset.names)
  for name, expected in (
    ("Even", digit % 2 == 0),
    ("Prime", np.isin(digit, [2, 3, 5, 7])),
    ("At_Least_Five", digit >= 5),
    ("Multiple_Of_Three", digit % 3 == 0),
  ):
    np.testing.assert_array_equal(labels[:, names.index(name)], expected)


def test_identities_are_minorities_and_predicted_too():
  dataset = load(make())
  assert dataset.identity_names == ("Bold", "Slanted")
  identities = joined(dataset, "identities")
  share = identities.mean(0)
  assert 0.13 < share[0] < 0.16
  assert 0.22 < share[1] < 0.26
  np.testing.assert_array_equal(identities, joined(dataset, "labels")[:, -2:])


def test_bold_has_more_ink_and_slanted_leans_right():
  dataset = load(make())
  images = joined(dataset, "images")[..., 0].astype(float)
  bold, slanted = joined(dataset, "identities").T.astype(bool)
  assert images[bold].sum((1, 2)).min() >= images[~bold].sum((1, 2)).max() - 64
  top, bottom = images[:, :4], images[:, 4:]
  columns = np.arange(8)
  lean = (top.sum(1) @ columns) / top.sum((1, 2)) - (
    bottom.sum(1) @ columns
  ) / bottom.sum((1, 2))
  assert lean[slanted].mean() > lean[~slanted].mean() + 0.5


def test_the_split_follows_its_seed_and_counts():
  one, again = load(make(seed=1)), load(make(seed=1))
  assert one.fingerprint() == again.fingerprint()
  assert one.fingerprint() != load(make(seed=2)).fingerprint()
  small = load(make(train=100, valid=20, test=30))
  assert [len(split) for split in small.splits.values()] == [100, 20, 30]


@pytest.mark.parametrize("size", digits.SIZES)
def test_sizes(size):
  assert load(make(size=size)).image_shape == (size, size, 1)


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    ({"size": 10}, "data.size is 10; digits come in 8, 16, 32"),
    ({"train": 1700, "valid": 90, "test": 90}, "digits have 1797 in all"),
    ({"valid": 1000, "test": 900}, "1797 in all"),
    ({"identities": ["Male"]}, "unknown identity 'Male'"),
    ({"name": "digit"}, "unknown data set 'digit'; accepted: celeba, digits"),
  ],
)
def test_bad_input(changes, message):
  with pytest.raises(InputError, match=message):
    load(make(**changes))
