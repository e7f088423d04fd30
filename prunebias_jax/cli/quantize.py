"""prunebias quantize: adds quantized populations to a run."""

import argparse
from pathlib import Path

from prunebias_jax import store
from prunebias_jax.cli import train as training
from prunebias_jax.cli.arguments import Verbs
from prunebias_jax.cli.counts import counted


def add(verbs: Verbs) -> None:
  """Adds the verb."""
  parser = verbs.add("quantize", quantize)
  parser.add_argument("run_directory", metavar="RUN", type=Path)
  parser.add_argument(
    "--kind",
    action="append",
    required=True,
    help="float16, int8_dynamic or int8_static; may be given several times",
  )
  parser.add_argument(
    "--granularity",
    help="what of a kernel shares a scale (int8): channel, each output channel "
    "its own (default), or tensor",
  )
  parser.add_argument(
    "--calibration",
    metavar="N",
    type=int,
    help="training images that fix the ranges of int8_static (default: 512)",
  )
  parser.add_argument(
    "--sparsity",
    type=float,
    nargs="+",
    help="whose members; by default all that are finished",
  )


def quantize(options: argparse.Namespace) -> None:
  """Adds quantized populations of the stored members to a run."""
  run = store.open_run(options.run_directory)
  training.prepare_backend(run.sweep())
  # Imported here: reading a run needs no flax.
  from prunebias_jax.quantization import Scheme
  from prunebias_jax.quantization import quantize as quantize_run

  kinds = list(dict.fromkeys(options.kind))
  alone = len(kinds) == 1
  schemes = []
  for kind in kinds:
    # Of several kinds, each takes of these what it has.
    scaled, fixed = kind != "float16", kind == "int8_static"
    granularity = options.granularity if scaled or alone else None
    calibration = options.calibration if fixed or alone else None
    schemes.append(Scheme.make(kind, granularity, calibration))
  run = quantize_run(run.path, schemes, sparsities=options.sparsity)
  made = run.members()["quantization"].isin(kinds).sum()
  print(
    f"{counted(made, 'member')} of {', '.join(map(str, schemes))} in "
    f"{run.path}; next: prunebias analyze {run.path}"
  )
