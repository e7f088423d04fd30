"""Procedural faces, one attribute, with a loss against bias: training arms.

Protocol:  Blond_Hair alone, which few men have; gradual magnitude pruning from
           random initialisation. One run for each arm: plain, class_reweighted,
           group_reweighted (by Male) or learning_from_failure.
Command:   prunebias train configs/faces_arms.py --workdir RUN
               --with loss=learning_from_failure
Hardware:  two CPU cores; docs/protocols.md has what came out.
"""

from prunebias_jax.config import Data, Loss, Model, Pruning, Sweep, Train


def sweep(loss: str = "plain") -> Sweep:
  groups = ("Male",) if loss == "group_reweighted" else ()
  return Sweep(
    name=f"faces, {loss}",
    seeds=(0, 1, 2, 3),
    sparsities=(0.0, 0.9),
    data=Data(
      name="faces",
      size=32,
      train=3000,
      valid=2000,
      test=2000,
      labels=("Blond_Hair",),
    ),
    model=Model(name="cnn", width=0.5),
    loss=Loss(kind=loss, identities=groups),
    train=Train(epochs=8, batch=64, learning_rate=0.1),
    pruning=Pruning(start=1, every=1, end=7),
  )
