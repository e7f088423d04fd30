"""Procedural faces by the protocol of celeba_mobilenet.py: its twin.

Changes:   as in faces_gmp_ri.py, but the network is MobileNetV1 with the
           stem for small images and an eighth of the width; 4 epochs.
Command:   prunebias train configs/faces_mobilenet.py --workdir RUN
Hardware:  two CPU cores; how long it takes is not measured.
"""

from prunebias_jax import protocols
from prunebias_jax.config import Model, Sweep


def sweep(paper_config: bool = False) -> Sweep:
  return protocols.faces_twin(
    protocols.joint("mobilenet_v1", paper_config=paper_config),
    Model(name="mobilenet_v1", width=0.125),
    epochs=4,
  )
