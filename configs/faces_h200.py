"""Procedural faces for one H200: 64 ResNet-18 at every level, 64 px.

Aim:       a population large enough for the variance of bias itself: 64 seeds x
           7 levels are 448 members, 11 M parameters each.
Command:   prunebias train configs/faces_h200.py --workdir RUN
           (several GPUs, several machines: docs/running.md)
Cost:      state of 16 bytes a parameter is 11 GB for 64 members; they are
           trained in as many chunks as the memory asks for (--dry-run prints
           it). Not run at full size here; hours not measured.
"""

from prunebias_jax.config import Data, Model, Pruning, Sweep, Train
from prunebias_jax.protocols import LEVELS


def sweep() -> Sweep:
  return Sweep(
    name="faces-h200",
    seeds=tuple(range(64)),
    sparsities=LEVELS,
    data=Data(name="faces", size=64, train=40_000, valid=10_000, test=10_000),
    model=Model(name="resnet18"),
    train=Train(epochs=40, batch=256, learning_rate=0.256, momentum=0.875),
    pruning=Pruning(start=4, every=2, end=33),
  )
