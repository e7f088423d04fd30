"""What a user may choose about an analysis."""

import dataclasses

import numpy as np

from prunebias_jax.analysis.parity import PARITIES, Parity
from prunebias_jax.errors import InputError, choose

# Fewer draws have no percentiles worth the name; more do not fit the memory.
BOOTSTRAPS = (100, 2_000)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
  """Choices of an analysis; whatever is drawn comes from a fixed seed.

  Attributes:
    parity: "paper" follows Iofinova et al. 2023 where "default" departs from
      it; docs/statistics.md lists the differences.
    level: coverage of the intervals, in (0, 1); of one-sided bounds too.
    bootstraps: draws of the two-level bootstrap of members and test examples;
      0 for none.
    skip_bad: leaves out members whose logits are not finite, in place of
      refusing them.
    queue: examples of each attribute and population that the table of
      exemplars lists besides the exemplars themselves, at most.
    permutations: arrangements of the members to draw where they are too many
      to enumerate.
    safe_margin: how much a bias may grow where compression is called safe, see
      `criteria.safety`; a share or, of tcb, a log ratio, above 0.
    bootstraps: draws of the two-level bootstrap of members and test examples;
      0 for none.

  Raises:
    InputError: a value that is not accepted.
  """

  parity: Parity = "default"
  level: float = 0.95
  skip_bad: bool = False
  queue: int = 5_000
  permutations: int = 1_999
  safe_margin: float = 0.01
  bootstraps: int = 0

  def __post_init__(self) -> None:
    choose(self.parity, PARITIES, "parity")
    if not 0 < self.level < 1:
      raise InputError(f"level {self.level}; accepted: above 0 and below 1")
    if self.queue < 0:
      raise InputError(f"queue {self.queue}; accepted: 0 and more")
    if self.permutations < 99:
      raise InputError(
        f"permutations {self.permutations}; accepted: 99 and more"
      )
    if not 0 < self.safe_margin < np.inf:
      raise InputError(
        f"safe_margin {self.safe_margin}; accepted: above 0, finite"
      )
    fewest, most = BOOTSTRAPS
    if self.bootstraps and not fewest <= self.bootstraps <= most:
      raise InputError(
        f"bootstraps {self.bootstraps}; accepted: 0 for none, or {fewest} to "
        f"{most}"
      )
