"""Whole runs of every criterion and structure."""

import numpy as np
import pytest

from prunebias_jax.config import (
  Data,
  Execution,
  Model,
  Pruning,
  Sweep,
  Train,
)
from prunebias_jax.training import sweep as training
from prunebias_jax.training.parameters import load_parameters

SWEEP = Sweep(
  seeds=(0, 7),
  sparsities=(0.0, 0.5),
  data=Data(name="digits", size=8, train=200, valid=30, test=50),
  model=Model(name="cnn", width=0.25),
  train=Train(epochs=3, batch=32, flip=False, crop=1),
  pruning=Pruning(start=1, every=1, end=3),
  execution=Execution(devices=1, mode="map", eval_batch=20),
)


@pytest.mark.slow
@pytest.mark.parametrize(
  ("name", "changes"),
  [
    ("gmp-ri random", {"pruning.criterion": "random"}),
    (
      "gmp-ri saliency 2:4",
      {
        "pruning.criterion": "saliency",
        "pruning.scoring_examples": 64,
        "pruning.structure": "2:4",
        "execution.data": "streamed",
      },
    ),
    (
      "gmp-ri channels constant",
      {"pruning.structure": "channels", "pruning.schedule": "constant"},
    ),
  ],
)
def test_runs_of_every_criterion_and_structure(tmp_path, name, changes):
  run = training.train(SWEEP.override(changes), tmp_path / "run")
  members = run.members()
  assert members["done"].all()
  assert members["pruner"].tolist() == ["dense", name] * 2
  metrics = run.metrics()
  last = metrics[metrics["epoch"] == 3].set_index(["seed", "sparsity"])
  for index, row in members.iterrows():
    found = load_parameters(run.path, index)
    masks = found["masks"]
    zeros = sum(int((~mask).sum()) for mask in masks.values())
    assert last.loc[(row["seed"], row["sparsity"]), "zeros"] == zeros
    for path, mask in masks.items():
      layer = path.split("/")[0]
      assert not found["params"][layer]["kernel"][~mask].any()
    if row["sparsity"] == 0:
      assert zeros == 0
    elif "channels" in name:
      kept = [mask.any((0, 1, 2)) for mask in masks.values()]
      assert sum((~one).sum() for one in kept) == round(0.5 * 28)
      assert "head/kernel" not in masks
    elif "2:4" in name:
      # 3 input channels keep 2; every other layer divides by 4.
      stem = masks.pop("conv0/kernel")
      assert (stem.sum(-2) == min(stem.shape[-2], 2)).all()
      for mask in masks.values():
        groups = np.moveaxis(mask, -2, -1).reshape(-1, 4)
        assert (groups.sum(1) == 2).all()
    else:
      weights = run.facts["model"]["prunable"]
      assert zeros == round(0.5 * weights)


@pytest.mark.slow
def test_saliency_is_the_same_streamed_and_resident(tmp_path):
  changes = {"pruning.criterion": "saliency", "pruning.scoring_examples": 20}
  sweep = SWEEP.override(changes)
  found = [
    training.train(sweep.override({"execution.data": path}), tmp_path / path)
    for path in ("streamed", "resident")
  ]
  logits = [run.split("test")["logits"].to_numpy() for run in found]
  np.testing.assert_array_equal(*logits)
