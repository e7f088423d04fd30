"""What a run records of itself, and whether a run is the one at hand."""

import dataclasses
import datetime
import importlib.metadata
import logging
import platform as machine
from typing import Any

from prunebias_jax import store
from prunebias_jax.config import Sweep
from prunebias_jax.data.dataset import Dataset
from prunebias_jax.errors import InputError
from prunebias_jax.settings import differences
from prunebias_jax.training.choice import choose
from prunebias_jax.training.engine import Engine
from prunebias_jax.training.members import seed_rows

log = logging.getLogger(__name__)

PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")
# What a resumed run may change: it decides nothing about the results.
FREE = (
  "name",
  "execution.devices",
  "execution.data",
  "execution.checkpoint_minutes",
  "execution.chunk",
)
# What may grow: members that are there keep their results.
GROWING = ("seeds", "sparsities")


def facts(
  sweep: Sweep, dataset: Dataset, engine: Engine, processes: int
) -> dict[str, Any]:
  """What a run records of itself, as it is begun by some processes."""
  device = engine.devices[0]
  now = datetime.datetime.now(datetime.UTC)
  return {
    "sweep": sweep.to_dict(),
    "created": now.isoformat(timespec="seconds"),
    "versions": {
      "prunebias_jax": importlib.metadata.version("prunebias_jax"),
      "python": machine.python_version(),
      **{name: importlib.metadata.version(name) for name in PACKAGES},
    },
    "device": {
      "platform": device.platform,
      "kind": device.device_kind,
      "count": len(engine.devices),
      "processes": processes,
    },
    "execution": {
      "mode": engine.mode,
      "lowering": engine.lowering,
      "precision": engine.precision,
      "measured": list(engine.measured),
      "data": engine.data,
    },
    "model": {"parameters": engine.parameters, "prunable": engine.prunable},
    "data": {
      "name": dataset.name,
      "fingerprint": dataset.fingerprint(),
      "sizes": {name: len(split) for name, split in dataset.splits.items()},
      "identities": list(dataset.identity_names),
      **_corrections(dataset),
    },
  }


def _corrections(dataset: Dataset) -> dict[str, Any]:
  """How many corrections changed each split, where there are any."""
  counts = {name: split.corrected for name, split in dataset.splits.items()}
  if not any(counts.values()):
    return {}
  if counts["test"]:
    log.warning(
      "%d corrections change the test split: its metrics are not those of "
      "unseen data",
      counts["test"],
    )
  return {"corrections": counts}


def as_recorded(engine: Engine, run: store.Run) -> Engine:
  """The engine as the run began with it, so that a resume computes the same.

  On another platform the bits differ whatever is done: that is said, and only
  the precision is kept.
  """
  recorded = run.facts["execution"]
  engine = dataclasses.replace(engine, precision=recorded["precision"])
  begun, here = run.facts["device"]["platform"], engine.devices[0].platform
  if begun != here:
    log.warning(
      "%s was begun on %s and goes on on %s: results differ by rounding from "
      "those of one platform",
      run.path,
      begun,
      here,
    )
    return choose(engine, len(seed_rows(engine.sweep)))
  return dataclasses.replace(
    engine, mode=recorded["mode"], lowering=recorded["lowering"]
  )


def parameter_overview(engine: Engine) -> str:
  """Name, shape and size of every parameter of one member, as a table."""
  # Imported here: training must work where clu is not installed.
  try:
    from clu import parameter_overview as clu_overview
  except ModuleNotFoundError:
    return "clu is not installed: no overview of the parameters\n"
  table = clu_overview.get_parameter_overview(
    engine.shapes.params, include_stats=False
  )
  return f"{table}\n"


def require_same(sweep: Sweep, run: store.Run) -> None:
  """Refuses a directory whose run has another config.

  More seeds and sparsities are welcome, fewer are not.
  """
  # Settings that are younger than the run had their defaults in it.
  recorded = run.sweep().to_dict()
  for path, (here, there) in differences(sweep.to_dict(), recorded).items():
    grows = path in GROWING and set(here) > set(there)
    # With grids of seeds by purpose, the numbers of members would shift.
    crossed = path == "seeds" and any(sweep.to_dict()["seed"].values())
    reordered = path in GROWING and set(here) == set(there) and not crossed
    if path not in FREE and not reordered and (crossed or not grows):
      raise InputError(
        f"{run.path} holds a different run: {path} is {there!r} there and "
        f"{here!r} here; use another --workdir"
      )


def require_same_data(dataset: Dataset, run: store.Run) -> None:
  """Refuses to go on with other data than the run began with."""
  if dataset.fingerprint() != run.facts["data"]["fingerprint"]:
    raise InputError(
      f"{run.path} was begun with other data: the {dataset.name} images or "
      "labels have changed since; use another --workdir"
    )
