"""A mapping whose values are made when they are first asked for."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Lazy(Mapping[K, V], Generic[K, V]):
  """A mapping of known keys; each value is made once, then kept."""

  def __init__(self, keys: Iterable[K], make: Callable[[K], V]) -> None:
    """Keeps what it takes to make the values.

    Args:
      keys: in the order in which they are listed.
      make: the value of a key.
    """
    self._keys, self._make = tuple(keys), make
    self._made: dict[K, V] = {}

  def __getitem__(self, key: K) -> V:
    if key not in self._made:
      if key not in self._keys:
        raise KeyError(key)
      self._made[key] = self._make(key)
    return self._made[key]

  def __contains__(self, key: object) -> bool:
    # That of `Mapping` makes the value.
    return key in self._keys

  def __iter__(self) -> Iterator[K]:
    return iter(self._keys)

  def __len__(self) -> int:
    return len(self._keys)

  def __repr__(self) -> str:
    return f"{type(self).__name__}({', '.join(map(repr, self._keys))})"
