"""Weights of classes and groups, against a count of every label by hand."""

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

from prunebias_jax.config import Loss
from prunebias_jax.data.dataset import Dataset
from prunebias_jax.errors import InputError
from prunebias_jax.training import weighting

CLASSES = Loss(kind="class_reweighted")


def dataset_of(labels, identities=None, names=None):
  """One-pixel images with these labels, the same in every split."""
  labels = np.asarray(labels)
  count = len(labels)
  columns = labels.shape[1] if labels.ndim == 2 else int(labels.max()) + 1
  splits = np.repeat(["train", "valid", "test"], count)
  return Dataset.from_arrays(
    images=np.zeros((3 * count, 1, 1, 1), np.uint8),
    labels=np.concatenate([labels] * 3),
    splits=splits,
    names=names or tuple("abcdefgh"[:columns]),
    identities={
      name: np.tile(column, 3) for name, column in (identities or {}).items()
    },
  )


def by_hand(labels, groups):
  """n / (K n_c) of every label, counted one by one; 0 where missing."""
  weights = np.zeros(labels.shape, np.float64)
  for column in range(labels.shape[1]):
    cells = {}
    for row, group in enumerate(groups):
      value = labels[row, column]
      if value == value:
        cells.setdefault((group, value), []).append(row)
    total = sum(len(rows) for rows in cells.values())
    for rows in cells.values():
      for row in rows:
        weights[row, column] = total / (len(cells) * len(rows))
  return weights


def random_case(seed, missing):
  rng = np.random.default_rng(seed)
  labels = (rng.random((40, 3)) < [0.5, 0.1, 0.9]).astype(float)
  labels[rng.random(labels.shape) < missing] = np.nan
  return labels, rng.integers(0, 2, 40), (rng.random(40) < 0.2).astype(int)


@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_class_weights_by_hand(missing):
  labels, _, _ = random_case(0, missing)
  found = weighting.label_weights(dataset_of(labels), CLASSES)
  assert found.dtype == np.float32
  np.testing.assert_allclose(found, by_hand(labels, [0] * 40), rtol=1e-6)


@pytest.mark.parametrize("missing", [0.0, 0.3])
@pytest.mark.parametrize("names", [("Old",), ("Old", "Male")])
def test_group_weights_by_hand(missing, names):
  labels, male, old = random_case(1, missing)
  known = {"Male": male, "Old": old}
  loss = Loss(kind="group_reweighted", identities=names)
  found = weighting.label_weights(dataset_of(labels, known), loss)
  groups = list(zip(*[known[name] for name in names], strict=True))
  np.testing.assert_allclose(found, by_hand(labels, groups), rtol=1e-6)


def test_classes_weigh_by_their_own_frequency():
  labels = np.array([0, 0, 0, 1, 2, 2, 4])
  dataset = dataset_of(labels)
  found = weighting.label_weights(dataset, CLASSES)
  expected = by_hand(labels[:, None].astype(float), [0] * 7)[:, 0]
  np.testing.assert_allclose(found, expected, rtol=1e-6)
  table = weighting.weight_table(dataset, CLASSES)
  assert table["attribute"].tolist() == list("abcde")
  assert table["n"].tolist() == [3, 1, 2, 0, 1]
  assert table["weight"][3] == 0


@given(
  st.lists(
    st.tuples(st.sampled_from([0.0, 1.0, np.nan]), st.booleans()),
    min_size=2,
    max_size=30,
  ).filter(
    lambda rows: (
      {0.0, 1.0} & {one for one, _ in rows}
      and len({two for _, two in rows}) > 1
    )
  )
)
@settings(max_examples=40, deadline=None)
def test_weights_have_mean_one_and_cells_weigh_alike(rows):
  labels = np.array([[one] for one, _ in rows])
  group = np.array([int(two) for _, two in rows])
  loss = Loss(kind="group_reweighted", identities=("G",))
  found = weighting.label_weights(dataset_of(labels, {"G": group}), loss)
  there = ~np.isnan(labels)
  assert (found[~there] == 0).all()
  np.testing.assert_allclose(found[there].mean(), 1, rtol=1e-5)
  sums = [
    found[there & (labels == value) & (group == one)[:, None]].sum()
    for value, one in itertools.product((0, 1), (0, 1))
  ]
  full = [one for one in sums if one]
  np.testing.assert_allclose(full, full[0], rtol=1e-5)


def test_empty_cells_weigh_nothing_and_are_named(caplog):
  labels = np.array([[0, 1], [1, 1], [0, 0], [0, 0]])
  known = {"b": labels[:, 1], "G": np.array([0, 0, 1, 1])}
  dataset = dataset_of(labels, known)
  loss = Loss(kind="group_reweighted", identities=("b",))
  table = weighting.weight_table(dataset, loss)
  empty = table[table["n"] == 0]
  assert (empty["weight"] == 0).all()
  assert len(empty) == 3
  with caplog.at_level("WARNING"):
    weighting.log_empty(dataset, loss)
  # That nobody of b = 1 lacks b is no news.
  assert "1 of 8 cells have no training example and weigh 0 (a 1 in b 0)" in (
    caplog.text
  )
  caplog.clear()
  weighting.log_empty(dataset, CLASSES)
  assert not caplog.text


def test_an_attribute_of_one_value_weighs_one():
  labels = np.array([[1, 0], [1, 1]])
  found = weighting.label_weights(dataset_of(labels), CLASSES)
  np.testing.assert_array_equal(found, [[1, 1], [1, 1]])


def test_unknown_groups_are_refused():
  dataset = dataset_of(np.array([[0], [1]]), {"G": np.array([0, 1])})
  loss = Loss(kind="group_reweighted", identities=("Male",))
  with pytest.raises(
    InputError, match=r"identity in loss.identities 'Male'; accepted: G"
  ):
    weighting.require_identities(dataset, loss)
