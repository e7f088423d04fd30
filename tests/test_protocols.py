"""Protocols as published, and every config in a tiny pass."""

import dataclasses
import functools
from pathlib import Path

import numpy as np
import pytest

from prunebias_jax import analysis, protocols
from prunebias_jax.config_file import load_config
from prunebias_jax.errors import InputError
from prunebias_jax.pruning import schedule
from prunebias_jax.training import sweep as training

ROOT = Path(__file__).parents[1]
CONFIGS = sorted(ROOT.glob("configs/*.py"))


def test_the_joint_protocol():
  sweep = protocols.joint()
  assert schedule.update_times(sweep.pruning) == [10 * k for k in range(1, 9)]
  assert sweep.sparsities == (0.0, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995)
  expected = [0.05, 0.379, 0.616, 0.777, 0.875, 0.927, 0.947, 0.950]
  np.testing.assert_allclose(
    schedule.cubic(sweep.pruning, 0.95), expected, atol=5e-4
  )
  assert (sweep.train.epochs, sweep.train.batch) == (100, 256)
  assert (sweep.train.learning_rate, sweep.train.momentum) == (0.256, 0.875)
  assert (sweep.train.warmup, sweep.train.schedule) == (5, "cosine")
  assert sweep.train.weight_decay == 2**-15
  assert not sweep.dense_apart


def test_pruning_a_trained_model():
  sweep = protocols.joint(regime="gmp-pt")
  assert schedule.update_times(sweep.pruning) == list(range(1, 60, 4))
  finetune = sweep.finetune
  assert (finetune.optimizer, finetune.learning_rate) == ("adam", 1e-4)
  assert (finetune.epochs, finetune.schedule) == (80, "constant")


def test_single_labels():
  sweep = protocols.single("Smiling")
  assert schedule.update_times(sweep.pruning) == list(range(2, 16))
  assert (sweep.train.epochs, len(sweep.seeds)) == (20, 5)
  assert (sweep.train.learning_rate, sweep.train.momentum) == (0.1, 0.9)
  assert sweep.data.labels == ("Smiling",)


@pytest.mark.parametrize(
  ("attribute", "shares"),
  [("Blond_Hair", (0.05, 0.95)), ("Big_Nose", (0.35, 0.65))],
)
def test_backdoors(attribute, shares):
  sweep = protocols.backdoor(attribute, "yellow_square")
  marker = sweep.data.marker
  assert (marker.train, marker.valid, marker.test) == (
    shares,
    *[(0.5, 0.5)] * 2,
  )
  assert (marker.kind, marker.attribute) == ("yellow_square", attribute)
  assert dataclasses.replace(
    sweep, data=protocols.single(attribute).data, name=""
  ) == dataclasses.replace(protocols.single(attribute), name="")


def test_the_published_differences_between_dense_and_pruned():
  joint = protocols.joint(paper_config=True)
  assert joint.dense_apart
  assert joint.train.reset_momentum
  assert joint.dense == dataclasses.replace(joint.train, weight_decay=0.0)
  assert joint.train.weight_decay == 2**-15
  assert not protocols.joint("resnet50", paper_config=True).dense_apart
  trained = protocols.joint(regime="gmp-pt", paper_config=True)
  assert trained.finetune.weight_decay == 0
  single = protocols.single(paper_config=True)
  assert (single.dense.learning_rate, single.dense.momentum) == (0.256, 0.875)
  assert (single.dense.schedule, single.train.schedule) == (
    "cosine",
    "constant",
  )
  assert (single.dense.epochs, single.dense.warmup) == (20, 5)


def test_the_protocol_of_pie():
  sweep = protocols.pie()
  assert (sweep.pruning.allocation, sweep.pruning.exclude) == (
    "uniform",
    ("head/kernel",),
  )
  assert sweep.sparsities == (0.0, 0.1, 0.3, 0.5, 0.7, 0.9)
  assert len(sweep.seeds) == 30


@pytest.mark.parametrize("paper_config", [False, True])
def test_twins_keep_what_makes_the_protocol(paper_config):
  for whole in (
    protocols.joint(paper_config=paper_config),
    protocols.joint(regime="gmp-pt", paper_config=paper_config),
    protocols.backdoor(paper_config=paper_config),
  ):
    twin = protocols.faces_twin(whole)
    assert twin.data.name == "faces"
    assert (twin.data.labels, twin.data.marker) == (
      whole.data.labels,
      whole.data.marker,
    )
    assert (twin.sparsities, twin.seeds) == (whole.sparsities, whole.seeds)
    assert twin.dense_apart == whole.dense_apart
    for name in ("train", "finetune", "dense"):
      one, other = getattr(twin, name), getattr(whole, name)
      same = dataclasses.replace(
        one,
        **{k: getattr(other, k) for k in ("epochs", "warmup", "batch", "crop")},
      )
      assert same == other


def tiny(sweep):
  """The smallest sweep of a config's form: its data, if they are here."""
  changes = {
    "name": "tiny",
    "seeds": [0, 1],
    "sparsities": [0.0, sweep.sparsities[1]],
    "data.size": 32 if sweep.data.name in ("faces", "celeba") else 8,
    "data.train": 32,
    "data.valid": 16,
    "data.test": 16,
    "model.width": 0.05,
    "execution.mode": "map",
    "execution.devices": 1,
    "pruning.start": 0,
    "pruning.every": 1,
    "pruning.end": 1,
    "train.drops": [0.5] if sweep.train.drops else [],
  }
  for name in ("train", "finetune", "dense"):
    changes |= {f"{name}.epochs": 1, f"{name}.batch": 16}
    changes |= {f"{name}.warmup": 0, f"{name}.crop": 0}
  if sweep.data.name == "celeba":
    changes |= {"data.name": "faces", "data.resize": "host"}
    changes |= {"model.stem": "small"}
  if sweep.data.name.startswith("tfds:"):
    changes |= {"data.name": "digits", "data.digits.view": "classes"}
  return sweep.override(changes)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
  """Trains a sweep; many configs are the same sweep when they are tiny."""

  @functools.cache
  def train(sweep):
    run = training.train(sweep, tmp_path_factory.mktemp("run"))
    run.verify()
    assert run.members()["done"].all()
    assert np.isfinite(run.split("test")["logits"].to_numpy()).all()

  return train


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_config_trains(path, trained):
  """With the small network; their own are the slow test's."""
  trained(tiny(load_config(path).override({"model.name": "cnn"})))


@pytest.mark.slow
@pytest.mark.parametrize("model", ["resnet18", "resnet50", "mobilenet_v1"])
def test_every_network_trains(model, trained):
  trained(tiny(protocols.joint(model, paper_config=True)))


def test_a_config_takes_parameters():
  path = ROOT / "configs" / "celeba_backdoor.py"
  given = {"attribute": "Oval_Face", "paper_config": "true"}
  assert load_config(path, given) == protocols.backdoor(
    "Oval_Face", paper_config=True
  )


@pytest.mark.parametrize(
  ("name", "given", "message"),
  [
    ("faces.py", {"model": "cnn"}, "takes no 'model'; accepted: nothing"),
    (
      "celeba_gmp_ri.py",
      {"modell": "cnn"},
      "takes no 'modell'; accepted: model, paper_config",
    ),
    (
      "celeba_gmp_ri.py",
      {"paper_config": "maybe"},
      "paper_config is 'maybe', not bool",
    ),
    ("celeba_gmp_ri.py", {"model": "vgg"}, "model.name is 'vgg'; accepted"),
    ("celeba_exemplars.py", {"members": "few"}, "members is 'few', not int"),
    ("celeba_exemplars.py", {"members": "0"}, "seeds is empty"),
    (
      "celeba_backdoor.py",
      {"marker": "hat"},
      "marker.kind is 'hat'; accepted: none, grayscale, yellow_square",
    ),
  ],
)
def test_bad_parameters_are_one_line(name, given, message):
  with pytest.raises(InputError, match=message) as caught:
    load_config(ROOT / "configs" / name, given)
  assert "\n" not in str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize(
  ("shares", "positive"), [((0.05, 0.95), True), ((0.5, 0.5), False)]
)
def test_the_backdoor_is_found_where_there_is_one(tmp_path, shares, positive):
  """Its bias amplification over seeds, and none where marks say nothing."""
  sweep = protocols.faces_twin(protocols.backdoor(marker="yellow_square"))
  sweep = sweep.override(
    {"sparsities": [0.0], "data.train": 3000, "data.marker.train": shares}
  )
  run = training.train(sweep, tmp_path)
  splits = {name: run.split(name) for name in ("train", "valid", "test")}
  table = analysis.analyze(splits).tables["variance"]
  row = table[
    (table["metric"] == "bias_amplification")
    & (table["identity"] == "Marked")
    & (table["attribute"] == "Blond_Hair")
    & (table["threshold_rule"] == "default")
  ].iloc[0]
  assert row["n_seeds"] == 5
  assert (row["mean_low"] > 0.05) == positive
  if not positive:
    assert row["mean_low"] < 0 < row["mean_high"]
