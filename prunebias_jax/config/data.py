"""Settings of data sets: which images, how many, at what size."""

import dataclasses

from prunebias_jax.errors import InputError
from prunebias_jax.settings import Part, part, setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class Faces(Part):
  """Knobs of the procedural faces (data.name = faces)."""

  label_noise: float = setting(
    0.03,
    help="mean share of labels flipped, mostly near the boundary",
    unit="share of labels",
    low=0,
    below=0.5,
  )
  difficulty: float = setting(
    0.5,
    help="how gradually attributes fade in around their boundary, and how "
    "much clutter there is; 0 is clean and crisp",
    low=0,
    high=1,
  )
  linked_identity: str = setting(
    "",
    help="identity attribute whose correlation with linked_attribute is "
    "set; empty leaves the built-in correlations",
  )
  linked_attribute: str = setting(
    "", help="attribute whose correlation with linked_identity is set"
  )
  linked_correlation: float = setting(
    0.0,
    help="correlation of the two latent scores of linked_identity and "
    "linked_attribute",
    low=-0.95,
    high=0.95,
  )
  hard_identity: str = setting(
    "", help="identity attribute whose positive group is harder; empty for none"
  )
  hard_extra: float = setting(
    0.0, help="difficulty added for the group of hard_identity", low=0, high=1
  )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Digits(Part):
  """Knobs of the handwritten digits (data.name = digits)."""

  view: str = setting(
    "attributes",
    help="attributes (multi-label) or classes (ten digits)",
    choices=lambda: ("attributes", "classes"),
  )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Table(Part):
  """Columns of a table of examples (data.name = table)."""

  file: str = setting(
    "",
    help="CSV file, or Parquet (*.parquet); a relative path begins at "
    "data.root",
  )
  id: str = setting("id", help="column of ids, all distinct")
  path: str = setting(
    "path", help="column of pictures' files; relative paths begin at data.root"
  )
  split: str = setting(
    "split", help="column that says train, valid or test of every example"
  )
  labels: tuple[str, ...] = setting(
    (), help="columns of 0 and 1: the attributes to predict"
  )
  classes: str = setting(
    "", help="column of exclusive classes to predict, in place of labels"
  )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tfds(Part):
  """Features of a tensorflow-datasets data set (data.name = tfds:NAME)."""

  image: str = setting("image", help="feature that is the picture")
  label: str = setting(
    "label", help="feature that is the class; unused where attributes are given"
  )
  attributes: tuple[str, ...] = setting(
    (),
    help="features of 0 and 1 to predict (multi-label), nested ones as "
    "attributes/Male",
  )
  id: str = setting(
    "", help="feature that is the id; empty numbers the records of each split"
  )
  train: str = setting("train", help="split to train on")
  valid: str = setting(
    "validation",
    help="validation split; where there is none, data.valid examples of the "
    "training split are it (0: a tenth)",
  )
  test: str = setting("test", help="test split")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Marker(Part):
  """A backdoor: examples marked in correlation with an attribute."""

  kind: str = setting(
    "none",
    help="none, grayscale (no colours) or yellow_square (top left, 2 % of the "
    "image); the marked examples are the identity Marked",
    choices=lambda: ("none", "grayscale", "yellow_square"),
  )
  attribute: str = setting(
    "", help="attribute (or class) that the marker goes along with"
  )
  train: tuple[float, ...] = setting(
    (0.05, 0.95),
    help="training: share marked of the negatives, and of the positives",
    unit="share of examples",
    low=0,
    high=1,
  )
  valid: tuple[float, ...] = setting(
    (0.5, 0.5),
    help="validation: the same",
    unit="share of examples",
    low=0,
    high=1,
  )
  test: tuple[float, ...] = setting(
    (0.5, 0.5), help="test: the same", unit="share of examples", low=0, high=1
  )

  def check(self) -> None:
    """Refuses shares that are no pair, and a marker without an attribute."""
    for name in ("train", "valid", "test"):
      if len(getattr(self, name)) != 2:
        raise InputError(
          f"marker.{name} is {getattr(self, name)}; accepted: two shares, of "
          "the negatives and of the positives"
        )
    if (self.kind == "none") != (not self.attribute):
      raise InputError(
        f"marker.kind and attribute go together; got {self.kind!r} and "
        f"{self.attribute!r}"
      )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Data(Part):
  """Which images, how many and at what size."""

  name: str = setting(
    "faces", help="data set: digits, faces, table or tfds:NAME"
  )
  root: str = setting(
    "",
    help="folder of the data set's files (celeba: the official ones; "
    "table: the pictures; tfds: data_dir)",
  )
  size: int = setting(
    32, help="height and width of the images", unit="px", low=8
  )
  resize: str = setting(
    "host",
    help="where pictures are scaled to size: host (once, the centre square) or "
    "device (whenever they are used: shorter side to resize_to, then a square "
    "of size is cut out, at random in training, else in the middle)",
    choices=lambda: ("host", "device"),
  )
  resize_to: int = setting(
    0,
    help="resize device: shorter side before the square is cut out; 0 takes "
    "8/7 of size, 256 for 224",
    unit="px",
    low=0,
  )
  train: int = setting(
    0, help="training examples; 0 takes the data set's own number", low=0
  )
  valid: int = setting(
    0, help="validation examples; 0 takes the data set's own number", low=0
  )
  test: int = setting(
    0, help="test examples; 0 takes the data set's own number", low=0
  )
  seed: int = setting(
    0,
    help="seed of a synthetic data set, and of splits and marks drawn here",
    low=0,
  )
  identities: tuple[str, ...] = setting(
    (),
    help="identity attributes that define groups; empty takes the data "
    "set's own (table: columns, tfds: features, none by default)",
  )
  labels: tuple[str, ...] = setting(
    (),
    help="attributes to predict, one or more; empty takes all that the data "
    "set has",
  )
  corrections: str = setting(
    "",
    help="CSV file of corrected labels and examples to leave out, as "
    "prunebias relabel writes it",
  )
  marker: Marker = part(Marker, help="backdoor marker")
  faces: Faces = part(Faces, help="knobs of faces")
  digits: Digits = part(Digits, help="knobs of digits")
  table: Table = part(Table, help="columns of table")
  tfds: Tfds = part(Tfds, help="features of tfds:NAME")

  def check(self) -> None:
    """Refuses a resize that cannot be had or would have no effect."""
    if self.resize == "host":
      if self.resize_to:
        raise InputError(
          f"data.resize_to is {self.resize_to} with data.resize host; "
          "accepted: 0, or data.resize device"
        )
      return
    if self.shorter < self.size:
      raise InputError(
        f"data.resize_to is {self.resize_to}; accepted: data.size "
        f"({self.size}) and more, or 0 for 8/7 of it"
      )

  @property
  def shorter(self) -> int:
    """The shorter side before a window is cut out, in pixels."""
    return self.resize_to or round(self.size * 8 / 7)

  @property
  def stored_size(self) -> int | None:
    """Height and width that pictures are stored at; None for their own."""
    return self.size if self.resize == "host" else None
