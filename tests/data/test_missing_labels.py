"""Missing labels: where they come in, and what is made of them."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from splits import make_split
from test_table import CONFIG, make_table

from prunebias_jax import data, store
from prunebias_jax.config import Data, Marker
from prunebias_jax.data.dataset import Dataset, compact_labels
from prunebias_jax.data.markers import with_marker
from prunebias_jax.data.views import viewed, with_labels
from prunebias_jax.errors import InputError

COUNT = 12
SPLITS = np.array(["test", "train", "valid"] * 4)


def arrays(labels):
  return Dataset.from_arrays(
    images=np.zeros((COUNT, 8, 8), np.uint8),
    labels=labels,
    splits=SPLITS,
    names=["A", "B"],
  )


def labels(missing=()):
  """Labels [example, attribute]; some (example, attribute) are NaN."""
  found = (np.arange(COUNT * 2).reshape(COUNT, 2) % 3 % 2).astype(float)
  for place in missing:
    found[place] = np.nan
  return found


def test_only_splits_with_a_missing_label_are_of_another_type():
  given = labels([(1, 0), (7, 1)])
  dataset = arrays(given)
  types = {name: split.labels.dtype for name, split in dataset.splits.items()}
  assert types == {"train": np.float32, "valid": np.uint8, "test": np.uint8}
  for name, split in dataset.splits.items():
    np.testing.assert_array_equal(split.labels, given[name == SPLITS])


def test_floats_without_nan_are_the_same_data_as_integers():
  one, other = arrays(labels()), arrays(labels().astype(int))
  assert one.fingerprint() == other.fingerprint()
  assert one.splits["train"].labels.dtype == np.uint8


def test_every_nan_is_one_in_the_fingerprint():
  negative = labels([(1, 0)])
  negative[1, 0] = np.copysign(np.nan, -1)
  prints = {arrays(labels([place])).fingerprint() for place in ((1, 0), (1, 1))}
  assert arrays(negative).fingerprint() in prints
  assert len(prints | {arrays(labels()).fingerprint()}) == 3


def test_what_is_masked_is_missing():
  masked = np.ma.masked_array(labels().astype(int), mask=False)
  masked[7, 1] = np.ma.masked
  found = arrays(masked).fingerprint()
  assert found == arrays(labels([(7, 1)])).fingerprint()
  assert found != arrays(labels()).fingerprint()


def test_compact_labels_by_bits():
  found = compact_labels(np.array([[1.0, -np.nan], [0.0, 1.0]]))
  assert found.dtype == np.float32
  assert found.view(np.uint32)[0, 1] == np.float32(np.nan).view(np.uint32)
  whole = compact_labels(found[1:])
  assert whole.dtype == np.uint8
  assert whole.tolist() == [[0, 1]]


def test_a_view_without_missing_labels_is_as_if_there_were_none():
  dataset = arrays(labels([(1, 0)]))
  view = with_labels(dataset, ("B",))
  whole = with_labels(arrays(labels()), ("B",))
  assert view.fingerprint() == whole.fingerprint()
  assert with_labels(dataset, ("A",)).splits["train"].labels.dtype == np.float32


def test_an_attribute_without_any_label_to_learn_from():
  dataset = arrays(labels([(row, 1) for row in (1, 4, 7, 10)]))
  with pytest.raises(InputError, match="'B' has no label in the train split"):
    viewed(dataset, Data(name="arrays"))
  assert viewed(dataset, Data(name="arrays", labels=("A",))).names == ("A",)
  # In the other splits that is a gap, not the end.
  gap = arrays(labels([(row, 1) for row in (0, 3, 6, 9)]))
  assert viewed(gap, Data(name="arrays")).names == ("A", "B")


def test_an_unlabelled_example_is_never_marked():
  splits = {}
  for name in store.SPLITS:
    split = make_split(60, name, channels=3)
    found = split.labels.astype(np.float32)
    found[::3, 1] = np.nan
    splits[name] = dataclasses.replace(split, labels=found)
  dataset = Dataset(
    name="holes",
    task="multilabel",
    names=("A", "B", "C"),
    identity_names=("C",),
    splits=splits,
  )
  marker = Marker(
    kind="grayscale", attribute="B", train=(1, 1), valid=(0.4, 0.7)
  )
  marked = with_marker(dataset, marker, 0).splits
  missing = np.isnan(splits["train"].labels[:, 1])
  np.testing.assert_array_equal(marked["train"].marked, ~missing)
  for value, share in enumerate(marker.valid):
    rows = splits["valid"].labels[:, 1] == value
    assert marked["valid"].marked[rows].sum() == round(share * rows.sum())
  assert not marked["valid"].marked[missing].any()


@pytest.mark.parametrize("file", ["table.csv", "table.parquet"])
@pytest.mark.parametrize("values", ["numbers", "truth values"])
def test_empty_cells_of_a_table_are_missing_labels(file, values, tmp_path):
  table = make_table(tmp_path)
  column = [0, None, 1, None, 1, 0, 0, 1, 0]
  types = {"numbers": "Int64", "truth values": "boolean"}
  table["smiling"] = pd.array(column, types[values])
  if file == "table.csv":
    table.to_csv(tmp_path / file, index=False)
  else:
    table.to_parquet(tmp_path / file)
  config = CONFIG.override({"root": str(tmp_path), "table.file": file})
  dataset = data.load(config)
  expected = np.array(column, float)
  for name, split in dataset.splits.items():
    rows = (table["split"] == name).to_numpy()
    np.testing.assert_array_equal(split.labels[:, 0], expected[rows])
    np.testing.assert_array_equal(split.labels[:, 1], table["old"][rows])


def test_a_missing_class_is_refused(tmp_path):
  table = make_table(tmp_path)
  table.loc[3, "animal"] = None
  table.to_csv(tmp_path / "table.csv", index=False)
  config = CONFIG.override(
    {"root": str(tmp_path), "table.labels": [], "table.classes": "animal"}
  )
  with pytest.raises(InputError, match="'animal' has 1 empty cells of 9"):
    data.load(config)
