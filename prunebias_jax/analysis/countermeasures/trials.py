"""What is tried against bias, and what each member's metrics are then."""

import dataclasses
import functools

import numpy as np
import xarray as xr

from prunebias_jax.analysis.countermeasures.answers import (
  LABELS,
  Partition,
  Row,
  label_states,
  measured,
  metric_rows,
  partitions,
  tally,
)
from prunebias_jax.analysis.countermeasures.overrides import (
  BUDGETS,
  STATES,
  bands,
  overridden,
  override_codes,
  paid,
)
from prunebias_jax.analysis.countermeasures.thresholds import group_thresholds
from prunebias_jax.analysis.evidence import Evidence
from prunebias_jax.analysis.facts import Facts

NONE = "none"
THRESHOLDS = "thresholds"
GROUP_THRESHOLDS = "group_thresholds"
OVERRIDE = "override"
BOTH = "thresholds+override"
COUNTERMEASURES = (NONE, THRESHOLDS, GROUP_THRESHOLDS, OVERRIDE, BOTH)
ANSWERS = ("dense", "human", "abstain")
SELECTIONS = ("uncertain", "random")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Variant:
  """One countermeasure, in the words of the table's columns."""

  countermeasure: str
  fitted_on: str = ""
  override: str = ""
  selection: str = ""
  budget: float = 0.0


def variants(facts: Facts) -> list[Variant]:
  """All that is tried, doing nothing first."""
  return [
    Variant(countermeasure=NONE),
    Variant(countermeasure=THRESHOLDS),
    *(
      Variant(countermeasure=GROUP_THRESHOLDS, fitted_on=identity)
      for identity in facts.identity_names
    ),
    *(
      Variant(
        countermeasure=name, override=how, selection=selection, budget=budget
      )
      for name in (OVERRIDE, BOTH)
      for how in ANSWERS
      for selection in SELECTIONS
      for budget in BUDGETS
    ),
  ]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Dense:
  """What a dense partner lends.

  Attributes:
    band: see `overrides.bands`.
    answers: bool [example, output], under each threshold rule.
  """

  band: np.ndarray
  answers: list[np.ndarray]


@dataclasses.dataclass(frozen=True)
class Trials:
  """One evaluation, on whose members every variant is tried.

  Attributes:
    evidence: the evaluation.
    arrays: its measured arrays: auc and thresholds.
  """

  evidence: Evidence
  arrays: xr.Dataset

  @functools.cached_property
  def variants(self) -> list[Variant]:
    """What is tried."""
    return variants(self.evidence.facts)

  @functools.cached_property
  def rows(self) -> list[Row]:
    """Metric, identity and value of what is measured."""
    added = ("overridden", "auc")
    return [
      *metric_rows(self.evidence.facts),
      *((name, "", "") for name in added),
    ]

  def lend(self, place: int) -> Dense:
    """What a dense member lends to its partners."""
    logits = self.evidence.logits(place)
    return Dense(
      band=bands(logits, exclusive=self.evidence.facts.exclusive),
      answers=self._answers(place, logits),
    )

  def of(self, place: int, partner: Dense | None) -> np.ndarray:
    """The metrics of one member under every variant.

    Args:
      place: the member.
      partner: of its dense partner; None without one.

    Returns:
      float64 [variant, row, output]; NaN for what is not available.
    """
    facts = self.evidence.facts
    logits = self.evidence.logits(place)
    answers = self._answers(place, logits)
    plain = dict(zip((NONE, THRESHOLDS), answers, strict=False))
    counts = {} if partner is None else self._overridable(answers, partner)
    by_group = self._by_group(place, logits)
    shape = (len(self.variants), len(self.rows), len(facts.names))
    result = np.full(shape, np.nan)
    for row, variant in enumerate(self.variants):
      name = variant.countermeasure
      if name in plain:
        result[row, :-2] = self._measure(plain[name])
        result[row, -2] = 0.0
        result[row, -1] = self.arrays["auc"].to_numpy()[place, 0]
      elif variant.fitted_on in by_group:
        result[row, :-2] = self._measure(by_group[variant.fitted_on])
        result[row, -2] = 0.0
      elif name in counts:
        after, result[row, -2] = self._override(counts[name], variant)
        result[row, :-2] = self._measured(after)
    if len(answers) > 1:
      # No validation label, no threshold.
      unknown = np.isnan(self.arrays["threshold"].to_numpy()[place, 1])
      for row, variant in enumerate(self.variants):
        if variant.countermeasure not in (NONE, OVERRIDE):
          result[row][:, unknown] = np.nan
    return result

  @functools.cached_property
  def _parts(self) -> list[Partition]:
    return partitions(self.evidence.facts)

  @functools.cached_property
  def _labels(self) -> np.ndarray:
    return label_states(self.evidence.facts)

  def _answers(self, place: int, logits: np.ndarray) -> list[np.ndarray]:
    """A member's answers under each threshold rule."""
    if self.evidence.facts.exclusive:
      top = np.argmax(logits, axis=1)[:, None]
      return [top == np.arange(logits.shape[1])]
    return [logits > one for one in self.arrays["threshold"].to_numpy()[place]]

  def _overridable(
    self, answers: list[np.ndarray], partner: Dense
  ) -> dict[str, np.ndarray]:
    """Counts for `overridden`, by countermeasure."""
    found = {}
    for name, own, dense in zip(
      (OVERRIDE, BOTH), answers, partner.answers, strict=False
    ):
      codes = override_codes(partner.band, self._labels, own, dense)
      counts = tally(codes, int(np.prod(STATES)), self._parts)
      found[name] = counts.reshape(*counts.shape[:2], *STATES)
    return found

  def _override(
    self, counts: np.ndarray, variant: Variant
  ) -> tuple[np.ndarray, np.ndarray]:
    """The answers after one override, see `overridden`."""
    # Of exclusive classes an example is replaced as a whole.
    exclusive = self.evidence.facts.exclusive
    pairs = len(self._labels) if exclusive else self._labels.size
    budget = BUDGETS.index(variant.budget)
    drawn = variant.selection == "random"
    return overridden(
      counts,
      how=variant.override,
      budget=budget,
      share=paid(pairs)[budget] / pairs if drawn else None,
    )

  def _by_group(self, place: int, logits: np.ndarray) -> dict[str, np.ndarray]:
    """Answers by the thresholds of the groups of each identity."""
    valid = self.evidence.valid
    if valid is None or self.evidence.facts.exclusive:
      return {}
    valid_logits = valid.logits(place)
    overall = self.arrays["threshold"].to_numpy()[place, 1]
    found = {}
    for part in self._parts:
      thresholds = group_thresholds(
        valid_logits,
        valid.facts,
        part.identity,
        part.values,
        overall,
        self.evidence.options.parity,
      )
      found[part.identity] = logits > thresholds[part.value]
    return found

  def _measure(self, answers: np.ndarray) -> np.ndarray:
    """Metrics of answers, bool [example, output]."""
    counts = tally(self._labels * 2 + answers, LABELS * 2, self._parts)
    return self._measured(counts.reshape(*counts.shape[:2], LABELS, 2))

  def _measured(self, answers: np.ndarray) -> np.ndarray:
    """Metrics of counted answers."""
    return measured(
      answers,
      self.evidence.facts,
      self._parts,
      self.evidence.options.parity,
    )
