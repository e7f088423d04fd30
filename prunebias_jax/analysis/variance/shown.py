"""One member's outputs on a test set, read once for all that needs them."""

import dataclasses
import functools

import numpy as np

from prunebias_jax.analysis.evidence import Evidence
from prunebias_jax.analysis.uncertainty import log_odds
from prunebias_jax.analysis.variance.placements import Ranking


@dataclasses.dataclass(frozen=True)
class Shown:
  """What one member makes of the test examples.

  Attributes:
    evidence: the evaluation.
    place: the member's place on the member axis.
    thresholds: float64 [threshold_rule, output]; NaN where there is none.
  """

  evidence: Evidence
  place: int
  thresholds: np.ndarray

  @functools.cached_property
  def logits(self) -> np.ndarray:
    """[example, output]."""
    return self.evidence.logits(self.place)

  @functools.cached_property
  def scores(self) -> np.ndarray:
    """Logits, of exclusive classes the log odds: [example, output]."""
    exclusive = self.evidence.facts.exclusive
    return log_odds(self.logits) if exclusive else self.logits

  def predicted(self, rule: int) -> np.ndarray:
    """Positive predictions under a threshold rule: bool [example, output]."""
    if not self.evidence.facts.exclusive:
      return self.logits > self.thresholds[rule]
    top = np.argmax(self.logits, axis=1)
    return top[:, None] == np.arange(self.logits.shape[1])

  @functools.cached_property
  def rankings(self) -> list[Ranking]:
    """The examples by score, for each output."""
    facts = self.evidence.facts
    # Columns are sorted one by one: contiguous they are read once.
    columns = np.ascontiguousarray(self.scores.T)
    return [
      Ranking.of(
        scores,
        facts.labels[:, output],
        None if facts.present is None else facts.present[:, output],
      )
      for output, scores in enumerate(columns)
    ]
