"""Regimes in whole runs: updates inside epochs, rewinding, moving masks."""

import functools

import jax
import numpy as np
import pytest

from prunebias_jax import store
from prunebias_jax.config import (
  Data,
  Execution,
  Model,
  Pruning,
  Sweep,
  Train,
)
from prunebias_jax.pruning.allocation import count_table
from prunebias_jax.pruning.regrowth import move_table
from prunebias_jax.training import chunk, parameters, plan
from prunebias_jax.training import sweep as training
from prunebias_jax.training.layout import SHARED, TrainData
from prunebias_jax.training.plan import Phase
from prunebias_jax.training.population import Population

# Six steps an epoch, in calls of four; a checkpoint after each of them.
TINY = Sweep(
  name="tiny",
  seeds=(0, 7),
  sparsities=(0.0, 0.9),
  data=Data(name="digits", size=8, train=200, valid=30, test=50),
  model=Model(name="nets:Flat"),
  train=Train(epochs=4, batch=32, flip=False, crop=1),
  pruning=Pruning(start=1, every=1, end=4),
  execution=Execution(
    devices=1,
    mode="map",
    checkpoint_minutes=1e-9,
    eval_batch=20,
    steps_per_dispatch=4,
  ),
)
# Updates after 4, 9 and 14 steps: in the first, second and third epoch.
TIMES = {
  "pruning.unit": "steps",
  "pruning.start": 4,
  "pruning.every": 5,
  "pruning.end": 17,
}
INSIDE = TINY.override(TIMES)
RIGL = TINY.override(
  {
    **TIMES,
    "sparsities": [0.9],
    "pruning.regime": "rigl",
    "pruning.allocation": "erk",
  }
)
REWIND = TINY.override(
  {
    "pruning": {"regime": "rewind", "unit": "steps", "rewind": 9},
    "execution.keep_best": True,
  }
)


def logits_of(run):
  return np.concatenate(
    [run.split(name)["logits"].to_numpy() for name in store.EVALUATED], 1
  )


def metrics_of(run):
  found = run.metrics().drop(columns="images_per_second")
  return found.sort_values(["seed", "sparsity", "epoch"], ignore_index=True)


def assert_same_results(one, other):
  np.testing.assert_array_equal(logits_of(one), logits_of(other))
  assert metrics_of(one).equals(metrics_of(other))
  files = [
    sorted((run.path / parameters.PARAMETERS).glob("*.npz"))
    for run in (one, other)
  ]
  assert [x.name for x in files[0]] == [x.name for x in files[1]]
  for here, there in zip(*files, strict=True):
    with np.load(here) as mine, np.load(there) as theirs:
      for name in mine.files:
        np.testing.assert_array_equal(mine[name], theirs[name])


def stopped_every(sweep, path, calls):
  """A run that is interrupted again and again after so many calls."""
  real = Population.train
  for _ in range(100):
    left = [None] * calls

    def stop(self, *arguments, left=left, **options):
      if not left:
        raise KeyboardInterrupt
      left.pop()
      return real(self, *arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
      patch.setattr(Population, "train", stop)
      try:
        return training.train(sweep, path)
      except KeyboardInterrupt:
        continue
  raise AssertionError("never came to its end")


def trained(engine, population, state, steps, losses=None):
  """Some steps of the phase `train`, one call each; notes [seed] losses."""
  split = engine.dataset.splits["train"]
  data = TrainData(
    *(population.place(x, SHARED) for x in (split.images, split.labels))
  )
  each = population.examples // population.batch
  for step in steps:
    state, progress = population.train(
      state,
      data,
      population.order(step // each),
      epoch_step=step % each,
      step=step,
      count=1,
    )
    if losses is not None:
      losses.append(population.grid(progress.loss)[:, 0])
  return state


def population_of(run):
  """The engine of a run, and its seeds as a population of one branch."""
  sweep = Sweep.from_dict(run.facts["sweep"])
  engine = training.Engine.build(sweep, training.data.load(sweep.data))
  engine = training.as_recorded(engine, run)
  seeds = np.repeat(np.array([[0], [7]], np.uint32), 3, 1)
  phase = Phase(name="train", config=sweep.train)
  return engine, engine.population(phase, seeds, 1)


def assert_stored(run, state):
  """The pruned members of a run are those of the population [seed, 1]."""
  members = run.members()
  for row, index in enumerate(members.index[members["sparsity"] == 0.9]):
    stored = parameters.load_parameters(run.path, index)
    for part in ("params", "batch_stats", "masks"):
      jax.tree.map(
        np.testing.assert_array_equal,
        jax.tree.map(lambda x, row=row: x[row, 0], getattr(state, part)),
        stored[part],
      )


@pytest.fixture(scope="module")
def rewound(tmp_path_factory):
  path = tmp_path_factory.mktemp("runs") / "rewound"
  return stopped_every(REWIND, path, 7)


@pytest.fixture(scope="module")
def moved(tmp_path_factory):
  path = tmp_path_factory.mktemp("runs") / "moved"
  return stopped_every(RIGL, path, 5)


def test_a_rewound_member_is_that_of_the_definition(rewound):
  """By hand: the same training, cut at the step and put together again."""
  engine, population = population_of(rewound)
  early = trained(engine, population, population.init(), range(9))
  kept = jax.device_get(early)
  late = trained(engine, population, early, range(9, 24))
  zeros = round(0.9 * engine.prunable)
  late = population.prune(late, np.array([[zeros]], np.int32))
  masks = jax.device_get(late.masks)
  layers = {}
  for path, mask in masks.items():
    layer, kernel = path.split("/")
    weights = np.where(mask, kept.params[layer][kernel], 0)
    layers[layer] = {**kept.params[layer], kernel: weights}
  back = kept._replace(
    params={**kept.params, **layers},
    momenta=jax.tree.map(np.zeros_like, kept.momenta),
    masks=masks,
  )
  again = trained(engine, population, population.adopt(back), range(9, 24))
  assert_stored(rewound, again)


def test_the_log_of_a_rewound_member_goes_on(rewound):
  log = metrics_of(rewound).query("sparsity == 0.9 and seed == 7")
  # Of the second epoch, which began before the step, three steps are left.
  assert log["epoch"].tolist() == [1, 2, 3, 4, 5, 6, 7]
  assert log["zeros"].gt(0).tolist() == [False] * 4 + [True] * 3
  assert log["loss"].between(0.01, 1).all()


def test_moved_masks_are_those_of_the_definition(moved):
  """By hand: each update on the state at its step and a sample of its own.

  The log has the mean over all steps of an epoch, whatever came between.
  """
  engine, population = population_of(moved)
  pruning = engine.sweep.pruning
  counts = count_table(pruning.at_once(), (0.9,), engine.layers)[-1]
  moves = move_table(pruning, counts, engine.layers)
  state, done = population.prune(population.init(), counts), 0
  before, losses = jax.device_get(state.masks), []
  for step, own in zip((4, 9, 14), moves, strict=True):
    steps = range(done, step)
    state = trained(engine, population, state, steps, losses)
    sample = engine.sample(population, step)
    state, done = population.regrow(state, own, sample), step
  state = trained(engine, population, state, range(done, 24), losses)
  assert_stored(moved, state)
  means = np.reshape(losses, (4, 6, 2)).mean(1).T.ravel()
  np.testing.assert_allclose(metrics_of(moved)["loss"], means, rtol=1e-5)
  differ = False
  for place, (path, mask) in enumerate(sorted(state.masks.items())):
    zeros = (~np.asarray(mask)).sum(tuple(range(2, mask.ndim)))
    assert zeros.tolist() == [[counts[0, place]]] * 2
    differ |= bool(np.any(np.asarray(mask) & ~before[path]))
  assert differ, "no weight was grown"


def test_the_sparsity_of_moved_masks_is_constant(moved):
  log = metrics_of(moved).query("sparsity == 0.9")
  assert set(log["zeros"]) == {round(0.9 * moved.facts["model"]["prunable"])}
  assert len(log) == 2 * 4


@pytest.mark.slow
def test_gradual_pruning_in_steps_goes_on_anywhere(rewound, tmp_path):
  whole = training.train(INSIDE, tmp_path / "whole")
  assert_same_results(stopped_every(INSIDE, tmp_path / "other", 1), whole)
  # Updates inside epochs leave the dense members and their log alone.
  np.testing.assert_array_equal(logits_of(whole)[::2], logits_of(rewound)[::2])
  columns = ["seed", "epoch", "loss", "accuracy"]
  dense, other = (
    metrics_of(run).query("sparsity == 0")[columns].reset_index(drop=True)
    for run in (whole, rewound)
  )
  assert dense.equals(other)
  log = metrics_of(whole).query("sparsity == 0.9 and seed == 0")
  prunable = whole.facts["model"]["prunable"]
  shares = [0.9 - 0.85 * (1 - done / 13) ** 3 for done in (0, 5)]
  expected = [round(share * prunable) for share in shares]
  assert log["zeros"].tolist() == expected + [round(0.9 * prunable)] * 2


@pytest.mark.slow
@pytest.mark.parametrize("sweep", [REWIND, RIGL], ids=["rewind", "rigl"])
def test_any_way_of_stopping_gives_the_same_bits(sweep, tmp_path):
  whole = training.train(sweep, tmp_path / "whole")
  for calls in (1, 2, 3):
    again = stopped_every(sweep, tmp_path / f"every {calls}", calls)
    assert_same_results(again, whole)


@pytest.mark.slow
@pytest.mark.parametrize("sweep", [REWIND, RIGL], ids=["rewind", "rigl"])
def test_shared_trunks_change_no_bit(sweep, tmp_path, monkeypatch):
  sweep = sweep.override({"sparsities": [0.0, 0.5, 0.9]})
  shared = training.train(sweep, tmp_path / "shared")
  monkeypatch.setattr(
    chunk, "make_plan", functools.partial(plan.make_plan, share=False)
  )
  assert_same_results(training.train(sweep, tmp_path / "apart"), shared)


@pytest.mark.slow
def test_a_level_added_later_starts_from_the_stored_early_weights(
  rewound, tmp_path
):
  training.train(REWIND.override({"sparsities": [0.0]}), tmp_path)
  grown = training.train(REWIND, tmp_path)
  assert grown.members()["sparsity"].tolist() == [0.0, 0.0, 0.9, 0.9]
  np.testing.assert_array_equal(
    logits_of(grown)[[0, 2, 1, 3]], logits_of(rewound)
  )
  # The dense phase was not trained again.
  assert metrics_of(grown).query("sparsity > 0")["epoch"].min() == 5


@pytest.mark.slow
def test_from_scratch_prunes_the_initial_weights(tmp_path):
  sweep = TINY.override(
    {
      "pruning": {
        "regime": "from-scratch",
        "criterion": "random",
        "allocation": "erk",
      }
    }
  )
  run = training.train(sweep, tmp_path)
  engine, population = population_of(run)
  counts = count_table(sweep.pruning.at_once(), (0.9,), engine.layers)[-1]
  state = population.prune(population.init(), counts)
  assert_stored(run, trained(engine, population, state, range(24)))
