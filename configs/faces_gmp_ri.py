"""Procedural faces by the protocol of celeba_gmp_ri.py: its twin.

Changes:   32 px, 6,000 images, the small network, 10 epochs; levels, regime and
           optimiser are the protocol's.
Command:   prunebias train configs/faces_gmp_ri.py --workdir RUN
Hardware:  two CPU cores; docs/protocols.md has what came out.
"""

from prunebias_jax import protocols
from prunebias_jax.config import Sweep


def sweep(paper_config: bool = False) -> Sweep:
  return protocols.faces_twin(protocols.joint(paper_config=paper_config))
