"""Runs with a loss against bias: repeatable, resumable, not the plain one."""

import jax
import numpy as np
import pandas as pd
import pytest

from prunebias_jax.cli.inspect import describe
from prunebias_jax.config import (
  Data,
  Execution,
  Model,
  Pruning,
  Sweep,
  Train,
)
from prunebias_jax.data.dataset import Dataset
from prunebias_jax.errors import InputError
from prunebias_jax.training import failure, weighting
from prunebias_jax.training import sweep as training
from prunebias_jax.training.engine import Engine
from prunebias_jax.training.population import Population
from prunebias_jax.training.recorder import Recorder

COUNTS = {"train": 48, "valid": 20, "test": 30}
PLAIN = Sweep(
  seeds=(0, 3),
  sparsities=(0.0, 0.75),
  data=Data(size=8),
  model=Model(name="nets:Flat"),
  train=Train(epochs=3, batch=16, crop=0, learning_rate=0.3),
  pruning=Pruning(start=1, end=3),
  execution=Execution(
    devices=1,
    mode="map",
    data="resident",
    steps_per_dispatch=2,
    checkpoint_minutes=1e-9,
  ),
)
LEARNING = PLAIN.override({"loss.kind": "learning_from_failure"})
GROUPED = PLAIN.override(
  {
    "loss.kind": "group_reweighted",
    "loss.identities": ["G"],
    "pruning.regime": "gmp-pt",
    "finetune.batch": 16,
    "finetune.epochs": 2,
    "finetune.crop": 0,
    "pruning.start": 0,
    "pruning.end": 2,
  }
)


@pytest.fixture(scope="module")
def dataset():
  """Three attributes, a fifth of whose labels are missing, and a group."""
  rng = np.random.default_rng(0)
  count = sum(COUNTS.values())
  labels = rng.integers(0, 2, (count, 3)).astype(float)
  shade = 60 + 120 * labels[:, :1, None, None]
  images = np.clip(shade + rng.normal(0, 40, (count, 8, 8, 1)), 0, 255)
  labels[rng.random(labels.shape) < 0.2] = np.nan
  return Dataset.from_arrays(
    images=images.astype(np.uint8),
    labels=labels,
    splits=np.repeat([*COUNTS], [*COUNTS.values()]),
    names=("A", "B", "C"),
    identities={"G": (rng.random(count) < 0.3).astype(int)},
  )


def logits_of(run):
  return run.split("test")["logits"].to_numpy()


@pytest.fixture(scope="module")
def learned(dataset, tmp_path_factory):
  """A run that learns from failure, and its members as they ended."""
  states = []
  store_members = Recorder.store_members

  def keep(recorder, population, snapshot, segment):
    states.append(jax.device_get(population.unpadded(snapshot.state)))
    store_members(recorder, population, snapshot, segment)

  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(Recorder, "store_members", keep)
    path = tmp_path_factory.mktemp("runs") / "learned"
    run = training.train(LEARNING, path, dataset=dataset)
  return run, states[-1]


def test_the_biased_network_is_dense_and_that_of_its_seed(learned):
  run, state = learned
  assert run.members()["done"].all()
  assert not run.members()["diverged"].any()
  assert (np.asarray(state.params["first"]["kernel"])[:, 1] == 0).any()
  for leaf in jax.tree.leaves(state.biased.params):
    np.testing.assert_array_equal(leaf[:, 0], leaf[:, 1])
    assert np.any(leaf[0] != leaf[1])
  assert np.all(state.biased.params["first"]["kernel"] != 0)


def test_every_label_that_is_there_has_its_losses(learned, dataset):
  _, state = learned
  missing = np.isnan(dataset.splits["train"].labels)
  losses = state.biased.losses
  assert losses.shape == (2, 2, 2, 48, 3)
  assert (losses[..., missing] == failure.UNSEEN).all()
  assert (losses[..., ~missing] >= 0).all()
  biased, own = np.moveaxis(losses, 2, 0)
  np.testing.assert_array_equal(biased[:, 0], biased[:, 1])
  assert np.any(own[:, 0] != own[:, 1])


def test_stopped_anywhere_it_goes_on_with_the_same_bits(
  learned, dataset, tmp_path, monkeypatch
):
  """Stopped inside epochs; then streamed, on two devices."""
  train = Population.train
  for calls in (1, 3):
    left = iter(range(calls))

    def stop(*arguments, left=left, **options):
      if next(left, None) is None:
        raise KeyboardInterrupt
      return train(*arguments, **options)

    monkeypatch.setattr(Population, "train", stop)
    with pytest.raises(KeyboardInterrupt):
      training.train(LEARNING, tmp_path, dataset=dataset)
  monkeypatch.setattr(Population, "train", train)
  elsewhere = {"execution.data": "streamed", "execution.devices": 2}
  run = training.train(LEARNING.override(elsewhere), tmp_path, dataset=dataset)
  np.testing.assert_array_equal(logits_of(run), logits_of(learned[0]))


def test_a_member_alone_has_the_same_bits(learned, dataset, tmp_path):
  alone = LEARNING.override({"seeds": [3], "sparsities": [0.75]})
  run = training.train(alone, tmp_path, dataset=dataset)
  np.testing.assert_array_equal(logits_of(run)[0], logits_of(learned[0])[3])


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["vmap", "chunk:2"])
def test_members_together_differ_by_rounding(learned, dataset, tmp_path, mode):
  together = LEARNING.override({"execution.mode": mode})
  run = training.train(together, tmp_path, dataset=dataset)
  np.testing.assert_allclose(
    logits_of(run), logits_of(learned[0]), rtol=1e-3, atol=1e-3
  )


@pytest.mark.slow
def test_growing_gives_the_members_of_a_run_made_at_once(
  learned, dataset, tmp_path
):
  few = LEARNING.override({"sparsities": [0.0]})
  training.train(few, tmp_path, dataset=dataset)
  grown = training.train(LEARNING, tmp_path, dataset=dataset)
  key = ["seed", "sparsity"]
  order = [
    grown.members()[key].apply(tuple, axis=1).tolist().index(one)
    for one in learned[0].members()[key].apply(tuple, axis=1)
  ]
  np.testing.assert_array_equal(logits_of(grown)[order], logits_of(learned[0]))


def test_reweighted_groups_are_not_the_plain_ones(dataset, tmp_path):
  """The weights are in the run."""
  grouped = {"loss": GROUPED.loss.to_dict(), "train.epochs": 1}
  dense = {"seeds": [3], "sparsities": [0.0]}
  sweep = PLAIN.override({**grouped, **dense})
  run = training.train(sweep, tmp_path / "grouped", dataset=dataset)
  plain = sweep.override({"loss.kind": "plain", "loss.identities": []})
  other = training.train(plain, tmp_path / "plain", dataset=dataset)
  assert np.abs(logits_of(run) - logits_of(other)).max() > 1e-3
  table = pd.read_csv(run.path / "weights.csv", dtype={"value": str})
  expected = weighting.weight_table(dataset, sweep.loss)
  pd.testing.assert_frame_equal(table, expected, check_dtype=False)
  assert not (other.path / "weights.csv").exists()
  assert "loss        group_reweighted G" in describe(run)
  assert not [line for line in describe(other) if line.startswith("loss ")]


@pytest.mark.slow
@pytest.mark.parametrize("regime", ["gmp-pt", "one-shot", "rewind", "gmp-ri"])
def test_streamed_weights_are_those_of_the_examples(regime, dataset, tmp_path):
  settings = GROUPED.pruning.to_dict()
  if regime == "rewind":
    settings = Pruning(regime="rewind").to_dict()
  sweep = GROUPED.override({"pruning": settings, "pruning.regime": regime})
  run = training.train(sweep, tmp_path / "resident", dataset=dataset)
  streamed = sweep.override({"execution.data": "streamed"})
  other = training.train(streamed, tmp_path / "streamed", dataset=dataset)
  np.testing.assert_array_equal(logits_of(run), logits_of(other))


def test_plain_takes_nothing_along(dataset):
  engine = Engine.build(PLAIN, dataset)
  assert [*engine.examples] == ["images", "labels"]
  assert engine.shapes.biased is None
  assert engine.biased_bytes == 0
  learning = Engine.build(LEARNING, dataset)
  assert [*learning.examples] == ["images", "labels", "places"]
  # Two networks' worth of parameters, and the losses of 48 x 3 labels.
  assert learning.biased_bytes > 4 * 2 * (engine.parameters + 48 * 3)


def test_unknown_groups_are_refused_and_leave_no_run(dataset, tmp_path):
  sweep = GROUPED.override({"loss.identities": ["Male"]})
  with pytest.raises(InputError, match=r"in loss.identities 'Male'; .*: G"):
    training.train(sweep, tmp_path, dataset=dataset)
  assert not (tmp_path / "sweep.json").exists()
