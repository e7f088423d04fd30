"""prunebias evaluate: logits of stored members on more splits."""

import argparse
from pathlib import Path

from prunebias_jax import store
from prunebias_jax.cli import train
from prunebias_jax.cli.arguments import Verbs
from prunebias_jax.data.corruptions import LEVELS, parse


def add(verbs: Verbs) -> None:
  """Adds the verb."""
  parser = verbs.add("evaluate", evaluate)
  parser.add_argument("run_directory", metavar="RUN", type=Path)
  parser.add_argument(
    "--split",
    metavar="SPLIT",
    action="append",
    required=True,
    help="valid or test, alone or corrupted: test:noise:3 (kinds: "
    f"{', '.join(LEVELS)}; severities 1 to 5); give it once for each split",
  )
  parser.add_argument(
    "--checkpoint",
    choices=("last", "best"),
    default="last",
    help="best: at the lowest validation loss (execution.keep_best)",
  )


def evaluate(options: argparse.Namespace) -> None:
  """Stores the logits of a run's members on more splits."""
  for name in options.split:
    parse(name)
  run = store.open_run(options.run_directory)
  train.prepare_backend(run.sweep())
  # Imported here: reading a run needs neither flax nor optax.
  from prunebias_jax.quantization import predictor
  from prunebias_jax.training.evaluate import evaluate as evaluate_run

  evaluate_run(run, options.split, options.checkpoint, quantized=predictor)
  there = ", ".join(
    split if checkpoint == "last" else f"{checkpoint} {split}"
    for checkpoint, split in run.evaluations()
  )
  print(f"logits of {there} in {run.path}; next: prunebias analyze {run.path}")
