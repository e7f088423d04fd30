"""Handwritten digits: 1,797 real images of 8 x 8 pixels from scikit-learn.

Two views. `attributes` is multi-label: properties of the digit, and two
properties of the handwriting that are measured from the picture and serve as
identity attributes. `classes` is multi-class: the ten digits.

Reference: Alpaydin & Kaynak 1998, "Optical Recognition of Handwritten Digits",
UCI Machine Learning Repository.
"""

import numpy as np

from prunebias_jax.config import Data
from prunebias_jax.data.dataset import Dataset, Split
from prunebias_jax.errors import InputError

# Which digits have the attribute, as they are usually written.
DIGITS_WITH = {
  "Even": (0, 2, 4, 6, 8),
  "Prime": (2, 3, 5, 7),
  "At_Least_Five": (5, 6, 7, 8, 9),
  "Closed_Loop": (0, 6, 8, 9),
  "Straight_Strokes": (1, 4, 7),
  "Multiple_Of_Three": (0, 3, 6, 9),
}
IDENTITIES = ("Bold", "Slanted")
BOLD_SHARE = 0.15  # the boldest 15 %: an under-represented group
SLANT_SHARE = 0.25  # the quarter that leans furthest to the right
SIZES = (8, 16, 32)
VALID = TEST = 360  # a fifth each; the rest trains


def load(config: Data) -> Dataset:
  """Loads the digits in the view that `config.digits.view` names.

  Args:
    config: size (8, 16 or 32 px), numbers of examples, seed of the split and
      identities.

  Raises:
    InputError: a size, count or identity that the digits do not have.
  """
  if config.size not in SIZES:
    raise InputError(
      f"data.size is {config.size}; digits come in {', '.join(map(str, SIZES))}"
    )
  names = config.identities or IDENTITIES
  for name in names:
    if name not in IDENTITIES:
      raise InputError(
        f"unknown identity {name!r}; digits have {', '.join(IDENTITIES)}"
      )
  # Imported where used: no other data set needs scikit-learn.
  from sklearn.datasets import load_digits

  pictures, digits = load_digits(return_X_y=True)
  pictures = pictures.reshape(-1, 8, 8)
  images = _resize(pictures, config.size)
  handwriting = np.stack([_bold(pictures), _slanted(pictures)], 1)
  identities = handwriting[:, [IDENTITIES.index(name) for name in names]]
  if config.digits.view == "attributes":
    outputs = (*DIGITS_WITH, *IDENTITIES)
    of_digit = [np.isin(digits, found) for found in DIGITS_WITH.values()]
    labels = np.column_stack([*of_digit, handwriting]).astype(np.uint8)
  else:
    outputs = tuple(str(digit) for digit in range(10))
    labels = digits.astype(np.int32)
  ids = np.array([f"digit-{index:04d}" for index in range(len(digits))])
  parts = _split(len(digits), config)
  return Dataset(
    name="digits",
    task="multilabel" if config.digits.view == "attributes" else "multiclass",
    names=outputs,
    identity_names=tuple(names),
    splits={
      split: Split(
        images=images[index],
        labels=labels[index],
        identities=identities[index],
        ids=ids[index],
      )
      for split, index in parts.items()
    },
  )


def _split(count: int, config: Data) -> dict[str, np.ndarray]:
  """Example indices of each split, drawn without replacement."""
  valid, test = config.valid or VALID, config.test or TEST
  train = config.train or count - valid - test
  if train + valid + test > count or train <= 0:
    raise InputError(
      f"data.train, valid and test ask for {train}, {valid} and {test} "
      f"examples; digits have {count} in all"
    )
  order = np.random.default_rng(config.seed).permutation(count)
  ends = np.cumsum([train, valid, test])
  parts = np.split(order[: ends[-1]], ends[:-1])
  return dict(zip(("train", "valid", "test"), parts, strict=True))


def _resize(pictures: np.ndarray, size: int) -> np.ndarray:
  """Ink 0 to 16 as uint8 [example, size, size, 1], enlarged bilinearly."""
  pixels = np.rint(pictures * (255 / 16)).astype(np.uint8)
  if size == pixels.shape[1]:
    return pixels[..., None]
  from PIL import Image

  enlarged = [
    np.asarray(
      Image.fromarray(one).resize((size, size), Image.Resampling.BILINEAR)
    )
    for one in pixels
  ]
  return np.stack(enlarged)[..., None]


def _bold(pictures: np.ndarray) -> np.ndarray:
  """Whether a picture is among the `BOLD_SHARE` with the most ink."""
  ink = pictures.sum((1, 2))
  return (ink > np.quantile(ink, 1 - BOLD_SHARE)).astype(np.uint8)


def _slanted(pictures: np.ndarray) -> np.ndarray:
  """Whether a picture is among the `SLANT_SHARE` that lean most to the right.

  The slant is the shear that image moments see: minus the covariance of x and y
  over the variance of y, weighted by ink.
  """
  rows, columns = np.mgrid[:8, :8]
  ink = pictures.sum((1, 2))
  y = rows - ((pictures * rows).sum((1, 2)) / ink)[:, None, None]
  x = columns - ((pictures * columns).sum((1, 2)) / ink)[:, None, None]
  slant = -(pictures * x * y).sum((1, 2)) / (pictures * y * y).sum((1, 2))
  return (slant > np.quantile(slant, 1 - SLANT_SHARE)).astype(np.uint8)
