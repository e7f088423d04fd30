"""Every metric of every member as one matrix; populations; who pairs with whom.

A cell is one metric of one attribute, group and threshold rule: what the
inference over seeds works on.
"""

import dataclasses

import numpy as np
import pandas as pd
import xarray as xr

from prunebias_jax.analysis.columns import (
  ALL,
  ATTRIBUTE_METRICS,
  CELL,
  CLASS_METRICS,
  DERIVED_METRICS,
  EVERYONE,
  GROUP_METRICS,
  MEAN,
  MEMBER,
  OVERALL_METRICS,
  POPULATION,
)
from prunebias_jax.analysis.tables import output_of

Population = tuple[str, float, str]  # pruner, sparsity, quantization


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cells:
  """Every metric of every member.

  Attributes:
    values: float64 [member, block, output]; a block is one metric of one
      group under one rule.
    blocks: the blocks' threshold_rule, metric, identity and value.
    overall: float64 [member, metric]: those of a classifier as a whole.
    names: the outputs' names.
    output: "attribute" or "class".
  """

  values: np.ndarray
  blocks: pd.DataFrame
  overall: np.ndarray
  names: tuple[str, ...]
  output: str

  @property
  def key(self) -> pd.DataFrame:
    """The columns `columns.CELL` of the cells that `flat` returns."""
    names = [*self.names, MEAN]
    rows = self.blocks.loc[self.blocks.index.repeat(len(names))].copy()
    rows["attribute"] = np.tile(np.array(names, object), len(self.blocks))
    whole = pd.DataFrame(
      {
        "threshold_rule": "default",
        "metric": list(OVERALL_METRICS[: self.overall.shape[1]]),
        "attribute": ALL,
        "identity": EVERYONE,
        "value": EVERYONE,
      }
    )
    return pd.concat([rows, whole] if len(whole) else [rows])[list(CELL)]

  def flat(self, members: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The cells of some members, with a mean over the outputs in each block.

    The mean goes over the outputs that have a value in every one of these
    members, so that what is averaged does not change from seed to seed.

    Args:
      members: int [row], places on the member axis.

    Returns:
      float64 [row, cell], and int [cell]: the outputs in the mean; -1 in a
      cell that is not one.
    """
    values = self.values[members]
    common = np.isfinite(values).all(axis=0)
    used = common.sum(axis=1)
    total = np.where(common, values, 0.0).sum(axis=2)
    mean = np.divide(
      total, used, out=np.full(total.shape, np.nan), where=used > 0
    )
    cells = np.concatenate([values, mean[:, :, None]], axis=2)
    averaged = np.full(cells.shape[1:], -1)
    averaged[:, -1] = used
    whole = self.overall[members]
    flat = np.concatenate([cells.reshape(len(members), -1), whole], axis=1)
    return flat, np.append(averaged.ravel(), np.full(whole.shape[1], -1))


def make_cells(arrays: xr.Dataset) -> Cells:
  """Lays out every metric of `arrays` as cells of one large table."""
  output = output_of(arrays)
  single = CLASS_METRICS if output == "class" else ATTRIBUTE_METRICS
  singles = (*single, *DERIVED_METRICS)
  values: list[np.ndarray] = []
  blocks: list[tuple[str, str, str, str]] = []

  def add(rule: int, metric: str, identity: str, value: str, of: str) -> None:
    rule_name = str(arrays["threshold_rule"].to_numpy()[rule])
    blocks.append((rule_name, metric, identity, value))
    values.append(arrays[of].to_numpy()[:, rule])

  for rule in range(arrays.sizes["threshold_rule"]):
    for metric in singles:
      # The default threshold is 0 by definition, in every member.
      if metric != "threshold" or rule > 0:
        add(rule, metric, EVERYONE, EVERYONE, metric)
    for of, metric, along in (
      ("bias_amplification", "bias_amplification", "pair"),
      *((f"group_{name}", name, "group") for name in GROUP_METRICS),
    ):
      for place, (identity, value) in enumerate(
        zip(
          arrays[f"{along}_identity"].to_numpy().tolist(),
          arrays[f"{along}_value"].to_numpy().tolist(),
          strict=True,
        )
      ):
        if identity != EVERYONE or metric not in singles:
          add(rule, metric, identity, value, of)
          values[-1] = values[-1][:, :, place]
  whole = [f"overall_{name}" for name in OVERALL_METRICS]
  columns = [arrays[name].to_numpy()[:, 0] for name in whole if name in arrays]
  members = arrays.sizes["member"]
  return Cells(
    values=np.stack(values, axis=1),
    blocks=pd.DataFrame(
      blocks, columns=["threshold_rule", "metric", "identity", "value"]
    ),
    overall=np.array(columns).T.reshape(members, len(columns)),
    names=tuple(map(str, arrays[output].to_numpy())),
    output=output,
  )


def members_of(arrays: xr.Dataset) -> pd.DataFrame:
  """The members in order: pruner, sparsity, quantization, seed."""
  return pd.DataFrame({key: arrays[key].to_numpy() for key in MEMBER})


def populations(members: pd.DataFrame) -> dict[Population, np.ndarray]:
  """The populations in order, each with its places on the member axis."""
  found: dict[Population, list[int]] = {}
  columns = [members[name].tolist() for name in POPULATION]
  for place, population in enumerate(zip(*columns, strict=True)):
    found.setdefault(population, []).append(place)
  return {key: np.array(places) for key, places in found.items()}


def baseline(members: pd.DataFrame) -> Population | None:
  """The dense population: unquantized, pruner "dense" or else sparsity 0."""
  found = [
    key
    for key in populations(members)
    if key[2] == "none" and (key[0] == "dense" or key[1] == 0)
  ]
  return min(found, key=lambda key: key[0] != "dense", default=None)


def paired(
  members: pd.DataFrame, compressed: np.ndarray, dense: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """Places of the members of two populations that share a seed, in pairs."""
  seeds = members["seed"].to_numpy()
  place = {seeds[i]: i for i in dense}
  pairs = [(i, place[seeds[i]]) for i in compressed if seeds[i] in place]
  both = np.array(pairs, int).reshape(-1, 2)
  return both[:, 0], both[:, 1]
