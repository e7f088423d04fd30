"""CelebA, all 40 attributes, a trained ResNet-18 pruned afterwards (GMP-PT).

Repeats:   Iofinova, Peste and Alistarh 2023: 80 epochs of Adam 1e-4 from the
           dense joint model, mask updates at epochs 1, 5, ... 57, levels .8 to
           .995, 3 seeds.
Changes:   every seed begins with its own dense member
           (--pruning.shared_dense_parent true: all with the first seed's);
           Adam decays weights by 2^-15, decoupled, as SGD does; exact levels;
           best checkpoint as in celeba_gmp_ri.py. --with paper_config=true: the
           dense ResNet-18 and Adam without weight decay, momentum of SGD
           zeroed after every epoch.
Command:   prunebias train configs/celeba_gmp_pt.py --workdir RUN
               --data.root DIR
           (--with model=resnet50, --with model=mobilenet_v1: the others)
Data:      CelebA's five official files in DIR, or what tensorflow-datasets
           prepared of them (docs/data.md).
Cost:      21 members; not run at full size here, hours not measured.
"""

from prunebias_jax import protocols
from prunebias_jax.config import Sweep


def sweep(model: str = "resnet18", paper_config: bool = False) -> Sweep:
  return protocols.joint(model, "gmp-pt", paper_config=paper_config)
