"""Several populations or splits at once: numpy lets go of the interpreter."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
import os
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

# Each holds arrays of its own.
MOST_WORKERS = 4


def in_threads(function: Callable[[T], R], items: Iterable[T]) -> list[R]:
  """The function of each item, in order, a thread for each core up to four."""
  workers = min(len(os.sched_getaffinity(0)), MOST_WORKERS)
  with ThreadPoolExecutor(workers) as pool:
    return list(pool.map(function, items))
