"""The config of a run: `Sweep` and its parts, typed, frozen and checked."""

import dataclasses

from prunebias_jax.errors import InputError
from prunebias_jax.settings import Part, part, setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class Faces(Part):
  """Knobs of the procedural faces (data.name = faces)."""

  label_noise: float = setting(
    0.03, help="mean share of labels flipped, mostly near the boundary",
    unit="share of labels", low=0, below=0.5,
  )
  difficulty: float = setting(
    0.5, help="how gradually attributes fade in around their boundary, and how "
    "much clutter there is; 0 is clean and crisp", low=0, high=1,
  )
  linked_identity: str = setting(
    "", help="identity attribute whose correlation with linked_attribute is "
    "set; empty leaves the built-in correlations"
  )
  linked_attribute: str = setting(
    "", help="attribute whose correlation with linked_identity is set"
  )
  linked_correlation: float = setting(
    0.0, help="correlation of the two latent scores of linked_identity and "
    "linked_attribute", low=-0.95, high=0.95,
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
    "attributes", help="attributes (multi-label) or classes (ten digits)",
    choices=lambda: ("attributes", "classes"),
  )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Data(Part):
  """Which images, how many and at what size."""

  name: str = setting("faces", help="data set: faces or digits")
  size: int = setting(32, help="height and width of the images", unit="px", low=8)
  train: int = setting(
    8000, help="training examples; 0 takes the data set's own number", low=0
  )
  valid: int = setting(
    2000, help="validation examples; 0 takes the data set's own number", low=0
  )
  test: int = setting(
    2000, help="test examples; 0 takes the data set's own number", low=0
  )
  seed: int = setting(
    0, help="seed of a synthetic data set and of splits drawn here", low=0
  )
  identities: tuple[str, ...] = setting(
    (), help="identity attributes that define groups; empty takes the data "
    "set's own"
  )
  faces: Faces = part(Faces, help="knobs of faces")
  digits: Digits = part(Digits, help="knobs of digits")
