"""prunebias audit and relabel: people judge what compression changes."""

import argparse
from pathlib import Path
import sys

from prunebias_jax import store
from prunebias_jax.cli.arguments import Verbs
from prunebias_jax.errors import InputError


def add(verbs: Verbs) -> None:
  """Adds the verbs."""
  parser = verbs.add("audit", audit)
  parser.add_argument("run_directory", metavar="RUN", type=Path)
  parser.add_argument(
    "--split",
    choices=("valid", "test"),
    default="valid",
    help="what is audited; verdicts on test contaminate later test metrics",
  )
  parser.add_argument("--reviewer", default="", help="your name")
  parser.add_argument(
    "--port", type=int, default=8765, help="the next free one is taken"
  )
  parser.add_argument(
    "--host", default="127.0.0.1", help="address to listen on (this machine's)"
  )
  plan = parser.add_argument_group(
    "how an audit is done", "kept with its first verdict"
  )
  plan.add_argument(
    "--controls", type=float, help="share of the queue (default: .15)"
  )
  plan.add_argument(
    "--overlap",
    type=float,
    help="share of the queue that every reviewer gets (default: .2)",
  )
  plan.add_argument(
    "--hide-groups",
    action="store_true",
    default=None,
    help="groups are shown only after the verdict",
  )

  parser.add_argument(
    "--export",
    metavar="DIR",
    type=Path,
    help="write a static gallery of the head of the queue, and end",
  )
  parser.add_argument(
    "--top", type=int, default=200, help="of --export: how many (default: 200)"
  )
  parser = verbs.add("relabel", relabel)
  parser.add_argument("run_directory", metavar="RUN", type=Path)
  parser.add_argument(
    "--output", metavar="FILE", type=Path, required=True, help="CSV to write"
  )
  parser.add_argument(
    "--split",
    choices=("valid", "test"),
    action="append",
    help="whose verdicts (default: valid); give it once for each",
  )
  parser.add_argument(
    "--wrong",
    choices=("flip", "missing", "exclude"),
    help="what becomes of a wrong label: the opposite (default), missing, or "
    "its example is left out (the only one for classes)",
  )
  parser.add_argument(
    "--ambiguous",
    choices=("keep", "missing", "exclude"),
    default="keep",
    help="what becomes of an ambiguous label (default: keep)",
  )
  parser.add_argument(
    "--least",
    type=int,
    default=1,
    help="reviewers that must say so, and be more than half of those who "
    "judged it (default: 1)",
  )


def relabel(options: argparse.Namespace) -> None:
  """Writes corrections of labels from the verdicts of an audit."""
  from prunebias_jax.audit.relabel import corrections

  run = store.open_run(options.run_directory)
  splits = tuple(dict.fromkeys(options.split or ["valid"]))
  table = corrections(
    run,
    splits,
    wrong=options.wrong,
    ambiguous=options.ambiguous,
    least=options.least,
  )
  options.output.parent.mkdir(parents=True, exist_ok=True)
  store.write_atomically(options.output, table.to_csv(index=False))
  left_out = int((table["attribute"] == "").sum())
  print(
    f"{len(table) - left_out} labels corrected, {left_out} examples left out: "
    f"{options.output}"
  )
  if "test" in splits:
    print(
      "some are of the test split: what is trained with them is not tested on "
      "unseen data, and says so"
    )
  if run.imported is None:
    print(
      f"next: prunebias train {run.path / store.SWEEP} --workdir NEW "
      f"--data.corrections {options.output}"
    )


def audit(options: argparse.Namespace) -> None:
  """Opens the page on which people judge the exemplars of a run."""
  try:
    if options.export is None:
      from prunebias_jax.audit.serve import serve
    else:
      from prunebias_jax.audit.showcase import write_gallery
  except ModuleNotFoundError as error:
    raise InputError(
      f"the audit needs {error.name}: pip install 'prunebias_jax[audit]'"
    ) from None
  from prunebias_jax.audit.log import Plan
  from prunebias_jax.audit.office import Office
  from prunebias_jax.audit.records import check_reviewer

  if options.reviewer:
    check_reviewer(options.reviewer)
  if not 1 <= options.port <= 65535:
    raise InputError(f"--port {options.port}; accepted: 1 to 65535")
  if not options.host:
    raise InputError("--host is empty; accepted: an address of this machine")
  run = store.open_run(options.run_directory)
  offer_analysis(run)
  asked = {
    name: getattr(options, name)
    for name in ("controls", "overlap", "hide_groups")
    if getattr(options, name) is not None
  }
  plan = Plan(split=options.split, **asked)
  office = Office(run, plan, writes=options.export is None)
  for name, value in asked.items():
    kept = getattr(office.plan, name)
    if kept != value:
      office.close()
      raise InputError(
        f"the audit of {run.path} was begun with {name} {kept}, not {value}; "
        "leave the option out to go on with it"
      )
  if options.export is not None:
    count = write_gallery(office, options.export, options.top)
    office.close()
    print(f"{count} examples in {options.export / 'index.html'}")
    return
  done = run.members()["done"]
  if not done.all():
    print(
      f"{int((~done).sum())} of {len(done)} members of {run.path} are not "
      "finished: left out"
    )
  for notice in (office.read_only, office.cases.reason):
    if notice:
      print(notice)
  serve(office, host=options.host, port=options.port, reviewer=options.reviewer)


def offer_analysis(run: store.Run) -> None:
  """Analyses a run that has not been, if whoever sits there agrees.

  Raises:
    InputError: it has not been analysed, and nobody agrees.
  """
  from prunebias_jax.audit.cases import require_analysis

  try:
    require_analysis(run)
  except InputError:
    if not sys.stdin.isatty():
      raise
    if input(f"{run.path} has not been analysed. Do it now? [y/N] ") != "y":
      raise
    run.analyze()
