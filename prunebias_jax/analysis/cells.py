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
  DERIVED_OVERALL_METRICS,
  DIRECTIONAL_METRICS,
  EVERYONE,
  FAIRNESS_METRICS,
  GROUP_METRICS,
  MEAN,
  MEMBER,
  OVERALL_FAIRNESS_METRICS,
  OVERALL_METRICS,
  PARENT,
  POPULATION,
  PURPOSES,
  RULES,
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
    whole: float64 [member, cell]: numbers of a classifier as a whole.
    whole_key: the columns `columns.CELL` of these.
    names: the outputs' names.
    output: "attribute" or "class".
  """

  values: np.ndarray
  blocks: pd.DataFrame
  whole: np.ndarray
  whole_key: pd.DataFrame
  names: tuple[str, ...]
  output: str

  @property
  def key(self) -> pd.DataFrame:
    """The columns `columns.CELL` of the cells that `flat` returns."""
    names = [*self.names, MEAN]
    rows = self.blocks.loc[self.blocks.index.repeat(len(names))].copy()
    rows["attribute"] = np.tile(np.array(names, object), len(self.blocks))
    parts = [rows, self.whole_key] if len(self.whole_key) else [rows]
    return pd.concat(parts)[list(CELL)]

  def averaged(self, members: np.ndarray) -> np.ndarray:
    """The outputs that the mean of each block goes over: bool [block, output].

    Those that have a value in every one of these members, and in every group
    of the block's identity: so seeds, sides and groups are compared on the
    same outputs. A group without any such output (an empty one, say) has no
    mean, and does not narrow the others'.

    Args:
      members: int [row], places on the member axis.
    """
    complete = np.isfinite(self.values[members]).all(axis=0)
    some = complete.any(axis=1)
    family = self.blocks.groupby(
      ["threshold_rule", "metric", "identity"], sort=False
    ).ngroup()
    shared = np.ones((int(family.max()) + 1, len(self.names)), bool)
    np.logical_and.at(shared, family.to_numpy()[some], complete[some])
    return shared[family] & complete

  def flat(self, members: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The cells of some members, with a mean over the outputs in each block.

    Args:
      members: int [row], places on the member axis.

    Returns:
      float64 [row, cell], and int [cell]: the outputs in the mean, see
      `averaged`; -1 in a cell that is not one.
    """
    values = self.values[members]
    common = self.averaged(members)
    used = common.sum(axis=1)
    total = np.where(common, values, 0.0).sum(axis=2)
    mean = np.divide(
      total, used, out=np.full(total.shape, np.nan), where=used > 0
    )
    cells = np.concatenate([values, mean[:, :, None]], axis=2)
    counts = np.full(cells.shape[1:], -1)
    counts[:, -1] = used
    whole = self.whole[members]
    flat = np.concatenate([cells.reshape(len(members), -1), whole], axis=1)
    return flat, np.append(counts.ravel(), np.full(whole.shape[1], -1))


def make_cells(arrays: xr.Dataset) -> Cells:
  """Lays out every metric of `arrays` as cells of one large table."""
  output = output_of(arrays)
  singles: tuple[str, ...] = CLASS_METRICS
  if output == "attribute":
    singles = (*ATTRIBUTE_METRICS, *DERIVED_METRICS)
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
      for place, (identity, value) in enumerate(_groups(arrays, along)):
        if identity != EVERYONE or metric not in singles:
          add(rule, metric, identity, value, of)
          values[-1] = values[-1][:, :, place]
    for place, identity in enumerate(arrays["identity"].to_numpy().tolist()):
      # The families begin with the identities, and go on with crossings.
      for metric in FAIRNESS_METRICS:
        add(rule, metric, identity, EVERYONE, metric)
        values[-1] = values[-1][:, :, place]
  whole, whole_key = _whole(arrays)
  return Cells(
    values=np.stack(values, axis=1),
    blocks=pd.DataFrame(
      blocks, columns=["threshold_rule", "metric", "identity", "value"]
    ),
    whole=whole,
    whole_key=whole_key,
    names=tuple(map(str, arrays[output].to_numpy())),
    output=output,
  )


def _groups(arrays: xr.Dataset, along: str) -> list[tuple[str, str]]:
  """Identity and value along the dimension "group" or "pair"."""
  columns = (arrays[f"{along}_identity"], arrays[f"{along}_value"])
  return list(zip(*(one.to_numpy().tolist() for one in columns), strict=True))


def _whole(arrays: xr.Dataset) -> tuple[np.ndarray, pd.DataFrame]:
  """A classifier's numbers as a whole: of everyone, of groups, of identities.

  Returns:
    float64 [member, cell] and the cells' key.
  """
  columns: list[np.ndarray] = []
  rows: list[tuple[str, str, str, str]] = []
  default = RULES[0]
  for metric in (*OVERALL_METRICS, *DERIVED_OVERALL_METRICS):
    if f"overall_{metric}" in arrays:
      columns.append(arrays[f"overall_{metric}"].to_numpy()[:, 0])
      rows.append((default, metric, EVERYONE, EVERYONE))
  if "overall_group_accuracy" in arrays:
    accuracy = arrays["overall_group_accuracy"].to_numpy()[:, 0]
    for place, (identity, value) in enumerate(_groups(arrays, "group")):
      if identity != EVERYONE:
        columns.append(accuracy[:, place])
        rows.append((default, "accuracy", identity, value))
  for rule, rule_name in enumerate(arrays["threshold_rule"].to_numpy()):
    for metric in DIRECTIONAL_METRICS:
      for place, identity in enumerate(arrays["identity"].to_numpy()):
        columns.append(arrays[metric].to_numpy()[:, rule, place])
        rows.append((str(rule_name), metric, str(identity), EVERYONE))
  for metric in OVERALL_FAIRNESS_METRICS:
    if f"overall_{metric}" in arrays:
      for place, identity in enumerate(arrays["identity"].to_numpy()):
        columns.append(arrays[f"overall_{metric}"].to_numpy()[:, 0, place])
        rows.append((default, metric, str(identity), EVERYONE))
  key = pd.DataFrame(
    rows, columns=["threshold_rule", "metric", "identity", "value"]
  ).assign(attribute=ALL)
  members = arrays.sizes["member"]
  return np.array(columns).T.reshape(members, len(columns)), key


def members_of(arrays: xr.Dataset) -> pd.DataFrame:
  """The members in order, with the columns of `checks.members_in`."""
  return pd.DataFrame(
    {key: arrays[key].to_numpy() for key in (*MEMBER, PARENT)}
  )


def populations(members: pd.DataFrame) -> dict[Population, np.ndarray]:
  """The populations in order, each with its places on the member axis."""
  found: dict[Population, list[int]] = {}
  columns = [members[name].tolist() for name in POPULATION]
  for place, population in enumerate(zip(*columns, strict=True)):
    found.setdefault(population, []).append(place)
  return {key: np.array(places) for key, places in found.items()}


def baseline(
  members: pd.DataFrame, population: Population | None = None
) -> Population | None:
  """The dense population that one is compared with, always unquantized.

  Args:
    members: all of the run.
    population: the one that is compared; None for any.

  Returns:
    That of the pruner "dense". Without one, that of sparsity 0 of the
    population's own pruner; or else the first of sparsity 0 in the members'
    order. None where there is none.
  """
  found = [key for key in populations(members) if key[2] == "none"]
  own = "" if population is None else population[0]
  candidates = [
    *(key for key in found if key[0] == "dense"),
    *(key for key in found if key[1] == 0 and key[0] == own),
    *(key for key in found if key[1] == 0),
  ]
  return next(iter(candidates), None)


def paired(
  members: pd.DataFrame, compressed: np.ndarray, dense: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """Places of members and of the dense members that they pair with."""
  seeds, parents = members["seed"].to_numpy(), members[PARENT].to_numpy()
  place = {seeds[i]: i for i in dense}
  pairs = [(i, place[parents[i]]) for i in compressed if parents[i] in place]
  both = np.array(pairs, int).reshape(-1, 2)
  return both[:, 0], both[:, 1]


def crossed_factors(members: pd.DataFrame) -> tuple[str, ...]:
  """The purposes whose seeds some members of a population share.

  Args:
    members: of one population, with the columns of `columns.PURPOSES` where
      they are known.

  Returns:
    Those among `columns.PURPOSES`; empty where all members are independent.
  """
  known = [name for name in PURPOSES if name in members]
  return tuple(name for name in known if members[name].duplicated().any())
