"""Regimes in whole runs: updates inside epochs, back to early weights."""

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
from prunebias_jax.training import parameters
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
  model=Model(name="cnn", width=0.25),
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
INSIDE = TINY.override(
  {
    "pruning.unit": "steps",
    "pruning.start": 4,
    "pruning.every": 5,
    "pruning.end": 17,
  }
)
REWIND = TINY.override(
  {
    "pruning": {"regime": "rewind", "unit": "steps", "rewind": 9},
    "execution.keep_best": True,
  }
)


SLOW = pytest.mark.slow


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


def stopped_every(sweep, path, calls, monkeypatch):
  """A run that is interrupted again and again after so many calls."""
  real = Population.train
  for _ in range(100):
    left = [None] * calls

    def stop(self, *arguments, left=left, **options):
      if not left:
        raise KeyboardInterrupt
      left.pop()
      return real(self, *arguments, **options)

    with monkeypatch.context() as patch:
      patch.setattr(Population, "train", stop)
      try:
        return training.train(sweep, path)
      except KeyboardInterrupt:
        continue
  raise AssertionError("never came to its end")


def trained(engine, population, state, steps):
  """Some steps of the phase `train`, one call each."""
  split = engine.dataset.splits["train"]
  data = TrainData(
    *(population.place(x, SHARED) for x in (split.images, split.labels))
  )
  each = population.examples // population.batch
  for step in steps:
    state, _ = population.train(
      state,
      data,
      population.order(step // each),
      epoch_step=step % each,
      step=step,
      count=1,
    )
  return state


@pytest.fixture(scope="module")
def inside(tmp_path_factory):
  return training.train(INSIDE, tmp_path_factory.mktemp("runs") / "inside")


@pytest.fixture(scope="module")
def rewound(tmp_path_factory):
  return training.train(REWIND, tmp_path_factory.mktemp("runs") / "rewound")


def test_updates_inside_epochs_leave_the_dense_member_alone(inside, rewound):
  """Also in the log: an epoch's mean is that of all its steps."""
  np.testing.assert_array_equal(logits_of(inside)[::2], logits_of(rewound)[::2])
  columns = ["seed", "epoch", "loss", "accuracy"]
  dense, other = (
    metrics_of(run).query("sparsity == 0")[columns].reset_index(drop=True)
    for run in (inside, rewound)
  )
  assert dense.equals(other)
  assert len(dense) == 2 * 4


def test_the_log_tells_the_zeros_at_the_end_of_an_epoch(inside):
  log = metrics_of(inside).query("sparsity == 0.9 and seed == 0")
  prunable = inside.facts["model"]["prunable"]
  shares = [0.9 - 0.85 * (1 - done / 13) ** 3 for done in (0, 5)]
  expected = [*(round(share * prunable) for share in shares)]
  assert log["zeros"].tolist() == [*expected, *[round(0.9 * prunable)] * 2]


@pytest.mark.parametrize("calls", [pytest.param(1, marks=SLOW), 4])
def test_stopped_inside_segments_it_goes_on_with_the_same_bits(
  inside, tmp_path, monkeypatch, calls
):
  again = stopped_every(INSIDE, tmp_path, calls, monkeypatch)
  assert_same_results(again, inside)


def test_a_rewound_member_is_that_of_the_definition(rewound):
  """By hand: the same training, cut at the step and put together again."""
  engine = training.Engine.build(REWIND, training.data.load(REWIND.data))
  engine = training.as_recorded(engine, rewound)
  seeds = np.repeat(np.array([[0], [7]], np.uint32), 3, 1)
  phase = Phase(name="train", config=REWIND.train)
  population = engine.population(phase, seeds, 1)
  early = trained(engine, population, population.init(), range(9))
  kept = jax.device_get(early)
  late = trained(engine, population, early, range(9, 24))
  zeros = round(0.9 * engine.prunable)
  late = population.prune(late, np.array([[zeros]], np.int32))
  masks = jax.device_get(late.masks)
  back = kept._replace(masks=masks)
  layers = {}
  for path, mask in masks.items():
    layer, kernel = path.split("/")
    weights = np.where(mask, kept.params[layer][kernel], 0)
    layers[layer] = {**kept.params[layer], kernel: weights}
  momenta = jax.tree.map(np.zeros_like, kept.momenta)
  back = back._replace(params={**kept.params, **layers}, momenta=momenta)
  final = trained(engine, population, population.adopt(back), range(9, 24))
  for row, index in enumerate((1, 3)):
    stored = parameters.load_parameters(rewound.path, index)
    for part in ("params", "batch_stats", "masks"):
      jax.tree.map(
        np.testing.assert_array_equal,
        jax.tree.map(lambda x, row=row: x[row, 0], getattr(final, part)),
        stored[part],
      )


def test_the_log_of_a_rewound_member_goes_on(rewound):
  log = metrics_of(rewound).query("sparsity == 0.9 and seed == 7")
  # Of the second epoch, which began before the step, three steps are left.
  assert log["epoch"].tolist() == [1, 2, 3, 4, 5, 6, 7]
  assert log["zeros"].gt(0).tolist() == [False] * 4 + [True] * 3
  assert log["loss"].between(0.01, 1).all()


@pytest.mark.parametrize("calls", [pytest.param(2, marks=SLOW), 5])
def test_a_stopped_rewinding_goes_on_with_the_same_bits(
  rewound, tmp_path, monkeypatch, calls
):
  again = stopped_every(REWIND, tmp_path, calls, monkeypatch)
  assert_same_results(again, rewound)


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
