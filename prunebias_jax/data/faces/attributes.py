"""The 40 attributes of the faces: names, rates, correlations, exclusions.

Names and order are CelebA's, and so are the rates: the share of positives over
all 202,599 images of its published attribute list. The correlation structure
is this project's own: seven latent factors whose loadings follow the
correlations that users of CelebA know (lipstick and gender, smiles and
cheekbones, gray hair and age); it is not fitted to CelebA.

Reference: Liu, Luo, Wang, Tang, "Deep Learning Face Attributes in the Wild",
ICCV 2015 (names and labels).
"""

import numpy as np

FACTORS = (
  "gender",
  "youth",
  "smile",
  "glamour",
  "weight",
  "lightness",
  "beard",
)

# Name, published rate, loadings on FACTORS. A score's own, unshared part has
# the variance that its loadings leave over, so correlations are those of a
# covariance matrix by construction.
_TABLE: tuple[tuple[str, float, tuple[float, ...]], ...] = (
  ("5_o_Clock_Shadow", 0.1111, (0.66, 0.08, 0, 0, 0, -0.10, 0.45)),
  ("Arched_Eyebrows", 0.2670, (-0.58, 0.05, 0, 0.40, 0, 0, 0)),
  ("Attractive", 0.5125, (-0.45, 0.48, 0.10, 0.40, -0.25, 0.05, 0)),
  ("Bags_Under_Eyes", 0.2046, (0.36, -0.25, 0.10, -0.10, 0.15, 0, 0)),
  ("Bald", 0.0224, (0.66, -0.45, 0, 0, 0.20, 0, 0.10)),
  ("Bangs", 0.1516, (-0.28, 0.15, 0, 0.05, 0, 0.05, 0)),
  ("Big_Lips", 0.2408, (-0.22, 0.10, 0, 0.12, 0, -0.15, 0)),
  ("Big_Nose", 0.2345, (0.48, -0.28, 0.05, -0.15, 0.35, -0.10, 0)),
  ("Black_Hair", 0.2393, (0.18, 0.18, 0, 0, 0, -0.75, 0)),
  ("Blond_Hair", 0.1480, (-0.70, 0.06, 0.05, 0.10, 0, 0.60, 0)),
  ("Blurry", 0.0509, (0, -0.05, -0.05, -0.10, 0, 0, 0)),
  ("Brown_Hair", 0.2052, (-0.22, 0.05, 0.02, 0.05, 0, 0.15, 0)),
  ("Bushy_Eyebrows", 0.1422, (0.44, 0.10, 0, -0.05, 0, -0.30, 0.10)),
  ("Chubby", 0.0576, (0.30, -0.32, 0.05, -0.10, 0.76, 0, 0)),
  ("Double_Chin", 0.0467, (0.28, -0.40, 0.08, -0.10, 0.74, 0, 0)),
  ("Eyeglasses", 0.0651, (0.38, -0.42, 0, -0.15, 0.10, 0, 0)),
  ("Goatee", 0.0628, (0.62, 0, 0, 0, 0.10, 0, 0.62)),
  ("Gray_Hair", 0.0419, (0.40, -0.82, 0, 0, 0.10, 0.10, 0)),
  ("Heavy_Makeup", 0.3869, (-0.83, 0.12, 0.05, 0.49, 0, 0.05, 0)),
  ("High_Cheekbones", 0.4550, (-0.28, 0, 0.82, 0.20, 0.05, 0, 0)),
  ("Male", 0.4168, (0.98, -0.16, -0.05, 0, 0, 0, 0)),
  ("Mouth_Slightly_Open", 0.4834, (-0.10, 0, 0.74, 0, 0, 0, 0)),
  ("Mustache", 0.0415, (0.60, -0.12, 0, 0, 0.10, 0, 0.55)),
  ("Narrow_Eyes", 0.1151, (0.05, -0.05, 0.22, -0.05, 0.05, 0, 0)),
  ("No_Beard", 0.8349, (-0.80, 0.05, 0.05, 0, 0, 0, -0.54)),
  ("Oval_Face", 0.2841, (-0.15, 0.08, 0.25, 0.20, -0.20, 0, 0)),
  ("Pale_Skin", 0.0429, (-0.15, 0.10, -0.05, 0.12, -0.05, 0.25, 0)),
  ("Pointy_Nose", 0.2774, (-0.28, 0.05, 0, 0.25, -0.10, 0.12, 0)),
  ("Receding_Hairline", 0.0798, (0.34, -0.45, 0, 0, 0.20, 0, 0)),
  ("Rosy_Cheeks", 0.0657, (-0.45, 0.05, 0.22, 0.38, 0, 0.12, 0)),
  ("Sideburns", 0.0565, (0.62, 0.05, 0, 0, 0, 0, 0.52)),
  ("Smiling", 0.4821, (-0.14, 0, 0.95, 0, 0.05, 0, 0)),
  ("Straight_Hair", 0.2084, (0.06, 0.05, 0, -0.10, 0, -0.05, 0)),
  ("Wavy_Hair", 0.3196, (-0.46, 0.05, 0, 0.32, 0, 0.15, 0)),
  ("Wearing_Earrings", 0.1889, (-0.60, -0.05, 0.15, 0.30, 0, 0, 0)),
  ("Wearing_Hat", 0.0485, (0.28, 0.05, 0, -0.12, 0, 0, 0.10)),
  ("Wearing_Lipstick", 0.4724, (-0.92, 0.05, 0.05, 0.36, 0, 0, 0)),
  ("Wearing_Necklace", 0.1230, (-0.45, 0, 0.10, 0.30, 0, 0, 0)),
  ("Wearing_Necktie", 0.0727, (0.68, -0.28, 0, 0.15, 0.12, 0, 0)),
  ("Young", 0.7736, (-0.25, 0.90, 0, 0.10, -0.15, 0, 0)),
)

NAMES: tuple[str, ...] = tuple(name for name, _, _ in _TABLE)
INDEX: dict[str, int] = {name: i for i, name in enumerate(NAMES)}
IDENTITIES = ("Male", "Young", "Chubby", "Pale_Skin")

# A judgement rather than a thing to draw: no pixel of its own, a model can
# only tell it by what it goes with.
ONLY_THROUGH_CORRELATES = ("Attractive",)

HAIR_COLOURS = ("Black_Hair", "Blond_Hair", "Brown_Hair", "Gray_Hair")
BEARDS = ("5_o_Clock_Shadow", "Goatee", "Mustache", "Sideburns")

# Of each family at most one is positive: the one with the largest margin.
RIVALS: tuple[tuple[str, ...], ...] = (
  HAIR_COLOURS,
  ("Straight_Hair", "Wavy_Hair"),
  ("Bangs", "Receding_Hairline"),
)

# Where the first is positive none of the others is. In this order: a hat may
# take a bald head away before baldness takes the hair.
OVERRULES: tuple[tuple[str, tuple[str, ...]], ...] = (
  ("Wearing_Hat", ("Bald", "Receding_Hairline")),
  (
    "Bald",
    (
      *HAIR_COLOURS,
      "Straight_Hair",
      "Wavy_Hair",
      "Bangs",
      "Receding_Hairline",
    ),
  ),
  ("No_Beard", BEARDS),
)


def rates() -> np.ndarray:
  """CelebA's published share of positives: float64 [attribute]."""
  return np.array([rate for _, rate, _ in _TABLE])


def loadings() -> np.ndarray:
  """Loadings of the latent scores: float64 [attribute, factor]."""
  return np.array([row for _, _, row in _TABLE], dtype=np.float64)


def exclude_each_other(first: str, second: str) -> bool:
  """Whether the two attributes are never positive together."""
  pair = {first, second}
  return any(pair <= set(family) for family in RIVALS) or any(
    winner in pair and pair & set(losers) for winner, losers in OVERRULES
  )
