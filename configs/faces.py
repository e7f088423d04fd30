"""Procedural faces, 4 seeds x 4 sparsities: the demo.

Command:   prunebias train configs/faces.py --workdir runs/faces
Hardware:  two CPU cores; the README says what it took and what came out.
Protocol:  gradual magnitude pruning from random initialisation, one optimiser
           and schedule for dense and pruned members alike.
"""

from prunebias_jax.config import Data, Model, Pruning, Sweep, Train


def sweep() -> Sweep:
  return Sweep(
    name="faces",
    seeds=(0, 1, 2, 3),
    sparsities=(0.0, 0.8, 0.95, 0.99),
    data=Data(name="faces", size=32, train=6000, valid=2000, test=2000),
    model=Model(name="cnn"),
    train=Train(epochs=8, batch=64, learning_rate=0.4),
    pruning=Pruning(start=1, every=1, end=7),
  )
