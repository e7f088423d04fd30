"""The command line: `prunebias train | merge | analyze | report | ...`.

Every command is a function that can be imported; this module only reads
arguments, prints, and turns bad input into one line and exit status 2.
"""

import argparse
from collections.abc import Callable, Sequence
import contextlib
import difflib
import errno
import logging
import os
from pathlib import Path
import sys
import threading
from typing import Any, NoReturn
import warnings

import pandas as pd

from prunebias_jax import store
from prunebias_jax.config import DETERMINISTIC_FLAG, Sweep
from prunebias_jax.config_file import load_config
from prunebias_jax.errors import InputError
from prunebias_jax.merge import merge as merge_runs
from prunebias_jax.merge import shard_of, shards_in
from prunebias_jax.settings import parse, type_name

BAD_INPUT = 2
PREEMPTED = 75  # EX_TEMPFAIL: try again
# What the machine refuses, not a bug: disk full, no permission, and the like.
REFUSALS = {
  errno.ENOSPC,
  errno.EDQUOT,
  errno.EACCES,
  errno.EPERM,
  errno.EROFS,
  errno.EFBIG,
  errno.ENOTDIR,
  errno.EISDIR,
}


class Parser(argparse.ArgumentParser):
  """An argument parser whose errors are one line."""

  def known_options(self) -> list[str]:
    """Every option of this parser and of its verbs."""
    names = [*self._option_string_actions]
    for action in self._actions:
      if isinstance(action, argparse._SubParsersAction):
        for verb in action.choices.values():
          names.extend(verb.known_options())
    return names

  def error(self, message: str) -> NoReturn:
    """Raises InputError, with the nearest option where one is unknown."""
    marker = "unrecognized arguments: "
    if message.startswith(marker):
      name = message.removeprefix(marker).split()[0]
      known = [one for one in self.known_options() if one != "-h"]
      near = difflib.get_close_matches(name.split("=")[0], known, n=1)
      hint = f"did you mean {near[0]}?" if near else f"see {self.prog} --help"
      message = f"unknown argument {name}; {hint}"
    raise InputError(message)


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
    _quiet_followers()
  arguments = list(sys.argv[1:] if arguments is None else arguments)
  try:
    options = _parser(arguments).parse_args(arguments)
    options.run(options)
  except InputError as error:
    print(f"prunebias: {error}", file=sys.stderr)
    return BAD_INPUT
  except Exception as error:
    refusal = _refusal(error)
    if refusal is None:
      raise
    print(f"prunebias: {refusal}", file=sys.stderr)
    return BAD_INPUT
  except KeyboardInterrupt:
    print("prunebias: interrupted", file=sys.stderr)
    return 130
  return 0


def train(options: argparse.Namespace) -> None:
  """Trains a sweep, or says what it would take."""
  sweep = options.sweep
  _prepare_backend(sweep)
  # Imported here: reading a run needs neither flax nor optax.
  from prunebias_jax.training.chunk import PreemptedError
  from prunebias_jax.training.estimate import estimate
  from prunebias_jax.training.hosts import Hosts, connect
  from prunebias_jax.training.sweep import train as train_sweep

  if options.dry_run:
    _print_estimate(sweep, estimate(sweep))
    return
  if options.workdir is None:
    raise InputError("train needs --workdir RUN, the directory of the run")
  _check_job(options)
  workdir = options.workdir
  if options.shard is not None:
    sweep, part = shard_of(sweep, options.shard)
    workdir = workdir / part
  job: contextlib.AbstractContextManager[Hosts]
  job = contextlib.nullcontext(Hosts())
  if options.coordinator is not None:
    job = connect(
      options.coordinator,
      count=options.processes,
      index=options.process,
      seconds=options.coordinator_timeout,
    )
  try:
    with job as hosts:
      run = train_sweep(sweep, workdir, hosts)
  except PreemptedError as error:
    print(
      f"prunebias: {error}; the same command with --workdir {options.workdir} "
      "goes on",
      file=sys.stderr,
    )
    sys.exit(PREEMPTED)
  if not hosts.is_first:
    return
  members = run.members()
  after = f"prunebias analyze {run.path}"
  if options.shard is not None:
    after = f"prunebias merge {options.workdir}, when all shards are done"
  print(
    f"{len(members)} members in {run.path}, "
    f"{run.facts.get('seconds', 0):.0f} s of training; next: {after}"
  )


def analyze(options: argparse.Namespace) -> None:
  """Computes every statistic from the stored logits."""
  import threadpoolctl

  from prunebias_jax import analysis

  run = store.open_run(options.run_directory)
  run.verify()
  _require_members(run)
  # The matrices are small: threads of a linear algebra library that wait for
  # each other cost up to ten times what they gain on a busy machine.
  with threadpoolctl.threadpool_limits(1, "blas"):
    result = analysis.analyze(
      {name: run.split(name) for name in ("train", "valid", "test")},
      parity=options.parity,
    )
  result.write(run.path / "analysis")
  for note in result.notes:
    print(note)
  print(
    f"{len(result.tables)} tables in {run.path / 'analysis'}; next: "
    f"prunebias report {run.path}"
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
  print(f"report: {write_report(run)}")


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
    f"{len(run.members())} members of {len(sources)} runs in {run.path}; next: "
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


def inspect(options: argparse.Namespace) -> None:
  """Prints what a run holds."""
  run = store.open_run(options.run_directory)
  for line in describe(run):
    print(line)


def describe(run: store.Run) -> list[str]:
  """What a run holds, in lines for a terminal."""
  members, facts = run.members(), run.facts
  sizes = ", ".join(
    f"{run.split(name).sizes['example']} {name}"
    for name in ("train", "valid", "test")
  )
  labels = run.split("train")
  outputs = [
    str(name) for name in labels[store.output_dimension(run.task)].values
  ]
  lines = [
    f"run         {facts['sweep'].get('name', '')} ({run.path})",
    f"task        {run.task}, {len(outputs)} outputs: {_shortened(outputs)}",
    f"identities  {_shortened([str(x) for x in labels['identity'].values])}",
    f"examples    {sizes}",
    f"members     {members['done'].sum()} of {len(members)} done",
  ]
  for (pruner, sparsity, quantization), group in members.groupby(
    ["pruner", "sparsity", "quantization"], sort=False
  ):
    seeds = ", ".join(map(str, group.loc[group["done"], "seed"]))
    lines.append(
      f"            {pruner}, sparsity {sparsity:g}, quantization "
      f"{quantization}: seeds {seeds or 'none yet'}"
    )
  if "model" in facts:
    model = facts["model"]
    lines.append(
      f"parameters  {model['parameters']:,}, of which "
      f"{model['prunable']:,} prunable"
    )
  metrics = run.metrics()
  if len(metrics):
    last = metrics[metrics["epoch"] == metrics["epoch"].max()]
    for sparsity, group in last.groupby("sparsity"):
      zeros = sorted(set(group["zeros"]))
      lines.append(
        f"trained     sparsity {sparsity:g}: epoch {group['epoch'].max()}, "
        f"loss {group['loss'].mean():.4f}, zeros "
        f"{', '.join(f'{count:,}' for count in zeros)}"
      )
  layers = run.path / "layers.csv"
  if layers.exists():
    lines.append("layers      sparsity of each layer, mean over seeds:")
    table = pd.read_csv(layers)
    pruned = table[table["sparsity"] > 0]
    for (pruner, sparsity), group in pruned.groupby(
      ["pruner", "sparsity"], sort=False
    ):
      shares = zip(group["layer"], group["sparsity_mean"], strict=True)
      lines.append(
        f"            {pruner}, sparsity {sparsity:g}: "
        + ", ".join(f"{layer} {share:.3f}" for layer, share in shares)
      )
  analysis = run.path / "analysis"
  tables = sorted(path.name for path in analysis.glob("*.csv"))
  lines.append(
    f"analysis    {', '.join(tables)}"
    if tables
    else f"analysis    none yet: prunebias analyze {run.path}"
  )
  return lines


def _quiet_followers() -> None:
  """Says once what the machine refused, not once for every thread it stops.

  On a full disk the threads of orbax and TensorBoard fail too, and what they
  leave open complains when it is thrown away.
  """
  in_thread, thrown_away = threading.excepthook, sys.unraisablehook

  def thread_hook(failure: threading.ExceptHookArgs) -> None:
    if _refusal(failure.exc_value) is None:
      in_thread(failure)

  def unraisable_hook(failure: "sys.UnraisableHookArgs") -> None:
    text = str(failure.exc_value)
    closed = "Event loop is closed" in text or "handle is closed" in text
    if _refusal(failure.exc_value) is None and not closed:
      thrown_away(failure)

  threading.excepthook = thread_hook
  sys.unraisablehook = unraisable_hook


def _refusal(error: BaseException | None) -> str | None:
  """What the machine refused, where that is what is behind an exception.

  Libraries wrap a full disk in exceptions of their own, so the whole chain and
  its texts are looked through.
  """
  full = os.strerror(errno.ENOSPC)
  while error is not None:
    if isinstance(error, OSError) and error.errno in REFUSALS:
      where = f": {error.filename}" if error.filename else ""
      return f"{error.strerror}{where}"
    if full in str(error):
      return full
    error = error.__cause__ or error.__context__
  return None


def _parser(arguments: Sequence[str]) -> Parser:
  """The parser of all verbs; `train` gets an option for each setting."""
  parser = Parser(
    prog="prunebias",
    description="Populations of pruned vision models and their bias.",
    allow_abbrev=False,
  )
  verbs = parser.add_subparsers(
    dest="verb", required=True, parser_class=Parser, metavar="VERB"
  )

  def verb(name: str, run: Callable[[argparse.Namespace], None]) -> Parser:
    text = (run.__doc__ or "").strip()
    one = verbs.add_parser(
      name, help=text, description=text, allow_abbrev=False
    )
    one.set_defaults(run=run)
    return one

  _add_train(verb("train", train), arguments)
  joining = verb("merge", merge)
  joining.add_argument(
    "runs", metavar="RUN", type=Path, nargs="+", help="runs, or one with shards"
  )
  joining.add_argument(
    "--workdir",
    type=Path,
    help="where the joined run goes (shards: RUN itself)",
  )
  for name, run in (
    ("analyze", analyze),
    ("report", report),
    ("inspect", inspect),
    ("export", export),
  ):
    one = verb(name, run)
    one.add_argument("run_directory", metavar="RUN", type=Path)
    if name == "export":
      one.add_argument("--seed", type=int, required=True)
      one.add_argument("--sparsity", type=float, required=True)
      one.add_argument(
        "--output", type=Path, help="folder to make (default: RUN/exports/...)"
      )
      one.add_argument(
        "--checkpoint",
        choices=("last", "best"),
        default="last",
        help="best: at the lowest validation loss (execution.keep_best)",
      )
    if name == "analyze":
      one.add_argument(
        "--parity",
        choices=("default", "paper"),
        default="default",
        help="paper: the papers' own forms where the default differs",
      )
  return parser


class _ReadConfig(argparse.Action):
  """Collects overrides; the config is built once all are known."""

  def __call__(
    self,
    parser: argparse.ArgumentParser,
    namespace: argparse.Namespace,
    values: Any,
    option_string: str | None = None,
  ) -> None:
    changes = {**getattr(namespace, "changes", {}), self.dest: values}
    namespace.changes = changes


def _add_train(parser: Parser, arguments: Sequence[str]) -> None:
  """Adds the arguments of `train`: one option for every setting."""
  parser.add_argument(
    "config",
    metavar="CONFIG",
    type=Path,
    help="a Python file with sweep() -> Sweep, or the sweep.json of a run",
  )
  parser.add_argument(
    "--workdir", metavar="RUN", type=Path, help="directory of the run"
  )
  parser.add_argument(
    "--dry-run",
    action="store_true",
    help="print members, memory, disk and hours; train nothing",
  )
  parser.add_argument(
    "--shard",
    metavar="I/N",
    help="train the I-th of N parts of the seeds (counted from 0) in "
    "RUN/shards/I, without knowing of the others; join them by merge",
  )
  job = parser.add_argument_group("several processes that train one run")
  job.add_argument(
    "--coordinator",
    metavar="HOST:PORT",
    help="where process 0 is found, by all processes; or auto: what SLURM, "
    "Open MPI, Kubernetes or a TPU slice say",
  )
  job.add_argument(
    "--processes", metavar="N", type=int, help="how many processes there are"
  )
  job.add_argument(
    "--process", metavar="I", type=int, help="which this is, counted from 0"
  )
  job.add_argument(
    "--coordinator-timeout",
    metavar="SECONDS",
    type=float,
    default=300.0,
    help="how long to wait for the other processes (default: 300)",
  )
  settings = parser.add_argument_group("settings of the config")
  for leaf in Sweep().leaves():
    settings.add_argument(
      f"--{leaf.path}",
      dest=leaf.path,
      metavar=type_name(leaf.kind).upper().replace(" ", "_"),
      type=_reader(leaf.kind),
      action=_ReadConfig,
      default=argparse.SUPPRESS,
      help=leaf.help.replace("%", "%%"),
    )

  def run(options: argparse.Namespace) -> None:
    sweep = load_config(options.config)
    options.sweep = sweep.override(getattr(options, "changes", {}))
    train(options)

  parser.set_defaults(run=run)


def _reader(kind: Any) -> Callable[[str], Any]:
  """A reader of one setting, named as argparse shows it in its error."""

  def read(text: str) -> Any:
    return parse(text, kind)

  read.__name__ = type_name(kind)
  return read


def _check_job(options: argparse.Namespace) -> None:
  """Refuses arguments of several processes that do not fit together."""
  if options.coordinator is None:
    for name in ("processes", "process"):
      if getattr(options, name) is not None:
        raise InputError(
          f"--{name} needs --coordinator HOST:PORT, the same for all processes"
        )
  elif options.shard is not None:
    raise InputError(
      "--shard is for jobs without a coordinator; give it or --coordinator"
    )


def _prepare_backend(sweep: Sweep) -> None:
  """What must precede the backend's start: devices and determinism."""
  if sweep.execution.deterministic:
    flags = os.environ.get("XLA_FLAGS", "")
    os.environ["XLA_FLAGS"] = f"{flags} {DETERMINISTIC_FLAG}".strip()
  import jax

  wanted = sweep.execution.devices or len(os.sched_getaffinity(0))
  jax.config.update("jax_num_cpu_devices", wanted)


def _require_members(run: store.Run) -> None:
  """Refuses a run in which no member is finished; mentions the unfinished."""
  done = run.members()["done"]
  if not done.any():
    raise InputError(
      f"{run.path} has no finished member; train it to the end first"
    )
  if not done.all():
    print(f"{(~done).sum()} of {len(done)} members are not finished: left out")


def _print_estimate(sweep: Sweep, estimate: Any) -> None:
  """The dry run's lines."""
  gigabyte = 1e9
  rows = {
    "members": f"{estimate.members} ({len(sweep.seeds)} seeds x "
    f"{len(sweep.sparsities)} sparsities)",
    "parameters": f"{estimate.parameters:,} each, {estimate.prunable:,} "
    "prunable",
    "device": estimate.device,
    "memory": f"{estimate.device_bytes / gigabyte:.2f} GB on each device",
    "disk": f"{estimate.disk_bytes / gigabyte:.2f} GB",
    "shared": f"{estimate.trained_epochs} epochs are trained for "
    f"{estimate.member_epochs} member epochs: levels that are still one are "
    "trained once",
    "chunks": f"{estimate.chunks}, one after the other",
    "operations": f"{estimate.flops:.3g} FLOP",
    "members run": _ways(estimate),
    "time": f"{estimate.seconds / 3600:.2f} h of training (extrapolated from "
    f"{estimate.steps} measured steps)",
  }
  for name, text in rows.items():
    print(f"{name:<11} {text}")


def _ways(estimate: Any) -> str:
  """How members run, and the speeds that decided it."""
  speeds = ", ".join(
    f"{way['mode']} {way['lowering']} "
    + (
      f"{way['images_per_second']:,.0f}"
      if way["images_per_second"]
      else f"not measured ({way['reason']})"
    )
    for way in estimate.measured
  )
  return f"{estimate.mode} (images/s: {speeds})" if speeds else estimate.mode


def _shortened(names: list[str], most: int = 8) -> str:
  """The first names, and how many more there are."""
  more = f" and {len(names) - most} more" if len(names) > most else ""
  return (", ".join(names[:most]) + more) or "none"
