"""Whole runs: repeatable, resumable, refusing what is not theirs."""

import contextlib
import functools
import itertools
import json
import os
from pathlib import Path
import shutil
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import jaccard_score

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
from prunebias_jax.training import chunk, parameters, plan
from prunebias_jax.training import sweep as training
from prunebias_jax.training.estimate import estimate
from prunebias_jax.training.export import export_member, load_exported
from prunebias_jax.training.population import Population

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
    checkpoint_minutes=0,
    eval_batch=20,
    steps_per_dispatch=4,
  ),
)


def logits_of(run):
  return {
    name: run.split(name)["logits"].to_numpy() for name in store.EVALUATED
  }


def assert_same_bits(one, other):
  for name, logits in logits_of(one).items():
    np.testing.assert_array_equal(logits, logits_of(other)[name])


TESTS = Path(__file__).parents[1]
PHASES = {
  "pruning.end": 3,
  "finetune": {
    **TINY.train.to_dict(),
    "epochs": 3,
    "optimizer": "adam",
    "learning_rate": 0.003,
  },
}


def environment(folder):
  """For a process of its own that finds the network and compiles once."""
  return {
    **os.environ,
    "PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path]),
    "XLA_FLAGS": "",
    "JAX_COMPILATION_CACHE_DIR": str(folder / "compiled"),
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.3",
  }


def _interrupt(*_, **__):
  raise KeyboardInterrupt


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
  assert dense.iloc[-1] < 0.9 * dense.iloc[0]


def test_the_same_config_gives_the_same_bits(finished, tmp_path):
  assert_same_bits(training.train(TINY, tmp_path / "two"), finished)


def test_a_complete_run_is_not_trained_again(finished, caplog):
  before = (finished.path / store.SWEEP).stat().st_mtime_ns
  with caplog.at_level("INFO", "prunebias_jax"):
    training.train(TINY, finished.path)
  assert "is complete" in caplog.text
  assert (finished.path / store.SWEEP).stat().st_mtime_ns == before


def test_other_devices_and_another_name_are_the_same_run(finished):
  changed = TINY.override({"name": "other", "execution.devices": None})
  assert training.train(changed, finished.path).members()["done"].all()


def test_a_run_from_before_a_setting_was_added_goes_on(finished):
  recorded = json.loads(json.dumps(finished.facts["sweep"]))
  del recorded["pruning"]["exclude"]
  older = store.Run(finished.path, {**finished.facts, "sweep": recorded})
  training.require_same(TINY, older)
  with pytest.raises(InputError, match=r"different run: pruning\.exclude"):
    training.require_same(TINY.override({"pruning.exclude": ["head/*"]}), older)


@pytest.mark.parametrize(
  ("path", "value"),
  [("train.epochs", 5), ("seeds", [0, 8]), ("execution.mode", "vmap")],
)
def test_another_config_is_refused_by_name(finished, path, value):
  with pytest.raises(InputError, match=rf"different run: {path} is") as caught:
    training.train(TINY.override({path: value}), finished.path)
  assert "\n" not in str(caught.value)
  assert_same_bits(store.open_run(finished.path), finished)


def test_an_interrupted_run_goes_on_with_the_same_bits(
  finished, tmp_path, monkeypatch
):
  """Stopped in the third epoch, and again between members' logits."""
  log = store.Run.log
  calls = []

  def stop_at_three(run, records, writer):
    calls.append(1)
    if len(calls) == 3:
      raise KeyboardInterrupt
    log(run, records, writer)

  monkeypatch.setattr(store.Run, "log", stop_at_three)
  with pytest.raises(KeyboardInterrupt):
    training.train(TINY, tmp_path)
  monkeypatch.setattr(store.Run, "log", log)

  write = store.Run.write_member

  def stop_at_two(run, index, logits, *, diverged):
    if index == 2:
      raise KeyboardInterrupt
    write(run, index, logits, diverged=diverged)

  monkeypatch.setattr(store.Run, "write_member", stop_at_two)
  with pytest.raises(KeyboardInterrupt):
    training.train(TINY, tmp_path)
  # The seeds' dense members come first, then the pruned ones.
  done = store.open_run(tmp_path).members()["done"]
  assert done.tolist() == [True, False, False, False]
  monkeypatch.setattr(store.Run, "write_member", write)
  again = training.train(TINY.override({"execution.devices": 2}), tmp_path)
  assert_same_bits(again, finished)
  assert len(again.metrics()) == len(finished.metrics())


def test_a_run_resumes_only_on_its_own_data(finished, tmp_path, monkeypatch):
  monkeypatch.setattr(store.Run, "write_member", _interrupt)
  with pytest.raises(KeyboardInterrupt):
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
    training.train(TINY.override(changes), tmp_path / "runs/run")
  assert not list(tmp_path.iterdir())


def test_multiclass_trains_and_predicts(tmp_path):
  sweep = TINY.override({"data.digits": Digits(view="classes").to_dict()})
  run = training.train(sweep, tmp_path)
  test = run.split("test")
  assert run.task == "multiclass"
  dense = test["logits"].to_numpy()[0]
  accuracy = (dense.argmax(1) == test["labels"].to_numpy()).mean()
  assert accuracy > 0.3  # chance is .1


def test_estimate_counts_what_a_run_takes():
  found = estimate(TINY)
  assert found.members == 4
  assert found.chunks == 1
  assert found.seconds > 0
  assert found.device_bytes > 200 * 64
  assert found.disk_bytes > 4 * 80 * 8 * 4
  # Of 4 epochs the first is shared by both levels of a seed.
  assert found.member_epochs == 2 * 2 * 4
  assert found.trained_epochs == 2 * (1 + 2 * 3)
  # Of a weight at least two multiply-adds: forward and its gradient.
  first = 2 * 64 * 16  # the first layer, forward
  assert found.flops > 2 * (1 + 2 * 3) * 6 * 32 * 2 * first


def killed_and_resumed(folder, sweep, kill_when):
  """Runs a sweep in processes of its own until one is not killed.

  `kill_when(number, run)` gives, for the process of that number, a function
  that says whether to kill it now. Returns the run and how many were killed.
  """
  config, run = folder / "sweep.json", folder / "run"
  config.write_text(json.dumps({"sweep": sweep.to_dict()}))
  command = [
    sys.executable, "-m", "prunebias_jax", "train", str(config),
    "--workdir", str(run),
  ]  # fmt: skip
  for kills in range(100):
    process = subprocess.Popen(
      command,
      env=environment(folder),
      stdout=subprocess.DEVNULL,
      stderr=subprocess.PIPE,
      cwd=TESTS.parent,
    )
    now = kill_when(kills, run)
    while process.poll() is None:
      if now():
        process.send_signal(signal.SIGKILL)
        break
      time.sleep(0.01)
    _, errors = process.communicate()
    if process.returncode == 0:
      return store.open_run(run), kills
    assert process.returncode == -signal.SIGKILL, errors.decode()
  raise AssertionError("never came to its end")


def test_killed_at_a_checkpoint_it_goes_on_with_the_same_bits(
  finished, tmp_path
):
  def kill_when(number, run):
    # Counted in checkpoints: before the first there is little to lose.
    return lambda: (
      number < 1 and len(list(run.glob("checkpoints/*/[0-9]*"))) > number
    )

  run, kills = killed_and_resumed(tmp_path, TINY, kill_when)
  assert kills >= 1
  assert_same_bits(run, finished)


@pytest.mark.slow
@pytest.mark.parametrize("regime", ["gmp-pt", "gmp-ri", "one-shot"])
def test_twenty_kills_at_random_in_all_phases(regime, tmp_path):
  """kill -9 while training, writing checkpoints and logits, and growing."""
  sweep = TINY.override(
    {
      **PHASES,
      "pruning.regime": regime,
      "execution.keep_best": True,
      "execution.checkpoint_minutes": 1e-9,
      "execution.chunk": 2,
    }
  )
  expected = training.train(sweep, tmp_path / "expected")
  random = np.random.default_rng(0)
  small = sweep.override({"seeds": [0]})
  total = 0
  for part, most in ((small, 10), (sweep, 14)):

    def kill_when(number, run, most=most):
      # From the moment there is something new in the run.
      before = changed(run)
      begin = []
      wait = random.uniform(0, 1.5)

      def now():
        if not begin and changed(run) != before:
          begin.append(time.monotonic())
        return number < most and begin and time.monotonic() - begin[0] > wait

      return now

    run, kills = killed_and_resumed(tmp_path, part, kill_when)
    total += kills
  print(f"{total} kills")
  assert total >= 20
  assert_same_bits(run, expected)
  for one in expected.path.glob("parameters/*.npz"):
    with (
      np.load(one) as there,
      np.load(run.path / "parameters" / one.name) as x,
    ):
      for name in there.files:
        np.testing.assert_array_equal(x[name], there[name])


def changed(run):
  """When anything in a run was last written."""
  times = [0.0]
  for path in run.rglob("*"):
    with contextlib.suppress(FileNotFoundError):
      times.append(path.stat().st_mtime)
  return max(times)


@pytest.mark.parametrize(
  ("regime", "levels"),
  [
    ("gmp-pt", [0.0, 0.9]),
    *(
      pytest.param(regime, [0.0, 0.5, 0.9], marks=pytest.mark.slow)
      for regime in ("gmp-ri", "gmp-pt", "one-shot")
    ),
  ],
)
def test_shared_trunks_change_no_bit(regime, levels, tmp_path, monkeypatch):
  sweep = TINY.override(
    {**PHASES, "pruning.regime": regime, "sparsities": levels}
  )
  shared = training.train(sweep, tmp_path / "shared")
  monkeypatch.setattr(
    chunk, "make_plan", functools.partial(plan.make_plan, share=False)
  )
  apart = training.train(sweep, tmp_path / "apart")
  assert_same_bits(shared, apart)
  metrics = [
    run.metrics()
    .drop(columns="images_per_second")
    .sort_values(["seed", "sparsity", "epoch"], ignore_index=True)
    for run in (shared, apart)
  ]
  assert metrics[0].equals(metrics[1])


def test_the_dense_parent_is_the_dense_member_of_any_regime(finished, tmp_path):
  sweep = TINY.override({**PHASES, "pruning.regime": "gmp-pt"})
  run = training.train(sweep, tmp_path)
  for name, logits in logits_of(run).items():
    dense = finished.split(name)["logits"].to_numpy()[::2]
    np.testing.assert_array_equal(logits[::2], dense)
  metrics = run.metrics()
  epochs = metrics.groupby("sparsity")["epoch"].max()
  assert epochs.to_dict() == {0.0: 4, 0.9: 4 + 3}


def test_a_shared_parent_is_that_of_the_first_seed(tmp_path):
  """Fine-tuning with a learning rate of 0 leaves the parent's weights."""
  sweep = TINY.override(
    {
      **PHASES,
      "pruning.regime": "one-shot",
      "pruning.shared_dense_parent": True,
      "finetune.learning_rate": 0.0,
      "execution.chunk": 2,
    }
  )
  run = training.train(sweep, tmp_path)
  parent = parameters.load_parameters(run.path, 0)
  own = parameters.load_parameters(run.path, 2)
  child = parameters.load_parameters(run.path, 3)
  prunable = run.facts["model"]["prunable"]
  zeros = sum(int((~mask).sum()) for mask in child["masks"].values())
  assert zeros == round(0.9 * prunable)
  for name, mask in child["masks"].items():
    layer, kernel = name.split("/")
    expected = np.where(mask, parent["params"][layer][kernel], 0)
    np.testing.assert_array_equal(child["params"][layer][kernel], expected)
    assert np.any(
      own["params"][layer][kernel] != parent["params"][layer][kernel]
    )


def test_stored_parameters_give_the_stored_logits(finished):
  dataset = training.data.load(TINY.data)
  engine = training.Engine.build(TINY, dataset)
  for index in range(4):
    found = parameters.load_parameters(finished.path, index)
    variables = {key: found[key] for key in ("params", "batch_stats")}
    images = dataset.splits["test"].images.astype(np.float32) * (2 / 255) - 1
    logits = engine.model.apply(variables, images, train=False)
    stored = finished.logits_of(index, "test")
    np.testing.assert_allclose(logits, stored, atol=1e-4)
    for name, mask in found["masks"].items():
      layer, kernel = name.split("/")
      assert not found["params"][layer][kernel][~mask].any()


def test_parameters_can_be_left_out(tmp_path):
  run = training.train(
    TINY.override({"execution.keep_parameters": False}), tmp_path
  )
  assert not (run.path / parameters.PARAMETERS).exists()
  with pytest.raises(InputError, match=r"keeps no last parameters"):
    parameters.load_parameters(run.path, 0)


def test_chunks_change_no_bit(finished, tmp_path):
  run = training.train(TINY.override({"execution.chunk": 2}), tmp_path)
  assert_same_bits(run, finished)
  assert not list((tmp_path / training.CHECKPOINTS).iterdir())


def test_finished_chunks_are_not_trained_again(finished, tmp_path, monkeypatch):
  chunked = TINY.override({"execution.chunk": 2})
  write = store.Run.write_member

  def stop_at_two(run, index, logits, *, diverged):
    if index == 2:
      raise KeyboardInterrupt
    write(run, index, logits, diverged=diverged)

  monkeypatch.setattr(store.Run, "write_member", stop_at_two)
  with pytest.raises(KeyboardInterrupt):
    training.train(chunked, tmp_path)
  monkeypatch.setattr(store.Run, "write_member", write)
  trained = []
  real = chunk.Chunk.train
  monkeypatch.setattr(
    chunk.Chunk,
    "train",
    lambda self, *rest: trained.append(self.seeds[0, 0]) or real(self, *rest),
  )
  # The chunks of the first call stand, whatever is asked for now.
  run = training.train(TINY.override({"execution.chunk": 4}), tmp_path)
  assert trained == [7]
  assert_same_bits(run, finished)


def test_out_of_memory_goes_on_with_fewer(
  finished, tmp_path, monkeypatch, caplog
):
  real = Population.train

  def train(self, *arguments, **options):
    if len(self.seeds) > 1:
      raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: out of memory")
    return real(self, *arguments, **options)

  monkeypatch.setattr(Population, "train", train)
  run = training.train(TINY, tmp_path)
  assert (
    "2 seeds do not fit the memory; going on with 1 at a time" in caplog.text
  )
  assert_same_bits(run, finished)


def test_a_member_that_diverges_is_named_and_left_out(
  finished, tmp_path, caplog, monkeypatch
):
  """One member's weights are spoilt; the others do not notice."""
  init = Population.init

  def spoilt(self):
    state = init(self)
    kernel = state.params["head"]["kernel"]
    bad = kernel.at[1].set(np.inf)
    return state._replace(
      params={**state.params, "head": {**state.params["head"], "kernel": bad}}
    )

  monkeypatch.setattr(Population, "init", spoilt)
  run = training.train(TINY, tmp_path)
  assert "dense, sparsity 0, seed 7 diverged" in caplog.text
  assert run.members()["diverged"].tolist() == [False, False, True, True]
  np.testing.assert_array_equal(
    logits_of(run)["test"], logits_of(finished)["test"][:2]
  )
  assert (
    run.metrics().set_index(["seed", "epoch"])["healthy"][7].eq(False).all()
  )


def test_a_damaged_checkpoint_gives_way_to_the_one_before(
  finished, tmp_path, monkeypatch, caplog
):
  monkeypatch.setattr(store.Run, "write_member", _interrupt)
  with pytest.raises(KeyboardInterrupt):
    training.train(TINY, tmp_path)
  monkeypatch.undo()
  folders = (tmp_path / training.CHECKPOINTS).glob("*/[0-9]*")
  newest = max(folders, key=lambda path: int(path.name))
  for path in newest.rglob("d/*"):
    path.write_bytes(b"")
  run = training.train(TINY, tmp_path)
  assert "cannot be read" in caplog.text
  assert_same_bits(run, finished)


def test_checkpoints_of_another_version_are_refused(tmp_path, monkeypatch):
  monkeypatch.setattr(store.Run, "write_member", _interrupt)
  with pytest.raises(KeyboardInterrupt):
    training.train(TINY, tmp_path)
  monkeypatch.undo()
  (path,) = (tmp_path / training.CHECKPOINTS).glob("*/layout.json")
  kept = path.read_text()
  for text in ('{"layout": 99, "prunebias_jax": "7.0"}', None):
    path.unlink()
    if text is not None:
      path.write_text(text)
    with pytest.raises(
      InputError, match=r"of layout (99 \(prunebias_jax 7.0|1 \(.* earlier)"
    ):
      training.train(TINY, tmp_path)
    assert len(list(path.parent.glob("[0-9]*"))) == 2
    path.write_text(kept)
  assert training.train(TINY, tmp_path).members()["done"].all()


@pytest.mark.parametrize(
  "dispatches",
  [*(pytest.param(one, marks=pytest.mark.slow) for one in (1, 4)), 7],
)
def test_checkpoints_inside_an_epoch(
  dispatches, finished, tmp_path, monkeypatch
):
  """Every dispatch is saved; stopped after some, mid-epoch or not."""
  often = TINY.override({"execution.checkpoint_minutes": 1e-9})
  real = Population.train
  calls = []

  def stop(self, *arguments, **options):
    if len(calls) == dispatches:
      raise KeyboardInterrupt
    calls.append(1)
    return real(self, *arguments, **options)

  monkeypatch.setattr(Population, "train", stop)
  with pytest.raises(KeyboardInterrupt):
    training.train(often, tmp_path)
  monkeypatch.setattr(Population, "train", real)
  run = training.train(often, tmp_path)
  assert_same_bits(run, finished)
  columns = ["seed", "sparsity", "epoch", "loss", "accuracy", "zeros"]
  tables = [one.metrics()[columns] for one in (run, finished)]
  assert tables[0].equals(tables[1])


def test_seed_grids_are_crossed(tmp_path):
  sweep = TINY.override(
    {
      "seeds": [5],
      "seed.init": [0, 1],
      "seed.order": [3, 4],
      "execution.chunk": 4,
    }
  )
  run = training.train(sweep, tmp_path)
  members = run.members().query("sparsity == 0")
  assert members["seed"].tolist() == [0, 1, 2, 3]
  assert members["seed_init"].tolist() == [0, 0, 1, 1]
  assert members["seed_order"].tolist() == [3, 4, 3, 4]
  assert members["seed_augment"].tolist() == [5] * 4
  logits = logits_of(run)["test"]
  for one, other in itertools.combinations(logits[members.index], 2):
    assert np.abs(one - other).max() > 1e-3


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
  ("regime", "earlier"),
  [
    ("gmp-ri", [0.0]),
    pytest.param("gmp-ri", [0.0, 0.5], marks=SLOW),
    pytest.param("gmp-pt", [0.0, 0.5], marks=SLOW),
  ],
)
def test_a_run_grows_by_seeds_and_levels(
  regime, earlier, tmp_path, monkeypatch
):
  """Only what is new is trained, with the bits of a run made at once."""
  levels, there = [0.0, 0.9, *earlier[1:]], len(earlier)
  whole = TINY.override(
    {
      **PHASES,
      "pruning.regime": regime,
      "sparsities": levels,
      "execution.chunk": len(levels),
    }
  )
  small = whole.override({"seeds": [0], "sparsities": earlier})
  expected = training.train(whole, tmp_path / "whole")
  training.train(small, tmp_path / "grown")
  before = store.open_run(tmp_path / "grown")
  written = []
  write = store.Run.write_member
  monkeypatch.setattr(
    store.Run,
    "write_member",
    lambda run, index, logits, **rest: (
      written.append(index) or write(run, index, logits, **rest)
    ),
  )
  grown = training.train(whole, tmp_path / "grown")
  assert sorted(written) == [*range(there, 2 * len(levels))]
  grown.verify()
  seeds = np.repeat([0, 7], len(levels))
  assert grown.members()["seed"].tolist() == seeds.tolist()
  np.testing.assert_array_equal(
    logits_of(grown)["test"][:there], logits_of(before)["test"]
  )
  key = ["seed", "sparsity"]
  for index, member in expected.members().iterrows():
    place = (
      grown.members()
      .set_index(key)
      .index.get_loc((member["seed"], member["sparsity"]))
    )
    for split in store.EVALUATED:
      np.testing.assert_array_equal(
        grown.logits_of(place, split), expected.logits_of(index, split)
      )
  assert training.train(whole, tmp_path / "grown").path == grown.path
  with pytest.raises(InputError, match="different run: seeds is"):
    training.train(small, tmp_path / "grown")


@pytest.mark.slow
def test_a_new_level_starts_from_the_stored_shared_parent(tmp_path):
  whole = TINY.override(
    {
      **PHASES,
      "pruning.regime": "one-shot",
      "pruning.shared_dense_parent": True,
      "sparsities": [0.0, 0.9],
    }
  )
  expected = training.train(whole, tmp_path / "whole")
  training.train(whole.override({"sparsities": [0.0]}), tmp_path / "grown")
  grown = training.train(whole, tmp_path / "grown")
  assert grown.members()["sparsity"].tolist() == [0.0, 0.0, 0.9, 0.9]
  for place, index in enumerate([0, 2, 1, 3]):
    np.testing.assert_array_equal(
      grown.logits_of(place, "test"), expected.logits_of(index, "test")
    )
  # The dense phase was not trained again.
  new = grown.metrics().query("sparsity == 0.9")
  assert new["epoch"].min() == whole.train.epochs + 1


def test_a_kill_inside_growth_loses_nothing(finished, tmp_path, monkeypatch):
  """Stopped just before and just after the new index counts."""
  grown = TINY.override({"seeds": [0, 7, 9], "execution.chunk": 2})
  expected = training.train(grown, tmp_path / "expected")
  for moment in ("before", "after"):
    path = tmp_path / moment
    shutil.copytree(finished.path, path)
    update = store.Run.update_facts

    def stop(run, moment=moment, update=update, **facts):
      if moment == "after":
        update(run, **facts)
      raise KeyboardInterrupt

    with monkeypatch.context() as patch:
      patch.setattr(store.Run, "update_facts", stop)
      with pytest.raises(KeyboardInterrupt):
        training.train(grown, path)
    run = store.open_run(path)
    assert run.members()["done"].sum() == 4
    assert_same_bits(run, finished)
    assert_same_bits(training.train(grown, path), expected)


def test_layers_tell_sparsity_and_overlap(finished):
  table = pd.read_csv(finished.path / training.LAYERS)
  pruned = table[table["sparsity"] > 0].set_index("layer")
  for layer, row in pruned.iterrows():
    masks = [
      parameters.load_parameters(finished.path, index)["masks"][layer].ravel()
      for index in (1, 3)
    ]
    assert row["sparsity_mean"] == pytest.approx(1 - np.mean(masks))
    assert row["overlap"] == pytest.approx(jaccard_score(*masks))
  weights = pruned["weights"]
  assert weights.sum() == finished.facts["model"]["prunable"]
  zeros = (weights * pruned["sparsity_mean"]).sum()
  assert zeros == pytest.approx(round(0.9 * weights.sum()))
  dense = table[table["sparsity"] == 0]
  assert dense["overlap"].eq(1).all()


def test_an_exported_member_gives_its_logits(finished, tmp_path):
  path = export_member(
    finished, seed=7, sparsity=0.9, output=tmp_path / "member"
  )
  model, variables = load_exported(path)
  images = training.data.load(TINY.data).splits["valid"].images
  logits = model.apply(
    variables, images.astype(np.float32) * (2 / 255) - 1, train=False
  )
  np.testing.assert_allclose(logits, finished.logits_of(3, "valid"), atol=1e-4)
  with pytest.raises(InputError, match="exists already"):
    export_member(finished, seed=7, sparsity=0.9, output=path)
  with pytest.raises(InputError, match=r"no member of seed 3 .* seeds: 0, 7"):
    export_member(finished, seed=3, sparsity=0.9, output=tmp_path / "other")
  with pytest.raises(InputError, match="is no exported member"):
    load_exported(tmp_path)


def test_the_log_is_there_for_tensorboard_and_people(finished):
  events = list((finished.path / "tensorboard").glob("events*"))
  assert sum(path.stat().st_size for path in events) > 1000
  overview = (finished.path / training.OVERVIEW).read_text()
  assert f"Total: {finished.facts['model']['parameters']:,}" in overview


def test_sigterm_leaves_a_checkpoint_and_says_how_to_go_on(finished, tmp_path):
  config = tmp_path / "sweep.json"
  config.write_text(json.dumps({"sweep": TINY.to_dict()}))
  run = tmp_path / "run"
  command = [
    sys.executable, "-m", "prunebias_jax", "train", str(config),
    "--workdir", str(run),
  ]  # fmt: skip
  process = subprocess.Popen(
    command,
    env=environment(tmp_path),
    stderr=subprocess.PIPE,
    text=True,
    cwd=TESTS.parent,
  )
  deadline = time.monotonic() + 120
  while time.monotonic() < deadline and not list(run.glob("metrics.jsonl")):
    time.sleep(0.02)
  process.send_signal(signal.SIGTERM)
  _, errors = process.communicate(timeout=120)
  assert process.returncode == 75, errors
  assert "a checkpoint is written; the same command" in errors
  assert list(run.glob("checkpoints/*/[0-9]*"))
  assert_same_bits(training.train(TINY, run), finished)
