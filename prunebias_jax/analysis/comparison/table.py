"""Second run minus first: values, and changes against each one's dense.

Which method is used when is this project's; the methods are the textbook's,
see `analysis.inference`.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from prunebias_jax.analysis.cells import Cells, dependence
from prunebias_jax.analysis.columns import CELL
from prunebias_jax.analysis.comparison.joined import Joined, Match
from prunebias_jax.analysis.flags import join_reasons
from prunebias_jax.analysis.inference import (
  MARK,
  brown_forsythe,
  paired_contrast,
  pitman_morgan,
  sd_ratio,
  unlike_normal,
  welch,
)
from prunebias_jax.analysis.inference.spread import ROUNDING, seed_sd
from prunebias_jax.analysis.parents import by_parent, note_of
from prunebias_jax.analysis.variance.rows import (
  Numbers,
  adjusted,
  averaged_reasons,
  by_availability,
  missing_reasons,
)

VALUE, CHANGE = "value", "change against dense"
PAIRED, WELCH = "paired by seed", "unpaired"
_NUMBERS = (
  "mean_first",
  "mean_second",
  "sd_first",
  "sd_second",
  "difference",
  "low",
  "high",
  "p",
  "sd_ratio",
  "sd_ratio_low",
  "sd_ratio_high",
  "sd_ratio_p",
)
_INFERRED = ("low", "high", "p", "sd_ratio_low", "sd_ratio_high", "sd_ratio_p")
COLUMNS = (
  "pruner_first",
  "pruner_second",
  "sparsity",
  "quantization",
  "quantity",
  *CELL,
  "method",
  "n_first",
  "n_second",
  *_NUMBERS,
  "p_adjusted",
  "reason",
)


def comparison_table(
  joined: Joined, *, by_seed: bool, level: float = 0.95
) -> pd.DataFrame:
  """Compares every matching population, cell by cell.

  Args:
    joined: both runs' members.
    by_seed: whether members of equal seed of the two runs are pairs: they
      began with the same parameters and saw the examples in the same order.
      A population whose seeds are not the same in both runs is compared
      without pairs all the same.
    level: coverage of the intervals, in (0, 1).

  Returns:
    The columns `COLUMNS`: for every match and cell a row of the values
    themselves and, but for dense, one of their changes against the dense
    member that each pairs with in its own run. A difference and a ratio are
    the second run's against the first's. NaN is what is not available, and
    `reason` says why.
  """
  key = joined.cells.key
  parts = []
  for match in joined.matches:
    quantities = [(VALUE, _values(joined, match))]
    if not match.is_dense:
      quantities.append((CHANGE, _changes(joined, match)))
    for quantity, sides in quantities:
      columns = _compare(joined.cells, sides, by_seed=by_seed, level=level)
      columns["p_adjusted"] = adjusted(key, columns["p"])
      parts.append(_part(key, match, quantity, columns))
  if not parts:
    return pd.DataFrame(columns=list(COLUMNS))
  return pd.concat(parts, ignore_index=True)


class _Sides:
  """The numbers of both sides, and what is to be said of them.

  Attributes:
    numbers: float64 [seed, cell] of each side.
    seeds: the seed of each row; None where rows are no single members.
    averaged: int [cell], see `Cells.flat`.
    notes: of both sides together.
    independent: whether intervals and tests over the seeds hold.
  """

  def __init__(
    self,
    numbers: tuple[np.ndarray, np.ndarray],
    seeds: tuple[np.ndarray | None, np.ndarray | None],
    averaged: np.ndarray,
    found: list[tuple[str, bool]],
    unit: str,
  ) -> None:
    self.numbers, self.seeds, self.averaged = numbers, seeds, averaged
    self.notes = tuple(dict.fromkeys(note for note, _ in found if note))
    self.independent = all(holds for _, holds in found)
    self.unit = unit


def _values(joined: Joined, match: Match) -> _Sides:
  """Each member's numbers."""
  values, averaged = joined.cells.flat(np.concatenate(match.places))
  count = len(match.places[0])
  seed = joined.members["seed"].to_numpy()
  return _Sides(
    (values[:count], values[count:]),
    (seed[match.places[0]], seed[match.places[1]]),
    averaged,
    [
      dependence(joined.members, places, pairs)
      for places, pairs in zip(match.places, match.pairs, strict=True)
    ],
    "seeds",
  )


def _changes(joined: Joined, match: Match) -> _Sides:
  """Each pair's change against dense."""
  places = [match.pairs[0].T.ravel(), match.pairs[1].T.ravel()]
  values, averaged = joined.cells.flat(np.concatenate(places))
  seed = joined.members["seed"].to_numpy()
  numbers: list[np.ndarray] = []
  seeds: list[np.ndarray | None] = []
  begin = 0
  for pairs in match.pairs:
    middle, end = begin + len(pairs), begin + 2 * len(pairs)
    compressed, dense = values[begin:middle], values[middle:end]
    begin = end
    change = compressed - dense
    # What is left of equal numbers is rounding, and would seem a spread.
    size = np.maximum(np.abs(compressed), np.abs(dense))
    change = np.where(np.abs(change) <= ROUNDING * size, 0.0, change)
    numbers.append(by_parent(change, pairs))
    alone = not note_of(pairs)
    seeds.append(seed[pairs[:, 0]] if alone else None)
  return _Sides(
    (numbers[0], numbers[1]),
    (seeds[0], seeds[1]),
    averaged,
    [
      dependence(joined.members, places, pairs, averaged=True)
      for places, pairs in zip(match.places, match.pairs, strict=True)
    ],
    "pairs",
  )


def _compare(
  cells: Cells, sides: _Sides, *, by_seed: bool, level: float
) -> dict[str, np.ndarray]:
  """The columns of one match and quantity."""
  first, second = sides.numbers
  paired = by_seed and _same_seeds(sides)
  if paired:
    orders = [np.argsort(one) for one in sides.seeds if one is not None]
    first, second = first[orders[0]], second[orders[1]]
    numbers = _paired(first, second, level)
    shared = np.isfinite(first) & np.isfinite(second)
    counts = [shared.sum(axis=0)] * 2
  else:
    numbers = _unpaired(first, second, level)
    counts = [np.isfinite(one).sum(axis=0) for one in (first, second)]
  unlike = numbers.pop("unlike")
  if not sides.independent:
    for name in _INFERRED:
      numbers[name] = np.full(len(unlike), np.nan)
  size = len(unlike)
  there = np.minimum(*counts) > 0
  reason = join_reasons(
    size,
    [
      *((np.full(size, True), note) for note in sides.notes),
      (
        np.full(size, by_seed and not paired),
        "unpaired: the seeds are not the same in both runs, or members share "
        "a dense parent",
      ),
      *_missing(sides, counts),
      (
        there & np.isnan(numbers["p"]) & sides.independent,
        "interval and t not available: needs two seeds in each run and some "
        "spread",
      ),
      (
        there & np.isnan(numbers["sd_ratio_p"]) & sides.independent,
        "spreads not tested: needs three pairs that are no straight line"
        if paired
        else "spreads not tested: needs 10 seeds in each run",
      ),
      (unlike > 0, MARK),
      *averaged_reasons(sides.averaged, cells),
    ],
  )
  return {
    "method": np.full(size, PAIRED if paired else WELCH, object),
    "n_first": counts[0],
    "n_second": counts[1],
    **numbers,
    "reason": reason,
  }


def _same_seeds(sides: _Sides) -> bool:
  first, second = sides.seeds
  if first is None or second is None:
    return False
  return bool(np.array_equal(np.sort(first), np.sort(second)))


def _missing(
  sides: _Sides, counts: list[np.ndarray]
) -> list[tuple[np.ndarray, str]]:
  """Reasons where a run has no pairs, or some have no value."""
  found = []
  for place, (count, side) in enumerate(
    zip(counts, sides.numbers, strict=True)
  ):
    run = ("first", "second")[place]
    if not len(side):
      text = f"no member of the {run} run pairs with a dense one"
      found.append((np.full(len(count), True), text))
    else:
      what = f"{sides.unit} of the {run} run"
      found += missing_reasons(count, len(side), what, sides.averaged)
  return found


def _paired(first: np.ndarray, second: np.ndarray, level: float) -> Numbers:
  """Second minus first of the same seeds, row by row."""

  def summarise(seeds: np.ndarray, chosen: np.ndarray) -> Numbers:
    one, other = (side[np.ix_(seeds, chosen)] for side in (first, second))
    result = paired_contrast(other, one, level=level)
    ratio = pitman_morgan(other, one, level=level)
    return {
      **_described(one, other),
      "difference": result.difference.estimate,
      "low": result.difference.low,
      "high": result.difference.high,
      "p": result.t_p,
      "sd_ratio": np.sqrt(ratio.ratio),
      "sd_ratio_low": np.sqrt(ratio.low),
      "sd_ratio_high": np.sqrt(ratio.high),
      "sd_ratio_p": ratio.p,
      "unlike": unlike_normal(other - one).astype(np.float64),
    }

  finite = np.isfinite(first) & np.isfinite(second)
  return by_availability(finite, (*_NUMBERS, "unlike"), summarise)[1]


def _unpaired(first: np.ndarray, second: np.ndarray, level: float) -> Numbers:
  """Second minus first of unrelated seeds."""
  values = np.concatenate([first, second])
  count = len(first)

  def summarise(seeds: np.ndarray, chosen: np.ndarray) -> Numbers:
    rows = [seeds[seeds < count], seeds[seeds >= count]]
    one, other = (values[np.ix_(side, chosen)] for side in rows)
    numbers = _described(one, other)
    if not (len(one) and len(other)):
      return numbers
    result = welch(other, one, level=level)
    ratio = sd_ratio(other, one, level=level)
    return numbers | {
      "difference": result.difference.estimate,
      "low": result.difference.low,
      "high": result.difference.high,
      "p": result.p,
      "sd_ratio": ratio.estimate,
      "sd_ratio_low": ratio.low,
      "sd_ratio_high": ratio.high,
      "sd_ratio_p": brown_forsythe(other, one),
      "unlike": (unlike_normal(one) | unlike_normal(other)).astype(np.float64),
    }

  finite = np.isfinite(values)
  return by_availability(finite, (*_NUMBERS, "unlike"), summarise)[1]


def _described(first: np.ndarray, second: np.ndarray) -> Numbers:
  """Mean and sd of each side, as far as there are seeds."""
  missing = np.full(first.shape[1], np.nan)
  found = dict.fromkeys((*_NUMBERS, "unlike"), missing)
  for name, side in (("first", first), ("second", second)):
    if len(side):
      found[f"mean_{name}"] = side.mean(axis=0)
    if len(side) > 1:
      found[f"sd_{name}"] = seed_sd(side)
  return found


def _part(
  key: pd.DataFrame,
  match: Match,
  quantity: str,
  columns: Mapping[str, np.ndarray],
) -> pd.DataFrame:
  """The rows of one match and quantity."""
  fixed = {
    "pruner_first": match.first[0],
    "pruner_second": match.second[0],
    "sparsity": match.first[1],
    "quantization": match.first[2],
    "quantity": quantity,
  }
  cells = {name: key[name].to_numpy() for name in CELL}
  return pd.DataFrame({**fixed, **cells, **columns})[list(COLUMNS)]
