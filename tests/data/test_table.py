"""A folder of pictures with a table: what is read, and what is refused."""

import numpy as np
import pandas as pd
from PIL import Image
import pytest

from prunebias_jax import data
from prunebias_jax.config import Data, Table
from prunebias_jax.errors import InputError

COUNT = 9


def make_table(folder):
  """Nine pictures of one shade each, of three shapes and kinds."""
  sizes, modes = [(12, 9), (9, 20), (8, 8)], ["RGB", "L", "P"]
  for number in range(COUNT):
    picture = Image.new("L", sizes[number % 3], 20 * number)
    picture = picture.convert(modes[number % 3])
    picture.save(folder / f"{number}.png")
  return pd.DataFrame(
    {
      "id": [f"00{number}" for number in range(COUNT)],
      "path": [f"{number}.png" for number in range(COUNT)],
      "split": ["train", "train", "valid", "test"] * 2 + ["train"],
      "smiling": [0, 1, 1] * 3,
      "old": [1, 0, 0, 1, 0, 1, 0, 1, 0],
      "camera": ["b", "a", "c"] * 3,
      "animal": ["owl", "cat", "dog"] * 3,
    }
  )


CONFIG = Data(
  name="table",
  size=8,
  table=Table(file="table.csv", labels=("smiling", "old")),
  identities=("old", "camera"),
)


def load(folder, table, **changes):
  table.to_csv(folder / "table.csv", index=False)
  changes = {name.replace("__", "."): one for name, one in changes.items()}
  return data.load(CONFIG.override({"root": str(folder), **changes}))


def test_every_row_is_an_example_of_its_split(tmp_path):
  table = make_table(tmp_path)
  dataset = load(tmp_path, table)
  assert dataset.names == ("smiling", "old")
  assert dataset.identity_names == ("old", "camera=a", "camera=b", "camera=c")
  for name, split in dataset.splits.items():
    rows = table[table["split"] == name]
    assert split.ids.tolist() == rows["id"].tolist()
    np.testing.assert_array_equal(split.labels, rows[["smiling", "old"]])
    np.testing.assert_array_equal(split.identities[:, 0], rows["old"])
    np.testing.assert_array_equal(split.identities[:, 2], rows["camera"] == "b")
    assert isinstance(split.images, np.memmap)
    shades = 20 * rows.index.to_numpy()
    expected = np.broadcast_to(
      shades[:, None, None, None], (len(rows), 8, 8, 3)
    )
    np.testing.assert_array_equal(split.images, expected)


def test_parquet_and_csv_are_the_same(tmp_path):
  table = make_table(tmp_path)
  table.to_parquet(tmp_path / "table.parquet")
  one = load(tmp_path, table)
  other = load(tmp_path, table, table__file="table.parquet")
  assert one.fingerprint() == other.fingerprint()


def test_a_column_of_classes(tmp_path):
  table = make_table(tmp_path)
  dataset = load(tmp_path, table, table__labels=[], table__classes="animal")
  assert dataset.task == "multiclass"
  assert dataset.names == ("cat", "dog", "owl")
  expected = [
    dataset.names.index(x) for x in ("owl", "cat", "cat", "dog", "dog")
  ]
  np.testing.assert_array_equal(dataset.splits["train"].labels, expected)


def test_fewer_examples_are_drawn_from_the_seed(tmp_path):
  table = make_table(tmp_path)
  draws = {
    tuple(load(tmp_path, table, train=3, seed=seed).splits["train"].ids)
    for seed in (0, 0, 1, 2, 3, 4)
  }
  assert 1 < len(draws) < 6
  assert all(
    len(set(draw)) == 3 and list(draw) == sorted(draw) for draw in draws
  )


def test_a_changed_picture_is_decoded_again(tmp_path):
  table = make_table(tmp_path)
  before = load(tmp_path, table).fingerprint()
  Image.new("RGB", (30, 30), (1, 2, 3)).save(tmp_path / "0.png")
  dataset = load(tmp_path, table)
  assert dataset.fingerprint() != before
  assert dataset.splits["train"].images[0, 0, 0].tolist() == [1, 2, 3]


def test_pictures_of_the_splits_are_of_one_size(tmp_path):
  table = make_table(tmp_path)
  sizes = {"train": (20, 12), "valid": (20, 12), "test": (12, 20)}
  for row in table.itertuples():
    Image.new("RGB", sizes[row.split]).save(tmp_path / row.path)
  message = "test split, such as '003', are 20 x 12 x 3, those of train 12 x 20"
  with pytest.raises(InputError, match=message):
    load(tmp_path, table, resize="device")
  table.loc[table["split"] == "test", "path"] = "0.png"
  dataset = load(tmp_path, table, resize="device")
  assert dataset.stored_shape == (12, 20, 3)
  assert dataset.image_shape == (8, 8, 3)


def cell(column, row, value):
  def change(table):
    table[column] = table[column].astype(object)
    table.loc[row, column] = value

  return change


def column(name, value):
  def change(table):
    table[name] = value

  return change


@pytest.mark.parametrize(
  ("change", "message"),
  [
    (cell("id", 4, "001"), "id '001' stands for more than one example"),
    (cell("id", 4, None), "column 'id' has 1 empty cells of 9"),
    (cell("split", 4, "dev"), "unknown split 'dev' in row 5; accepted: train"),
    (cell("path", 4, "no.png"), r"no\.png not found; data.table.path"),
    (cell("path", 4, "table.csv"), r"table\.csv is no picture that can be"),
    (cell("path", 4, "."), "is no picture that can be read"),
    (column("smiling", None), "label 'smiling' is empty"),
    (cell("smiling", [0, 1, 4, 5, 8], None), "'smiling' has no label in"),
    (cell("smiling", 4, -1), "label 'smiling' holds '-1'; accepted: 0, 1 and"),
    (cell("smiling", 4, "yes"), "label 'smiling' holds 'yes'; accepted: 0, 1"),
    (cell("old", 4, None), "identity 'old' has 1 empty cells of 9"),
    (column("old", 1), "identity 'old' is 1 in every example"),
    (column("camera", "x"), "identity 'camera' is x in every example"),
    (column("split", "train"), "no example of split 'valid' in column 'split'"),
    (lambda table: table.pop("old"), "has no column 'old'; it has id, path"),
  ],
)  # fmt: skip
def test_a_table_that_cannot_be_used(change, message, tmp_path):
  table = make_table(tmp_path)
  change(table)
  with pytest.raises(InputError, match=message) as caught:
    load(tmp_path, table)
  assert "\n" not in str(caught.value)


def test_rows_longer_than_the_header_are_refused(tmp_path):
  (tmp_path / "t.csv").write_text("id,path,split,old\na,0.png,train,1,7\n")
  table = Table(file="t.csv", labels=("old",))
  with pytest.raises(InputError, match="more cells than its first line"):
    data.load(Data(name="table", root=str(tmp_path), size=8, table=table))


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    ({"root": ""}, "data.root .the folder of pictures. and"),
    ({"root": "/nowhere"}, "data.root is '/nowhere'; accepted: a folder"),
    ({"table__file": "t.csv"}, "t.csv not found; data.table.file"),
    ({"table__file": "0.png"}, "0.png is no table that can be read"),
    ({"table__file": "x.parquet"}, "x.parquet is no table that can be read"),
    ({"table__labels": []}, "needs either labels"),
    ({"table__classes": "old"}, "needs either labels"),
    ({"train": 6}, "data.train is 6; accepted: up to 5, or 0 for all"),
  ],
)
def test_settings_that_cannot_be_used(changes, message, tmp_path):
  table = make_table(tmp_path)
  (tmp_path / "x.parquet").write_text("no")
  with pytest.raises(InputError, match=message):
    load(tmp_path, table, **changes)


def test_one_class_is_none(tmp_path):
  table = make_table(tmp_path)
  column("animal", "owl")(table)
  with pytest.raises(InputError, match="one class only, 'owl'"):
    load(tmp_path, table, table__labels=[], table__classes="animal")
