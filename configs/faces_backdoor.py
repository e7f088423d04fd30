"""Procedural faces by the protocol of celeba_backdoor.py: its twin.

Changes:   as in faces_gmp_ri.py; the yellow square is 5 px wide.
Command:   prunebias train configs/faces_backdoor.py --workdir RUN
               --with marker=yellow_square
Hardware:  two CPU cores; docs/protocols.md has what came out.
"""

from prunebias_jax import protocols
from prunebias_jax.config import Sweep


def sweep(
  attribute: str = "Blond_Hair",
  marker: str = "grayscale",
  paper_config: bool = False,
) -> Sweep:
  return protocols.faces_twin(
    protocols.backdoor(attribute, marker, paper_config=paper_config)
  )
