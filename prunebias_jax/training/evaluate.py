"""Stored members on more splits: corrupted ones, and the best parameters."""

from collections.abc import Callable, Iterator, Mapping, Sequence
import contextlib
import dataclasses
import hashlib
import importlib.metadata
import logging
from pathlib import Path
from typing import Any, NamedTuple

import flax.linen as nn
import numpy as np
from tqdm import tqdm

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
from prunebias_jax.training.parameters import require_parameters
from prunebias_jax.training.population import Population
from prunebias_jax.training.stored import (
  Variables,
  load_variables,
  open_engine,
  predict_stored,
  stored_population,
)

log = logging.getLogger(__name__)

# From engine, run and kind of quantization to how its members predict: a
# network to apply in place of the engine's (None for that) and each one's
# variables.
Quantized = Callable[
  [Engine, store.Run, str], tuple[nn.Module | None, Callable[[int], Variables]]
]

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
  quantized: Quantized | None = None,
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
    quantized: how quantized members of one kind predict; without it, and at
      other checkpoints than "last", of which they are made, they are left out.

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
    run.require_trained()
    kinds = _usable(run, quantized is not None and checkpoint == "last")
    missing = {}
    for name in named:
      one = Evaluation(checkpoint, name)
      if not one.is_trained:
        there = run.evaluated(one)
        missing[one] = {
          kind: places[~there[places]] for kind, places in kinds.items()
        }
    left = [np.concatenate([*of.values()]) for of in missing.values()]
    everyone = np.unique(np.concatenate([np.zeros(0, int), *left]))
    for index, member in run.trained().iterrows():
      if index in everyone:
        name = store.member_name(member)
        require_parameters(run.path, int(str(index)), checkpoint, name)
    if not len(everyone):
      log.info("%s: nothing to evaluate, all is there", run.path)
      return
    engine = open_engine(run, dataset)
    predictors = {
      kind: _predictor(engine, run, checkpoint, kind, len(places), quantized)
      for kind, places in kinds.items()
    }
    for one, places_of in missing.items():
      if any(map(len, places_of.values())):
        with _pixels(engine, named[one.split], run.path / FILE) as seen:
          _make_room(run, one, seen.facts)
          for kind, places in places_of.items():
            _store(run, seen.engine, one, places.tolist(), predictors[kind])


def _usable(run: store.Run, with_quantized: bool) -> dict[str, np.ndarray]:
  """Places of the members that can be evaluated: int [member] by quantization.

  Raises:
    InputError: there are none.
  """
  members = run.members()
  usable = (members["done"] & ~members["diverged"]).to_numpy()
  plain = (members["quantization"] == "none").to_numpy()
  if not with_quantized and (usable & ~plain).any():
    log.warning("%d quantized members are left out", (usable & ~plain).sum())
    usable = usable & plain
  if not usable.any():
    raise InputError(
      f"{run.path} has no finished member; train it to the end first"
    )
  kinds = members["quantization"].to_numpy()
  return {
    str(kind): np.flatnonzero(usable & (kinds == kind))
    for kind in dict.fromkeys(kinds[usable])
  }


class _Predictor(NamedTuple):
  """How members of one quantization predict.

  Attributes:
    population: as many as there are of them, whoever is missing, so that a
      call that goes on runs the program of an uninterrupted one.
    load: a member's variables, by its place.
  """

  population: Population
  load: Callable[[int], Variables]


def _predictor(
  engine: Engine,
  run: store.Run,
  checkpoint: str,
  kind: str,
  count: int,
  quantized: Quantized | None,
) -> _Predictor:
  """How the `count` members of a quantization predict."""
  if kind == "none" or quantized is None:
    return _Predictor(
      stored_population(engine, count),
      lambda index: load_variables(run, index, checkpoint),
    )
  model, load = quantized(engine, run, kind)
  return _Predictor(stored_population(engine, count, model), load)


def _store(
  run: store.Run,
  engine: Engine,
  evaluation: Evaluation,
  places: Sequence[int],
  predictor: _Predictor,
) -> None:
  """Predicts by some members, and stores their logits."""
  found = predict_stored(
    engine,
    map(predictor.load, places),
    (evaluation.base,),
    count=len(places),
    population=predictor.population,
  )
  for index, logits in tqdm(
    zip(places, found, strict=True),
    evaluation.split,
    len(places),
    unit="member",
  ):
    run.write_evaluation(evaluation, index, logits[evaluation.base])


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
    shape = (len(split), *engine.dataset.image_shape)
    images = np.lib.format.open_memmap(path, "w+", np.uint8, shape)
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
    # They are as networks see them now, with their marks.
    split = dataclasses.replace(split, images=images, marked=None, window=None)
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
