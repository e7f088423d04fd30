import dataclasses
import subprocess
import sys

from prunebias_jax.analysis import Options
from prunebias_jax.cli import parser


def test_what_is_not_said_is_the_options_own_default() -> None:
  said = vars(parser().parse_args(["analyze", "RUN"]))
  said["bootstraps"] = said.pop("bootstrap")
  for field in dataclasses.fields(Options):
    assert said[field.name] == field.default, field.name


def test_the_command_line_starts_without_the_statistics() -> None:
  code = (
    "import sys, prunebias_jax.cli as cli; cli.parser(); "
    "sys.exit('prunebias_jax.analysis' in sys.modules)"
  )
  assert subprocess.run([sys.executable, "-c", code]).returncode == 0
