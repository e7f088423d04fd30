"""What a user may choose about an analysis."""

import dataclasses

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
    level: coverage of the intervals, in (0, 1).
    bootstraps: draws of the two-level bootstrap of members and test examples;
      0 for none.

  Raises:
    InputError: a value that is not accepted.
  """

  parity: Parity = "default"
  level: float = 0.95
  bootstraps: int = 0

  def __post_init__(self) -> None:
    choose(self.parity, PARITIES, "parity")
    if not 0 < self.level < 1:
      raise InputError(f"level {self.level}; accepted: above 0 and below 1")
    fewest, most = BOOTSTRAPS
    if self.bootstraps and not fewest <= self.bootstraps <= most:
      raise InputError(
        f"bootstraps {self.bootstraps}; accepted: 0 for none, or {fewest} to "
        f"{most}"
      )
