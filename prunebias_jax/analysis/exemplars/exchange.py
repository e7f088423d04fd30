"""Which members change sides: the permutations of the exemplar tests.

Under the null, dense and compressed members come from one process. Members of
one seed share init and data order, so that only the two of a pair may change
places; members of unrelated seeds may go anywhere. Free permutation of paired
members has the wrong null (docs/statistics.md). All of it is this project's;
the p-value of draws that count the observed arrangement is Davison and
Hinkley's (1997).
"""

import dataclasses
import itertools
import math

import numpy as np
import scipy.stats

REACH = 0.05
ROUNDING = 1e-10
MOST = 10_000  # arrangements that are enumerated; more are drawn


@dataclasses.dataclass(frozen=True, kw_only=True)
class Exchange:
  """Arrangements of the members of two populations; row 0 is the observed one.

  Attributes:
    moved: bool [arrangement, pair], the pairs that change places; or, where
      free, [arrangement, member of both], the members on the first side. In
      no order but for row 0.
    paired: which of the two.
    exact: all arrangements are there (of mirror images one).
    count: how many there are, mirror images included, or how many were drawn.
    sizes: members of the first and of the second population.
  """

  moved: np.ndarray
  paired: bool
  exact: bool
  count: int
  sizes: tuple[int, int]

  @property
  def mirrored(self) -> bool:
    """Whether the two populations could change places altogether."""
    return self.sizes[0] == self.sizes[1]

  @property
  def reason(self) -> str:
    """Why no p can be given, "" where it can: too few arrangements."""
    if self.paired:
      fewest, size = 1, self.sizes[0]
      while 2.0 ** (1 - fewest) > REACH:
        fewest += 1
      if size < fewest:
        return f"p not available: needs K >= {fewest}"
      return ""
    total = math.comb(sum(self.sizes), self.sizes[0])
    if (1 + self.mirrored) / total > REACH:
      return f"p not available: {total} arrangements of the members"
    return ""

  def steps(
    self, first: np.ndarray, second: np.ndarray
  ) -> tuple[np.ndarray, np.ndarray]:
    """What sums over the first side are made of.

    Args:
      first: [..., member, cell], numbers of the first population's members.
      second: the same of the second's.

    Returns:
      base [..., cell] and step [..., pair or member, cell]: the sum over the
      first side is base + moved @ step.
    """
    if self.paired:
      return first.sum(axis=-2), second - first
    both = np.concatenate([first, second], axis=-2)
    return np.zeros_like(both[..., 0, :]), both

  def sides(self, rows: slice) -> np.ndarray:
    """Who is on the first side: bool [arrangement, member of both]."""
    moved = self.moved[rows]
    return np.concatenate([~moved, moved], axis=1) if self.paired else moved

  def share(self, statistics: np.ndarray) -> np.ndarray:
    """p: arrangements at least as large as the observed one.

    Exact, or (1 + hits) / (1 + draws), since the observed one is row 0.

    Args:
      statistics: float64 [arrangement, ...]; larger is more extreme. Of the
        order of 1, or counts: what differs by rounding is the same.
    """
    return np.mean(statistics >= statistics[0] - ROUNDING, axis=0)

  def mean(self, statistics: np.ndarray) -> np.ndarray:
    """Mean under the null: over all arrangements, or over the drawn ones."""
    return statistics[0 if self.exact else 1 :].mean(axis=0)


def make_exchange(
  sizes: tuple[int, int], *, paired: bool, draws: int, seed: int = 0
) -> Exchange:
  """All arrangements where there are at most 10,000, else seeded draws.

  Args:
    sizes: members of the two populations; equal where paired.
    paired: members change places within their pair.
    draws: how many to draw where they are not enumerated.
    seed: of the draws.
  """
  pairs = sizes[0]
  both = sum(sizes)
  total = 2**pairs if paired else math.comb(both, pairs)
  rng = np.random.default_rng(seed)
  if total <= MOST:
    moved = _all_swaps(pairs) if paired else _all_sides(both, pairs)
    # In no order, so that the first of them are like the rest.
    rng.shuffle(moved[1:])
    return Exchange(
      moved=moved,
      paired=paired,
      exact=True,
      count=total,
      sizes=sizes,
    )
  if paired:
    drawn = rng.random((draws, pairs)) < 0.5
    observed = np.zeros((1, pairs), bool)
  else:
    observed = np.arange(both)[None] < pairs
    drawn = rng.permuted(np.repeat(observed, draws, axis=0), axis=1)
  return Exchange(
    moved=np.concatenate([observed, drawn]),
    paired=paired,
    exact=False,
    count=draws,
    sizes=sizes,
  )


def expected_distance(exchange: Exchange) -> np.ndarray:
  """Mean over all arrangements of |share on one side - share on the other|.

  Exact, by the distribution of the votes that could go either way: in each
  pair that is split a coin is tossed; free members are drawn without
  replacement.

  Returns:
    float64 [number]: by the number of pairs of which one votes so (paired),
    or of the members of both that do (free).
  """
  first, second = exchange.sizes
  if exchange.paired:
    split = np.arange(first + 1)[:, None]
    heads = np.arange(first + 1)
    chance = scipy.stats.binom.pmf(heads, split, 0.5)
    return (chance * np.abs(2 * heads - split)).sum(axis=1) / first
  total = np.arange(first + second + 1)[:, None]
  here = np.arange(first + 1)
  chance = scipy.stats.hypergeom.pmf(here, first + second, total, first)
  gap = np.abs(here / first - (total - here) / second)
  return (np.nan_to_num(chance) * gap).sum(axis=1)


def _all_swaps(pairs: int) -> np.ndarray:
  """Half of all swaps: the first pair stays; the others are mirror images."""
  codes = np.arange(2 ** (pairs - 1))[:, None]
  rest = (codes >> np.arange(pairs - 1)) & 1
  return np.concatenate([np.zeros((len(codes), 1)), rest], axis=1) > 0


def _all_sides(both: int, first: int) -> np.ndarray:
  """All ways to choose the first side, of mirror images one.

  The observed one comes first.
  """
  chosen = np.array(list(itertools.combinations(range(both), first)))
  if 2 * first == both:
    chosen = chosen[chosen[:, 0] == 0]
  sides = np.zeros((len(chosen), both), bool)
  np.put_along_axis(sides, chosen, True, axis=1)
  return sides
