"""The sums of every cell of a population, gathered in one pass over members."""

import dataclasses

import numpy as np
import xarray as xr

from prunebias_jax.analysis.cells import Cells
from prunebias_jax.analysis.columns import EVERYONE, GROUP_METRICS
from prunebias_jax.analysis.evidence import Evidence
from prunebias_jax.analysis.rates import divide
from prunebias_jax.analysis.uncertainty import (
  UNSURE,
  VERY_UNSURE,
  binary_entropy,
  log_softmax,
)
from prunebias_jax.analysis.variance.influence import (
  Truth,
  auc_placements,
  of_auc,
  of_balanced_accuracy,
  of_bias_amplification,
  of_mean,
  of_tcb,
)
from prunebias_jax.analysis.variance.moments import Collector, Moments
from prunebias_jax.analysis.variance.shown import Shown
from prunebias_jax.analysis.variance.votes import RateSums

# Rates of everyone under the names that they have in the tables of members. A
# recall is one minus the false negative rate: influences of the other sign.
EVERYONES = {
  "accuracy": "accuracy",
  "predicted_positive": "selection_rate",
  "recall": "false_negative_rate",
}
# These depend on no threshold.
SCORES = ("uncertainty", "high_uncertainty", "entropy", "auc")
# Of a classifier as a whole; of attributes there is nothing of the kind.
WHOLE = ("accuracy", "uncertainty", "entropy", "balanced_accuracy")

Block = tuple[str, str, str]  # metric, identity, value


@dataclasses.dataclass(frozen=True, kw_only=True)
class Source:
  """What the sums of a population are made from.

  Attributes:
    evidence: the evaluation.
    arrays: what was measured of its members.
    cells: the same as cells.
    places: the population's members, on the member axis.
    truth: the labels of the evaluation.
  """

  evidence: Evidence
  arrays: xr.Dataset
  cells: Cells
  places: np.ndarray
  truth: Truth

  def values(self, name: str, rule: int) -> np.ndarray:
    """An array's values in these members: float64 [member, ...]."""
    return self.arrays[name].to_numpy()[self.places, rule]

  def thresholds(self) -> np.ndarray:
    """The members' thresholds: float64 [member, threshold_rule, output]."""
    if "threshold" in self.arrays:
      return self.arrays["threshold"].to_numpy()[self.places]
    return np.zeros((len(self.places), 1, len(self.cells.names)))

  def averaged(self) -> list[dict[Block, np.ndarray]]:
    """For each rule the outputs in the mean of each block, bool [output]."""
    rules = self.arrays["threshold_rule"].to_numpy().tolist()
    used = self.cells.averaged(self.places)
    return [
      {
        block: used[row]
        for row, (of, block) in enumerate(self.rows())
        if of == i
      }
      for i in range(len(rules))
    ]

  def rows(self) -> list[tuple[int, Block]]:
    """The blocks in order: threshold rule, and which."""
    rules = self.arrays["threshold_rule"].to_numpy().tolist()
    keys = self.cells.blocks[["threshold_rule", "metric", "identity", "value"]]
    return [
      (rules.index(rule), (metric, identity, value))
      for rule, metric, identity, value in keys.to_numpy().tolist()
    ]


class PopulationSums:
  """Gathers what crossed intervals and decompositions need of a population."""

  def __init__(self, source: Source):
    """Starts with no member."""
    self._source = source
    self._rules = [
      _RuleSums(source, rule, used)
      for rule, used in enumerate(source.averaged())
    ]
    self._whole = None
    if len(source.cells.whole_key):
      self._whole = _WholeSums(source)

  def add(self, member: int, shown: Shown) -> None:
    """Adds a member: its number in the population, and its outputs."""
    for rule in self._rules:
      rule.add(member, shown)
    if self._whole is not None:
      self._whole.add(member, shown)

  def moments(self) -> Moments:
    """Those of all cells, in the order of `Cells.flat`."""
    missing = np.full(len(self._source.cells.names) + 1, np.nan)
    none = Moments(examples=missing, squares=missing, mean_squares=missing)
    found = [rule.moments() for rule in self._rules]
    parts = [
      # What depends on no threshold is gathered with the first rule only.
      found[rule].get(block, found[0].get(block, none))
      for rule, block in self._source.rows()
    ]
    if self._whole is not None:
      parts.append(self._whole.moments())
    return joined(parts)


def joined(parts: list[Moments]) -> Moments:
  """Several moments as one, in this order."""
  return Moments(
    **{
      field.name: np.concatenate([getattr(part, field.name) for part in parts])
      for field in dataclasses.fields(Moments)
    }
  )


class _RuleSums:
  """The sums of one threshold rule, of every output and their mean."""

  def __init__(
    self, source: Source, rule: int, used: dict[Block, np.ndarray]
  ) -> None:
    self._source, self._rule = source, rule
    facts, truth = source.evidence.facts, source.truth
    few = np.minimum(truth.positives, truth.negatives) < 2
    everyone = np.full(len(facts.names), float(len(facts.labels)))
    self._collectors = {
      block: Collector(
        finite=np.isfinite(self._values(block)),
        total=truth.total if block[0] not in SCORES[:-1] else everyone,
        used=mask,
        size=len(facts.labels),
        few=few if block[0] in ("auc", "balanced_accuracy") else None,
      )
      for block, mask in used.items()
      if block[0] in ("tcb", "balanced_accuracy", "bias_amplification")
      or (rule == 0 and block[0] in SCORES and block[1] == EVERYONE)
    }
    self._groups = list(
      zip(facts.groups.identity, facts.groups.value, strict=True)
    )
    self._rates = RateSums(
      truth=truth,
      groups=facts.groups,
      values={
        name: source.values(f"group_{name}", rule) for name in GROUP_METRICS
      },
      used={name: self._used(used, name) for name in GROUP_METRICS},
    )

  def _values(self, block: Block) -> np.ndarray:
    """The members' values: float64 [member, output]."""
    metric, identity, value = block
    values = self._source.values(metric, self._rule)
    if metric != "bias_amplification":
      return values
    return values[:, :, self._pairs().index((identity, value))]

  def _pairs(self) -> list[tuple[str, str]]:
    pairs = self._source.evidence.facts.pairs
    return list(zip(pairs.identity, pairs.value, strict=True))

  def _used(self, used: dict[Block, np.ndarray], name: str) -> np.ndarray:
    """The outputs in the means of a rate: bool [output, group]."""
    others = [one for one, rate in EVERYONES.items() if rate == name]
    return np.stack(
      [
        next(
          used[metric, *group]
          for metric in (name, *others)
          if (metric, *group) in used
        )
        for group in self._groups
      ],
      axis=1,
    )

  def add(self, member: int, shown: Shown) -> None:
    """Adds a member's outputs."""
    facts, truth = self._source.evidence.facts, self._source.truth
    predicted = shown.predicted(self._rule)
    self._rates.add(member, predicted)
    chosen = predicted.astype(np.float64)
    for block, collector in self._collectors.items():
      metric = block[0]
      if metric == "tcb":
        influence = of_tcb(chosen, truth, facts.prevalence)
      elif metric == "balanced_accuracy":
        influence = of_balanced_accuracy(chosen, truth)
      elif metric == "bias_amplification":
        pair = self._pairs().index(block[1:])
        influence = of_bias_amplification(
          chosen,
          truth,
          facts.groups.membership[:, facts.pairs.group[pair]],
          facts.pairs.outside[pair] > facts.pairs.inside[pair],
        )
      elif metric == "auc":
        influence = of_auc(auc_placements(shown.rankings), truth)
      else:
        influence = of_mean(score_values(metric, shown.scores), None)
      collector.add(member, influence)

  def moments(self) -> dict[Block, Moments]:
    """By block, each output and then the mean: [output + 1]."""
    found = {
      block: collector.moments()
      for block, collector in self._collectors.items()
    }
    for name in GROUP_METRICS:
      of_groups = self._rates.moments(name)
      for place, group in enumerate(self._groups):
        one = of_groups.at(place)
        found[name, *group] = one
        if group == (EVERYONE, EVERYONE):
          for metric, rate in EVERYONES.items():
            if rate == name:
              found[metric, *group] = one
    if self._rule > 0:
      found["threshold", EVERYONE, EVERYONE] = self._of_threshold()
    return found

  def _of_threshold(self) -> Moments:
    """A calibrated threshold does not depend on the test set at all."""
    outputs = len(self._source.cells.names)
    nothing = np.zeros(outputs + 1)
    size = len(self._source.truth.present)
    return Moments(
      examples=np.full(outputs + 1, float(size)),
      squares=nothing,
      mean_squares=nothing,
    )


def score_values(metric: str, scores: np.ndarray) -> np.ndarray:
  """What a metric is the mean of: float64 [example, output].

  Args:
    metric: "uncertainty", "high_uncertainty" or "entropy".
    scores: [example, output], logits.
  """
  if metric == "entropy":
    return binary_entropy(scores)
  bound = UNSURE if metric == "uncertainty" else VERY_UNSURE
  return (np.abs(scores) < bound).astype(np.float64)


class _WholeSums:
  """The sums of a classifier's numbers as a whole.

  Other cells that are about no single output have no influences here.
  """

  def __init__(self, source: Source) -> None:
    self._source = source
    facts, key = source.evidence.facts, source.cells.whole_key
    groups = list(zip(facts.groups.identity, facts.groups.value, strict=True))
    known = key["metric"].isin(WHOLE).to_numpy() & facts.exclusive
    self._places = np.flatnonzero(known)
    self._metrics = key["metric"][known].tolist()
    rows = [
      groups.index(group)
      for group in zip(key["identity"][known], key["value"][known], strict=True)
    ]
    self._inside = facts.groups.membership[:, rows]
    self._collector = Collector(
      finite=np.isfinite(source.cells.whole[np.ix_(source.places, known)]),
      total=self._inside.sum(axis=0),
      used=np.zeros(len(rows), bool),
      size=len(facts.labels),
    )

  def add(self, member: int, shown: Shown) -> None:
    """Adds a member's outputs."""
    if not len(self._places):
      return
    truth = self._source.truth
    hits = shown.predicted(0) * truth.positive
    log_p = log_softmax(shown.logits)
    values = {
      "accuracy": hits.sum(axis=1),
      "uncertainty": np.max(shown.scores, axis=1) < UNSURE,
      "entropy": -np.sum(np.exp(log_p) * log_p, axis=1) / np.log(2.0),
    }
    columns = [
      of_mean(values[metric][:, None].astype(np.float64), inside[:, None])
      if metric in values
      else _of_mean_recall(hits, truth)
      for metric, inside in zip(self._metrics, self._inside.T, strict=True)
    ]
    self._collector.add(member, np.concatenate(columns, axis=1))

  def moments(self) -> Moments:
    """[cell], as `Cells.whole_key`."""
    found = self._collector.moments()
    result = {}
    for field in dataclasses.fields(Moments):
      numbers = np.full(len(self._source.cells.whole_key), np.nan)
      # The last one is of a mean over outputs, which there is none of here.
      numbers[self._places] = getattr(found, field.name)[:-1]
      result[field.name] = numbers
    return Moments(**result)


def _of_mean_recall(hits: np.ndarray, truth: Truth) -> np.ndarray:
  """Of the mean recall of the classes there are: float64 [example, 1]."""
  there = truth.positives > 0
  share = divide(truth.total, truth.positives) / np.count_nonzero(there)
  recall = divide(hits.sum(axis=0), truth.positives)
  influence = (share * (hits - truth.positive * recall))[:, there]
  return influence.sum(axis=1, keepdims=True)
