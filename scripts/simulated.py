"""Shares and Markdown tables, for simulate_inference."""

from collections.abc import Callable, Sequence
import re

import numpy as np

from prunebias_jax.analysis.inference import Interval
from prunebias_jax.analysis.inference.populations import Draw

SEEDS = (5, 10, 30)
POPULATION = 2_000_000

Rng = np.random.Generator


def holds(interval: Interval, truth: np.ndarray | float) -> float:
  """The share of intervals that hold the truth; none does not."""
  return float(np.mean((interval.low <= truth) & (truth <= interval.high)))


def rejects(p: np.ndarray) -> float:
  """The share of p <= .05; NaN: never available, else none does not reject."""
  given = np.isfinite(p)
  if not given.any():
    return np.nan
  return float(np.mean(np.where(given, p, 1.0) <= 0.05))


def written(number: float) -> str:
  """Three digits, without the leading zero."""
  if np.isnan(number):
    return "n/a"
  return re.sub(r"^(-?)0\.", r"\1.", f"{number:.3f}")


def write(
  title: str,
  first: str,
  columns: Sequence[str],
  rows: dict[str, list[list[float]]],
) -> None:
  """Prints a Markdown table."""
  print(f"\n{title}:\n")
  print(f"| {' | '.join([first, *columns])} |\n|{'---|' * (len(columns) + 1)}")
  for name, cells in rows.items():
    texts = [" / ".join(map(written, cell)) for cell in cells]
    print(f"| {' | '.join([name, *texts])} |", flush=True)


def by_seeds(
  title: str,
  first: str,
  rows: dict[str, Callable[[int], list[float]]],
  columns: Sequence[int] = SEEDS,
) -> None:
  """Prints a table with a column for each number of seeds."""
  found = {
    name: [measure(seeds) for seeds in columns]
    for name, measure in rows.items()
  }
  write(title, first, [f"K = {seeds}" for seeds in columns], found)


def truth_of(draw: Draw, rng: Rng) -> tuple[float, float]:
  """Mean and sd of a distribution."""
  large = draw(rng, (1, POPULATION))
  return float(large.mean()), float(large.std())
