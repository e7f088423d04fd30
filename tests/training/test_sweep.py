"""Whole runs: repeatable, resumable, refusing what is not theirs."""

import json
import os
from pathlib import Path
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from prunebias_jax import store
from prunebias_jax.config import (
  Data,
  Digits,
  Execution,
  Model,
  Pruning,
  Sweep,
  Train,
)
from prunebias_jax.errors import InputError
from prunebias_jax.training import sweep as training

TINY = Sweep(
  name="tiny",
  seeds=(0, 7),
  sparsities=(0.0, 0.9),
  data=Data(name="digits", size=8, train=200, valid=30, test=50),
  model=Model(name="cnn", width=0.25),
  train=Train(epochs=4, batch=32, flip=False, crop=1),
  pruning=Pruning(start=1, every=1, end=4),
  execution=Execution(
    devices=1, checkpoint_minutes=0, eval_batch=20, steps_per_dispatch=4
  ),
)


def logits_of(run):
  return {
    name: run.split(name)["logits"].to_numpy() for name in store.EVALUATED
  }


def assert_same_bits(one, other):
  for name, logits in logits_of(one).items():
    np.testing.assert_array_equal(logits, logits_of(other)[name])


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
  return training.train(TINY, tmp_path_factory.mktemp("runs") / "one")


def test_what_a_run_holds(finished):
  finished.verify()
  members = finished.members()
  assert members["done"].all()
  assert members["pruner"].tolist() == ["dense", "gmp-ri"] * 2
  assert members["seed"].tolist() == [0, 0, 7, 7]
  assert finished.split("test")["logits"].shape == (4, 50, 8)
  assert finished.split("valid")["logits"].shape == (4, 30, 8)
  facts = store.open_run(finished.path).facts
  assert Sweep.from_dict(facts["sweep"]) == TINY
  assert facts["device"]["platform"] == "cpu"
  assert facts["seconds_per_member"] * 4 == pytest.approx(facts["seconds"])


def test_final_sparsity_is_exact_and_logged(finished):
  prunable = finished.facts["model"]["prunable"]
  metrics = finished.metrics()
  assert len(metrics) == 4 * TINY.train.epochs
  last = metrics[metrics["epoch"] == TINY.train.epochs]
  assert set(last.loc[last["sparsity"] == 0.9, "zeros"]) == {
    round(0.9 * prunable)
  }
  assert set(last.loc[last["sparsity"] == 0, "zeros"]) == {0}


def test_training_learns(finished):
  metrics = finished.metrics()
  dense = metrics[metrics["sparsity"] == 0].groupby("epoch")["loss"].mean()
  assert dense.iloc[-1] < 0.8 * dense.iloc[0]


def test_the_same_config_gives_the_same_bits(finished, tmp_path):
  assert_same_bits(training.train(TINY, tmp_path / "two"), finished)


def test_a_complete_run_is_not_trained_again(finished, caplog):
  before = (finished.path / store.SWEEP).stat().st_mtime_ns
  with caplog.at_level("INFO", "prunebias_jax"):
    training.train(TINY, finished.path)
  assert "is complete" in caplog.text
  assert (finished.path / store.SWEEP).stat().st_mtime_ns == before


def test_other_devices_and_another_name_are_the_same_run(finished):
  changed = TINY.override({"name": "other", "execution.devices": 0})
  assert training.train(changed, finished.path).members()["done"].all()


@pytest.mark.parametrize(
  ("path", "value"),
  [("train.epochs", 5), ("seeds", [0, 7, 8]), ("execution.mode", "vmap")],
)
def test_another_config_is_refused_by_name(finished, path, value):
  with pytest.raises(InputError, match=rf"different run: {path} is") as caught:
    training.train(TINY.override({path: value}), finished.path)
  assert "\n" not in str(caught.value)
  assert_same_bits(store.open_run(finished.path), finished)


def test_an_interrupted_run_goes_on_with_the_same_bits(
  finished, tmp_path, monkeypatch
):
  """Stopped after the second epoch, and again between members' logits."""
  real = training._train_epoch
  calls = []

  def stop_after_two(*arguments):
    if len(calls) == 2:
      raise KeyboardInterrupt
    calls.append(1)
    return real(*arguments)

  monkeypatch.setattr(training, "_train_epoch", stop_after_two)
  with pytest.raises(KeyboardInterrupt):
    training.train(TINY, tmp_path)
  monkeypatch.setattr(training, "_train_epoch", real)

  write = store.Run.write_member

  def stop_at_two(run, index, logits):
    if index == 2:
      raise KeyboardInterrupt
    write(run, index, logits)

  monkeypatch.setattr(store.Run, "write_member", stop_at_two)
  with pytest.raises(KeyboardInterrupt):
    training.train(TINY, tmp_path)
  assert store.open_run(tmp_path).members()["done"].sum() == 2
  monkeypatch.setattr(store.Run, "write_member", write)
  again = training.train(TINY.override({"execution.devices": 2}), tmp_path)
  assert_same_bits(again, finished)
  assert len(again.metrics()) == len(finished.metrics())


def test_a_run_resumes_only_on_its_own_data(finished, tmp_path, monkeypatch):
  monkeypatch.setattr(training, "_write_logits", lambda *_: None)
  training.train(TINY, tmp_path)
  real = training.data.load

  def altered(config):
    dataset = real(config)
    dataset.splits["train"].images[0] ^= 1
    return dataset

  monkeypatch.setattr(training.data, "load", altered)
  with pytest.raises(InputError, match="was begun with other data"):
    training.train(TINY, tmp_path)


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    ({"train.batch": 500}, "train.batch is 500; accepted: up to the 200"),
    ({"execution.devices": 99}, "execution.devices is 99; accepted: up to 8"),
    ({"execution.platform": "gpu"}, "no such device is here; accepted: cpu"),
    ({"data.name": "mnist"}, "unknown data set 'mnist'"),
    ({"data.identities": ["Male"]}, "unknown identity 'Male'"),
  ],
)
def test_misfits_are_refused_and_leave_no_run(changes, message, tmp_path):
  with pytest.raises(InputError, match=message):
    training.train(TINY.override(changes), tmp_path)
  assert not (tmp_path / store.SWEEP).exists()


def test_multiclass_trains_and_predicts(tmp_path):
  sweep = TINY.override({"data.digits": Digits(view="classes").to_dict()})
  run = training.train(sweep, tmp_path)
  test = run.split("test")
  assert run.task == "multiclass"
  dense = test["logits"].to_numpy()[0]
  accuracy = (dense.argmax(1) == test["labels"].to_numpy()).mean()
  assert accuracy > 0.3  # chance is .1


def test_estimate_counts_what_a_run_takes():
  estimate = training.estimate(TINY)
  assert estimate.members == 4
  assert estimate.seconds > 0
  assert estimate.device_bytes > 200 * 64
  assert estimate.disk_bytes > 4 * 80 * 8 * 4


def test_killed_at_any_time_it_goes_on_with_the_same_bits(finished, tmp_path):
  """kill -9 in a process of its own, at growing times, until it is done."""
  config = tmp_path / "sweep.json"
  config.write_text(json.dumps({"sweep": TINY.to_dict()}))
  run = tmp_path / "run"
  command = [
    sys.executable, "-m", "prunebias_jax", "train", str(config),
    "--workdir", str(run),
  ]  # fmt: skip
  environment = {**os.environ, "XLA_FLAGS": "", "JAX_PLATFORMS": "cpu"}
  kills = 0
  for after in (1, 2, 3, 60):
    process = subprocess.Popen(
      command,
      env=environment,
      stdout=subprocess.DEVNULL,
      stderr=subprocess.PIPE,
      cwd=Path(__file__).parents[2],
    )
    # Counted from the first checkpoint on: before it there is little to lose.
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
      if len(list((run / "checkpoints").glob("[0-9]*"))) >= after:
        process.send_signal(signal.SIGKILL)
        kills += 1
        break
      time.sleep(0.02)
    _, errors = process.communicate()
    if process.returncode == 0:
      break
    assert process.returncode == -signal.SIGKILL, errors.decode()
  assert process.returncode == 0
  assert kills >= 1
  assert_same_bits(store.open_run(run), finished)
