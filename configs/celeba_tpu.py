"""CelebA for a TPU slice of 32 chips: GMP-RI of ResNet-18 with 32 seeds.

Aim:       the joint protocol (celeba_gmp_ri.py) with seeds enough for intervals
           of variances: 32 seeds x 7 levels are 224 members, seven a chip.
Command:   see "A TPU pod slice" in docs/running.md, with this config and
               --data.root DIR
Data:      as celeba_gmp_ri.py; streamed where a chip does not hold it.
Cost:      bfloat16. Not run at full size here; hours not measured.
"""

import dataclasses

from prunebias_jax import protocols
from prunebias_jax.config import Sweep


def sweep() -> Sweep:
  return dataclasses.replace(
    protocols.joint(), name="celeba-tpu", seeds=tuple(range(32))
  )
