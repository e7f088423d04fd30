"""CelebA, all 40 attributes, MobileNetV1 pruned while it trains (GMP-RI).

Repeats:   the joint models of Iofinova, Peste and Alistarh 2023, as
           celeba_gmp_ri.py does, whose changes are those here.
Command:   prunebias train configs/celeba_mobilenet.py --workdir RUN
               --data.root DIR
Data:      CelebA's five official files in DIR, or what tensorflow-datasets
           prepared of them (docs/data.md).
Cost:      21 members; not run at full size here, hours not measured.
"""

from prunebias_jax import protocols
from prunebias_jax.config import Sweep


def sweep(paper_config: bool = False) -> Sweep:
  return protocols.joint("mobilenet_v1", paper_config=paper_config)
