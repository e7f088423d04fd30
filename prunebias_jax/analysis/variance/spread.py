"""The table "variance": how much every number moves over seeds, and why.

What is estimated stands beside each number: seeds random and the test set
fixed; both random (crossed, bootstrap); and of the variance over seeds the part
that another test set would draw anew. All of it is this project's, but for the
formulas that the functions name.
"""

import numpy as np
import pandas as pd
import xarray as xr

from prunebias_jax.analysis.cells import (
  CROSSED_DESIGN,
  Population,
  crossed_factors,
  make_cells,
)
from prunebias_jax.analysis.columns import (
  CROSSED_NUMBERS,
  MEAN,
  RULES,
  VARIANCE_NUMBERS,
)
from prunebias_jax.analysis.evidence import Evidence
from prunebias_jax.analysis.flags import join_reasons
from prunebias_jax.analysis.inference import (
  MARK,
  POOR,
  crossed_interval,
  decompose,
  mean_interval,
  sd_interval,
  simulated_coverage,
  unlike_normal,
)
from prunebias_jax.analysis.threads import in_threads
from prunebias_jax.analysis.variance.bootstrap import (
  Resampled,
  bootstrap_intervals,
)
from prunebias_jax.analysis.variance.halves import (
  HalfSums,
  decompose_halves,
  draw_halves,
)
from prunebias_jax.analysis.variance.influence import Truth
from prunebias_jax.analysis.variance.moments import Moments
from prunebias_jax.analysis.variance.rows import (
  Numbers,
  averaged_reasons,
  by_availability,
  missing_reasons,
  part,
)
from prunebias_jax.analysis.variance.shown import Shown
from prunebias_jax.analysis.variance.sums import PopulationSums, Source

INTERVAL = "t for the mean, chi-square for the sd: assumes normal seeds"
CROSSED = "crossed: seeds and test examples random"
LINEARISED = (
  "crossed: seeds and test examples random, linearised in the examples"
)
POOR_CROSSED = "crossed: simulated coverage below 90 % with so few seeds"
FEW_EXAMPLES = "crossed: simulated coverage below 90 % with so few examples"
# Of a rate its examples, of these metrics those of the rarer class: below this
# number intervals covered from .84 to .93 in simulation.
FEWEST_EXAMPLES = 30
OF_CLASSES = ("auc", "balanced_accuracy")
CALIBRATED = "validation set fixed"
BOOTSTRAPPED = "bootstrap: seeds and test examples drawn again"
FEW_BOOTSTRAPPED = f"{BOOTSTRAPPED}, simulated coverage below 90 %"
# From here on the two-level bootstrap covers 90 % and more, as simulated.
FEWEST_BOOTSTRAP_SEEDS = 10
ONE_SEED = "not available: one seed"
NO_SEED = "not available: no seed has a value"
NOT_INDEPENDENT = "not available: crossed seeds, see sources.csv"
NO_SPREAD = "not available: the same in every seed"

# Of these metrics a linearisation stands for the values of single examples.
RATIOS = ("auc", "tcb", "balanced_accuracy", "bias_amplification")
# Why there is nothing about other test examples.
WITHOUT = {
  "ece": "ece depends on the number of test examples",
  "ece_sweep": "ece_sweep depends on the number of test examples",
}
NO_FORM = "the metric has no values of single examples"

_HIDDEN = ("splits", "unlike")  # no columns: for interval and reason
# What takes members as independent.
_INFERENCE = ("mean_low", "mean_high", "sd_low", "sd_high", *CROSSED_NUMBERS)


def variance_table(evidence: Evidence, arrays: xr.Dataset) -> pd.DataFrame:
  """The table "variance" of one evaluation.

  Reads the members' logits once more, one member at a time.

  Args:
    evidence: the evaluation.
    arrays: what was measured of its members.
  """
  cells = make_cells(arrays)
  truth = Truth.of(evidence.facts)
  halves = draw_halves(evidence.facts)
  draws = evidence.options.bootstraps
  samples = Resampled(evidence.facts, draws) if draws else None

  def of_population(item: tuple[Population, np.ndarray]) -> pd.DataFrame:
    population, places = item
    source = Source(
      evidence=evidence, arrays=arrays, cells=cells, places=places, truth=truth
    )
    return _rows(source, population, halves, samples)

  parts = in_threads(of_population, evidence.populations().items())
  return pd.concat(parts, ignore_index=True)


def _rows(
  source: Source,
  population: Population,
  halves: np.ndarray,
  samples: Resampled | None,
) -> pd.DataFrame:
  """The rows of one population."""
  cells, places = source.cells, source.places
  key = cells.key
  values, averaged = cells.flat(places)
  moments, half_cells, half_values = _gather(source, halves)
  of_half = np.full(len(key), -1)
  of_half[half_cells] = np.arange(len(half_cells))
  level = source.evidence.options.level

  def summarise(seeds: np.ndarray, chosen: np.ndarray) -> Numbers:
    complete = values[np.ix_(seeds, chosen)]
    on_halves = half_values[:, seeds]
    return {
      **_of_seeds(complete, level),
      **_of_examples(
        complete, moments, chosen, on_halves, of_half[chosen], level
      ),
    }

  finite = np.isfinite(values)
  seeds, numbers = by_availability(
    finite, (*VARIANCE_NUMBERS, *_HIDDEN), summarise
  )
  splits, unlike = (numbers.pop(name) for name in _HIDDEN)
  independent = not crossed_factors(source.evidence.members.iloc[places])
  low, high = np.full((2, len(key)), np.nan)
  if samples is not None and independent and len(places) > 1:
    low, high = bootstrap_intervals(source, samples)
  numbers |= {"bootstrap_low": low, "bootstrap_high": high}
  # A spread that was not seen makes no interval; nor do members that are not
  # independent.
  same = numbers["sd"] == 0
  for name in CROSSED_NUMBERS:
    numbers[name][same] = np.nan
  if independent:
    few = _few_examples(key, moments, source.truth)
    interval = _intervals(key, seeds, numbers, unlike > 0, few)
    missing = _of_missing_parts(key, seeds, numbers, moments, splits)
  else:
    numbers |= dict.fromkeys(_INFERENCE, np.full(len(key), np.nan))
    interval = np.where(seeds > 1, NOT_INDEPENDENT, ONE_SEED).astype(object)
    missing = [(seeds > 1, CROSSED_DESIGN)]
  reason = join_reasons(
    len(key),
    [
      *missing_reasons(seeds, len(places), "seeds", averaged),
      (same, "the same in every seed: no interval"),
      *averaged_reasons(averaged, cells),
      *missing,
    ],
  )
  columns = {
    "n_seeds": seeds,
    **numbers,
    "interval": interval,
    "reason": reason,
  }
  return part("variance", population, key, source.arrays, columns)


def _gather(
  source: Source, halves: np.ndarray
) -> tuple[Moments, np.ndarray, np.ndarray]:
  """One pass over a population's members.

  Returns:
    The moments of all cells; the cells that are taken from halves, int
    [chosen], and their values, float64 [half, seed, chosen].
  """
  sums, on_halves = PopulationSums(source), HalfSums(source, halves)
  thresholds = source.thresholds()
  for member, place in enumerate(source.places.tolist()):
    shown = Shown(source.evidence, place, thresholds[member])
    sums.add(member, shown)
    on_halves.add(member, shown)
  return (sums.moments(), *on_halves.cells())


def _of_seeds(values: np.ndarray, level: float) -> Numbers:
  """What needs the members' values only, float64 [seed, cell]."""
  mean = mean_interval(values, level=level)
  sd = sd_interval(values, level=level)
  return {
    "mean": mean.estimate,
    "mean_low": mean.low,
    "mean_high": mean.high,
    "sd": sd.estimate,
    "sd_low": sd.low,
    "sd_high": sd.high,
    "var_observed": sd.estimate**2,
    "unlike": unlike_normal(values).astype(np.float64),
  }


def _of_examples(
  values: np.ndarray,
  moments: Moments,
  chosen: np.ndarray,
  halves: np.ndarray,
  of_half: np.ndarray,
  level: float,
) -> Numbers:
  """What needs single examples or halves of the test set.

  Args:
    values: float64 [seed, chosen], the members' values.
    moments: of all cells.
    chosen: int [chosen], the cells.
    halves: float64 [half, seed, half cell].
    of_half: int [chosen], the cells' places among those of halves, or -1.
    level: coverage of the interval.
  """
  sums = moments.sums(values, chosen)
  crossed = crossed_interval(sums, level=level)
  parts = decompose(sums)
  test_set, distribution = parts.test_set, parts.distribution
  splits = np.full(len(chosen), np.nan)
  halved = np.flatnonzero(of_half >= 0)
  if len(halved) and len(values) > 1:
    found, share = decompose_halves(
      values[:, halved], halves[:, :, of_half[halved]]
    )
    test_set[halved], distribution[halved] = found.test_set, found.distribution
    splits[halved] = share
  return {
    "var_test_set": test_set,
    "var_distribution": distribution,
    "crossed_se": crossed.se,
    "crossed_df": crossed.df,
    "crossed_low": crossed.low,
    "crossed_high": crossed.high,
    "splits": splits,
  }


def _intervals(
  key: pd.DataFrame,
  seeds: np.ndarray,
  numbers: Numbers,
  unlike: np.ndarray,
  few: np.ndarray,
) -> np.ndarray:
  """What the intervals of each row are and assume: object [cell]."""
  crossed = np.isfinite(numbers["crossed_low"])
  bootstrapped = np.isfinite(numbers["bootstrap_low"])
  ratio = key["metric"].isin(RATIOS).to_numpy()
  spread = numbers["sd"] > 0
  covered = {
    k: simulated_coverage("crossed", "mean", k) for k in set(seeds.tolist())
  }
  poor = np.array([covered[k] < POOR for k in seeds.tolist()])
  texts = join_reasons(
    len(key),
    [
      (spread, INTERVAL),
      (unlike, MARK),
      (numbers["sd"] == 0, NO_SPREAD),
      (seeds == 1, ONE_SEED),
      (seeds == 0, NO_SEED),
      (crossed & ~ratio, CROSSED),
      (crossed & ratio, LINEARISED),
      (crossed & poor, POOR_CROSSED),
      (crossed & few, FEW_EXAMPLES),
      (
        (spread | crossed) & (key["threshold_rule"] != RULES[0]).to_numpy(),
        CALIBRATED,
      ),
      (bootstrapped & (seeds < FEWEST_BOOTSTRAP_SEEDS), FEW_BOOTSTRAPPED),
      (bootstrapped & (seeds >= FEWEST_BOOTSTRAP_SEEDS), BOOTSTRAPPED),
    ],
  )
  return texts


def _few_examples(
  key: pd.DataFrame, moments: Moments, truth: Truth
) -> np.ndarray:
  """Which crossed intervals rest on few examples of a kind: bool [cell].

  Not the means over outputs: what one lacks another may have.
  """
  count = moments.examples.copy()
  names = key["attribute"].to_numpy()
  rarer = np.minimum(truth.positives, truth.negatives)
  outputs = len(rarer) + 1
  by_class = key["metric"].isin(OF_CLASSES).to_numpy()
  # Cells are blocks of all outputs and their mean; the rest is of no output.
  blocks = np.flatnonzero(names == MEAN) - len(rarer)
  for start in blocks[by_class[blocks]].tolist():
    count[start : start + outputs - 1] = rarer
  return (count < FEWEST_EXAMPLES) & (names != MEAN)


def _of_missing_parts(
  key: pd.DataFrame,
  seeds: np.ndarray,
  numbers: Numbers,
  moments: Moments,
  splits: np.ndarray,
) -> list[tuple[np.ndarray, str]]:
  """Reasons why there is nothing about other test examples."""
  several = seeds > 1
  metric = key["metric"].to_numpy()
  known = np.isfinite(moments.examples)
  thin = known & (moments.examples < 2)
  no_moments = several & ~known
  prefix = "crossed interval and decomposition not available: "
  varying = several & (numbers["sd"] > 0)
  no_crossed = varying & known & ~thin & np.isnan(numbers["crossed_low"])
  no_parts = several & known & ~thin & np.isnan(numbers["var_distribution"])
  return [
    *(
      (no_moments & (metric == name), prefix + text)
      for name, text in WITHOUT.items()
    ),
    (no_moments & ~np.isin(metric, list(WITHOUT)), prefix + NO_FORM),
    (several & thin, prefix + "fewer than 2 examples"),
    (
      no_crossed,
      "crossed interval not available: too little spread, or too few examples "
      "of a class",
    ),
    (no_parts, "decomposition not available: no value on most halves"),
    (
      several & (splits < 1) & ~no_parts,
      "decomposition from the splits whose halves have a value",
    ),
  ]
