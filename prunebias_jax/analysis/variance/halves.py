"""Halves of the test set, and metrics on them, for many splits at once.

The covariance over seeds of a metric between disjoint halves is its
distribution-wise variance: this project's, for metrics that are no means over
examples. So are the splits: examples alike in groups and labels are paired, and
a coin says which of the two goes where.
"""

import numpy as np

from prunebias_jax.analysis.facts import Facts
from prunebias_jax.analysis.inference import Decomposition, split_half
from prunebias_jax.analysis.rates import divide
from prunebias_jax.analysis.variance.shown import Shown
from prunebias_jax.analysis.variance.sums import Block, Source
from prunebias_jax.analysis.variance.weighted import (
  Weighted,
  balanced_accuracy_of,
  bias_amplification_of,
  tcb_of,
)

SPLITS = 50
# With fewer of the splits than this there is no decomposition.
LEAST_SPLITS = 0.5


def draw_halves(
  facts: Facts, *, splits: int = SPLITS, seed: int = 0
) -> np.ndarray:
  """Splits the test set in halves that are alike.

  Within each combination of the identities' values the examples are ordered by
  a random projection of their labels, another one for each split: the same
  labels are neighbours, and rare ones stand out. Of each two neighbours one
  goes to either half. The logits have no part in it, so that given groups and
  labels the halves are independent.

  Args:
    facts: of the test split.
    splits: how many.
    seed: of the projections and coins.

  Returns:
    bool [example, split], the first half.
  """
  rng = np.random.default_rng(seed)
  size = len(facts.labels)
  labels = facts.labels.astype(np.float64)
  if facts.present is not None:
    rate = divide(labels.sum(axis=0), facts.present.sum(axis=0))
    labels = np.where(facts.present, labels, np.nan_to_num(rate))
  scale = labels.std(axis=0)
  labels = (labels - labels.mean(axis=0)) / np.where(scale > 0, scale, 1.0)
  combination = np.unique(facts.groups.membership, axis=0, return_inverse=True)[
    1
  ].ravel()
  projected = labels @ rng.normal(size=(labels.shape[1], splits))
  # Rounded, so that equal labels are equal: among these the order is random.
  projected = np.round(projected, 9)
  result = np.zeros((size, splits), bool)
  for split in range(splits):
    shuffled = rng.permutation(size)
    order = shuffled[
      np.lexsort((projected[shuffled, split], combination[shuffled]))
    ]
    coins = rng.random((size + 1) // 2) < 0.5
    result[order[0::2], split] = coins
    result[order[1::2], split] = ~coins[: size // 2]
  return result


class HalfSums:
  """Gathers the values of one population's members on the halves."""

  def __init__(self, source: Source, halves: np.ndarray):
    """Starts with no member.

    Args:
      source: the population.
      halves: bool [example, split], see `draw_halves`.
    """
    self._source = source
    facts = source.evidence.facts
    both = np.concatenate([halves, ~halves], axis=1)
    self._weights = both.astype(np.float32)
    groups = [0, *facts.pairs.group.tolist()]
    self._weighted = Weighted(facts, self._weights, groups)
    self._values: dict[tuple[int, Block], list[np.ndarray]] = {}

  def add(self, member: int, shown: Shown) -> None:
    """Adds a member, in the population's order."""
    facts = self._source.evidence.facts
    for rule in range(self._source.arrays.sizes["threshold_rule"]):
      counts = self._weighted.member(shown.predicted(rule))
      found: dict[Block, np.ndarray] = {
        ("tcb", "", ""): tcb_of(counts, facts.prevalence),
        ("balanced_accuracy", "", ""): balanced_accuracy_of(counts),
      }
      for pair, group in enumerate(
        zip(facts.pairs.identity, facts.pairs.value, strict=True)
      ):
        found["bias_amplification", *group] = bias_amplification_of(
          counts,
          pair + 1,
          facts.pairs.outside[pair] > facts.pairs.inside[pair],
        )
      for block, values in found.items():
        self._values.setdefault((rule, block), []).append(values)
    auc = [one.weighted_auc(self._weights) for one in shown.rankings]
    self._values.setdefault((0, ("auc", "", "")), []).append(np.array(auc))

  def cells(self) -> tuple[np.ndarray, np.ndarray]:
    """The values of the cells that are taken from halves.

    Returns:
      int [chosen], the cells among those of `Cells.flat`; float64 [half, seed,
      chosen], the first halves of all splits, then the second ones.
    """
    source = self._source
    outputs = len(source.cells.names)
    averaged = source.averaged()
    chosen, parts = [], []
    for place, (rule, block) in enumerate(source.rows()):
      # AUC is gathered with the first rule only.
      key = (0 if block[0] == "auc" else rule, block)
      if key in self._values:
        values = np.array(self._values[key]).transpose(2, 0, 1)
        used = averaged[rule][block]
        mean = values[:, :, used].sum(axis=2) / max(used.sum(), 1)
        mean = mean if used.any() else np.full(mean.shape, np.nan)
        chosen.append(place * (outputs + 1) + np.arange(outputs + 1))
        parts.append(np.concatenate([values, mean[:, :, None]], axis=2))
    return np.concatenate(chosen), np.concatenate(parts, axis=2)


def decompose_halves(
  observed: np.ndarray, halves: np.ndarray
) -> tuple[Decomposition, np.ndarray]:
  """The decomposition from the values on halves.

  A split with a half on which a metric has no value, for want of a positive
  say, is left out of it.

  Args:
    observed: float64 [seed, cell], on the whole test set, finite.
    halves: float64 [half, seed, cell], first halves and then second ones.

  Returns:
    The decomposition, NaN where less than half of the splits are left; and the
    share of the splits that are left, float64 [cell].
  """
  finite = np.isfinite(halves).all(axis=1)
  first, second = np.split(finite, 2)
  there = first & second
  # A split of zeros adds nothing to the mean of the covariances.
  kept = np.where(np.tile(there, (2, 1))[:, None], halves, 0.0)
  share = there.mean(axis=0)
  found = split_half(observed, *np.split(kept, 2))
  enough = share >= LEAST_SPLITS
  scale = np.where(enough, share, np.nan)
  distribution = found.distribution / scale
  return (
    Decomposition(
      observed=found.observed,
      test_set=found.observed - distribution,
      distribution=distribution,
    ),
    share,
  )
