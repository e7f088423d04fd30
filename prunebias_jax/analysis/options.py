"""What a user may choose about an analysis."""

import dataclasses

from prunebias_jax.analysis.parity import PARITIES, Parity
from prunebias_jax.errors import InputError, choose


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
  """Choices of an analysis; whatever is drawn comes from a fixed seed.

  Attributes:
    parity: "paper" follows Iofinova et al. 2023 where "default" departs from
      it; docs/statistics.md lists the differences.
    level: coverage of the intervals, in (0, 1).
    skip_bad: leaves out members whose logits are not finite, in place of
      refusing them.

  Raises:
    InputError: a value that is not accepted.
  """

  parity: Parity = "default"
  level: float = 0.95
  skip_bad: bool = False

  def __post_init__(self) -> None:
    choose(self.parity, PARITIES, "parity")
    if not 0 < self.level < 1:
      raise InputError(f"level {self.level}; accepted: above 0 and below 1")
