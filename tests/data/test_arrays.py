"""Data sets made of arrays, and views of them."""

import numpy as np
import pytest

from prunebias_jax import data
from prunebias_jax.config import Data, Execution, Model, Pruning, Sweep, Train
from prunebias_jax.data.dataset import Dataset
from prunebias_jax.data.views import with_labels
from prunebias_jax.errors import InputError
from prunebias_jax.training import sweep as training

COUNT = 12
SPLITS = np.array(["test", "train", "valid"] * 4)


def arrays(**changes):
  rng = np.random.default_rng(0)
  given = {
    "images": rng.integers(0, 256, (COUNT, 8, 8, 3), np.uint8),
    "labels": np.arange(COUNT * 2).reshape(COUNT, 2) % 3 % 2,
    "splits": SPLITS,
    "names": ["A", "B"],
    "identities": {"old": [0, 1] * 6, "camera": list("xyz") * 4},
    "ids": [f"img{one}" for one in range(COUNT)],
  }
  return given | changes


def test_arrays_are_dealt_to_their_splits():
  given = arrays()
  dataset = Dataset.from_arrays(**given)
  assert dataset.task == "multilabel"
  assert dataset.identity_names == ("old", "camera=x", "camera=y", "camera=z")
  for name, split in dataset.splits.items():
    chosen = name == SPLITS
    np.testing.assert_array_equal(split.images, given["images"][chosen])
    np.testing.assert_array_equal(split.labels, given["labels"][chosen])
    np.testing.assert_array_equal(split.ids, np.array(given["ids"])[chosen])
    camera = np.array(given["identities"]["camera"])[chosen]
    for place, value in enumerate("xyz", 1):
      np.testing.assert_array_equal(split.identities[:, place], camera == value)


def test_classes_gray_images_and_no_identities():
  dataset = Dataset.from_arrays(
    images=np.zeros((COUNT, 8, 8), np.uint8),
    labels=np.arange(COUNT) % 3,
    splits=SPLITS.tolist(),
    names=["cat", "dog", "owl"],
  )
  assert dataset.task == "multiclass"
  assert dataset.image_shape == (8, 8, 1)
  assert dataset.identity_names == ()
  assert dataset.splits["train"].ids.tolist() == ["1", "4", "7", "10"]


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    (
      {"labels": np.zeros(COUNT)},
      r"labels are float64 \(12,\); accepted: 0, 1",
    ),
    ({"labels": np.full((COUNT, 2), "a")}, r"labels are <U1 \(12, 2\)"),
    ({"labels": np.full((COUNT, 2), 0.5)}, "hold 0.5; accepted: 0, 1 and NaN"),
    ({"labels": np.full((COUNT, 2), np.inf)}, "hold inf; accepted: 0, 1 and"),
    ({"labels": [[0, 1]] * 11 + [[0]]}, "labels make no array: .*inhomogene"),
    ({"labels": 1}, r"labels are of shape \(\); accepted: one for each"),
    ({"labels": np.full((COUNT, 2), 257)}, "from 257 to 257, accepted are 0"),
    ({"labels": np.zeros((3, 2), int)}, "labels are 3 for 12 images"),
    ({"splits": ["trian"] * COUNT}, "unknown split 'trian'; accepted: train"),
    ({"splits": ["train"] * COUNT}, "valid split: no examples"),
    ({"ids": ["x"] * COUNT}, "'x' stands for more than one"),
    ({"identities": {"old": [1] * COUNT}}, "'old' is 1 in every example"),
    ({"identities": {"old": [1, None] * 6}}, "'old' has 6 empty cells of 12"),
    ({"identities": {"old": [None] * COUNT}}, "'old' is empty"),
    (
      {"images": [np.zeros((8, 8 + x % 2, 3), np.uint8) for x in range(COUNT)]},
      "images make no array: .*inhomogeneous",
    ),
    ({"images": {"train": []}}, "images of train; accepted: of train, valid"),
    ({"splits": SPLITS[:, None]}, r"splits are of shape \(12, 1\); accepted"),
    ({"identities": {"old": np.eye(COUNT)}}, r"'old' is of shape \(12, 12\)"),
    ({"identities": {"old": [0, 1]}}, "old are 2 for 12 images"),
  ],
)
def test_arrays_that_do_not_fit_are_refused(changes, message):
  with pytest.raises(InputError, match=message):
    Dataset.from_arrays(**arrays(**changes))


def test_a_view_keeps_examples_and_identities(dataset):
  view = with_labels(dataset, ("C", "A"))
  assert view.names == ("C", "A")
  for name, split in dataset.splits.items():
    np.testing.assert_array_equal(
      view.splits[name].labels, split.labels[:, [2, 0]]
    )
    np.testing.assert_array_equal(
      view.splits[name].truth["margin"], split.truth["margin"][:, [2, 0]]
    )
    assert view.splits[name].identities is split.identities
  assert with_labels(dataset, ("B",)).splits["test"].labels.shape == (12, 1)


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    ({"labels": ("Blond",)}, "unknown attribute in data.labels 'Blond'"),
    ({"labels": ("Even", "Even")}, "accepted: distinct names"),
    (
      {"labels": ("Even",), "digits.view": "classes"},
      "digits has exclusive classes",
    ),
    ({"name": "arrays"}, "handed over in Python"),
  ],
)
def test_views_that_cannot_be_had(changes, message):
  config = Data(name="digits", size=8)
  with pytest.raises(InputError, match=message):
    data.load(config.override(changes))


def test_a_data_set_of_arrays_is_trained(dataset, tmp_path):
  """And goes on with the same data only."""
  sweep = Sweep(
    seeds=(0,),
    sparsities=(0.0,),
    data=Data(labels=("B",)),
    model=Model(width=0.25),
    train=Train(epochs=1, batch=20, crop=0, flip=False),
    finetune=Train(epochs=1, batch=20),
    pruning=Pruning(start=0, end=1),
    execution=Execution(devices=1, mode="map"),
  )
  run = training.train(sweep, tmp_path, dataset=dataset)
  assert run.facts["sweep"]["data"]["name"] == "arrays"
  test = run.split("test")
  assert test["attribute"].to_numpy().tolist() == ["B"]
  assert test["identity"].to_numpy().tolist() == ["C"]
  assert test["logits"].shape == (1, 12, 1)
  again = training.train(sweep, tmp_path, dataset=dataset)
  assert again.facts["created"] == run.facts["created"]
  with pytest.raises(InputError, match=r"data\.name is 'arrays' there"):
    training.train(sweep, tmp_path)
