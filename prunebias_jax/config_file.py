"""Reading a config: a small Python file, or the sweep.json of a run."""

import importlib.util
import json
from pathlib import Path

from prunebias_jax.config import Sweep
from prunebias_jax.errors import InputError


def load_config(path: Path) -> Sweep:
  """Reads a config file.

  Args:
    path: a Python file that defines `sweep() -> Sweep`, or the sweep.json that
      every run keeps, which repeats that run.

  Raises:
    InputError: a file that is missing or gives no Sweep.
  """
  if not path.is_file():
    raise InputError(f"config file {path} not found")
  return _from_json(path) if path.suffix == ".json" else _from_python(path)


def _from_json(path: Path) -> Sweep:
  try:
    facts = json.loads(path.read_text())
  except ValueError as error:
    raise InputError(f"config file {path} is not JSON: {error}") from None
  if not isinstance(facts, dict) or "sweep" not in facts:
    raise InputError(f"config file {path} has no field 'sweep'")
  return Sweep.from_dict(facts["sweep"])


def _from_python(path: Path) -> Sweep:
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
  sweep = make()
  if not isinstance(sweep, Sweep):
    raise InputError(
      f"config file {path}: sweep() gives {type(sweep).__name__}, not Sweep"
    )
  return sweep
