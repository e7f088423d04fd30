"""Settings of pruning: what, how much and when."""

import dataclasses
import re
from typing import NamedTuple

from prunebias_jax.errors import InputError
from prunebias_jax.settings import Part, setting

CRITERIA = ("magnitude", "random", "saliency")


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

  Masks are updated at the beginning of the epochs start, start + every, ...
  below end; sparsity follows a cubic and the last update reaches the level.
  gmp-ri prunes while training from random initialisation. gmp-pt trains dense
  first and prunes during `finetune`, whose epochs are then counted here.
  one-shot trains dense, prunes once and fine-tunes.
  """

  regime: str = setting(
    "gmp-ri",
    help="gmp-ri (prune while training), gmp-pt (train dense, then prune while "
    "fine-tuning) or one-shot (train dense, prune at once, fine-tune)",
    choices=lambda: ("gmp-ri", "gmp-pt", "one-shot"),
  )
  shared_dense_parent: bool = setting(
    False,
    help="gmp-pt and one-shot: all seeds start from the dense member of the "
    "first seed, not each from its own",
  )

  start: int = setting(
    2, help="epoch of the first mask update", unit="epochs", low=0
  )
  every: int = setting(
    1, help="epochs between mask updates", unit="epochs", low=1
  )
  end: int = setting(
    8, help="mask updates stop before this epoch", unit="epochs", low=1
  )
  initial: float = setting(
    0.05,
    help="sparsity at the first update",
    unit="share of weights",
    low=0,
    below=1,
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
    help="criterion saliency: training examples that the gradient is taken on, "
    "drawn once by data.seed for all members; up to a batch or a multiple of "
    "it, 0 for a batch",
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

  def check(self) -> None:
    """Refuses what is no structure, and a schedule that ends too early."""
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
