"""Memory: constant over epochs, linear in members."""

import ctypes
import dataclasses
import gc
import os
from pathlib import Path

import numpy as np
import pytest

from prunebias_jax import data
from prunebias_jax.config import Data, Execution, Model, Pruning, Sweep, Train
from prunebias_jax.training import chunk
from prunebias_jax.training import sweep as training
from prunebias_jax.training.engine import Engine
from prunebias_jax.training.measuring import device_bytes
from prunebias_jax.training.plan import Phase

TINY = Sweep(
  name="memory",
  seeds=(0, 1),
  sparsities=(0.0, 0.9),
  data=Data(name="digits", size=8, train=200, valid=30, test=50),
  model=Model(name="cnn", width=0.25),
  train=Train(epochs=200, batch=32),
  # A checkpoint and a mask update every ten epochs.
  pruning=Pruning(start=10, every=10, end=200),
  execution=Execution(
    devices=1, mode="map", eval_batch=20, checkpoint_minutes=1000
  ),
)


def resident_megabytes():
  """What the process holds of the machine's memory, freed pages given back."""
  gc.collect()
  ctypes.CDLL(None).malloc_trim(0)
  pages = int(Path("/proc/self/statm").read_text().split()[1])
  return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


@pytest.mark.slow
def test_memory_does_not_grow_over_200_epochs(tmp_path, monkeypatch):
  held = {}
  epoch_end = chunk._epoch_end

  def sampled(segment, epoch, *rest):
    if epoch in (49, 199):
      held[epoch] = resident_megabytes()
    return epoch_end(segment, epoch, *rest)

  monkeypatch.setattr(chunk, "_epoch_end", sampled)
  training.train(TINY, tmp_path / "run")
  # Programs are compiled and pools filled in the first epochs. A kept copy of
  # a tenth of a megabyte an epoch would be more than this.
  assert held[199] - held[49] < 15


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["map", "vmap"])
def test_memory_is_linear_in_members(mode):
  engine = dataclasses.replace(
    Engine.build(TINY, data.load(TINY.data)), mode=mode, lowering="matmul"
  )
  phase = Phase(name="train", config=TINY.train)

  def needed(seeds):
    rows = np.zeros((seeds, 3), np.uint32)
    return device_bytes(engine, engine.population(phase, rows, levels=2))

  four, eight, sixteen = map(needed, (4, 8, 16))
  state = 2 * 9 * engine.parameters  # two levels: weights, momenta, masks
  assert eight - four >= 4 * state
  assert sixteen - eight == pytest.approx(2 * (eight - four), rel=0.05)
