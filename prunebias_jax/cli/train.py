"""prunebias train: trains a sweep, or says what it would take."""

import argparse
from collections.abc import Callable
import contextlib
import os
from pathlib import Path
import sys
from typing import Any

from prunebias_jax.cli.arguments import Verbs, directory
from prunebias_jax.cli.counts import counted
from prunebias_jax.config import DETERMINISTIC_FLAG, Sweep
from prunebias_jax.config_file import load_config
from prunebias_jax.errors import InputError
from prunebias_jax.merge import shard_of
from prunebias_jax.settings import parse, type_name

PREEMPTED = 75  # EX_TEMPFAIL: try again


def add(verbs: Verbs) -> None:
  """Adds the verb, with an option for every setting of the config."""
  parser = verbs.add("train", train)
  parser.add_argument(
    "config",
    metavar="CONFIG",
    type=Path,
    help="a Python file with sweep() -> Sweep, or the sweep.json of a run",
  )
  parser.add_argument(
    "--with",
    metavar="NAME=VALUE",
    dest="given",
    type=_pair,
    action="append",
    default=[],
    help="a parameter of the config's own function sweep(); may be repeated",
  )
  parser.add_argument(
    "--workdir", metavar="RUN", type=directory, help="directory of the run"
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


def train(options: argparse.Namespace) -> None:
  """Trains a sweep, or says what it would take."""
  sweep = load_config(options.config, dict(options.given))
  sweep = sweep.override(getattr(options, "changes", {}))
  prepare_backend(sweep)
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
    f"{counted(len(members), 'member')} in {run.path}, "
    f"{run.facts.get('seconds', 0):.0f} s of training; next: {after}"
  )


def prepare_backend(sweep: Sweep) -> None:
  """What must precede the backend's start: devices and determinism."""
  if sweep.execution.deterministic:
    flags = os.environ.get("XLA_FLAGS", "")
    os.environ["XLA_FLAGS"] = f"{flags} {DETERMINISTIC_FLAG}".strip()
  import jax

  wanted = sweep.execution.devices or len(os.sched_getaffinity(0))
  jax.config.update("jax_num_cpu_devices", wanted)


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


def _pair(text: str) -> tuple[str, str]:
  """Name and value of NAME=VALUE."""
  name, equals, value = text.partition("=")
  if not (name and equals):
    raise argparse.ArgumentTypeError(
      f"{text!r} is no NAME=VALUE, such as paper_config=true"
    )
  return name, value


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


def _reader(kind: Any) -> Callable[[str], Any]:
  """A reader of one setting, named as argparse shows it in its error."""

  def read(text: str) -> Any:
    return parse(text, kind)

  read.__name__ = type_name(kind)
  return read


def _print_estimate(sweep: Sweep, estimate: Any) -> None:
  """The dry run's lines."""
  gigabyte = 1e9
  rows = {
    "members": f"{estimate.members} ({counted(len(sweep.seeds), 'seed')} x "
    f"{counted(len(sweep.sparsities), 'sparsity', 'sparsities')})",
    "parameters": f"{estimate.parameters:,} each, {estimate.prunable:,} "
    "prunable",
    "device": estimate.device,
    "memory": f"{estimate.device_bytes / gigabyte:.2f} GB on each device",
    "disk": f"{estimate.disk_bytes / gigabyte:.2f} GB",
    "shared": f"{round(estimate.trained_epochs, 1):.10g} epochs are trained "
    f"for {round(estimate.member_epochs, 1):.10g} member epochs: levels that "
    "are still one are trained once",
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
