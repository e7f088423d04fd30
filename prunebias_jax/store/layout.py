"""What the parts of a run directory are called."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

FORMAT = 1
SWEEP = "sweep.json"
LOGITS = "logits.zarr"
EVALUATED = ("valid", "test")
SPLITS = ("train", *EVALUATED)
MEMBER_KEY = ("pruner", "sparsity", "quantization", "seed")
MEMBER_SEEDS = ("seed_init", "seed_order", "seed_augment")
# The seed of the dense member that a member pairs with, -1 for none; in the
# index only where it is not the member's own.
PARENT = "parent_seed"
FLAGS = ("done", "diverged")
SAMPLES = 24
# The fact that tells an imported run, and what is known of where it is from.
IMPORTED = "imported"


def output_dimension(task: str) -> str:
  """The name of the logits' last axis: attribute, or class."""
  return "attribute" if task == "multilabel" else "class"


def member_name(member: Mapping[str, Any] | pd.Series) -> str:
  """A member as a reader names it: "magnitude, sparsity 0.95, seed 3"."""
  quantization = member["quantization"]
  middle = "" if quantization == "none" else f", {quantization}"
  return (
    f"{member['pruner']}, sparsity {member['sparsity']:g}{middle}, "
    f"seed {member['seed']}"
  )
