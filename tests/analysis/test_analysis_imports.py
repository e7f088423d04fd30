import ast
from pathlib import Path
import sys

import pytest

import prunebias_jax.analysis

FOLDER = Path(prunebias_jax.analysis.__file__).parent
ALLOWED = {"numpy", "scipy", "pandas", "xarray"}
OURS = ("prunebias_jax.analysis", "prunebias_jax.errors")


def _imported(path: Path) -> set[str]:
  names = set()
  for node in ast.walk(ast.parse(path.read_text())):
    if isinstance(node, ast.Import):
      names |= {alias.name for alias in node.names}
    elif isinstance(node, ast.ImportFrom):
      names.add(node.module or "")
  return names


@pytest.mark.parametrize(
  "path", sorted(FOLDER.rglob("*.py")), ids=lambda path: path.stem
)
def test_analysis_reaches_for_nothing_of_training_or_data(path: Path) -> None:
  for name in _imported(path):
    top = name.split(".")[0]
    if top == "prunebias_jax":
      assert name.startswith(OURS), name
    else:
      assert top in ALLOWED | sys.stdlib_module_names, name


def test_public_names_exist() -> None:
  for name in prunebias_jax.analysis.__all__:
    assert hasattr(prunebias_jax.analysis, name)
