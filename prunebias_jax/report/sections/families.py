"""The levels of each pruner and quantization, as the verdicts take them."""

from collections.abc import Sequence
import dataclasses

import pandas as pd

from prunebias_jax.report.source import Population, Source
from prunebias_jax.report.vocabulary import percent

_PARTIAL = "mean over "  # how a reason begins that counts outputs


@dataclasses.dataclass(frozen=True, kw_only=True)
class Family:
  """The compressed populations of one pruner and quantization.

  Attributes:
    label: as a reader names it: "gmp", "gmp, int8".
    populations: from the lowest sparsity.
  """

  label: str
  populations: tuple[Population, ...]

  @property
  def levels(self) -> tuple[str, ...]:
    """The sparsities as a reader writes them: "80 %"."""
    return tuple(f"{percent(one.sparsity)} %" for one in self.populations)

  @property
  def sparsest(self) -> Population:
    """Its highest level."""
    return self.populations[-1]

  def rows(self, table: pd.DataFrame) -> pd.DataFrame:
    """The rows of a table that are about these populations."""
    pruner, quantization = self.sparsest.series
    mask = (table["pruner"] == pruner) & (table["quantization"] == quantization)
    sparsities = [one.sparsity for one in self.populations]
    return table[mask & table["sparsity"].isin(sparsities)]


def families(source: Source) -> list[Family]:
  """All of them; that of the sparsest population first."""
  found: dict[tuple[str, str], list[Population]] = {}
  for one in source.compressed:
    found.setdefault(one.series, []).append(one)
  first = source.sparsest
  keys = sorted(found, key=lambda key: first is None or key != first.series)
  return [
    Family(
      label=key[0] if key[1] == "none" else f"{key[0]}, {key[1]}",
      populations=tuple(sorted(found[key], key=lambda one: one.sparsity)),
    )
    for key in keys
  ]


def level_names(
  rows: pd.DataFrame, sparsities: Sequence[float]
) -> tuple[list[str], bool]:
  """Names of levels on an axis, with what a mean leaves out.

  Args:
    rows: of a table, each about a level, with a `reason`.
    sparsities: the levels.

  Returns:
    "99 %", and in a second line "14 of 40" where a mean goes over so many
    outputs; and whether all means go over all outputs, so that the levels can
    be compared.
  """
  names = []
  for sparsity in sparsities:
    reasons = rows[rows["sparsity"] == sparsity]["reason"]
    found = [
      " ".join(one.removeprefix(_PARTIAL).split()[:-1])
      for text in reasons
      for one in text.split("; ")
      if one.startswith(_PARTIAL)
    ]
    parts = [f"{percent(sparsity)} %" if sparsity else "dense"]
    parts += list(dict.fromkeys(found))
    names.append("\n".join(parts))
  return names, not any("\n" in name for name in names)
