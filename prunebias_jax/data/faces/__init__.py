"""Procedural faces with CelebA's 40 attribute names and known ground truth.

Everything is drawn from `config.seed`: an example depends on the seed, its
split, its index there and the knobs, not on how many are made, and it is the
same face at every size. What is made is cached on disk.

Exports `load` and the attributes' names, `NAMES` and `IDENTITIES`.
"""

import functools
from pathlib import Path

import numpy as np

from prunebias_jax import config
from prunebias_jax.data import cache
from prunebias_jax.data.dataset import SPLITS, Dataset, Split
from prunebias_jax.data.faces import attributes, renderer, sampling, scene
from prunebias_jax.data.faces.attributes import IDENTITIES, NAMES
from prunebias_jax.errors import InputError, choose

__all__ = ["IDENTITIES", "NAMES", "load"]

# Raise it with every change that alters a pixel or a label, however little:
# it is part of the cache's key.
RENDERER_VERSION = 1

COUNTS = {"train": 8000, "valid": 2000, "test": 2000}

# Beyond this a face drowns in its clutter.
_HARDEST = 1.5


def load(data: config.Data) -> Dataset:
  """Makes the faces, or reads them from the cache.

  Args:
    data: counts (0 takes 8000, 2000, 2000), size (32, 64 or 128), seed,
      identities (any attributes; none takes `IDENTITIES`) and `data.faces`.

  Returns:
    The data set. Its labels carry the label noise; each split's `truth` holds
    `clean` (uint8, the label before noise), `margin` (float32, signed distance
    to the boundary in standard deviations of the latent score) and `flipped`
    (uint8), all [example, attribute]. Identities are the label columns of the
    same names.

  Raises:
    InputError: a size, a name or a link that cannot be had.
  """
  _check(data)
  names = data.identities or IDENTITIES
  columns = [attributes.INDEX[name] for name in names]
  splits = {}
  for number, split in enumerate(SPLITS):
    count = getattr(data, split) or COUNTS[split]
    made = cache.cached(
      f"faces-{split}-{data.size}",
      _key(data, split, count),
      functools.partial(_make, data, number, count),
    )
    labels = made["clean"] ^ made["flipped"]
    splits[split] = Split(
      images=made["images"],
      labels=labels,
      identities=labels[:, columns],
      ids=_ids(number, count),
      truth={name: made[name] for name in ("clean", "margin", "flipped")},
    )
  return Dataset(
    name="faces",
    task="multilabel",
    names=NAMES,
    identity_names=tuple(names),
    splits=splits,
  )


def _check(data: config.Data) -> None:
  """Raises InputError for what the fields' own bounds cannot refuse."""
  knobs = data.faces
  if data.size not in renderer.SIZES:
    raise InputError(f"data.size is {data.size}; faces accepts 32, 64, 128")
  for name in data.identities:
    choose(name, NAMES, "identity in data.identities")
  known = {*IDENTITIES, *data.identities}
  if knobs.hard_identity:
    choose(knobs.hard_identity, known, "identity in faces.hard_identity")
  if bool(knobs.hard_identity) != bool(knobs.hard_extra):
    raise InputError(
      "faces.hard_identity and hard_extra go together; "
      f"got {knobs.hard_identity!r}, {knobs.hard_extra}"
    )
  first, second = knobs.linked_identity, knobs.linked_attribute
  if first:
    choose(first, known, "identity in faces.linked_identity")
  if second:
    choose(second, NAMES, "attribute in faces.linked_attribute")
  if bool(first) != bool(second) or (knobs.linked_correlation and not first):
    raise InputError(
      "faces.linked_identity, linked_attribute and linked_correlation go "
      f"together; got {first!r}, {second!r}, {knobs.linked_correlation}"
    )
  if first and first == second:
    raise InputError(
      f"faces.linked_attribute is {second!r}, linked_identity itself"
    )
  if first and attributes.exclude_each_other(first, second):
    raise InputError(
      f"faces.linked_correlation of {first} and {second} cannot be had: "
      "they are never positive together"
    )


def _population(knobs: config.Faces) -> sampling.Population:
  link = None
  if knobs.linked_identity:
    link = (
      knobs.linked_identity,
      knobs.linked_attribute,
      knobs.linked_correlation,
    )
  return sampling.fit(label_noise=knobs.label_noise, link=link)


def _key(data: config.Data, split: str, count: int) -> dict[str, object]:
  """Everything that shapes pixels and labels of one split."""
  return {
    "renderer": RENDERER_VERSION,
    "platform": renderer.device().platform,
    "split": split,
    "count": count,
    "size": data.size,
    "seed": data.seed,
    "faces": data.faces.to_dict(),
  }


def _make(
  data: config.Data, number: int, count: int, _: Path
) -> dict[str, np.ndarray]:
  """Draws and renders one split."""
  population = _population(data.faces)
  blocks = [
    sampling.draw_block(population, (data.seed, number, i), len(scene.STYLES))
    for i in range(-(-count // sampling.BLOCK))
  ]
  drawn = sampling.Block(
    *(np.concatenate(parts)[:count] for parts in zip(*blocks, strict=True))
  )
  difficulty = np.full(count, data.faces.difficulty, np.float32)
  if data.faces.hard_identity:
    hard = drawn.clean[:, attributes.INDEX[data.faces.hard_identity]]
    difficulty += np.float32(data.faces.hard_extra) * hard
  images = renderer.render(
    margins=drawn.margins,
    style=drawn.style,
    grain=drawn.grain,
    difficulty=np.minimum(difficulty, np.float32(_HARDEST)),
    size=data.size,
  )
  return {
    "images": images,
    "clean": drawn.clean,
    "margin": drawn.margins,
    "flipped": drawn.flipped,
  }


def _ids(number: int, count: int) -> np.ndarray:
  """Ids of a split; splits take turns, so that none depends on a count."""
  return np.array(
    [f"face-{len(SPLITS) * i + number:07d}" for i in range(count)]
  )
