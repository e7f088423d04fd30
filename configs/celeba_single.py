"""CelebA, one attribute alone, ResNet-18 (GMP-RI), 5 seeds.

Repeats:   the single-label models of Iofinova, Peste and Alistarh 2023: 20
           epochs, SGD .1 with momentum .9, weight decay 1e-4, mask updates at
           epochs 2, 3, ... 15. Theirs are Blond_Hair, Smiling, Oval_Face,
           Big_Nose, Mustache, Receding_Hairline and Bags_Under_Eyes.
Changes:   dense and pruned members share a constant learning rate; exact
           levels. --with paper_config=true: dense ones have .256, momentum
           .875, warm-up and cosine; momentum zeroed after every epoch.
Command:   prunebias train configs/celeba_single.py --workdir RUN
               --with attribute=Smiling --data.root DIR
Data:      CelebA's five official files in DIR, or what tensorflow-datasets
           prepared of them (docs/data.md).
Cost:      35 members for each attribute; not run at full size here, hours not
           measured.
"""

from prunebias_jax import protocols
from prunebias_jax.config import Sweep


def sweep(attribute: str = "Blond_Hair", paper_config: bool = False) -> Sweep:
  return protocols.single(attribute, paper_config=paper_config)
