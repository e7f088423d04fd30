"""What may be missing, and what may import what."""

import ast
from pathlib import Path
import subprocess
import sys

import pytest

PACKAGE = Path(__file__).parents[1] / "prunebias_jax"

# Room -> the rooms it may use; each may use itself, errors and settings.
ALLOWED = {
  "data": {"config"},
  "models": {"config"},
  "pruning": {"config"},
  "training": {
    "config",
    "data",
    "evaluations",
    "models",
    "pruning",
    "store",
  },
  "quantization": {"data", "models", "store", "training"},
  "analysis": set(),
  "importing": {"analysis", "data", "store"},
  # What people said in an audit is a chapter of the report.
  "report": {"analysis", "audit", "data", "store"},
  "audit": {"analysis", "config", "data", "store"},
}
EVERYWHERE = {"errors", "settings"}


def test_faces_train_without_what_only_others_need():
  """No TensorFlow, tfds, clu, scikit-learn or TensorBoard: all are optional."""
  missing = (
    "tensorflow", "tensorflow_datasets", "clu", "sklearn", "tensorboardX",
  )  # fmt: skip
  code = f"""
import sys
for name in {missing!r}:
  sys.modules[name] = None
import prunebias_jax, prunebias_jax.cli
from prunebias_jax import data
from prunebias_jax.config import Data, Sweep
from prunebias_jax.training.engine import Engine
from prunebias_jax.training.provenance import parameter_overview
from prunebias_jax.training import sweep
config = Sweep(data=Data(train=70, valid=4, test=4))
engine = Engine.build(config, data.load(config.data))
assert engine.parameters > 1000
assert "not installed" in parameter_overview(engine)
"""
  subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("room", sorted(ALLOWED))
def test_data_flows_one_way(room):
  for path in (PACKAGE / room).rglob("*.py"):
    for node in ast.walk(ast.parse(path.read_text())):
      names = []
      if isinstance(node, ast.ImportFrom) and node.module:
        names = [node.module]
        if node.module == "prunebias_jax":
          names = [f"prunebias_jax.{one.name}" for one in node.names]
      elif isinstance(node, ast.Import):
        names = [one.name for one in node.names]
      for name in names:
        parts = name.split(".")
        if parts[0] == "prunebias_jax" and len(parts) > 1:
          allowed = ALLOWED[room] | EVERYWHERE | {room}
          assert parts[1] in allowed, f"{path} imports {name}"
