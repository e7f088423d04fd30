"""Numbers of the tables in words."""

import dataclasses
import math

import pandas as pd

from prunebias_jax.analysis.parents import FEW_PARENTS, ONE_PARENT
from prunebias_jax.analysis.variance.contrasts import UNPAIRED


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scale:
  """How a metric's numbers are put into words."""

  factor: float
  unit: str

  def change(self, value: float) -> str:
    """A change with its sign: "-1.20 points"."""
    return f"{self._number(value)} {self.unit}".rstrip()

  def interval(self, low: float, high: float) -> str:
    """An interval of a change: "-1.40 to -1.00 points"."""
    return f"{self._number(low)} to {self.change(high)}"

  def _number(self, value: float) -> str:
    shown = self.factor * value
    return f"{shown:+.{2 if abs(shown) >= 0.1 else 3}f}"


POINTS = Scale(factor=100, unit="points")

PLAIN = Scale(factor=1, unit="")


def group_text(row: pd.Series) -> str:
  """A group in words: "Male = 1"."""
  return f"{row['identity']} = {row['value']}"


def units(row: pd.Series) -> str:
  """How many units the inference has, and which."""
  if unpaired(row):
    return f"{row['n_seeds']} or more unrelated seeds a side"
  if FEW_PARENTS in row["reason"]:
    return f"{row['n_seeds']} dense parents"
  if ONE_PARENT in row["reason"]:
    return f"{row['n_seeds']} compressed seeds against one dense member"
  return f"{row['n_seeds']} pairs of seeds"


def unpaired(row: pd.Series) -> bool:
  """Whether a row of contrasts.csv is of seeds that do not pair."""
  return UNPAIRED in row["reason"]


def chosen(row: pd.Series) -> str:
  """How the p of a number that was chosen is adjusted."""
  if "p" not in row or math.isnan(row["p"]) or row["n_compared"] < 2:
    return ""
  return f", Bonferroni over {row['n_compared']}"


def conditions(row: pd.Series) -> str:
  """Which outputs a mean goes over, where these are not all."""
  found = [one for one in row["reason"].split("; ") if one.startswith("mean ")]
  return "".join(f"; {one}" for one in found)


def percent(share: float) -> str:
  """A share in words: "3.20 %"."""
  return f"{100 * share:.2f} %"


def p_text(value: float) -> str:
  """A p-value in words."""
  if math.isnan(value):
    return "p not available"
  return "p < .0001" if value < 1e-4 else f"p = {value:.2g}"
