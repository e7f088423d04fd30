"""Procedural faces by the protocol of celeba_gmp_pt.py: its twin.

Changes:   as in faces_gmp_ri.py; 10 epochs dense, 8 of pruning.
Command:   prunebias train configs/faces_gmp_pt.py --workdir RUN
Hardware:  two CPU cores; docs/protocols.md has what came out.
"""

from prunebias_jax import protocols
from prunebias_jax.config import Sweep


def sweep(paper_config: bool = False) -> Sweep:
  return protocols.faces_twin(
    protocols.joint(regime="gmp-pt", paper_config=paper_config)
  )
