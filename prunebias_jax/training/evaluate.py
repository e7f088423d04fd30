"""Stored members on more splits: corrupted ones, and the best parameters."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
import contextlib
import dataclasses
import hashlib
import importlib.metadata
import itertools
import logging
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from prunebias_jax import store
from prunebias_jax.data.corruptions import Named, corrupted, parse
from prunebias_jax.data.dataset import Dataset
from prunebias_jax.data.markers import shown
from prunebias_jax.errors import InputError, choose
from prunebias_jax.evaluations import (
  CHECKPOINTS,
  PIXELS,
  Evaluation,
  pixels,
)
from prunebias_jax.training.engine import Engine
from prunebias_jax.training.parameters import parameters_path
from prunebias_jax.training.stored import (
  load_variables,
  open_engine,
  predict_stored,
  stored_population,
)

log = logging.getLogger(__name__)

# The pixels of a corrupted split while it is evaluated.
FILE = ".evaluation.npy"
# Pictures corrupted at a time.
_PIECE = 256
# What the bits of a corruption depend on.
_PACKAGES = ("numpy", "scipy", "pillow")


def evaluate(
  run: store.Run,
  splits: Sequence[str],
  checkpoint: str = "last",
  *,
  dataset: Dataset | None = None,
) -> None:
  """Stores the logits of all usable members on more splits.

  What is there already is left as it is, so that the same call goes on where
  one was killed, adds members by which the run has grown, and replaces damaged
  logits.

  Args:
    run: a run that keeps its parameters.
    splits: "valid" or "test", or one of them with a corruption and its
      severity: "test:noise:3".
    checkpoint: which parameters, "last" or "best".
    dataset: the data of a run that was handed its data in Python.

  Raises:
    InputError: an unknown split or checkpoint, parameters that are not kept,
      data other than the run's, a run in use: nothing is written then. Or
      pixels other than those of members evaluated before: the splits before
      this one are complete then.
  """
  named = {name: parse(name) for name in splits}
  choose(checkpoint, CHECKPOINTS, "checkpoint")
  with store.locked(run.path):
    run = store.open_run(run.path)
    missing = {
      one: _missing(run, one)
      for one in (Evaluation(checkpoint, name) for name in named)
    }
    missing = {one: places for one, places in missing.items() if places}
    everyone = itertools.chain.from_iterable(missing.values())
    _require_parameters(run, checkpoint, {*everyone})
    if not missing:
      log.info("%s: nothing to evaluate, all is there", run.path)
      return
    engine = open_engine(run, dataset)
    most = max(map(len, missing.values()))
    population = stored_population(engine, most)
    for one, places in missing.items():
      with _pixels(engine, named[one.split], run.path / FILE) as seen:
        _make_room(run, one, seen.facts)
        members = (load_variables(run, i, checkpoint) for i in places)
        logits = predict_stored(
          seen.engine,
          members,
          (one.base,),
          count=len(places),
          population=population,
        )
        for index, found in zip(places, logits, strict=True):
          run.write_evaluation(one, index, found[one.base])
      log.info(
        "%s, %s parameters: %d members", one.split, checkpoint, len(places)
      )


def _missing(run: store.Run, evaluation: Evaluation) -> list[int]:
  """Places of the usable members without logits of an evaluation."""
  members = run.members()
  usable = (members["done"] & ~members["diverged"]).to_numpy()
  if not usable.any():
    raise InputError(
      f"{run.path} has no finished member; train it to the end first"
    )
  if evaluation.is_trained:
    return []
  return np.flatnonzero(usable & ~run.evaluated(evaluation)).tolist()


def _require_parameters(
  run: store.Run, checkpoint: str, places: Iterable[int]
) -> None:
  """Refuses members whose parameters were not kept."""
  for index in sorted(places):
    path = parameters_path(run.path, index, checkpoint)
    if not path.exists():
      asked = "keep_parameters" if checkpoint == "last" else "keep_best"
      name = store.member_name(run.members().iloc[index])
      raise InputError(
        f"{run.path} keeps no {checkpoint} parameters of {name} "
        f"(execution.{asked}); without them it cannot be evaluated"
      )


class _Seen(NamedTuple):
  """What is shown to the members.

  Attributes:
    engine: its data set has the pictures as they are shown.
    facts: what is kept with the logits.
  """

  engine: Engine
  facts: Mapping[str, Any]


@contextlib.contextmanager
def _pixels(engine: Engine, named: Named, path: Path) -> Iterator[_Seen]:
  """The engine with a split corrupted; its pixels are a file meanwhile."""
  if not named.corruption:
    yield _Seen(engine, {})
    return
  split = engine.dataset.splits[named.base]
  digest = hashlib.sha256()
  try:
    images = np.lib.format.open_memmap(path, "w+", np.uint8, split.images.shape)
    for first in range(0, len(split), _PIECE):
      rows = slice(first, first + _PIECE)
      piece = corrupted(
        shown(engine.dataset, named.base, rows),
        split.ids[rows],
        named.corruption,
        named.severity,
      )
      digest.update(piece.data)
      images[rows] = piece
    # The marks are in the pixels now.
    split = dataclasses.replace(split, images=images, marked=None)
    splits = {**engine.dataset.splits, named.base: split}
    dataset = dataclasses.replace(engine.dataset, splits=splits)
    versions = {name: importlib.metadata.version(name) for name in _PACKAGES}
    facts = {PIXELS: digest.hexdigest(), **versions}
    yield _Seen(dataclasses.replace(engine, dataset=dataset), facts)
  finally:
    path.unlink(missing_ok=True)


def _make_room(
  run: store.Run, evaluation: Evaluation, facts: Mapping[str, Any]
) -> None:
  """Adds an evaluation, or makes sure that its pixels are these.

  Raises:
    InputError: members were evaluated on others.
  """
  if evaluation not in run.evaluations():
    run.add_evaluation(evaluation, facts)
    return
  there = run.evaluation_facts(evaluation)
  if pixels(there) != pixels(facts):
    versions = ", ".join(f"{name} {there[name]}" for name in _PACKAGES)
    raise InputError(
      f"{run.path}: members were evaluated on other pixels of "
      f"{evaluation.split}; accepted: {versions}, or without the folder "
      f"{store.LOGITS}/{evaluation.group}, which evaluates all anew"
    )
