"""Dense members with a training of their own."""

import numpy as np
import pytest

from prunebias_jax import cli, store
from prunebias_jax.config import (
  Data,
  Execution,
  Model,
  Pruning,
  Sweep,
  Train,
)
from prunebias_jax.errors import InputError
from prunebias_jax.training import sweep as training
from tests.splits import make_dataset

SWEEP = Sweep(
  seeds=(0, 3),
  sparsities=(0.0, 0.5, 0.75),
  data=Data(size=8),
  model=Model(name="nets:Flat"),
  train=Train(epochs=2, batch=16),
  dense_apart=True,
  dense=Train(epochs=1, batch=12, optimizer="adam", learning_rate=0.01),
  pruning=Pruning(start=0, end=2),
  execution=Execution(devices=1, mode="map", convolution="plain"),
)
TOGETHER = SWEEP.override({"dense_apart": False})


def logits_of(sweep, path):
  run = training.train(sweep, path, dataset=make_dataset())
  return run, run.split("test")["logits"].to_numpy()


def test_each_part_is_as_if_it_were_trained_alone(tmp_path, capsys):
  run, apart = logits_of(SWEEP, tmp_path / "apart")
  dense = run.members()["sparsity"].to_numpy() == 0
  train = SWEEP.dense.to_dict()
  alone = TOGETHER.override({"train": train, "sparsities": [0.0]})
  alone = alone.override({"pruning.end": 1})
  np.testing.assert_array_equal(
    apart[dense], logits_of(alone, tmp_path / "dense")[1]
  )
  rest = TOGETHER.override({"sparsities": [0.5, 0.75]})
  np.testing.assert_array_equal(
    apart[~dense], logits_of(rest, tmp_path / "pruned")[1]
  )
  assert store.open_run(run.path).members()["done"].all()
  epochs = run.metrics().groupby("sparsity")["epoch"].max()
  assert epochs.to_dict() == {0.0: 1, 0.5: 2, 0.75: 2}
  assert cli.main(["inspect", str(run.path)]) == 0
  shown = capsys.readouterr().out
  for sparsity, epoch in epochs.items():
    assert f"sparsity {sparsity:g}: epoch {epoch}, loss" in shown


def test_the_parts_of_a_sweep_have_all_its_members():
  dense, pruned = SWEEP.parts()
  assert (dense.train, dense.sparsities) == (SWEEP.dense, (0.0,))
  assert (pruned.train, pruned.sparsities) == (SWEEP.train, (0.5, 0.75))
  assert TOGETHER.parts() == (TOGETHER,)


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    ({"sparsities": [0.5]}, "needs sparsity 0 and others"),
    ({"sparsities": [0.0]}, "needs sparsity 0 and others"),
    ({"pruning.regime": "gmp-pt"}, "whose pruned members begin as dense"),
  ],
)
def test_what_cannot_be_apart_is_refused(changes, message):
  with pytest.raises(InputError, match=message):
    SWEEP.override(changes)


def test_a_dense_batch_beyond_the_data_is_refused(tmp_path):
  sweep = SWEEP.override({"dense.batch": 49})
  with pytest.raises(InputError, match=r"dense.batch is 49; .* 48 examples"):
    training.train(sweep, tmp_path, dataset=make_dataset())
