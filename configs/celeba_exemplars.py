"""CelebA Blond_Hair, 30 ResNet-18 at every level, and their int8 populations.

After:     Hooker, Moorosi, Clark, Bengio and Denton 2020. Their optimiser and
           schedule are not public: training is that of celeba_single.py, and no
           replication of their numbers is claimed.
Command:   prunebias train configs/celeba_exemplars.py --workdir RUN
               --data.root DIR
           prunebias quantize RUN --kind int8_dynamic --sparsity 0
           prunebias quantize RUN --kind int8_static --sparsity 0
Data:      CelebA's five official files in DIR, or what tensorflow-datasets
           prepared of them (docs/data.md).
Cost:      210 members and 60 quantized ones; not run at full size here, hours
           not measured.
"""

from prunebias_jax import protocols
from prunebias_jax.config import Sweep


def sweep(attribute: str = "Blond_Hair", members: int = 30) -> Sweep:
  return protocols.exemplars(attribute, members)
