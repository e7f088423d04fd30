"""Windows of scaled pictures, against Pillow and plain slicing."""

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image
import pytest

from prunebias_jax import data
from prunebias_jax.config import Data, Pruning, Sweep, Train
from prunebias_jax.data.augment import Augment
from prunebias_jax.data.dataset import Dataset
from prunebias_jax.data.markers import mark, shown
from prunebias_jax.data.window import Window
from prunebias_jax.errors import InputError

RNG = np.random.default_rng(0)
SMALL = Window(shorter=20, size=16)
# Random pixels, so that a window tells its place.
PICTURE = RNG.integers(0, 256, (22, 18, 3), np.uint8)


def scaled(image, window):
  """The picture as Pillow scales it."""
  height, width = window.scaled(*image.shape[:2])
  picture = Image.fromarray(image)
  return np.asarray(picture.resize((width, height), Image.Resampling.BILINEAR))


@pytest.mark.parametrize(
  ("shape", "shorter", "size", "expected"),
  [
    ((218, 178), 256, 224, (313, 256)),  # CelebA's: 44 rows above, 45 below
    ((22, 18), 20, 16, (24, 20)),
    ((47, 30), 30, 30, (47, 30)),  # not scaled
    ((100, 75), 32, 32, (42, 32)),  # smaller, with antialiasing
    ((60, 130), 32, 24, (32, 69)),
    ((9, 70), 32, 32, (32, 248)),
  ],
)
def test_the_middle_is_pillows_bit_for_bit(shape, shorter, size, expected):
  window = Window(shorter=shorter, size=size)
  assert window.scaled(*shape) == expected
  images = RNG.integers(0, 256, (2, *shape, 3), np.uint8)
  found = window.middle(images)
  # As torchvision's CenterCrop places it.
  top, left = (round((side - size) / 2) for side in expected)
  for image, seen in zip(images, found, strict=True):
    whole = scaled(image, window)
    part = whole[top : top + size, left : left + size]
    np.testing.assert_array_equal(seen, part)
  on_device = jax.jit(window.middle)(jnp.asarray(images))
  np.testing.assert_array_equal(on_device, found)


def places(seen, image, window):
  """(top, left, mirrored) of every place where a window could be cut."""
  size = window.size
  views = np.lib.stride_tricks.sliding_window_view(
    scaled(image, window), (size, size), axis=(0, 1)
  ).transpose(0, 1, 3, 4, 2)
  return [
    (int(top), int(left), mirrored)
    for mirrored in (False, True)
    for top, left in np.argwhere(
      (views == (seen[:, ::-1] if mirrored else seen)).all((2, 3, 4))
    )
  ]


@pytest.fixture(scope="module")
def cut():
  """Gives 1,600 windows of `PICTURE` by a seed."""
  images = jnp.asarray(np.stack([PICTURE] * 1600))
  program = jax.jit(Augment(flip=True, crop=0, window=SMALL))
  return lambda seed: np.asarray(program(jax.random.key(seed), images))


@pytest.fixture(scope="module")
def drawn(cut):
  """Where they were cut, of 24 x 20."""
  return [places(seen, PICTURE, SMALL) for seen in cut(3)]


def test_every_window_is_one_of_pillows(drawn):
  assert all(len(found) == 1 for found in drawn)


def test_places_and_mirroring_are_uniform(drawn):
  """Nine tops, five lefts, mirrored or not; 17.8 expected of each."""
  counts = np.zeros((9, 5, 2))
  for ((top, left, mirrored),) in drawn:
    counts[top, left, int(mirrored)] += 1
  expected = len(drawn) / counts.size
  statistic = ((counts - expected) ** 2 / expected).sum()
  # Chi square of 89 degrees of freedom: .999 quantile.
  assert statistic < 135.98
  assert counts.min() > 0


def test_a_picture_that_shrinks_is_cut_at_random_too():
  image = RNG.integers(0, 256, (50, 41, 3), np.uint8)
  augment = Augment(flip=False, crop=0, window=SMALL)
  images = jnp.asarray(np.stack([image] * 8))
  found = np.asarray(jax.jit(augment)(jax.random.key(0), images))
  cut = [places(seen, image, SMALL) for seen in found]
  assert all(len(one) == 1 and not one[0][2] for one in cut)
  assert len({one[0] for one in cut}) > 4


def test_only_the_key_decides(cut):
  one, two, again = map(cut, (1, 2, 1))
  np.testing.assert_array_equal(one, again)
  assert np.any(one != two)


@pytest.mark.parametrize("kind", ["grayscale", "yellow_square"])
def test_gray_before_and_squares_after_the_window_is_cut(kind):
  images = np.stack([PICTURE] * 4)
  marks = np.array([1, 0, 1, 0], np.uint8)
  key = jax.random.key(5)
  cut = jax.jit(Augment(flip=True, crop=0, window=SMALL, marker=kind))
  found = cut(key, jnp.asarray(images), jnp.asarray(marks))
  if kind == "grayscale":
    expected = cut(key, jnp.asarray(mark(kind, images, marks)))
  else:
    expected = mark(kind, np.asarray(cut(key, jnp.asarray(images))), marks)
    assert (expected[0, :2, :2] == (255, 255, 0)).all()  # round(sqrt(.02) * 16)
  np.testing.assert_array_equal(found, expected)


def arrays(count=12, shape=(22, 18, 3)):
  return Dataset.from_arrays(
    images=RNG.integers(0, 256, (count, *shape), np.uint8),
    labels=np.arange(count * 2).reshape(count, 2) % 3 % 2,
    splits=["test", "train", "valid"] * (count // 3),
    names=["A", "B"],
  )


CONFIG = Data(name="arrays", size=16, resize="device", resize_to=20)


@pytest.mark.parametrize("kind", ["none", "grayscale", "yellow_square"])
def test_what_is_shown_is_what_networks_see(kind):
  plain = arrays()
  marker = {"kind": kind, "attribute": "" if kind == "none" else "A"}
  config = CONFIG.override({f"marker.{x}": one for x, one in marker.items()})
  dataset = data.viewed(plain, config)
  assert dataset.stored_shape == (22, 18, 3)
  assert dataset.image_shape == (16, 16, 3)
  assert dataset.fingerprint() != plain.fingerprint()
  split = dataset.splits["test"]
  for row, seen in enumerate(shown(dataset, "test", slice(None))):
    image = split.images[row]
    marked = kind != "none" and split.marked[row]
    if marked and kind == "grayscale":
      gray = Image.fromarray(image).convert("L").convert("RGB")
      image = np.asarray(gray)
    expected = scaled(image, SMALL)[4:20, 2:18].copy()
    if marked and kind == "yellow_square":
      expected[:2, :2] = (255, 255, 0)
    np.testing.assert_array_equal(seen, expected)


def test_pictures_of_one_shape_only():
  small = arrays().splits["valid"]
  splits = {**arrays(shape=(22, 19, 3)).splits, "valid": small}
  with pytest.raises(
    InputError,
    match=r"such as '2', are 22 x 18 x 3, those of train 22 x 19 x 3",
  ):
    Dataset(
      name="x",
      task="multilabel",
      names=("A", "B"),
      identity_names=(),
      splits=splits,
    )


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    (
      {"resize_to": 15},
      r"resize_to is 15; accepted: data.size \(16\) and more",
    ),
    ({"resize": "host"}, "resize_to is 20 with data.resize host; accepted: 0"),
    ({"resize": "gpu"}, "data.resize is 'gpu'; accepted: host, device"),
    ({"resize_to": -1}, r"accepted: \[0, inf\)"),
  ],
)
def test_settings_that_cannot_be_had(changes, message):
  with pytest.raises(InputError, match=message):
    CONFIG.override(changes)


@pytest.mark.parametrize("name", data.DRAWN)
def test_what_is_drawn_has_no_size_of_its_own(name):
  message = f"'device', but {name} are made at data.size; accepted: host"
  with pytest.raises(InputError, match=message):
    data.load(CONFIG.override({"name": name}))


def test_the_shorter_side_is_256_for_224():
  assert CONFIG.override({"resize_to": 0, "size": 224}).shorter == 256


@pytest.mark.parametrize(("regime", "phases"), [("gmp-ri", 1), ("gmp-pt", 2)])
def test_shifts_are_refused_beside_windows(regime, phases):
  parts = {"data": CONFIG, "pruning": Pruning(regime=regime)}
  still = Train(crop=0)
  shifted = [Sweep, lambda **x: Sweep(**x, train=still)][:phases]
  for make, name in zip(shifted, ("train", "finetune"), strict=False):
    with pytest.raises(InputError, match=f"{name}.crop is 2; accepted with"):
      make(**parts)
  finetune = {"finetune": still} if phases == 2 else {}
  assert Sweep(**parts, train=still, **finetune).train.crop == 0
