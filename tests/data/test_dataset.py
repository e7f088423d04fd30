"""What does not fit together is refused when a data set is made."""

import dataclasses
import tracemalloc

import numpy as np
import pytest

from prunebias_jax.errors import InputError


def with_split(dataset, name, **changes):
  split = dataclasses.replace(dataset.splits[name], **changes)
  return dataclasses.replace(dataset, splits={**dataset.splits, name: split})


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    ({"images": np.zeros((10, 8, 8, 1))}, "images are float64"),
    ({"images": np.zeros((10, 8, 8), np.uint8)}, r"not uint8 \[example"),
    ({"labels": np.zeros((10, 2), np.uint8)}, r"expected \(10, 3\)"),
    ({"labels": np.full((10, 3), 2, np.uint8)}, "accepted are 0 to 1"),
    ({"identities": np.zeros((9, 1), np.uint8)}, r"expected \(10, 1\)"),
    ({"identities": np.full((10, 1), 3, np.uint8)}, "other than 0 and 1"),
    ({"ids": np.array(["x"] * 10)}, "'x' stands for more than one"),
    ({"ids": np.array(["x"])}, "1 ids for 10 examples"),
  ],
)
def test_misfits_are_refused(dataset, changes, message):
  with pytest.raises(InputError, match=message):
    with_split(dataset, "valid", **changes)


def test_names_must_be_distinct(dataset):
  with pytest.raises(InputError, match="output names not distinct"):
    dataclasses.replace(dataset, names=("A", "B", "A"))


def test_all_splits_must_be_there(dataset):
  splits = {name: dataset.splits[name] for name in ("train", "test")}
  with pytest.raises(InputError, match="splits"):
    dataclasses.replace(dataset, splits=splits)


def test_the_fingerprint_tells_any_change(dataset):
  labels = dataset.splits["valid"].labels.copy()
  labels[0, 0] ^= 1
  other = with_split(dataset, "valid", labels=labels)
  assert other.fingerprint() != dataset.fingerprint()
  assert dataclasses.replace(dataset).fingerprint() == dataset.fingerprint()


@pytest.mark.parametrize("kind", ["memory map", "strided"])
def test_the_fingerprint_holds_little_in_memory(dataset, tmp_path, kind):
  count, image = 6000, (32, 32, 1)
  images = np.random.default_rng(0).integers(0, 256, (count, *image), np.uint8)
  np.save(tmp_path / "x.npy", images if kind == "memory map" else images[::-1])
  mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
  changes = {
    "labels": np.zeros((count, 3), np.uint8),
    "identities": np.zeros((count, 1), np.uint8),
    "ids": np.arange(count).astype(str),
  }
  wide = {
    name: dataclasses.replace(
      split, images=np.zeros((len(split), *image), np.uint8)
    )
    for name, split in dataset.splits.items()
  }
  dataset = dataclasses.replace(dataset, splits=wide)
  plain = with_split(dataset, "train", images=images, **changes)
  given = mapped if kind == "memory map" else mapped[::-1]
  large = with_split(dataset, "train", images=given, **changes)
  names = sum(map(len, changes["ids"])) + 200 * count  # the ids as text
  tracemalloc.start()
  found = large.fingerprint()
  peak = tracemalloc.get_traced_memory()[1]
  tracemalloc.stop()
  assert found == plain.fingerprint()
  assert peak < names + images.nbytes / 4
