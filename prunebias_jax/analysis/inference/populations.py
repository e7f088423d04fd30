"""Made-up populations whose truth is known, to try the inference on.

`DISTRIBUTIONS` are numbers of independent seeds; `answers` are members'
right and wrong answers to examples, members and examples both random and both
with lasting differences. This project's; scripts/simulate_inference and the
tests draw from them.
"""

from collections.abc import Callable
import dataclasses

import numpy as np
import scipy.special

Draw = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]

# Of the latent logit: how examples and answers to one of them differ, and the
# mean that makes nine of ten answers right.
DIFFICULTY = 1.5
NOISE = 0.75
EASE = 2.15
NODES = 15


def normal(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
  """What the intervals assume."""
  return rng.normal(size=shape)


def skewed(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
  """Gamma of shape 4: skewness 1."""
  return rng.gamma(4.0, size=shape)


def heavy(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
  """Student t of 5 degrees of freedom: symmetric, kurtosis 9."""
  return rng.standard_t(5, size=shape)


def degrade(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
  """Sd of 1 point; one seed in ten loses 5 points."""
  return rng.normal(size=shape) - 5.0 * (rng.random(shape) < 0.1)


def collapse(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
  """Sd of 1 point; one seed in ten loses 40 points."""
  return rng.normal(size=shape) - 40.0 * (rng.random(shape) < 0.1)


def lognormal(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
  """Log normal of sigma 1: skewness 6."""
  return rng.lognormal(size=shape)


def one_example(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
  """A rate of 8 examples, one of which flips in a pair in four."""
  flips = rng.random(shape) < 0.25
  return flips * rng.choice([-0.125, 0.125], shape)


DISTRIBUTIONS: dict[str, Draw] = {
  "normal": normal,
  "skewed (gamma, skewness 1)": skewed,
  "heavy tails (t with 5 df)": heavy,
  "10 % of seeds degrade (by 5 sd)": degrade,
  "10 % of seeds collapse (by 40 sd)": collapse,
  "lognormal (skewness 6)": lognormal,
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Answers:
  """Which members are right on which examples, and what is true of them.

  Attributes:
    right: float64 [level, seed, example, cell], 0 or 1; each cell has a test
      set and members of its own.
    given: float64 [level, cell], the mean over endless members on this test
      set.
    given_sd: float64 [level, cell], the sd over members on this test set.
    mean: [level], the mean over endless members and examples.
    distribution: [level], variance over members on an endless test set.
  """

  right: np.ndarray
  given: np.ndarray
  given_sd: np.ndarray
  mean: np.ndarray
  distribution: np.ndarray


def answers(
  rng: np.random.Generator,
  *,
  seeds: int,
  examples: int,
  cells: int,
  member_sds: tuple[float, ...],
  eases: tuple[float, ...] | None = None,
  shared: float = 0.5,
) -> Answers:
  """Draws test sets, members and their answers.

  The latent logit is ease + example + member + noise, all normal; an answer is
  right where it is above 0. Levels share the examples, and part of the member.
  An example that one member gets wrong is thus more often wrong in another,
  and a member that is good on one is better on all.

  Args:
    rng: the source of chance.
    seeds: members of a population, K.
    examples: of a test set, n.
    cells: how many test sets with members.
    member_sds: for each level, the sd of the member's effect.
    eases: for each level, the mean of the latent logit; `EASE` in all.
    shared: correlation of the member's effects at two levels.

  Returns:
    The answers and their truth.
  """
  levels = len(member_sds)
  sd = np.array(member_sds)
  ease = np.array([EASE] * levels if eases is None else eases)
  example = DIFFICULTY * rng.normal(size=(examples, cells))
  common = np.sqrt(shared) * rng.normal(size=(1, seeds, cells))
  own = np.sqrt(1 - shared) * rng.normal(size=(levels, seeds, cells))
  member = sd[:, None, None] * (common + own)
  right = np.empty((levels, seeds, examples, cells))
  given, given_sd = np.empty((2, levels, cells))
  for level in range(levels):
    # One population at a time: the noise is what takes memory.
    noise = rng.standard_normal((seeds, examples, cells), np.float32)
    latent = ease[level] + example + member[level][:, None]
    right[level] = latent + NOISE * noise > 0
    given[level], given_sd[level] = _given(ease[level] + example, sd[level])
  mean, distribution = zip(
    *(_endless(*pair) for pair in zip(ease, sd, strict=True)), strict=True
  )
  return Answers(
    right=right,
    given=given,
    given_sd=given_sd,
    mean=np.array(mean),
    distribution=np.array(distribution),
  )


def _nodes() -> tuple[np.ndarray, np.ndarray]:
  """Points and weights of the mean over a standard normal."""
  points, weights = np.polynomial.hermite_e.hermegauss(NODES)
  return points, weights / weights.sum()


def _given(latent: np.ndarray, sd: float) -> tuple[np.ndarray, np.ndarray]:
  """Mean and sd over members on given test sets: float64 [cell] each.

  Args:
    latent: float64 [example, cell], ease and example.
    sd: of the members' effect.
  """
  points, weights = _nodes()
  mean, square, noise = np.zeros((3, latent.shape[1]))
  for point, weight in zip(points, weights, strict=True):
    right = scipy.special.ndtr((latent + sd * point) / NOISE)
    rate = right.mean(axis=0)
    mean += weight * rate
    square += weight * rate**2
    noise += weight * (right * (1 - right)).mean(axis=0)
  variance = square - mean**2 + noise / len(latent)
  return mean, np.sqrt(variance)


def _endless(ease: float, sd: float) -> tuple[float, float]:
  """Mean and variance over members on an endless test set."""
  points, weights = _nodes()
  spread = np.hypot(DIFFICULTY, NOISE)
  rate = scipy.special.ndtr((ease + sd * points) / spread)
  mean = weights @ rate
  return float(mean), float(weights @ (rate - mean) ** 2)
