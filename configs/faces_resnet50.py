"""Procedural faces by the protocol of celeba_resnet50.py: its twin.

Changes:   as in faces_gmp_ri.py, but the network is ResNet-50 with the stem for
           small images and an eighth of the width; 4 epochs.
Command:   prunebias train configs/faces_resnet50.py --workdir RUN
Hardware:  two CPU cores; how long it takes is not measured.
"""

from prunebias_jax import protocols
from prunebias_jax.config import Model, Sweep


def sweep(paper_config: bool = False) -> Sweep:
  return protocols.faces_twin(
    protocols.joint("resnet50", paper_config=paper_config),
    Model(name="resnet50", width=0.125),
    epochs=4,
  )
