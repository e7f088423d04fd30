"""Typed, self-checking settings: the machinery under `prunebias_jax.config`.

A part of a config is a frozen dataclass that derives from `Part`; its fields
are made by `setting` (a value, with help, unit and what is accepted) or `part`
(a nested part). Types and bounds are checked at construction, from Python, from
JSON and from the command line alike.
"""

from collections.abc import Callable, Iterator, Mapping
import dataclasses
import difflib
import math
import types
import typing
from typing import Any, Self, TypeVar

from prunebias_jax.errors import InputError

_PartType = TypeVar("_PartType", bound="Part")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Leaf:
  """One setting of a config: its dotted path, type, help and value."""

  path: str
  kind: Any
  help: str
  value: Any


def setting(
  default: Any = dataclasses.MISSING,
  *,
  help: str,
  unit: str = "",
  low: float | None = None,
  below: float | None = None,
  high: float | None = None,
  choices: Callable[[], typing.Iterable[str]] | None = None,
) -> Any:
  """A dataclass field with help and the values it accepts.

  Args:
    default: its default; without one the field is required.
    help: one line of what it is.
    unit: the unit of its value.
    low: the smallest value accepted (of every item of a tuple).
    below: every value must lie strictly below this one.
    high: the largest value accepted.
    choices: gives the names accepted.
  """
  metadata = {
    "help": f"{help} [{unit}]" if unit else help,
    "low": low,
    "below": below,
    "high": high,
    "choices": choices,
  }
  return dataclasses.field(default=default, metadata=metadata)


def part(kind: type[_PartType], *, help: str) -> Any:
  """A dataclass field that holds a nested part, all defaults unless given."""
  return dataclasses.field(default_factory=kind, metadata={"help": help})


class Part:
  """Base of the parts of a config: checks its fields at construction."""

  def __post_init__(self) -> None:
    kinds = typing.get_type_hints(type(self))
    for field in dataclasses.fields(self):  # type: ignore[arg-type]
      value = getattr(self, field.name)
      where = f"{type(self).__name__.lower()}.{field.name}"
      if is_part(kinds[field.name]):
        if not isinstance(value, kinds[field.name]):
          raise InputError(f"{where} is {value!r}, not a {kinds[field.name]}")
        continue
      value = conform(value, kinds[field.name], where)
      _check_bounds(value, field.metadata, where)
      object.__setattr__(self, field.name, value)
    self.check()

  def check(self) -> None:
    """Raises InputError where fields do not fit each other."""

  def to_dict(self) -> dict[str, Any]:
    """Returns the part as nested dictionaries of JSON values."""

    def plain(value: Any) -> Any:
      if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
      return list(value) if isinstance(value, tuple) else value

    return plain(dataclasses.asdict(self))  # type: ignore[call-overload]

  @classmethod
  def from_dict(cls, values: Mapping[str, Any], where: str = "") -> Self:
    """Makes the part from nested dictionaries; unknown names are refused."""
    if not isinstance(values, Mapping):
      raise InputError(f"{where or 'config'} is {values!r}, not an object")
    kinds = typing.get_type_hints(cls)
    given: dict[str, Any] = {}
    for name, value in values.items():
      path = f"{where}.{name}" if where else name
      if name not in kinds:
        raise InputError(unknown(path, [*kinds], prefix=where))
      kind = kinds[name]
      given[name] = kind.from_dict(value, path) if is_part(kind) else value
    try:
      return cls(**given)
    except TypeError as error:
      raise InputError(f"{where or 'config'}: {error}") from None

  def leaves(self, prefix: str = "") -> Iterator[Leaf]:
    """Yields every setting below this part with its dotted path."""
    kinds = typing.get_type_hints(type(self))
    for field in dataclasses.fields(self):  # type: ignore[arg-type]
      value = getattr(self, field.name)
      path = prefix + field.name
      if isinstance(value, Part):
        yield from value.leaves(f"{path}.")
      else:
        yield Leaf(
          path=path,
          kind=kinds[field.name],
          help=field.metadata["help"],
          value=value,
        )

  def override(self, changes: Mapping[str, Any]) -> Self:
    """Returns a copy with the values at these dotted paths changed."""
    values = self.to_dict()
    for path, value in changes.items():
      *parents, last = path.split(".")
      target = values
      for parent in parents:
        target = target[parent]
      target[last] = value
    return type(self).from_dict(values)


def is_part(kind: Any) -> bool:
  """Whether a field's type is a nested part."""
  return isinstance(kind, type) and issubclass(kind, Part)


def unknown(path: str, accepted: list[str], prefix: str = "") -> str:
  """The line that refuses an unknown field and names the nearest one."""
  name = path.removeprefix(f"{prefix}.") if prefix else path
  near = difflib.get_close_matches(name, accepted, n=1)
  lead = f"{prefix}." if prefix else ""
  if near:
    return f"unknown field {path!r}; did you mean {lead + near[0]!r}?"
  return f"unknown field {path!r}; accepted: {', '.join(sorted(accepted))}"


def conform(value: Any, kind: Any, where: str) -> Any:
  """Returns `value` as type `kind` where nothing is lost, else InputError."""
  if typing.get_origin(kind) is types.UnionType:
    kinds = [one for one in typing.get_args(kind) if one is not type(None)]
    return None if value is None else conform(value, kinds[0], where)
  if typing.get_origin(kind) is tuple:
    if not isinstance(value, tuple | list):
      raise InputError(f"{where} is {value!r}, not a list")
    item = typing.get_args(kind)[0]
    return tuple(conform(one, item, where) for one in value)
  if kind is float and isinstance(value, int) and not isinstance(value, bool):
    return float(value)
  wrong_bool = isinstance(value, bool) and kind is not bool
  if not isinstance(value, kind) or wrong_bool:
    raise InputError(f"{where} is {value!r}, not {type_name(kind)}")
  return value


def type_name(kind: Any) -> str:
  """A type as a user reads it: "int", "list of float", "float or none"."""
  if typing.get_origin(kind) is types.UnionType:
    kinds = [one for one in typing.get_args(kind) if one is not type(None)]
    return f"{type_name(kinds[0])} or none"
  if typing.get_origin(kind) is tuple:
    return f"list of {typing.get_args(kind)[0].__name__}"
  return str(kind.__name__)


def parse(text: str, kind: Any) -> Any:
  """Reads a value of type `kind` from the command line.

  Lists are comma-separated ("0,.8,.95", "" for none); bool is true or false.

  Raises:
    ValueError: the text is not of that type.
  """
  if typing.get_origin(kind) is types.UnionType:
    kinds = [one for one in typing.get_args(kind) if one is not type(None)]
    return None if text.lower() == "none" else parse(text, kinds[0])
  if typing.get_origin(kind) is tuple:
    item = typing.get_args(kind)[0]
    return tuple(parse(one, item) for one in text.split(",") if one.strip())
  if kind is bool:
    if text.lower() not in ("true", "false"):
      raise ValueError(text)
    return text.lower() == "true"
  return kind(text)


def differences(
  here: Mapping[str, Any], there: Mapping[str, Any], prefix: str = ""
) -> dict[str, tuple[Any, Any]]:
  """The settings that differ between two configs, by their dotted path."""
  found: dict[str, tuple[Any, Any]] = {}
  for name in [*here, *(one for one in there if one not in here)]:
    mine, other = here.get(name), there.get(name)
    if isinstance(mine, Mapping) and isinstance(other, Mapping):
      found |= differences(mine, other, f"{prefix}{name}.")
    elif mine != other:
      found[prefix + name] = (mine, other)
  return found


def _check_bounds(value: Any, accept: Mapping[str, Any], where: str) -> None:
  """Raises InputError where a value lies outside what its field accepts."""
  for one in value if isinstance(value, tuple) else (value,):
    if one is None:
      continue
    if accept["choices"] is not None:
      names = list(accept["choices"]())
      if one not in names:
        raise InputError(f"{where} is {one!r}; accepted: {', '.join(names)}")
    if not isinstance(one, int | float):
      continue
    low, below, high = accept["low"], accept["below"], accept["high"]
    inside = math.isfinite(one)
    inside &= low is None or one >= low
    inside &= below is None or one < below
    inside &= high is None or one <= high
    if not inside:
      lower = "-inf" if low is None else f"{low:g}"
      upper = below if below is not None else high
      close = "]" if below is None and high is not None else ")"
      shown = "inf" if upper is None else f"{upper:g}"
      raise InputError(
        f"{where} is {one!r}; accepted: [{lower}, {shown}{close}"
      )
