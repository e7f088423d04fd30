"""Which members a sweep has, and the seeds of each."""

import itertools

import pandas as pd

from prunebias_jax.config import Sweep


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


def member_table(sweep: Sweep) -> pd.DataFrame:
  """The members of a sweep, seed by seed, in the order of its sparsities."""
  return pd.DataFrame(
    [
      {
        "pruner": sweep.pruning.regime if level > 0 else "dense",
        "sparsity": level,
        "quantization": "none",
        **row,
      }
      for row in seed_rows(sweep)
      for level in sweep.sparsities
    ]
  )
