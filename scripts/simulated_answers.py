"""Members and examples both random, for simulate_inference."""

import itertools

import numpy as np
from simulated import SEEDS, Rng, holds, rejects, write

from prunebias_jax.analysis.inference import (
  ExampleSums,
  Interval,
  crossed_interval,
  decompose,
  mean_interval,
  paired_contrast,
  pitman_morgan,
  sd_interval,
)
from prunebias_jax.analysis.inference.populations import Answers, answers

FEWER_SEEDS = (2, 3, *SEEDS)
BLOCK = 2_000_000  # answers in memory at once
MEMBER_SDS = {"no": 0.0, "1 point": 0.1, "3 points": 0.3}


def drawn(
  rng: Rng, count: int, seeds: int, examples: int, sds: tuple[float, ...]
) -> list[Answers]:
  """Answers of `count` test sets, in blocks."""
  step = max(1, BLOCK // (seeds * examples * len(sds)))
  return [
    answers(
      rng,
      seeds=seeds,
      examples=examples,
      cells=min(step, count - start),
      member_sds=sds,
    )
    for start in range(0, count, step)
  ]


def answered(rng: Rng, count: int) -> None:
  """Members and examples both random; the test set taken as fixed, or not."""
  fixed: dict[str, list[list[float]]] = {}
  both: dict[str, list[list[float]]] = {}
  parts: dict[str, list[list[float]]] = {}
  for examples, (name, sd) in itertools.product(
    (200, 2_000), MEMBER_SDS.items()
  ):
    row = f"n = {examples}, {name} seed sd"
    cells = count if examples == 200 else max(count // 5, 1)
    shares = [one_setting(rng, cells, k, examples, sd) for k in FEWER_SEEDS]
    both[row] = [share[6:8] for share in shares]
    shares = shares[-len(SEEDS) :]
    fixed[row] = [share[:6] for share in shares]
    parts[row] = [share[8:] for share in shares]
  columns = [f"K = {seeds}" for seeds in SEEDS]
  title = f"{count} replicates (n = 2000: a fifth)"
  write(
    "Test set fixed: coverage of mean / paired difference / sd / ratio of "
    f"variances; size of paired t / Pitman-Morgan; {title}",
    "population",
    columns,
    fixed,
  )
  write(
    f"Test set random: coverage of t / crossed; {title}",
    "population",
    [f"K = {seeds}" for seeds in FEWER_SEEDS],
    both,
  )
  write(
    "Variance over seeds on an endless test set, in squared points: truth / "
    "mean of estimates / its standard error / share of negative estimates",
    "population",
    columns,
    parts,
  )


def one_setting(
  rng: Rng, count: int, seeds: int, examples: int, sd: float
) -> list[float]:
  """Shares of one number of seeds, examples and one spread of members."""
  shares, weights, estimates = [], [], []
  for made in drawn(rng, count, seeds, examples, (sd, sd)):
    compressed, dense = made.right.mean(axis=2)
    sums = ExampleSums.of(made.right[0])
    contrast = paired_contrast(compressed, dense)
    ratio = pitman_morgan(compressed, dense)
    crossed = crossed_interval(sums)
    estimates.append(decompose(sums).distribution * 1e4)
    limits = Interval(estimate=ratio.ratio, low=ratio.low, high=ratio.high)
    both = Interval(
      estimate=crossed.estimate, low=crossed.low, high=crossed.high
    )
    shares.append(
      [
        holds(mean_interval(compressed), made.given[0]),
        holds(contrast.difference, 0.0),
        holds(sd_interval(compressed), made.given_sd[0]),
        holds(limits, 1.0),
        rejects(contrast.t_p),
        rejects(ratio.p),
        holds(mean_interval(compressed), made.mean[0]),
        holds(both, made.mean[0]),
      ]
    )
    weights.append(compressed.shape[1])
  found = np.concatenate(estimates)
  return [
    *np.average(shares, axis=0, weights=weights).tolist(),
    float(made.distribution[0] * 1e4),
    float(found.mean()),
    float(found.std() / np.sqrt(len(found))),
    float(np.mean(found < 0)),
  ]
