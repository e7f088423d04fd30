"""CIFAR-10, 30 ResNet-18 at every level, each convolution pruned alike (PIE).

After:     Hooker, Courville, Clark, Dauphin and Frome 2019: levels .1 to .9,
           the same share of every convolution, a cubic between the steps 5,000
           and 8,000 every 500, the last layer dense, Nesterov's momentum .9,
           weight decay 1e-4, label smoothing .1.
Changes:   their settings for ImageNet, scaled to 31,941 steps of CIFAR-10; no
           replication of their numbers is claimed.
Command:   prunebias train configs/cifar10_pie.py --data.root DIR --workdir RUN
Data:      cifar10 as tensorflow-datasets prepares it, in DIR (docs/data.md).
Cost:      180 members; not run at full size here, hours not measured.
"""

from prunebias_jax import protocols
from prunebias_jax.config import Sweep


def sweep(members: int = 30) -> Sweep:
  return protocols.pie(members)
