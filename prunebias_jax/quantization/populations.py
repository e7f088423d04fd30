"""Quantized populations of a run, made of its stored members.

Each quantized member has the seeds of the member that it is made of, its
parent, so that the two are a pair wherever seeds are.
"""

from collections.abc import Callable, Iterator, Sequence
import dataclasses
import hashlib
import logging
import os
from typing import Any

import flax.linen as nn
import numpy as np
import pandas as pd
from tqdm import tqdm

from prunebias_jax import store
from prunebias_jax.data.dataset import Dataset, Split
from prunebias_jax.data.views import with_training_rows
from prunebias_jax.errors import InputError
from prunebias_jax.models.layers import Layer, find_layers
from prunebias_jax.quantization.network import (
  Int8,
  Ranges,
  halved,
  with_ranges,
)
from prunebias_jax.quantization.scheme import Scheme
from prunebias_jax.training.costs import write_costs
from prunebias_jax.training.engine import Engine
from prunebias_jax.training.parameters import (
  parameters_path,
  read_arrays,
  require_parameters,
  write_arrays,
)
from prunebias_jax.training.stored import (
  Variables,
  load_variables,
  open_engine,
  predict_stored,
)

log = logging.getLogger(__name__)

FACT = "quantization"  # what sweep.json calls the schemes of a run
# What a member and its parent have in common.
SHARED = ("pruner", "sparsity", "seed")
RANGES = "ranges"  # what files of fixed ranges are called
ENDS = ("low", "high")


def quantize(
  run_directory: str | os.PathLike[str],
  schemes: Scheme | Sequence[Scheme],
  *,
  sparsities: Sequence[float] | None = None,
  dataset: Dataset | None = None,
) -> store.Run:
  """Adds quantized populations to a run, or those of its members that it lacks.

  Args:
    run_directory: a run that keeps parameters.
    schemes: how to quantize; one for each kind.
    sparsities: whose members; by default all. Members that are not finished or
      have diverged are left out.
    dataset: the data of a run that was handed its data in Python.

  Returns:
    The run, with members of the same pruner, sparsity and seeds whose
    quantization is the kind.

  Raises:
    InputError: no such member, parameters that are not kept, other data than
      the run's, more calibration images than training images, a kind that the
      run has by another scheme, or a network without a layer to quantize.
  """
  schemes = [schemes] if isinstance(schemes, Scheme) else list(schemes)
  path = store.open_run(run_directory).path
  with store.locked(path):
    run = store.open_run(path)
    run.require_trained()
    parents = _parents(run, sparsities)
    for scheme in schemes:
      _require_agreed(run, scheme)
    for index in parents.index:
      require_parameters(path, index)
    engine = open_engine(run, dataset)
    layers = _layers(engine)
    train = engine.dataset.splits["train"]
    rows = [calibration_rows(train, scheme) for scheme in schemes]
    for scheme, chosen in zip(schemes, rows, strict=True):
      run = _with_room(run, parents, scheme, _described(scheme, engine, chosen))
      _fill(engine, run, parents, scheme, layers, chosen)
    write_costs(run)
  return run


def predictor(
  engine: Engine, run: store.Run, kind: str
) -> tuple[nn.Module | None, Callable[[int], Variables]]:
  """How the quantized members of a run predict, for `training.evaluate`.

  Args:
    engine: the run's network.
    run: a run that `quantize` gave members of this kind.
    kind: of quantization.

  Returns:
    The network to apply in place of the engine's, None for that one, and a
    function from a member's place to its variables, which are its parent's but
    for what quantization changes.
  """
  scheme = next(
    Scheme.from_facts(facts)
    for facts in run.facts[FACT]
    if facts["kind"] == kind
  )
  layers, parents = _layers(engine), _parent_places(run)

  def load(index: int) -> Variables:
    one = load_variables(run, parents[index])
    if kind == "float16":
      return one._replace(params=halved(one.params, layers))
    if kind == "int8_static":
      stored = read_arrays(parameters_path(run.path, index, RANGES))
      ranges = [
        [stored[f"{layer.path}/{name}"] for name in ENDS] for layer in layers
      ]
      return one._replace(
        batch_stats=with_ranges(one.batch_stats, layers, np.array(ranges))
      )
    return one

  return _network(engine, scheme), load


def calibration_rows(train: Split, scheme: Scheme) -> np.ndarray:
  """The training images that fix the ranges: int [image], in order.

  They are those whose ids have the smallest SHA-256: the same ones whatever
  the order of the split, and N of them are among any larger number.

  Raises:
    InputError: more than there are.
  """
  count = scheme.calibration or 0
  if count > len(train):
    raise InputError(
      f"calibration is {count}; accepted: 1 to {len(train)}, as many training "
      "images as there are"
    )
  codes = [hashlib.sha256(str(name).encode()).hexdigest() for name in train.ids]
  return np.sort(np.argsort(np.array(codes))[:count])


def _parents(
  run: store.Run, sparsities: Sequence[float] | None
) -> pd.DataFrame:
  """The members to quantize, by their place on the member axis."""
  table = run.trained()
  if sparsities is not None:
    levels = table["sparsity"].unique()
    for one in sparsities:
      if not np.isclose(levels, one).any():
        raise InputError(
          f"{run.path} has no member of sparsity {one:g}; accepted: "
          f"{', '.join(f'{level:g}' for level in levels)}"
        )
    asked = np.array(sparsities)
    near = np.isclose(table["sparsity"].to_numpy()[:, None], asked[None])
    table = table[near.any(1)]
  usable = table[table["done"] & ~table["diverged"]]
  if not len(usable):
    raise InputError(
      f"{run.path}: none of these {len(table)} members is finished and has not "
      "diverged; train the run to its end first"
    )
  if len(usable) < len(table):
    left_out = table.drop(usable.index)
    log.warning(
      "left out, not finished or diverged: %s",
      "; ".join(store.member_name(row) for _, row in left_out.iterrows()),
    )
  return usable


def _require_agreed(run: store.Run, scheme: Scheme) -> None:
  """Refuses a kind that the run has by another scheme."""
  for facts in run.facts.get(FACT, ()):
    there = Scheme.from_facts(facts)
    if there.kind == scheme.kind and there != scheme:
      raise InputError(
        f"{run.path} has {there} already, of which there can be one; asked "
        f"for {scheme}"
      )


def _network(engine: Engine, scheme: Scheme) -> nn.Module | None:
  """What computes in place of the engine's network; None for that one."""
  if scheme.kind == "float16":
    return None
  static = scheme.kind == "int8_static"
  return Int8(engine.model, scheme.granularity or "channel", static)


def _layers(engine: Engine) -> list[Layer]:
  """The layers that are quantized, in order of call."""
  variables = {
    "params": engine.shapes.params,
    "batch_stats": engine.shapes.batch_stats,
  }
  found = find_layers(engine.model, variables, engine.dataset.image_shape)
  if not found:
    raise InputError(
      f"the network {engine.sweep.model.name} has no layer to quantize; "
      "accepted: flax's Conv, Dense and DenseGeneral"
    )
  return found


def _described(
  scheme: Scheme, engine: Engine, chosen: np.ndarray
) -> dict[str, Any]:
  """What the run records of a scheme."""
  facts = dataclasses.asdict(scheme)
  if scheme.calibration is not None:
    names = engine.dataset.splits["train"].ids[chosen]
    digest = hashlib.sha256("\n".join(map(str, names)).encode())
    facts["calibration_ids_sha256"] = digest.hexdigest()
  return facts


def _with_room(
  run: store.Run, parents: pd.DataFrame, scheme: Scheme, facts: dict[str, Any]
) -> store.Run:
  """The run with a place for a quantized member of every parent."""
  rows = parents.assign(quantization=scheme.kind)
  members = run.members()
  key = [*SHARED, "quantization"]
  there = pd.MultiIndex.from_frame(members[key])
  added = rows[~pd.MultiIndex.from_frame(rows[key]).isin(there)]
  if not len(added):
    return run
  others = [
    one for one in run.facts.get(FACT, ()) if one["kind"] != scheme.kind
  ]
  return run.grow(added, **{FACT: [*others, facts]})


def _fill(
  engine: Engine,
  run: store.Run,
  parents: pd.DataFrame,
  scheme: Scheme,
  layers: list[Layer],
  rows: np.ndarray,
) -> None:
  """Predicts by the quantized members that are not done, and stores them."""
  members = run.members()
  left = (members["quantization"] == scheme.kind) & ~members["done"]
  places = [
    place
    for place, parent in _parent_places(run).items()
    if left[place] and parent in parents.index
  ]
  # Groups are as large as for all members, so that a resume runs the program
  # that an uninterrupted call does.
  count = len(parents)
  model, load = predictor(engine, run, scheme.kind)
  ready = iter(places)
  if scheme.kind == "int8_static":
    ready = _calibrated(engine, run, places, layers, rows, count)
  found = predict_stored(
    engine, map(load, ready), store.EVALUATED, count=count, model=model
  )
  for place, logits in tqdm(
    zip(places, found, strict=True), str(scheme), len(places), unit="member"
  ):
    run.write_member(place, logits)


def _calibrated(
  engine: Engine,
  run: store.Run,
  places: Sequence[int],
  layers: list[Layer],
  rows: np.ndarray,
  count: int,
) -> Iterator[int]:
  """The places of members, each once its ranges are written."""
  small = dataclasses.replace(
    engine, dataset=with_training_rows(engine.dataset, rows)
  )
  parents = _parent_places(run)
  found = predict_stored(
    small,
    (load_variables(run, parents[place]) for place in places),
    ("train",),
    count=count,
    model=Ranges(engine.model),
  )
  for place, logits in zip(places, found, strict=True):
    ends = logits["train"].reshape(len(rows), len(layers), 2)
    ranges = np.stack([ends[..., 0].min(0), ends[..., 1].max(0)], 1)
    arrays = {
      f"{layer.path}/{name}": end
      for layer, pair in zip(layers, ranges, strict=True)
      for name, end in zip(ENDS, pair, strict=True)
    }
    write_arrays(parameters_path(run.path, place, RANGES), arrays)
    yield place


def _parent_places(run: store.Run) -> dict[int, int]:
  """Where the parent of each quantized member is, by the member's place."""
  key = list(SHARED)
  trained, members = run.trained(), run.members()
  parents = dict(
    zip(map(tuple, trained[key].to_numpy()), trained.index, strict=True)
  )
  quantized = members.drop(trained.index)
  rows = zip(quantized.index, quantized[key].to_numpy(), strict=True)
  return {int(place): int(parents[tuple(row)]) for place, row in rows}
