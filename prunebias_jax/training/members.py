"""Which members a sweep has, and the seeds of each."""

import itertools

import pandas as pd

from prunebias_jax.config import Pruning, Sweep


def seed_rows(sweep: Sweep) -> list[dict[str, int]]:
  """The seeds of a sweep by purpose, one row for each model of a level.

  Grids of `sweep.seed` are crossed with `sweep.seeds`; `seed` then counts.
  """
  grids = {
    name: getattr(sweep.seed, name) for name in ("init", "order", "augment")
  }
  crossed = any(grids.values())
  rows: list[dict[str, int]] = []
  for seed, *values in itertools.product(
    sweep.seeds, *[grid or (None,) for grid in grids.values()]
  ):
    row = {"seed": len(rows) if crossed else seed}
    for name, value in zip(grids, values, strict=True):
      row[f"seed_{name}"] = seed if value is None else value
    rows.append(row)
  return rows


def pruner_name(pruning: Pruning) -> str:
  """What tells pruned populations apart: the regime and what is not default.

  For example "gmp-ri", "gmp-ri 2:4", "one-shot saliency erk".
  """
  default = Pruning()
  names = ["criterion", "structure", "schedule", "allocation"]
  if pruning.regime == "one-shot":
    names.remove("schedule")
  chosen = [getattr(pruning, name) for name in names]
  return " ".join(
    [
      pruning.regime,
      *(
        value
        for name, value in zip(names, chosen, strict=True)
        if value != getattr(default, name)
      ),
    ]
  )


def member_table(sweep: Sweep) -> pd.DataFrame:
  """The members of a sweep, seed by seed, in the order of its sparsities."""
  return pd.DataFrame(
    [
      {
        "pruner": pruner_name(sweep.pruning) if level > 0 else "dense",
        "sparsity": level,
        "quantization": "none",
        **row,
      }
      for row in seed_rows(sweep)
      for level in sweep.sparsities
    ]
  )
