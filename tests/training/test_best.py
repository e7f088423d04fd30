"""Best-validation parameters: the right ones, and the run is not changed."""

import numpy as np
import pytest
from sklearn.metrics import log_loss

from prunebias_jax import store
from prunebias_jax.config import Sweep
from prunebias_jax.errors import InputError
from prunebias_jax.training import parameters
from prunebias_jax.training import sweep as training
from prunebias_jax.training.export import export_member, load_exported
from prunebias_jax.training.population import Population

# A constant, high learning rate: the last epoch is seldom the best.
SWEEP = Sweep.from_dict(
  {
    "seeds": [0, 1, 2],
    "sparsities": [0.0, 0.5, 0.8],
    "data": {
      "name": "digits",
      "size": 8,
      "train": 200,
      "valid": 40,
      "test": 40,
    },
    "model": {"name": "nets:Flat"},
    "train": {
      "epochs": 6,
      "batch": 32,
      "warmup": 0.0,
      "learning_rate": 0.4,
      "schedule": "constant",
    },
    "pruning": {"start": 1, "end": 3},
    "execution": {
      "devices": 2,
      "mode": "map",
      "checkpoint_minutes": 1e-9,
      "steps_per_dispatch": 4,
      "keep_best": True,
    },
  }
)
MEMBERS = range(9)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
  return training.train(SWEEP, tmp_path_factory.mktemp("runs") / "best")


def test_the_best_is_the_lowest_validation_loss_at_the_final_sparsity(
  run, tmp_path
):
  valid = run.split("valid")
  images = training.data.load(SWEEP.data).splits["valid"].images
  log, best_is_last = run.metrics(), []
  for index, member in run.members().iterrows():
    mine = log[
      (log["seed"] == member["seed"]) & (log["sparsity"] == member["sparsity"])
    ]
    final = mine[mine["zeros"] == mine["zeros"].iloc[-1]]
    assert len(final) == (6 if member["sparsity"] == 0 else 4)
    path = export_member(
      run,
      seed=member["seed"],
      sparsity=member["sparsity"],
      output=tmp_path / str(index),
      checkpoint="best",
    )
    model, variables = load_exported(path)
    logits = model.apply(
      variables, images.astype(np.float32) * (2 / 255) - 1, train=False
    )
    shares = 1 / (1 + np.exp(-np.asarray(logits, np.float64)))
    labels = valid["labels"].to_numpy()
    loss = log_loss(labels.ravel(), shares.ravel())
    np.testing.assert_allclose(loss, final["valid_loss"].min(), rtol=1e-4)
    best_is_last.append(final["valid_loss"].idxmin() == final.index[-1])
  assert not all(best_is_last)


def test_best_parameters_are_pruned_as_the_last_are(run):
  for index in MEMBERS:
    best = parameters.load_parameters(run.path, index, "best")
    for path, mask in best["masks"].items():
      weight = best["params"]
      for name in path.split("/"):
        weight = weight[name]
      assert not weight[~mask].any()


def test_keeping_the_best_changes_no_logits(run, tmp_path):
  other = SWEEP.override({"execution.keep_best": False})
  plain = training.train(other, tmp_path)
  for name in store.EVALUATED:
    np.testing.assert_array_equal(
      plain.split(name)["logits"], run.split(name)["logits"]
    )
  assert "valid_loss" not in plain.metrics()
  with pytest.raises(InputError, match="keeps no best parameters"):
    parameters.load_parameters(plain.path, 0, "best")


@pytest.mark.parametrize(
  "dispatches", [pytest.param(4, marks=pytest.mark.slow), 9]
)
def test_a_resume_keeps_the_best(run, tmp_path, monkeypatch, dispatches):
  """Three seeds on two devices: the members are padded."""
  real, calls = Population.train, []

  def stop(self, *arguments, **options):
    if len(calls) == dispatches:
      raise KeyboardInterrupt
    calls.append(1)
    return real(self, *arguments, **options)

  monkeypatch.setattr(Population, "train", stop)
  with pytest.raises(KeyboardInterrupt):
    training.train(SWEEP, tmp_path)
  monkeypatch.undo()
  again = training.train(SWEEP, tmp_path)
  for index in MEMBERS:
    files = [
      parameters.parameters_path(one.path, index, "best")
      for one in (run, again)
    ]
    with np.load(files[0]) as here, np.load(files[1]) as there:
      assert here.files == there.files
      for name in here.files:
        np.testing.assert_array_equal(here[name], there[name])


def test_the_best_needs_parameters_kept():
  with pytest.raises(InputError, match=r"keep_best needs execution.keep_param"):
    SWEEP.override({"execution.keep_parameters": False})
