"""Joining runs: the shards of one sweep, or runs of equal config.

Independent jobs train shards without knowing of each other; here their members
come together in one run that looks as if it had been trained at once.
"""

from collections.abc import Sequence
from pathlib import Path
import shutil
from typing import Any

import pandas as pd

from prunebias_jax import store
from prunebias_jax.config import Sweep
from prunebias_jax.errors import InputError
from prunebias_jax.evaluations import pixels
from prunebias_jax.settings import differences

SHARDS = "shards"
PARAMETERS = "parameters"
# What may differ between runs that belong together.
FREE = (
  "name",
  "seeds",
  "execution.devices",
  "execution.data",
  "execution.checkpoint_minutes",
  "execution.chunk",
)


def shard_of(sweep: Sweep, text: str) -> tuple[Sweep, Path]:
  """The part of a sweep that one of several independent jobs trains.

  Args:
    sweep: the whole sweep.
    text: "i/n", the i-th of n shards, counted from 0.

  Returns:
    The sweep with every n-th of its seeds, and its folder inside the run.

  Raises:
    InputError: a text of another form, or more shards than seeds.
  """
  first, slash, count = text.partition("/")
  if not (slash and first.isdigit() and count.isdigit()):
    raise InputError(f"--shard is {text!r}; accepted: i/n, such as 0/4")
  index, total = int(first), int(count)
  if not 0 <= index < total:
    raise InputError(f"--shard is {text!r}; accepted: 0/{total} and up")
  if total > len(sweep.seeds):
    raise InputError(
      f"--shard is {text!r}; accepted: up to {len(sweep.seeds)} shards, one "
      "for each seed"
    )
  seeds = sweep.seeds[index::total]
  return sweep.override({"seeds": list(seeds)}), Path(SHARDS) / first


def merge(sources: Sequence[Path], workdir: Path) -> store.Run:
  """Joins finished runs into one.

  Args:
    sources: run directories; left as they are.
    workdir: where the joined run goes; it must hold none.

  Raises:
    InputError: runs of different config or data, a member that stands in two
      of them, an unfinished run, or a directory that holds a run already.
  """
  runs = [store.open_run(path) for path in sources]
  if not runs:
    raise InputError("nothing to merge; name runs, or a run with shards")
  with store.staged(workdir, ".merge.partial") as staging:
    for run in runs:
      _require_fit(run, runs[0])
    shutil.copytree(
      runs[0].path,
      staging,
      ignore=shutil.ignore_patterns("analysis", "report*", ".*", "checkpoints"),
    )
    merged = store.open_run(staging)
    for run in runs[1:]:
      merged = _join(merged, run)
    if (staging / PARAMETERS).exists():
      # Imported here: whoever merges nothing needs no flax.
      from prunebias_jax.training.sweep import write_tables

      write_tables(merged)
  return store.open_run(workdir)


def shards_in(run: Path) -> list[Path]:
  """The shards of a run, in order."""
  return sorted(
    (path.parent for path in (run / SHARDS).glob(f"*/{store.SWEEP}")),
    key=lambda path: (len(path.name), path.name),
  )


def _require_fit(run: store.Run, first: store.Run) -> None:
  """Refuses a run that is unfinished or does not belong to the first one."""
  done = run.members()["done"]
  if not done.all():
    raise InputError(
      f"{run.path} is not finished: {(~done).sum()} of {len(done)} members are "
      "missing"
    )
  run.verify()
  if (run.imported is None) != (first.imported is None):
    raise InputError(
      f"of {first.path} and {run.path} one was imported, the other trained; "
      "accepted: runs of one kind"
    )
  if run.imported is not None:
    _require_alike(run, first)
  else:
    _require_same_training(run, first)
  if run.facts["data"]["fingerprint"] != first.facts["data"]["fingerprint"]:
    raise InputError(f"{run.path} has other data than {first.path}")


def _require_alike(run: store.Run, first: store.Run) -> None:
  """Refuses an imported run that stores other things than the first one."""
  ours, theirs = (
    {
      "logits": ", ".join(one.member_splits),
      **{key: (one.imported or {})[key] for key in ("pairing", "precision")},
    }
    for one in (run, first)
  )
  for key, (here, there) in differences(ours, theirs).items():
    raise InputError(
      f"{run.path} was imported otherwise than {first.path}: {key} {here} and "
      f"{there}"
    )


def _require_same_training(run: store.Run, first: store.Run) -> None:
  """Refuses a run that was trained or quantized otherwise than the first."""
  # Settings that are younger than a run had their defaults in it.
  own, other = (one.sweep().to_dict() for one in (run, first))
  for path, (here, there) in differences(own, other).items():
    if path not in FREE:
      raise InputError(
        f"{run.path} has another config than {first.path}: {path} is {here!r} "
        f"and {there!r}"
      )
  ours, theirs = (
    {scheme["kind"]: scheme for scheme in one.facts.get("quantization", ())}
    for one in (run, first)
  )
  for kind in sorted(ours.keys() | theirs.keys()):
    if ours.get(kind) != theirs.get(kind):
      raise InputError(
        f"{run.path} is quantized otherwise than {first.path}: {kind} is "
        f"{ours.get(kind, 'not there')} and {theirs.get(kind, 'not there')}"
      )


def _join(merged: store.Run, run: store.Run) -> store.Run:
  """Adds the members of a run to the merged one."""
  there, added = merged.members(), run.members()
  key = [*store.MEMBER_KEY]
  double = pd.merge(there[key], added[key], on=key)
  if len(double):
    name = store.member_name(double.iloc[0])
    raise InputError(f"{run.path}: {name} is in another of the runs too")
  facts: dict[str, Any] = {}
  if merged.imported is not None:
    files = [*merged.imported["files"], *(run.imported or {})["files"]]
    facts[store.IMPORTED] = {**merged.imported, "files": files}
  else:
    sweep = dict(merged.facts["sweep"])
    sweep["seeds"] = [*sweep["seeds"], *run.facts["sweep"]["seeds"]]
    facts["sweep"] = sweep
  if "seconds" in merged.facts and "seconds" in run.facts:
    seconds = merged.facts["seconds"] + run.facts["seconds"]
    members = len(there) + len(added)
    facts |= {"seconds": seconds, "seconds_per_member": seconds / members}
  rows = added.drop(columns=["done", "diverged"])
  first = len(there)
  merged = merged.grow(rows, **facts)
  for index, member in added.reset_index(drop=True).iterrows():
    place = int(str(index))
    merged.write_member(
      first + place,
      {name: run.logits_of(place, name) for name in run.member_splits},
      diverged=bool(member["diverged"]),
    )
    number, later = f"{place:06d}", f"{first + place:06d}"
    for source in (run.path / PARAMETERS).glob(f"{number}*.npz"):
      target = merged.path / PARAMETERS / source.name.replace(number, later)
      target.parent.mkdir(exist_ok=True)
      shutil.copyfile(source, target)
  _join_evaluations(merged, run, first)
  records = run.metrics().to_dict("records")
  merged.log([{str(k): v for k, v in one.items()} for one in records])
  return merged


def _join_evaluations(merged: store.Run, run: store.Run, first: int) -> None:
  """Adds what a run's members were evaluated on besides.

  Members that only some runs evaluated stay without these logits in the joined
  run; evaluating it adds them.

  Args:
    merged: the joined run, with the members of `run`.
    run: one of its parts.
    first: the place of the part's first member in the joined run.
  """
  for evaluation in run.evaluations():
    if evaluation.is_trained:
      continue
    facts = run.evaluation_facts(evaluation)
    if evaluation not in merged.evaluations():
      merged.add_evaluation(evaluation, facts)
    elif pixels(facts) != pixels(merged.evaluation_facts(evaluation)):
      raise InputError(
        f"{run.path} was evaluated on other pixels of {evaluation.split} than "
        "another of the runs: by other versions of numpy, scipy or pillow"
      )
    checkpoint, split = evaluation
    for place in run.evaluated(evaluation).nonzero()[0].tolist():
      logits = run.logits_of(place, split, checkpoint)
      merged.write_evaluation(evaluation, first + place, logits)
