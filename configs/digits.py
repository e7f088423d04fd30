"""Handwritten digits (real images), multi-label view, 4 seeds x 4 sparsities.

Command:   prunebias train configs/digits.py --workdir runs/digits
Hardware:  two CPU cores; the README says what it took.
"""

from prunebias_jax.config import Data, Model, Pruning, Sweep, Train


def sweep() -> Sweep:
  return Sweep(
    name="digits",
    seeds=(0, 1, 2, 3),
    sparsities=(0.0, 0.8, 0.95, 0.99),
    data=Data(name="digits", size=16, train=0, valid=0, test=0),
    model=Model(name="cnn"),
    train=Train(epochs=12, batch=32, learning_rate=0.1, flip=False, crop=1),
    pruning=Pruning(start=1, every=1, end=10),
  )
