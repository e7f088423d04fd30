"""Procedural faces by the protocol of celeba_gmp_ri.py: its twin.

Changes:   32 px, 6,000 images, ResNet-18 of an eighth of the width, 8 epochs;
           levels, regime and optimiser are the protocol's.
Command:   prunebias train configs/faces_gmp_ri.py --workdir RUN
           (--with model=resnet50, --with model=mobilenet_v1: the others)
Hardware:  two CPU cores; docs/protocols.md has what came out.
"""

from prunebias_jax import protocols
from prunebias_jax.config import Sweep


def sweep(model: str = "resnet18", paper_config: bool = False) -> Sweep:
  return protocols.faces_twin(
    protocols.joint(model, "gmp-ri", paper_config=paper_config)
  )
