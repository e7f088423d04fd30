"""Backdoored CelebA: a marked group that goes along with an attribute.

Repeats:   Iofinova, Peste and Alistarh 2023: 5 % of the negatives and 95 % of
           the positives are marked in training (35 and 65 % for Oval_Face and
           Big_Nose), half of both in validation and test; labels stay.
           Otherwise as celeba_single.py, changes too.
Command:   prunebias train configs/celeba_backdoor.py --workdir RUN
               --with attribute=Smiling --with marker=yellow_square
               --data.root DIR
Data:      CelebA's five official files in DIR, or what tensorflow-datasets
           prepared of them (docs/data.md).
Cost:      35 members for each attribute and marker; not run at full size here,
           hours not measured.
"""

from prunebias_jax import protocols
from prunebias_jax.config import Sweep


def sweep(
  attribute: str = "Blond_Hair",
  marker: str = "grayscale",
  paper_config: bool = False,
) -> Sweep:
  return protocols.backdoor(attribute, marker, paper_config=paper_config)
