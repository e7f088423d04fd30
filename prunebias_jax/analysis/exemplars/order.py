"""The order in which a person looks at examples; the controls among them.

By excess, then by the distance of mean probabilities, then by a draw: many
examples are tied (this project's; Hooker et al. 2020 rank by Taxicab alone).
"""

import numpy as np

CONTROLS = 0.15  # of the queue's length


def ranks(
  key: np.ndarray, second: np.ndarray, *, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
  """Ranks examples by two keys, the largest first, ties by a seeded draw.

  Args:
    key: float64 [example, question].
    second: the same; decides among equals.
    seed: of the draw, which is of the examples' places only.

  Returns:
    int32 [example, question], ranks from 1, and int64 [question, example],
    the examples in that order.
  """
  draw = np.random.default_rng(seed).permutation(len(key))
  order = np.lexsort((-second[draw].T, -key[draw].T), axis=-1)
  order = draw[order]
  result = np.empty(key.shape, np.int32)
  places = np.arange(1, len(key) + 1, dtype=np.int32)[:, None]
  np.put_along_axis(result, order.T, places, axis=0)
  return result, order


def queued(
  rank: np.ndarray, moved: np.ndarray, exemplar: np.ndarray, length: int
) -> np.ndarray:
  """Who is in the table: all exemplars and the first of the queue.

  Args:
    rank: int [example, question], from 1.
    moved: bool, worth looking at: what did not move is not queued.
    exemplar: bool, a modal CIE.
    length: the queue's.

  Returns:
    bool [example, question].
  """
  return exemplar | (moved & (rank <= length))


def controls(
  listed: np.ndarray, exemplar: np.ndarray, *, seed: int = 0
) -> np.ndarray:
  """Draws controls: 15 % as many as are listed, of those that are not.

  Args:
    listed: bool [example, question].
    exemplar: bool [example, question]; none of them is a control.
    seed: of the draw.

  Returns:
    bool [example, question].
  """
  free = ~listed & ~exemplar
  wanted = np.ceil(CONTROLS * listed.sum(axis=0)).astype(np.int64)
  draw = np.random.default_rng([seed, 1]).random(listed.shape)
  draw[~free] += 1  # behind all others
  # The examples of the smallest draws.
  order = np.argsort(draw.T, axis=1).T
  result = np.zeros(listed.shape, bool)
  taken = np.arange(len(listed))[:, None] < wanted
  np.put_along_axis(result, order, taken, axis=0)
  return result & free


def onset(exemplar: np.ndarray, sparsity: np.ndarray) -> np.ndarray:
  """The first level from which the modal label differs for good.

  Args:
    exemplar: bool [level, example, question], in rising order of sparsity.
    sparsity: float64 [level].

  Returns:
    float64 [example, question]; NaN where the last level does not differ.
  """
  lasting = np.logical_and.accumulate(exemplar[::-1], axis=0)[::-1]
  first = sparsity[np.argmax(lasting, axis=0)]
  return np.where(lasting[-1], first, np.nan)
