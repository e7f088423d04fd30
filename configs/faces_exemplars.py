"""Procedural faces by the protocol of celeba_exemplars.py: its twin.

Changes:   as in faces_gmp_ri.py, but 5 epochs.
Command:   prunebias train configs/faces_exemplars.py --workdir RUN
           prunebias quantize RUN --kind int8_dynamic --sparsity 0
           prunebias quantize RUN --kind int8_static --sparsity 0
Hardware:  two CPU cores; docs/protocols.md has what came out.
"""

from prunebias_jax import protocols
from prunebias_jax.config import Sweep


def sweep(attribute: str = "Blond_Hair", members: int = 30) -> Sweep:
  return protocols.faces_twin(protocols.exemplars(attribute, members), epochs=5)
