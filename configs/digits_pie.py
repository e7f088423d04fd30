"""Handwritten digits by the protocol of cifar10_pie.py: its twin.

Changes:   16 px, 1,077 images, the small network, 12 epochs; levels, allocation
           and optimiser are the protocol's.
Command:   prunebias train configs/digits_pie.py --workdir RUN
Hardware:  two CPU cores.
"""

from prunebias_jax import protocols
from prunebias_jax.config import Sweep


def sweep(members: int = 30) -> Sweep:
  return protocols.digits_twin(protocols.pie(members))
