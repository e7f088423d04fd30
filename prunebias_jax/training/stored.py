"""Predictions of stored members: from their parameters, without training."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
import dataclasses
import itertools
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from prunebias_jax import data, store
from prunebias_jax.data.dataset import Dataset
from prunebias_jax.store import EVALUATED
from prunebias_jax.training.engine import Engine
from prunebias_jax.training.member import Member
from prunebias_jax.training.parameters import load_parameters
from prunebias_jax.training.plan import Phase
from prunebias_jax.training.population import Population
from prunebias_jax.training.provenance import as_recorded, require_same_data

# Members that each device is given at a time.
TOGETHER = 4


class Variables(NamedTuple):
  """What a network needs to predict, on the host.

  Attributes:
    params: parameters.
    batch_stats: whatever else the network reads, such as running statistics.
  """

  params: Mapping[str, Any]
  batch_stats: Mapping[str, Any]


def open_engine(run: store.Run, dataset: Dataset | None = None) -> Engine:
  """The engine that a run was trained with: its data, network and devices.

  Args:
    run: a run that is begun at least.
    dataset: the data of a run that was handed its data in Python.

  Raises:
    InputError: data other than the run's.
  """
  sweep = run.sweep()
  if dataset is None:
    dataset = data.load(sweep.data)
  else:
    dataset = data.viewed(dataset, sweep.data)
  require_same_data(dataset, run)
  return as_recorded(Engine.build(sweep, dataset), run)


def load_variables(
  run: store.Run, index: int, checkpoint: str = "last"
) -> Variables:
  """A stored member's parameters and statistics.

  Raises:
    InputError: they are not kept, or cannot be read.
  """
  parts = load_parameters(run.path, index, checkpoint)
  return Variables(parts["params"], parts["batch_stats"])


def stored_population(
  engine: Engine, count: int, model: nn.Module | None = None
) -> Population:
  """The population that predicts stored members, a few of them at a time.

  Args:
    engine: network and devices.
    count: how many members there are.
    model: applied in place of the engine's network.
  """
  rows = min(count, TOGETHER * len(engine.devices))
  phase = Phase(name="train", config=engine.sweep.train)
  population = engine.population(phase, np.zeros((rows, 3), np.uint32), 1)
  if model is None:
    return population
  recipe = dataclasses.replace(population.recipe, model=model)
  return dataclasses.replace(population, recipe=recipe)


def predict_stored(
  engine: Engine,
  members: Iterable[Variables],
  splits: Sequence[str] = EVALUATED,
  *,
  count: int,
  model: nn.Module | None = None,
  population: Population | None = None,
) -> Iterator[dict[str, np.ndarray]]:
  """Logits of members, a few of them at a time.

  Args:
    engine: data, network and devices.
    members: their variables, read when they are needed.
    splits: what to predict.
    count: how many members there are.
    model: applied in place of the engine's network, to these variables.
    population: what `stored_population` gave, so that calls for several data
      share a compiled program; made of `count` and `model` unless given.

  Yields:
    For each member float32 [example, output] by split.
  """
  if population is None:
    population = stored_population(engine, count, model)
  rows = len(population.seeds)
  waiting = iter(members)
  while group := list(itertools.islice(waiting, rows)):
    # All groups are of one size, so that one program serves them all.
    filled = [*group, *[group[-1]] * (rows - len(group))]
    params, batch_stats = jax.tree.map(
      lambda *arrays: np.stack(arrays)[:, None], *filled
    )
    state = Member(
      params=params,
      batch_stats=batch_stats,
      momenta=(),
      masks={},
      healthy=jnp.ones((rows, 1), bool),
    )
    logits = engine.predict(population, population.adopt(state), splits)
    for row in range(len(group)):
      yield {name: array[row, 0] for name, array in logits.items()}
