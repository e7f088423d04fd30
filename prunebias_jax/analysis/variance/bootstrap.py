"""The two-level bootstrap: members and test examples drawn again, together.

Each draw takes as many members of the population, and independently as many
test examples, as there are, with replacement; all members get the same
examples. Percentile intervals of the mean over members. With few members this
covers too little (docs/statistics.md): an option beside the crossed interval,
for those who expect it. Only what is made of counts, and AUC, at default
thresholds. To draw both is Owen's (2007) product bootstrap.
"""

import dataclasses

import numpy as np

from prunebias_jax.analysis.columns import ALL, EVERYONE
from prunebias_jax.analysis.facts import Facts
from prunebias_jax.analysis.rates import divide
from prunebias_jax.analysis.variance.shown import Shown
from prunebias_jax.analysis.variance.sums import (
  EVERYONES,
  Block,
  Source,
  score_values,
)
from prunebias_jax.analysis.variance.weighted import (
  Basis,
  Counts,
  Weighted,
  balanced_accuracy_of,
  bias_amplification_of,
  rates_of,
  tcb_of,
)

# A cell that has no value in more of the draws than this has no interval.
MOST_MISSING = 0.05
UNSURE = ("uncertainty", "high_uncertainty")
DEFAULT = 0  # the threshold rule


class Resampled:
  """Bootstrap samples of the test examples, the same for every population."""

  def __init__(self, facts: Facts, draws: int, seed: int = 0):
    """Draws them.

    Args:
      facts: of the split.
      draws: how many.
      seed: of the draws.
    """
    size = len(facts.labels)
    rng = np.random.default_rng(seed)
    weights = np.empty((size, draws), np.float32)
    for draw in range(draws):
      weights[:, draw] = np.bincount(
        rng.integers(0, size, size), minlength=size
      )
    self.weights = weights
    self.basis = Basis(facts.groups, len(facts.identity_names))
    self.weighted = Weighted(facts, weights, self.basis.kept.tolist())

  def members(self, count: int, seed: int = 0) -> np.ndarray:
    """How often members of a population are drawn: float64 [member, draw]."""
    rng = np.random.default_rng([seed, count])
    draws = self.weights.shape[1]
    share = np.full(count, 1 / count)
    return rng.multinomial(count, share, draws).T.astype(np.float64)


def bootstrap_intervals(
  source: Source, samples: Resampled
) -> tuple[np.ndarray, np.ndarray]:
  """Percentile intervals of the means over members.

  Args:
    source: the population.
    samples: of its test examples.

  Returns:
    Lower and upper ends, float64 [cell] in the order of `Cells.flat`; NaN for
    what is not bootstrapped, and for cells that have no value in more than 5 %
    of the draws.
  """
  found = _Draws(source, samples)
  thresholds = source.thresholds()
  for member, place in enumerate(source.places.tolist()):
    found.add(member, Shown(source.evidence, place, thresholds[member]))
  values = found.blocks()
  outputs = len(source.cells.names)
  cells = len(source.cells.key)
  low, high = np.full((2, cells), np.nan)
  tail = (1 - source.evidence.options.level) / 2
  averaged = source.averaged()[DEFAULT]
  for row, (rule, block) in enumerate(source.rows()):
    if rule == DEFAULT and block in values:
      draws = values[block]
      used = averaged[block]
      mean = draws[used].sum(axis=0, keepdims=True) / max(used.sum(), 1)
      mean = mean if used.any() else np.full(mean.shape, np.nan)
      places = slice(row * (outputs + 1), (row + 1) * (outputs + 1))
      low[places], high[places] = percentiles(
        np.concatenate([draws, mean]), tail
      )
  key = source.cells.whole_key
  names = zip(key["metric"], key["identity"], key["value"], strict=True)
  for column, (metric, *group) in enumerate(names):
    if metric == "accuracy":
      start = cells - len(key) + column
      place = slice(start, start + 1)
      low[place], high[place] = percentiles(values[ALL, *group], tail)
  return low, high


def percentiles(
  draws: np.ndarray, tail: float
) -> tuple[np.ndarray, np.ndarray]:
  """Both percentiles of the draws that have a value: float64 [cell] each.

  Args:
    draws: float64 [cell, draw].
    tail: the share beyond either.

  Returns:
    NaN where more than `MOST_MISSING` of the draws have none.
  """
  ordered = np.sort(draws, axis=1)  # NaN come last
  finite = np.isfinite(ordered).sum(axis=1)
  enough = finite >= (1 - MOST_MISSING) * draws.shape[1]
  found = []
  for share in (tail, 1 - tail):
    place = share * np.maximum(finite - 1, 0)
    below = np.floor(place).astype(int)
    above = np.minimum(below + 1, np.maximum(finite - 1, 0))
    rows = np.arange(len(draws))
    start, end = ordered[rows, below], ordered[rows, above]
    value = start + (place - below) * (end - start)
    found.append(np.where(enough, value, np.nan))
  return found[0], found[1]


class _Draws:
  """Gathers the means over the drawn members of one population."""

  def __init__(self, source: Source, samples: Resampled):
    self._source, self._samples = source, samples
    members = len(source.places)
    self._times = samples.members(members) / members
    self._sums: dict[str, np.ndarray] = {}
    self._ratios: dict[Block, tuple[np.ndarray, np.ndarray]] = {}
    self._positive = samples.basis.complete(samples.weighted.positive)
    pairs = source.evidence.facts.pairs
    self._pairs = list(zip(pairs.identity, pairs.value, strict=True))

  def add(self, member: int, shown: Shown) -> None:
    """Adds a member: its number in the population, and its outputs."""
    facts, weighted = self._source.evidence.facts, self._samples.weighted
    times = self._times[member]
    predicted = shown.predicted(DEFAULT)
    counts = weighted.member(predicted)
    # What is divided by counts of labels can be added up before it is.
    sums = {"hit": counts.hit, "chosen": counts.chosen}
    if facts.present is not None:
      sums["selected"] = counts.selected
    for metric in UNSURE:
      unsure = score_values(metric, shown.scores) > 0
      sums[metric] = weighted.count_everyone(unsure)
    if facts.exclusive:
      right = (predicted & facts.labels).any(axis=1, keepdims=True)
      sums["right"] = weighted.count(right)
    for name, values in sums.items():
      values *= times
      if name in self._sums:
        self._sums[name] += values
      else:
        self._sums[name] = values
    auc = [one.weighted_auc(self._samples.weights) for one in shown.rankings]
    self._add_ratio(member, ("auc", EVERYONE, EVERYONE), np.array(auc))
    complete = dataclasses.replace(
      counts,
      chosen=self._samples.basis.complete(counts.chosen),
      positive=self._positive,
    )
    for pair, group in enumerate(self._pairs):
      value = bias_amplification_of(
        complete,
        int(facts.pairs.group[pair]),
        facts.pairs.outside[pair] > facts.pairs.inside[pair],
      )
      self._add_ratio(member, ("bias_amplification", *group), value)

  def _add_ratio(self, member: int, block: Block, values: np.ndarray) -> None:
    """Adds a member's values of what is divided member by member."""
    metric, *group = block
    measured = self._source.values(metric, DEFAULT)[member]
    if metric == "bias_amplification":
      measured = measured[:, self._pairs.index((group[0], group[1]))]
    # A member without a value on the whole test set is left out; one without
    # a value in a draw leaves that draw without one.
    times = self._times[member] * np.isfinite(measured)[:, None]
    value = np.where(times > 0, values * times, 0.0)
    if block in self._ratios:
      total, count = self._ratios[block]
      self._ratios[block] = total + value, count + times
    else:
      self._ratios[block] = value, times

  def blocks(self) -> dict[Block, np.ndarray]:
    """The means by block: float64 [output, draw]."""
    facts, samples = self._source.evidence.facts, self._samples
    complete = samples.basis.complete
    sums = {
      name: values if name in UNSURE else complete(values)
      for name, values in self._sums.items()
    }
    counts = Counts(
      hit=sums["hit"],
      chosen=sums["chosen"],
      selected=sums.get("selected", sums["chosen"]),
      positive=self._positive,
      total=complete(samples.weighted.total),
      size=complete(samples.weighted.size),
    )
    groups = list(zip(facts.groups.identity, facts.groups.value, strict=True))
    found: dict[Block, np.ndarray] = {}
    for name, values in rates_of(counts).items():
      for place, group in enumerate(groups):
        found[name, *group] = values[place]
    for metric, rate in EVERYONES.items():
      found[metric, EVERYONE, EVERYONE] = found[rate, EVERYONE, EVERYONE]
    # A recall is one minus the rate that stands for it.
    recall = "recall", EVERYONE, EVERYONE
    found[recall] = 1 - found[recall]
    found["tcb", EVERYONE, EVERYONE] = tcb_of(counts, facts.prevalence)
    found["balanced_accuracy", EVERYONE, EVERYONE] = balanced_accuracy_of(
      counts
    )
    for metric in UNSURE:
      found[metric, EVERYONE, EVERYONE] = sums[metric] / counts.size[0]
    for block, (total, times) in self._ratios.items():
      found[block] = divide(total, times)
    if facts.exclusive:
      right = divide(sums["right"], counts.size)
      for place, group in enumerate(groups):
        found[ALL, *group] = right[place]
    return found
