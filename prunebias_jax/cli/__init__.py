"""The command line: `prunebias train | import | analyze | report | ...`.

Every command is a function that can be imported; here arguments are read, and
bad input becomes one line and exit status 2.
"""

from collections.abc import Sequence
import logging
import sys
import warnings

from prunebias_jax.cli import (
  analyze,
  audit,
  evaluate,
  importing,
  inspect,
  quantize,
  train,
  verbs,
)
from prunebias_jax.cli.arguments import Parser, Verbs
from prunebias_jax.cli.failures import quiet_followers, refusal
from prunebias_jax.cli.train import PREEMPTED
from prunebias_jax.errors import InputError

__all__ = ["BAD_INPUT", "PREEMPTED", "main", "parser"]

BAD_INPUT = 2


def main(arguments: Sequence[str] | None = None) -> int:
  """Runs one command; returns the exit status."""
  logging.basicConfig(format="prunebias: %(message)s", level=logging.WARNING)
  logging.getLogger("prunebias_jax").setLevel(logging.INFO)
  # orbax reports a failed write from each of its threads, tracebacks and all,
  # before it raises what is shown here in one line.
  for noisy in ("absl", "asyncio"):
    logging.getLogger(noisy).setLevel(logging.CRITICAL + 1)
  warnings.filterwarnings("ignore", "coroutine .* was never awaited")
  if arguments is None:
    quiet_followers()
  arguments = list(sys.argv[1:] if arguments is None else arguments)
  try:
    options = parser().parse_args(arguments)
    options.run(options)
  except InputError as error:
    print(f"prunebias: {error}", file=sys.stderr)
    return BAD_INPUT
  except Exception as error:
    reason = refusal(error)
    if reason is None:
      raise
    print(f"prunebias: {reason}", file=sys.stderr)
    return BAD_INPUT
  except KeyboardInterrupt:
    print("prunebias: interrupted", file=sys.stderr)
    return 130
  return 0


def parser() -> Parser:
  """The parser of all verbs."""
  found = Parser(
    prog="prunebias",
    description="Populations of pruned vision models and their bias.",
    allow_abbrev=False,
  )
  added = Verbs(found)
  parts = (
    train, importing, quantize, evaluate, analyze, verbs, audit, inspect,
  )  # fmt: skip
  for part in parts:
    part.add(added)
  return found
