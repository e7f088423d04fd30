"""CelebA's format, through the real builder: made-up files, real code."""

import sys

from celeba_files import attributes_of, make_files, picture
import numpy as np
import pytest
import tensorflow_datasets as tfds

from prunebias_jax import data
from prunebias_jax.config import Data
from prunebias_jax.data import celeba
from prunebias_jax.data.faces.attributes import NAMES
from prunebias_jax.errors import InputError

COUNTS = {"train": 24, "valid": 9, "test": 7}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
  folder = tmp_path_factory.mktemp("celeba")
  return folder, make_files(folder, [*COUNTS.values()])


@pytest.fixture
def root(files, monkeypatch):
  """The folder, its files taken for the official ones."""
  folder, found = files
  monkeypatch.setattr(celeba, "official_files", lambda _: found)
  return folder


@pytest.fixture(scope="module")
def copies(files, tmp_path_factory):
  """Makes a folder like it with something changed."""

  def copy(change):
    folder = tmp_path_factory.mktemp("changed")
    for path in files[0].iterdir():
      (folder / path.name).write_bytes(path.read_bytes())
    change(folder)
    return folder

  return copy


def load(root, **changes):
  config = Data(name="celeba", root=str(root), size=32)
  return data.load(config.override(changes))


def test_the_official_splits_labels_and_names(root):
  dataset = load(root)
  assert dataset.names == NAMES
  assert (NAMES.index("Male"), NAMES.index("Young")) == (20, 39)
  assert dataset.identity_names == ("Male", "Young", "Chubby", "Pale_Skin")
  first = 1
  for name, split in dataset.splits.items():
    numbers = [int(one.removesuffix(".jpg")) for one in split.ids]
    assert sorted(numbers) == list(range(first, first + COUNTS[name]))
    first += COUNTS[name]
    # The picture and the labels of an id are those of the file of that name.
    for number, image, labels in zip(
      numbers, split.images, split.labels, strict=True
    ):
      np.testing.assert_allclose(image[16, 16], (number, 128, 64), atol=4)
      np.testing.assert_array_equal(labels, attributes_of(number))
    np.testing.assert_array_equal(split.identities[:, 0], split.labels[:, 20])
  assert "tensorflow" not in sys.modules


def test_pixels_are_those_of_a_scaled_centre(root):
  """178 x 218 at 178: the middle rows as they are, but for the JPEG."""
  split = load(root, size=178).splits["test"]
  expected = np.asarray(picture(int(split.ids[0][:6])))[20:198]
  error = np.abs(split.images[0].astype(int) - expected)
  assert error.mean() < 3


def test_pictures_are_kept_where_the_device_scales_them(root):
  dataset = load(root, size=224, resize="device")
  assert dataset.stored_shape == (218, 178, 3)
  assert dataset.image_shape == (224, 224, 3)
  assert dataset.window.shorter == 256
  split = dataset.splits["test"]
  assert isinstance(split.images, np.memmap)
  expected = np.asarray(picture(int(split.ids[0][:6])))
  assert np.abs(split.images[0].astype(int) - expected).mean() < 3


def test_the_names_are_those_under_which_the_builder_writes(root):
  load(root)
  prepared = celeba._prepared(str(root))
  records = tfds.data_source("celeb_a", split="validation", data_dir=prepared)
  names = celeba.file_names("validation", COUNTS["train"], COUNTS["valid"])
  # identity_CelebA.txt counts the files from 0.
  found = [record["identity"]["Identity_No"] + 1 for record in records]
  assert [f"{number:06d}.jpg" for number in found] == names


def test_a_prepared_directory_is_read_as_it_is(root):
  one = load(root)
  other = load(celeba._prepared(str(root)))
  assert one.fingerprint() == other.fingerprint()


def test_fewer_examples_and_other_identities(root):
  dataset = load(root, train=5, identities=["Smiling"])
  assert [len(split) for split in dataset.splits.values()] == [5, 9, 7]
  assert dataset.identity_names == ("Smiling",)


def rename(old, new):
  return lambda folder: (folder / old).rename(folder / new)


def cut(name):
  def change(folder):
    (folder / name).write_bytes((folder / name).read_bytes()[:-10])

  return change


def alter(folder):
  path = folder / "list_attr_celeba.txt"
  path.write_bytes(path.read_bytes().replace(b" -1 ", b" +1 ", 1))


@pytest.mark.parametrize(
  ("change", "message"),
  [
    (
      rename("img_align_celeba.zip", "images.zip"),
      r"img_align_celeba\.zip is missing \(is it images\.zip\?\); accepted",
    ),
    (
      lambda folder: (folder / "identity_CelebA.txt").unlink(),
      r"identity_CelebA\.txt is missing; accepted",
    ),
    (cut("img_align_celeba.zip"), r"zip has \d+ bytes, not \d+"),
    (cut("list_eval_partition.txt"), r"list_eval_partition\.txt has \d+ bytes"),
    (alter, r"list_attr_celeba\.txt has the SHA-256 .*, not"),
  ],
)
def test_each_wrong_file_is_named(
  root, copies, change, message, tmp_path, monkeypatch
):
  monkeypatch.setenv("PRUNEBIAS_CACHE", str(tmp_path))
  with pytest.raises(InputError, match=message):
    load(copies(change))
  assert not list(tmp_path.iterdir())


def test_a_builder_that_fails_leaves_nothing(root, tmp_path, monkeypatch):
  def fail(*_):
    raise OSError("disk full")

  monkeypatch.setenv("PRUNEBIAS_CACHE", str(tmp_path))
  monkeypatch.setattr(celeba._Member, "read", fail)
  with pytest.raises(OSError, match="disk full"):
    load(root)
  assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    ({"root": "/nowhere"}, "data.root is '/nowhere'; accepted: the folder"),
    ({"root": ""}, "data.root is ''"),
    ({"identities": ["Tall"]}, "unknown identity in data.identities 'Tall'"),
    ({"test": 8}, "data.test is 8; accepted: up to 7"),
  ],
)
def test_settings_that_cannot_be_had(root, changes, message):
  with pytest.raises(InputError, match=message):
    load(**{"root": root, **changes})


def test_the_official_files_are_the_builders_own():
  """Sizes as CelebA's authors published them."""
  found = celeba.official_files(tfds.builder_cls("celeb_a"))
  assert found["img_align_celeba.zip"][0] == 1_443_490_838
  assert sorted(found) == [
    "identity_CelebA.txt",
    "img_align_celeba.zip",
    "list_attr_celeba.txt",
    "list_eval_partition.txt",
    "list_landmarks_align_celeba.txt",
  ]
