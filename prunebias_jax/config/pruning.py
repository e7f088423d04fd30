"""Settings of pruning: what, how much and when."""

import dataclasses
import re
from typing import NamedTuple

from prunebias_jax.errors import InputError
from prunebias_jax.settings import Part, setting

CRITERIA = ("magnitude", "random", "saliency")
REGIMES = ("gmp-ri", "gmp-pt", "one-shot", "from-scratch", "rewind", "rigl")

# Regimes that update masks by a schedule, and the phase of training in which.
UPDATED_DURING = {"gmp-ri": "train", "gmp-pt": "finetune", "rigl": "train"}

# Regimes that train dense and then again by the settings of `finetune`.
FINETUNED = ("gmp-pt", "one-shot")

# Settings that only some regimes read. one-shot reads no schedule either, but
# runs are recorded that hold one.
_SCHEDULED = ("gmp-ri", "gmp-pt", "one-shot")
_PRUNES = tuple(one for one in REGIMES if one != "rigl")
_READ_BY = {
  "shared_dense_parent": FINETUNED,
  "start": (*_SCHEDULED, "rigl"),
  "every": (*_SCHEDULED, "rigl"),
  "end": (*_SCHEDULED, "rigl"),
  "initial": _SCHEDULED,
  "schedule": _SCHEDULED,
  "unit": ("gmp-ri", "gmp-pt", "rewind", "rigl"),
  "rewind": ("rewind",),
  "regrow": ("rigl",),
  "criterion": _PRUNES,
  "structure": _PRUNES,
}


class Pattern(NamedTuple):
  """N:M, as 2:4: of every `group` consecutive inputs, `kept` stay."""

  kept: int
  group: int

  @property
  def sparsity(self) -> float:
    """Share of the weights that whole groups lose."""
    return 1 - self.kept / self.group


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pruning(Part):
  """Which weights are pruned, and when.

  Masks are updated at the beginning of the epochs (or steps) start, start +
  every, ... below end; sparsity follows a cubic and the last update reaches the
  level. gmp-ri prunes while training from random initialisation. gmp-pt trains
  dense first and prunes during `finetune`, whose epochs are then counted here.
  one-shot trains dense, prunes once and fine-tunes. from-scratch makes the
  masks once before the first step. rewind trains dense, prunes once, goes back
  to the weights of an early epoch and trains again from there. rigl has random
  masks from the beginning; its updates drop weights and grow as many.
  """

  regime: str = setting(
    "gmp-ri",
    help="gmp-ri (prune while training), gmp-pt (train dense, then prune while "
    "fine-tuning), one-shot (train dense, prune at once, fine-tune), "
    "from-scratch (prune the initial weights, train), rewind (train dense, "
    "prune at once, back to early weights, train again) or rigl (random masks; "
    "while training drop by magnitude, grow by gradient)",
    choices=lambda: REGIMES,
  )
  shared_dense_parent: bool = setting(
    False,
    help="gmp-pt and one-shot: all seeds start from the dense member of the "
    "first seed, not each from its own",
  )

  unit: str = setting(
    "epochs",
    help="what start, every, end and rewind count: epochs, or steps",
    choices=lambda: ("epochs", "steps"),
  )
  start: int = setting(
    2, help="the first mask update", unit="epochs or steps", low=0
  )
  every: int = setting(
    1, help="time between mask updates", unit="epochs or steps", low=1
  )
  end: int = setting(
    8, help="mask updates stop before this", unit="epochs or steps", low=1
  )
  initial: float = setting(
    0.05,
    help="sparsity at the first update",
    unit="share of weights",
    low=0,
    below=1,
  )
  rewind: int = setting(
    1,
    help="regime rewind: how much of the dense training the weights keep when "
    "they go back; 0 is back to the initial weights",
    unit="epochs or steps",
    low=0,
  )
  regrow: float = setting(
    0.3,
    help="regime rigl: how many of the kept weights move at first; falls to 0 "
    "at pruning.end along a cosine",
    unit="share of weights",
    low=0,
    high=1,
  )
  criterion: str = setting(
    "magnitude",
    help="which weights go first: magnitude (the smallest), random (drawn from "
    "the member's seed) or saliency (those whose loss the loss feels least: "
    "|weight * gradient|)",
    choices=lambda: CRITERIA,
  )
  scoring_examples: int = setting(
    0,
    help="criterion saliency and regime rigl: training examples that the "
    "gradient is taken on, drawn by data.seed for all members; up to a batch "
    "or a multiple of it, 0 for a batch",
    unit="examples",
    low=0,
  )
  structure: str = setting(
    "unstructured",
    help="what is pruned together: unstructured (single weights), N:M such as "
    "2:4 (N of every M consecutive inputs are kept) or channels (whole output "
    "channels; sparsities are then shares of channels)",
  )
  schedule: str = setting(
    "cubic",
    help="sparsity from the first mask update to the last: cubic (rises from "
    "initial) or constant (the final one at once)",
    choices=lambda: ("cubic", "constant"),
  )
  allocation: str = setting(
    "global",
    help="how the sparsity is spread over layers: global (all layers are "
    "compared with each other), uniform (the same share of every layer) or "
    "erk (Erdos-Renyi-kernel: small layers stay denser)",
    choices=lambda: ("global", "uniform", "erk"),
  )
  exclude: tuple[str, ...] = setting(
    (),
    help="layers that are never pruned nor counted: patterns over the paths "
    "of kernels, such as head/kernel or */shortcut/* (* stands for anything)",
  )

  @property
  def pattern(self) -> Pattern | None:
    """The pattern of an N:M structure; None for other structures."""
    found = re.fullmatch("([0-9]+):([0-9]+)", self.structure)
    return Pattern(int(found[1]), int(found[2])) if found else None

  @property
  def scored_by(self) -> str:
    """The criterion by which masks are made."""
    return "random" if self.regime == "rigl" else self.criterion

  def at_once(self) -> "Pruning":
    """The same pruning with a single mask update, at the beginning."""
    kept = {
      field.name: getattr(self, field.name)
      for field in dataclasses.fields(self)
      if "one-shot" in _READ_BY.get(field.name, REGIMES)
    }
    once = {"regime": "one-shot", "start": 0, "every": 1, "end": 1}
    return Pruning(**{**kept, **once})

  def check(self) -> None:
    """Refuses what has no effect or does not fit."""
    for field in dataclasses.fields(self):
      regimes = _READ_BY.get(field.name, REGIMES)
      value = getattr(self, field.name)
      if self.regime not in regimes and value != field.default:
        raise InputError(
          f"pruning.{field.name} is {value!r}, which has no effect with "
          f"pruning.regime {self.regime}; accepted: {field.default!r} (the "
          f"default), or pruning.regime {' or '.join(regimes)}"
        )
    if self.regime == "rigl" and self.start == 0:
      raise InputError(
        "pruning.start is 0; accepted with pruning.regime rigl: from 1 (its "
        "first masks are made at 0)"
      )
    pattern = self.pattern
    if pattern is None and self.structure not in ("unstructured", "channels"):
      raise InputError(
        f"pruning.structure is {self.structure!r}; accepted: unstructured, "
        "channels, or N:M such as 2:4"
      )
    if pattern is not None and not 1 <= pattern.kept < pattern.group:
      raise InputError(
        f"pruning.structure is {self.structure!r}; accepted: N:M with N from 1 "
        "to M - 1"
      )
    if pattern is not None and self.allocation == "erk":
      raise InputError(
        f"pruning.allocation is 'erk', but with pruning.structure "
        f"{self.structure!r} every layer has the same share; accepted: global, "
        "uniform"
      )
    if self.end <= self.start:
      raise InputError(
        f"pruning.end is {self.end}, not after pruning.start ({self.start})"
      )
