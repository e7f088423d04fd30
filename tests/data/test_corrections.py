"""Corrected labels: applied as they are, refused where they do not fit."""

import dataclasses

import numpy as np
import pytest
from splits import make_dataset, make_split

from prunebias_jax.config import Data
from prunebias_jax.data import viewed
from prunebias_jax.data.corrections import corrected
from prunebias_jax.data.dataset import SPLITS, Dataset
from prunebias_jax.errors import InputError


@pytest.fixture
def table(tmp_path):
  """Writes a table of corrections; returns its path."""

  def write(*rows, head="example_id,attribute,label"):
    path = tmp_path / "labels.csv"
    path.write_text("\n".join((head, *rows)) + "\n")
    return str(path)

  return write


def test_labels_and_their_identities_change_and_nothing_else(table):
  before = make_dataset()
  labels = before.splits["valid"].labels
  flipped = 1 - labels[[3, 5], [0, 2]]
  file = table(f"valid3,a,{flipped[0]}", f"valid5,c,{flipped[1]}")
  after = viewed(before, Data(corrections=file))
  expected = labels.copy()
  expected[[3, 5], [0, 2]] = flipped
  valid = after.splits["valid"]
  np.testing.assert_array_equal(valid.labels, expected)
  assert valid.labels.dtype == np.uint8
  np.testing.assert_array_equal(valid.identities[:, 0], expected[:, 2])
  assert {n: s.corrected for n, s in after.splits.items()} == {
    "train": 0,
    "valid": 2,
    "test": 0,
  }
  for name in ("train", "test"):
    assert after.splits[name] is before.splits[name]
  assert after.fingerprint() != before.fingerprint()


def test_an_empty_label_is_missing(table):
  after = corrected(make_dataset(), table("test7,b,", "test7,c,"))
  labels = after.splits["test"].labels
  assert labels.dtype == np.float32
  assert np.argwhere(np.isnan(labels)).tolist() == [[7, 1], [7, 2]]
  # Whoever is in a group stays there.
  before = make_dataset().splits["test"].identities
  np.testing.assert_array_equal(after.splits["test"].identities, before)


def test_an_empty_attribute_leaves_the_example_out(table):
  before = make_dataset().splits["valid"]
  split = corrected(make_dataset(), table("valid0,,", "valid19,,")).splits[
    "valid"
  ]
  assert split.ids.tolist() == before.ids.tolist()[1:-1]
  for name in ("images", "labels", "identities"):
    np.testing.assert_array_equal(
      getattr(split, name), getattr(before, name)[1:-1]
    )
  np.testing.assert_array_equal(
    split.truth["margin"], before.truth["margin"][1:-1]
  )
  assert split.corrected == 2


def test_classes_take_a_class_or_leave_out(table):
  dataset = Dataset(
    name="tiny",
    task="multiclass",
    names=("cat", "dog"),
    identity_names=("c",),
    splits={name: make_split(9, name, classes=2) for name in SPLITS},
  )
  before = dataset.splits["test"].labels
  other = dataset.names[1 - before[0]]
  after = corrected(dataset, table(f"test0,(all),{other}", "test1,,"))
  labels = after.splits["test"].labels
  assert labels.tolist() == [1 - before[0], *before[2:]]
  for row in ("test0,(all),", "test0,(all),horse", "test0,cat,1"):
    with pytest.raises(InputError, match="exclusive classes"):
      corrected(dataset, table(row))


@pytest.mark.parametrize(
  ("rows", "message"),
  [
    (["nobody,a,1"], "no example 'nobody'"),
    (["valid0,z,1"], "no attribute 'z'"),
    (["valid0,a,2"], "label '2' of 'a'"),
    (["valid0,a,1", "valid0,a,0"], "more than once"),
    ([f"valid{n},," for n in range(20)], "no example of the valid split"),
  ],
)
def test_what_does_not_fit_is_refused(table, rows, message):
  with pytest.raises(InputError, match=message):
    corrected(make_dataset(), table(*rows))


def test_files_that_are_no_such_table_are_refused(table, tmp_path):
  with pytest.raises(InputError, match="no column 'attribute'"):
    corrected(make_dataset(), table("x,1", head="example_id,label"))
  with pytest.raises(InputError, match="cannot be read"):
    corrected(make_dataset(), str(tmp_path / "none.csv"))


def test_marks_follow_the_examples_that_are_left(table):
  marker = {"kind": "grayscale", "attribute": "a"}
  base = make_dataset()
  splits = {
    name: dataclasses.replace(s, images=np.repeat(s.images, 3, -1))
    for name, s in base.splits.items()
  }
  config = Data.from_dict({"corrections": table("valid0,,"), "marker": marker})
  after = viewed(dataclasses.replace(base, splits=splits), config)
  valid = after.splits["valid"]
  assert len(valid.marked) == len(valid) == 19
