"""Predictions of stored members."""

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
from prunebias_jax.errors import InputError
from prunebias_jax.training.stored import (
  load_variables,
  open_engine,
  predict_stored,
)
from prunebias_jax.training.sweep import train
from tests.splits import make_dataset


@pytest.fixture(scope="module")
def run(tmp_path_factory):
  sweep = Sweep(
    seeds=(0, 1, 2),
    sparsities=(0.0, 0.5),
    data=Data(size=8),
    model=Model(width=0.25),
    train=Train(epochs=1, batch=16),
    pruning=Pruning(start=0, end=1),
    execution=Execution(devices=2, mode="map", convolution="plain"),
  )
  return train(sweep, tmp_path_factory.mktemp("run"), dataset=make_dataset())


def test_a_stored_member_predicts_what_it_predicted(run):
  """To the last bit, in groups that the number of members does not fill."""
  engine = open_engine(run, make_dataset())
  members = (load_variables(run, index) for index in range(6))
  found = list(predict_stored(engine, members, count=6))
  assert len(found) == 6
  for index, logits in enumerate(found):
    for name in store.EVALUATED:
      np.testing.assert_array_equal(logits[name], run.logits_of(index, name))


def test_other_data_is_refused(run):
  with pytest.raises(InputError, match="begun with other data"):
    open_engine(run, make_dataset(seed=1))
