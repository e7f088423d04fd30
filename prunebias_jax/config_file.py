"""Reading a config: a small Python file, or the sweep.json of a run."""

from collections.abc import Mapping
import importlib.util
import inspect
import json
from pathlib import Path
import typing
from typing import Any

from prunebias_jax.config import Sweep
from prunebias_jax.errors import InputError
from prunebias_jax.settings import parse, type_name


def load_config(path: Path, given: Mapping[str, str] | None = None) -> Sweep:
  """Reads a config file.

  Args:
    path: a Python file that defines `sweep() -> Sweep`, or the sweep.json that
      every run keeps, which repeats that run.
    given: what the function is called with, as text: read as the annotations
      of its parameters say.

  Raises:
    InputError: a file that is missing or gives no Sweep, a parameter that the
      function does not have, or a value that is not of its type.
  """
  if not path.is_file():
    raise InputError(f"config file {path} not found")
  given = given or {}
  if path.suffix != ".json":
    return _from_python(path, given)
  if given:
    raise InputError(
      f"config file {path} is resolved: it takes no {', '.join(given)}"
    )
  return _from_json(path)


def _from_json(path: Path) -> Sweep:
  try:
    facts = json.loads(path.read_text())
  except ValueError as error:
    raise InputError(f"config file {path} is not JSON: {error}") from None
  if isinstance(facts, dict) and "imported" in facts:
    raise InputError(
      f"config file {path} is that of an imported run: it holds no config to "
      "repeat"
    )
  if not isinstance(facts, dict) or "sweep" not in facts:
    raise InputError(f"config file {path} has no field 'sweep'")
  return Sweep.from_dict(facts["sweep"])


def _from_python(path: Path, given: Mapping[str, str]) -> Sweep:
  spec = importlib.util.spec_from_file_location("prunebias_config", path)
  if spec is None or spec.loader is None:
    raise InputError(
      f"config file {path} is neither Python (.py) nor JSON (.json)"
    )
  module = importlib.util.module_from_spec(spec)
  try:
    spec.loader.exec_module(module)
    make = module.sweep
  except InputError:
    raise
  except AttributeError:
    raise InputError(
      f"config file {path} defines no function sweep() -> Sweep"
    ) from None
  except Exception as error:
    # The file is the user's input: whatever is wrong in it is one line.
    raise InputError(
      f"config file {path} is broken: {type(error).__name__}: {error}"
    ) from error
  sweep = make(**_arguments(path, make, given))
  if not isinstance(sweep, Sweep):
    raise InputError(
      f"config file {path}: sweep() gives {type(sweep).__name__}, not Sweep"
    )
  return sweep


def _arguments(
  path: Path, make: Any, given: Mapping[str, str]
) -> dict[str, Any]:
  """Values for a config's function, read by its annotations."""
  accepted = [*inspect.signature(make).parameters]
  kinds = typing.get_type_hints(make)
  values = {}
  for name, text in given.items():
    if name not in accepted:
      raise InputError(
        f"config file {path} takes no {name!r}; accepted: "
        f"{', '.join(accepted) or 'nothing'}"
      )
    kind = kinds.get(name, str)
    try:
      values[name] = parse(text, kind)
    except ValueError:
      raise InputError(
        f"config file {path}: {name} is {text!r}, not {type_name(kind)}"
      ) from None
  return values
