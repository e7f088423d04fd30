"""CelebA, all 40 attributes, ResNet-18 pruned while it trains (GMP-RI).

Repeats:   Iofinova, Peste and Alistarh 2023, joint models: 100 epochs, SGD .256
           with momentum .875, warm-up and cosine, weight decay 2^-15, levels
           .8 to .995, 3 seeds, mask updates at epochs 10, 20, ... 80.
Changes:   dense and pruned members share optimiser, schedule and weight decay;
           the last update reaches the level exactly; the best checkpoint is
           that of the lowest validation loss, not of the highest accuracy.
           --with paper_config=true: the dense ResNet-18 without weight decay,
           momentum zeroed after every epoch.
Command:   prunebias train configs/celeba_gmp_ri.py --workdir RUN
               --data.root DIR
           (--with model=resnet50, --with model=mobilenet_v1: the others)
Data:      CelebA's five official files in DIR, or what tensorflow-datasets
           prepared of them (docs/data.md).
Cost:      21 members; not run at full size here, hours not measured
           (--dry-run measures them on your machine).
"""

from prunebias_jax import protocols
from prunebias_jax.config import Sweep


def sweep(model: str = "resnet18", paper_config: bool = False) -> Sweep:
  return protocols.joint(model, "gmp-ri", paper_config=paper_config)
