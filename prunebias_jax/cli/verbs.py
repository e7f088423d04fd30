"""The verbs that read finished runs: report, merge, export."""

import argparse
from pathlib import Path

from prunebias_jax import store
from prunebias_jax.cli.arguments import Verbs, directory
from prunebias_jax.cli.counts import counted
from prunebias_jax.errors import InputError
from prunebias_jax.merge import merge as merge_runs
from prunebias_jax.merge import shards_in


def add(verbs: Verbs) -> None:
  """Adds the verbs."""
  parser = verbs.add("merge", merge)
  parser.add_argument(
    "runs", metavar="RUN", type=Path, nargs="+", help="runs, or one with shards"
  )
  parser.add_argument(
    "--workdir",
    type=directory,
    help="where the joined run goes (shards: RUN itself)",
  )
  parser = verbs.add("report", report)
  parser.add_argument("run_directory", metavar="RUN", type=Path)
  parser.add_argument(
    "--compare",
    metavar="RUN2",
    type=Path,
    help="another analysed run, to compare RUN with in a chapter of its own",
  )
  parser.add_argument(
    "--formats",
    default="svg,pdf,png",
    help="of the figures' files, with commas between (default: svg,pdf,png)",
  )
  parser.add_argument(
    "--output",
    metavar="DIR",
    type=directory,
    help="where report.html and the folder report/ go (default: RUN)",
  )
  parser = verbs.add("export", export)
  parser.add_argument("run_directory", metavar="RUN", type=Path)
  parser.add_argument("--seed", type=int, required=True)
  parser.add_argument("--sparsity", type=float, required=True)
  parser.add_argument(
    "--output", type=Path, help="folder to make (default: RUN/exports/...)"
  )
  parser.add_argument(
    "--checkpoint",
    choices=("last", "best"),
    default="last",
    help="best: at the lowest validation loss (execution.keep_best)",
  )


def report(options: argparse.Namespace) -> None:
  """Writes the report."""
  try:
    from prunebias_jax.report import write_report
  except ModuleNotFoundError as error:
    raise InputError(
      f"the report needs {error.name}: pip install 'prunebias_jax[report]'"
    ) from None
  run = store.open_run(options.run_directory)
  other = None if options.compare is None else store.open_run(options.compare)
  path = write_report(
    run,
    directory=options.output,
    formats=options.formats.split(","),
    compare=other,
  )
  print(f"report: {path}")


def merge(options: argparse.Namespace) -> None:
  """Joins the shards of a run, or runs of equal config, into one run."""
  sources, workdir = options.runs, options.workdir
  if workdir is None:
    if len(sources) > 1:
      raise InputError("merging several runs needs --workdir RUN")
    workdir = sources[0]
  if len(sources) == 1:
    sources = shards_in(sources[0]) or sources
  run = merge_runs(sources, workdir)
  print(
    f"{counted(len(run.members()), 'member')} of "
    f"{counted(len(sources), 'run')} in {run.path}; next: "
    f"prunebias analyze {run.path}"
  )


def export(options: argparse.Namespace) -> None:
  """Writes one member's parameters, to use it elsewhere."""
  from prunebias_jax.training.export import export_member

  run = store.open_run(options.run_directory)
  name = f"seed-{options.seed}-sparsity-{options.sparsity:g}"
  if options.checkpoint != "last":
    name += f"-{options.checkpoint}"
  output = options.output or run.path / "exports" / name
  path = export_member(
    run,
    seed=options.seed,
    sparsity=options.sparsity,
    output=output,
    checkpoint=options.checkpoint,
  )
  print(f"exported to {path}; in Python:")
  print("  from pathlib import Path")
  print("  from prunebias_jax.training.export import load_exported")
  print(f"  model, variables = load_exported(Path({str(path)!r}))")
  print("  # images: float32 [example, y, x, channel], pixels * 2 / 255 - 1")
  print("  logits = model.apply(variables, images, train=False)")
