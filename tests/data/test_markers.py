"""Backdoor markers: who is marked, what marks look like, both data paths."""

import dataclasses

from hypothesis import given, settings
from hypothesis import strategies as st
import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image
import pytest
from splits import make_split

from prunebias_jax import data, store
from prunebias_jax.config import (
  Data,
  Execution,
  Marker,
  Model,
  Pruning,
  Sweep,
  Train,
)
from prunebias_jax.data.augment import Augment, normalise
from prunebias_jax.data.dataset import Dataset, Split, compact_labels
from prunebias_jax.data.markers import mark, shown, square_side, with_marker
from prunebias_jax.errors import InputError
from prunebias_jax.training import sweep as training

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 9, 9, 3), np.uint8)
MARKED = np.array([0, 1, 1, 0, 1, 0], np.uint8)
MARKER = Marker(kind="yellow_square", attribute="B")


@pytest.fixture(scope="module")
def colours():
  """Random images of three channels."""
  return Dataset(
    name="colours",
    task="multilabel",
    names=("A", "B", "C"),
    identity_names=("C",),
    splits={
      name: make_split(count, name, channels=3)
      for name, count in (("train", 101), ("valid", 31), ("test", 40))
    },
  )


@pytest.mark.parametrize("seed", [0, 1])
def test_exact_counts_and_untouched_labels(colours, seed):
  found = with_marker(colours, MARKER, seed)
  assert found.identity_names == ("C", "Marked")
  for name, split in found.splits.items():
    before = colours.splits[name]
    assert split.labels is before.labels
    assert split.images is before.images
    np.testing.assert_array_equal(
      split.identities[:, 0], before.identities[:, 0]
    )
    np.testing.assert_array_equal(split.identities[:, 1], split.marked)
    for value, share in enumerate(getattr(MARKER, name)):
      rows = before.labels[:, 1] == value
      assert split.marked[rows].sum() == round(share * rows.sum())


def test_draws_follow_seed_and_split(colours):
  def marks(seed, splits=colours.splits):
    dataset = dataclasses.replace(colours, splits=splits)
    found = with_marker(dataset, MARKER, seed).splits
    return {name: split.marked.tolist() for name, split in found.items()}

  assert marks(3) == marks(3)
  assert all(marks(3)[name] != marks(4)[name] for name in colours.splits)
  # Another split's examples change nothing.
  longer = {**colours.splits, "train": make_split(90, "train", channels=3)}
  assert marks(3, longer)["valid"] == marks(3)["valid"]


SHARES = st.floats(0, 1)


@settings(max_examples=30, deadline=None)
@given(
  counts=st.tuples(*[st.integers(1, 40)] * 3),
  shares=st.tuples(*[st.tuples(SHARES, SHARES)] * 3),
  unknown=st.sampled_from([0.0, 0.4]),
  seed=st.integers(0, 2**31),
)
def test_any_shares_are_met_exactly(counts, shares, unknown, seed):
  rng = np.random.default_rng(seed)
  splits = {}
  for name, count in zip(store.SPLITS, counts, strict=True):
    labels = rng.integers(0, 2, (count, 2)).astype(np.float32)
    labels[rng.random(labels.shape) < unknown] = np.nan
    splits[name] = Split(
      images=np.zeros((count, 3, 3, 3), np.uint8),
      labels=compact_labels(labels),
      identities=np.zeros((count, 0), np.uint8),
      ids=np.array([f"{name}{one}" for one in range(count)]),
    )
  dataset = Dataset(
    name="any",
    task="multilabel",
    names=("A", "B"),
    identity_names=(),
    splits=splits,
  )
  train, valid, test = shares
  marker = MARKER.override({"train": train, "valid": valid, "test": test})
  found, again = (with_marker(dataset, marker, seed).splits for _ in range(2))
  for (name, split), pair in zip(found.items(), shares, strict=True):
    labels = splits[name].labels
    assert split.labels is labels
    np.testing.assert_array_equal(split.marked, again[name].marked)
    for value, share in enumerate(pair):
      rows = labels[:, 1] == value
      assert split.marked[rows].sum() == round(share * rows.sum())
    assert not split.marked[np.isnan(labels[:, 1])].any()


@given(size=st.integers(1, 300))
def test_the_square_has_its_share_of_the_area(size):
  side = square_side(size)
  assert side == round(0.02**0.5 * size)
  assert abs(side - 0.02**0.5 * size) <= 0.5


def test_a_class_can_be_the_target(colours):
  classes = dataclasses.replace(
    colours,
    task="multiclass",
    splits={
      name: make_split(50, name, channels=3, classes=3)
      for name in colours.splits
    },
  )
  marker = Marker(kind="grayscale", attribute="B", train=(0, 1))
  train = with_marker(classes, marker, 0).splits["train"]
  np.testing.assert_array_equal(train.marked, train.labels == 1)


def test_grayscale_is_pillows():
  found = mark("grayscale", IMAGES, MARKED)
  for image, marked, out in zip(IMAGES, MARKED, found, strict=True):
    gray = Image.fromarray(image).convert("L").convert("RGB")
    np.testing.assert_array_equal(out, np.asarray(gray) if marked else image)


@pytest.mark.parametrize(("size", "side"), [(224, 32), (32, 5), (178, 25)])
def test_the_square_is_yellow_and_top_left(size, side):
  images = np.full((2, size, size, 3), 7, np.uint8)
  found = np.asarray(normalise(mark("yellow_square", images, np.array([1, 0]))))
  assert (found[0, :side, :side] == [1, 1, -1]).all()
  rest = np.ones((size, size), bool)
  rest[:side, :side] = False
  assert (found[0][rest] == found[1, 0, 0]).all()
  assert (found[1] == found[1, 0, 0]).all()


@pytest.mark.parametrize("kind", ["grayscale", "yellow_square"])
def test_marks_are_put_on_after_augmentation(kind):
  """Which for grayscale is the same as before."""
  key = jax.random.key(0)
  augment = Augment(flip=True, crop=2, marker=kind)
  found = np.asarray(augment(key, jnp.asarray(IMAGES), jnp.asarray(MARKED)))
  plain = np.asarray(augment(key, jnp.asarray(IMAGES)))
  np.testing.assert_array_equal(found, mark(kind, plain, MARKED))
  assert (found != plain).any((1, 2, 3)).tolist() == MARKED.astype(
    bool
  ).tolist()
  if kind == "grayscale":
    before = augment(key, jnp.asarray(mark(kind, IMAGES, MARKED)))
    np.testing.assert_array_equal(found, before)


SWEEP = Sweep(
  seeds=(0,),
  sparsities=(0.0, 0.5),
  data=Data(labels=("B",), marker=MARKER, seed=5),
  model=Model(width=0.25),
  train=Train(epochs=2, batch=20, crop=1, warmup=0),
  finetune=Train(batch=20),
  pruning=Pruning(start=1, end=2),
  execution=Execution(devices=1, mode="map", data="resident", eval_batch=9),
)


@pytest.mark.slow
def test_resident_and_streamed_runs_are_equal_and_marked(colours, tmp_path):
  one = training.train(SWEEP, tmp_path / "resident", dataset=colours)
  other = training.train(
    SWEEP.override({"execution.data": "streamed"}),
    tmp_path / "streamed",
    dataset=colours,
  )
  plain = training.train(
    SWEEP.override({"data.marker.kind": "none", "data.marker.attribute": ""}),
    tmp_path / "plain",
    dataset=colours,
  )
  for name in store.EVALUATED:
    logits = one.split(name)["logits"].to_numpy()
    np.testing.assert_array_equal(logits, other.split(name)["logits"])
    assert (logits != plain.split(name)["logits"].to_numpy()).any()
    stored = one.split(name)
    marked = with_marker(colours, MARKER, 5).splits[name].marked
    np.testing.assert_array_equal(
      stored["identities"].sel(identity="Marked"), marked
    )
  expected = shown(with_marker(colours, MARKER, 5), "test", slice(24))
  np.testing.assert_array_equal(one.samples(), expected)
  assert (expected[:, 0, 0] == [255, 255, 0]).all(1).sum() > 5


def test_marks_are_part_of_the_fingerprint(colours):
  prints = {
    with_marker(colours, marker, seed).fingerprint()
    for marker in (MARKER, Marker(kind="grayscale", attribute="B"))
    for seed in (0, 1)
  }
  assert len(prints | {colours.fingerprint()}) == 5


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    ({"attribute": "Hair"}, "attribute in data.marker.attribute 'Hair'"),
    ({"attribute": ""}, "marker.kind and attribute go together"),
    ({"kind": "none"}, "marker.kind and attribute go together"),
    ({"train": (0.1,)}, "two shares, of the negatives and of the positives"),
    ({"test": (0.1, 1.1)}, r"marker.test is 1.1; accepted: \[0, 1\]"),
    ({"kind": "red"}, "accepted: none, grayscale, yellow_square"),
  ],
)  # fmt: skip
def test_markers_that_cannot_be_had(colours, changes, message):
  with pytest.raises(InputError, match=message):
    with_marker(colours, MARKER.override(changes), 0)


def test_gray_images_have_no_markers():
  marker = {"kind": "grayscale", "attribute": "Even"}
  config = Data(name="digits", size=8).override(
    {f"marker.{name}": value for name, value in marker.items()}
  )
  with pytest.raises(InputError, match="images of digits have no colours"):
    data.load(config)
