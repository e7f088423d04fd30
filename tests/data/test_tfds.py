"""A prepared data set, read without TensorFlow."""

import shutil
import sys

import numpy as np
from prepared import WITHOUT, prepare
import pytest

from prunebias_jax import data
from prunebias_jax.config import Data
from prunebias_jax.errors import InputError

CONFIG = Data(name="tfds:toys", size=8)
COUNTS = {"train": 30, "valid": 10, "test": 12}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
  folder = tmp_path_factory.mktemp("tfds")
  prepare(folder)
  return str(folder)


@pytest.fixture(scope="module")
def without(tmp_path_factory):
  """The same without a validation split."""
  folder = tmp_path_factory.mktemp("without")
  prepare(folder, counts=WITHOUT)
  return str(folder)


def load(root, **changes):
  changes = {name.replace("__", "."): one for name, one in changes.items()}
  return data.load(CONFIG.override({"root": root, **changes}))


def numbers(split):
  """What each picture's colour tells, checked to be the whole picture."""
  found = split.images[:, 0, 0, 0].astype(int)
  assert (split.images == split.images[:, :1, :1]).all()
  return found


def test_classes_by_their_names(root):
  dataset = load(root)
  assert dataset.task == "multiclass"
  assert dataset.names == ("cat", "dog", "owl")
  seen = []
  for name, split in dataset.splits.items():
    assert len(split) == COUNTS[name]
    np.testing.assert_array_equal(split.labels, numbers(split) % 3)
    assert isinstance(split.images, np.memmap)
    seen += numbers(split).tolist()
  assert sorted(seen) == list(range(52))
  assert dataset.splits["valid"].ids[:2].tolist() == [
    "validation-0000000",
    "validation-0000001",
  ]


def test_pictures_of_their_own_size_must_be_equal(root):
  message = r"record \d+ of toys, train is 1\d x 12 pixels and the first"
  with pytest.raises(InputError, match=message):
    load(root, resize="device")


def test_attributes_identities_and_ids(root):
  dataset = load(
    root,
    tfds__attributes=["traits/smiling", "traits/old"],
    tfds__id="name",
    identities=["traits/old", "camera"],
  )
  assert dataset.task == "multilabel"
  assert dataset.names == ("traits/smiling", "traits/old")
  assert dataset.identity_names == (
    "traits/old", "camera=0", "camera=1", "camera=2", "camera=3",
  )  # fmt: skip
  for split in dataset.splits.values():
    number = numbers(split)
    assert split.ids.tolist() == [f"picture {one}" for one in number]
    np.testing.assert_array_equal(split.labels[:, 0], number % 5 == 0)
    np.testing.assert_array_equal(split.identities[:, 0], number % 2 == 0)
    np.testing.assert_array_equal(split.identities[:, 3], number % 4 == 2)


@pytest.mark.parametrize(("asked", "valid"), [(0, 3), (8, 8)])
def test_validation_out_of_training(without, asked, valid):
  splits = load(without, valid=asked).splits
  assert [len(split) for split in splits.values()] == [30 - valid, valid, 12]
  seen = np.concatenate([numbers(split) for split in splits.values()])
  assert sorted(seen.tolist()) == list(range(42))
  again = load(without, valid=asked, train=5, seed=1).splits
  assert len(again["train"]) == 5
  assert again["valid"].ids.tolist() != splits["valid"].ids.tolist()
  assert not set(again["train"].ids) & set(again["valid"].ids)


def test_without_tensorflow(root):
  load(root)
  assert "tensorflow" not in sys.modules


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    ({"name": "tfds:toy"}, "no prepared data set 'toy' in .*: .*toys"),
    ({"name": "tfds"}, "unknown data set 'tfds'; accepted: .*tfds:NAME"),
    ({"root": ""}, "data.root is ''; accepted: the folder that"),
    ({"tfds__image": "picture"}, "feature in data.tfds.image 'picture'"),
    ({"tfds__label": "class"}, "unknown feature of toys 'class'"),
    ({"tfds__label": "camera"}, "feature 'camera' has no class names"),
    ({"tfds__attributes": ["camera"]}, "'camera' holds '[23]'; accepted: 0"),
    ({"tfds__test": "final"}, "unknown split of tfds:toys 'final'"),
    ({"tfds__valid": "dev", "valid": 30}, "data.valid is 30; .*fewer than"),
    ({"train": 31}, "data.train is 31; accepted: up to 30"),
    ({"identities": ["age"]}, "feature of toys 'age'; accepted: camera"),
  ],
)  # fmt: skip
def test_what_cannot_be_had(root, changes, message):
  with pytest.raises(InputError, match=message):
    load(**{"root": root, **changes})


def test_another_format_is_refused(tmp_path):
  prepare(tmp_path, file_format="parquet")
  with pytest.raises(InputError, match="is of format parquet; accepted: array"):
    load(str(tmp_path))


def test_a_lost_shard_is_named(tmp_path):
  prepare(tmp_path)
  next(tmp_path.glob("toys/1.0.0/*test*")).unlink()
  with pytest.raises(InputError, match=r"toys-test.array_record.* not found"):
    load(str(tmp_path))


@pytest.mark.parametrize(
  "spoil",
  [
    lambda content: b"",
    lambda content: content[:-200],
    lambda content: content[:2000] + bytes(500) + content[2500:],
  ],
)
def test_records_that_are_cut_off_or_altered(root, tmp_path, spoil):
  shutil.copytree(root, tmp_path, dirs_exist_ok=True)
  shard = next(tmp_path.glob("toys/1.0.0/*test*"))
  shard.write_bytes(spoil(shard.read_bytes()))
  with pytest.raises(InputError, match="the test records of toys") as caught:
    load(str(tmp_path))
  message = str(caught.value)
  assert str(shard) in message
  assert message.endswith("prepare the data set again")
  assert "\n" not in message


@pytest.mark.parametrize("file", ["dataset_info.json", "features.json"])
@pytest.mark.parametrize("content", ["", "no", "[]", "{}"])
def test_a_description_that_cannot_be_read(root, tmp_path, file, content):
  shutil.copytree(root, tmp_path, dirs_exist_ok=True)
  next(tmp_path.glob(f"toys/1.0.0/{file}")).write_text(content)
  with pytest.raises(InputError, match="toys") as caught:
    load(str(tmp_path))
  assert "\n" not in str(caught.value)
