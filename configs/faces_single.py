"""Procedural faces by the protocol of celeba_single.py: its twin.

Changes:   as in faces_gmp_ri.py.
Command:   prunebias train configs/faces_single.py --workdir RUN
               --with attribute=Smiling
Hardware:  two CPU cores.
"""

from prunebias_jax import protocols
from prunebias_jax.config import Sweep


def sweep(attribute: str = "Blond_Hair", paper_config: bool = False) -> Sweep:
  return protocols.faces_twin(
    protocols.single(attribute, paper_config=paper_config)
  )
