"""`prunebias analyze`: every statistic from the logits of a run."""

import argparse
from pathlib import Path

from prunebias_jax import store
from prunebias_jax.cli.arguments import Verbs
from prunebias_jax.cli.counts import counted
from prunebias_jax.errors import InputError


def add(verbs: Verbs) -> None:
  """Adds the verb."""
  parser = verbs.add("analyze", analyze)
  parser.add_argument("run_directory", metavar="RUN", type=Path)
  parser.add_argument(
    "--parity",
    choices=("default", "paper"),
    default="default",
    help="paper: the papers' own forms where the default differs",
  )
  parser.add_argument(
    "--level",
    type=float,
    default=0.95,
    help="coverage of the intervals (default: 0.95)",
  )
  parser.add_argument(
    "--skip-bad",
    action="store_true",
    help="leave out members whose logits are not finite",
  )
  parser.add_argument(
    "--bootstrap",
    type=int,
    default=0,
    metavar="N",
    help="draws of members and test examples together, for bootstrap intervals "
    "in variance.csv; 1000 is usual (default: none)",
  )
  parser.add_argument(
    "--queue",
    type=int,
    default=5_000,
    metavar="N",
    help="examples of each attribute and population in exemplars.csv, at most, "
    "besides the exemplars and the controls (default: 5000)",
  )
  parser.add_argument(
    "--permutations",
    type=int,
    default=1_999,
    metavar="N",
    help="arrangements of the members to draw where they are too many to try "
    "them all (default: 1999)",
  )
  parser.add_argument(
    "--safe-margin",
    type=float,
    default=0.01,
    help="how much a bias may grow where compression is called safe "
    "(default: 0.01)",
  )


def analyze(options: argparse.Namespace) -> None:
  """Computes every statistic from the stored logits."""
  # Other verbs start without the statistics and their libraries.
  from prunebias_jax.analysis.options import Options
  from prunebias_jax.audit.contamination import contamination

  run = store.open_run(options.run_directory)
  chosen = Options(
    parity=options.parity,
    level=options.level,
    skip_bad=options.skip_bad,
    queue=options.queue,
    permutations=options.permutations,
    safe_margin=options.safe_margin,
    bootstraps=options.bootstrap,
  )
  done = run.members()["done"]
  if not done.any():
    raise InputError(
      f"{run.path} has no finished member; train it to the end first"
    )
  if not done.all():
    rest = counted((~done).sum(), "unfinished member")
    print(f"{rest} of {len(done)} left out")
  result = run.analyze(chosen, contamination(run))
  for sentence in result.summary:
    print(sentence.text)
  for note in result.notes:
    print(note)
  print(
    f"{counted(len(result.tables), 'table')} in {run.path / 'analysis'}; next: "
    f"prunebias report {run.path}"
  )
