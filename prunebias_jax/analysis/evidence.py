"""One evaluation of a run, as every statistic of it wants it.

Logits stay where they are stored; they are read for one member, or for those
of one population, when asked for.
"""

from collections.abc import Sequence
import dataclasses
from typing import Self

import numpy as np
import pandas as pd
import xarray as xr

from prunebias_jax.analysis.cells import (
  Population,
  baseline,
  paired,
  populations,
)
from prunebias_jax.analysis.checks import members_in, name_of, places_of
from prunebias_jax.analysis.columns import MAIN
from prunebias_jax.analysis.facts import Facts
from prunebias_jax.analysis.options import Options
from prunebias_jax.errors import InputError

Where = tuple[str, str]  # checkpoint, split


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evidence:
  """The members' logits on one split, with all that is known of the split.

  Attributes:
    where: checkpoint and split.
    facts: the ground truth of the split, and train rates.
    members: one row a member: pruner, sparsity, quantization, seed and
      parent_seed, see `checks.members_in`.
    data: the split; `logits` [member, example, output] in the order of
      `members`, read lazily; `truth_*` where known.
    valid: the same members on the validation split, in the same order; None
      where they have no logits there.
    options: what the user chose.
    left_out: the members that are not here, for they have diverged or their
      logits are not finite, as a reader names them.
  """

  where: Where
  facts: Facts
  members: pd.DataFrame
  data: xr.Dataset
  valid: Self | None
  options: Options
  left_out: tuple[str, ...] = ()

  def logits(self, place: int) -> np.ndarray:
    """One member's logits, [example, output], in the precision stored."""
    return self.data["logits"].isel(member=place).to_numpy()

  def predictions(
    self,
    places: Sequence[int] | np.ndarray,
    thresholds: np.ndarray | None = None,
  ) -> np.ndarray:
    """What members predict: bool [member, example, output].

    Args:
      places: the members.
      thresholds: float64 [member, output], logits, of these members; None for
        the default rule: 0, and the likeliest of exclusive classes.
    """
    outputs = len(self.facts.names)
    shape = (len(places), self.data.sizes["example"], outputs)
    predicted = np.empty(shape, bool)
    for row, place in enumerate(places):
      logits = self.logits(int(place))
      if self.facts.exclusive:
        top = np.argmax(logits, axis=1)
        predicted[row] = top[:, None] == np.arange(outputs)
      else:
        predicted[row] = logits > (0 if thresholds is None else thresholds[row])
    return predicted

  def populations(self) -> dict[Population, np.ndarray]:
    """The populations in order, each with its members' places."""
    return populations(self.members)

  def compared(self) -> dict[Population, tuple[Population, np.ndarray]]:
    """Each compressed population with its dense one and who pairs with whom.

    Returns:
      By population: the dense population, and int [pair, 2], the places of a
      compressed member and of its dense partner; no row where nothing pairs.
    """
    found = self.populations()
    result = {}
    for population, places in found.items():
      dense = baseline(self.members, population)
      if dense is not None and dense != population:
        both = paired(self.members, places, found[dense])
        result[population] = (dense, np.stack(both, axis=1))
    return result


def gather_evidence(
  where: Where,
  data: xr.Dataset,
  facts: Facts,
  options: Options,
  *,
  valid: xr.Dataset | None = None,
  valid_facts: Facts | None = None,
) -> Evidence:
  """Takes an evaluation apart; finds its members among the validation logits.

  Args:
    where: checkpoint and split.
    data: the split with its logits.
    facts: its ground truth.
    options: what the user chose.
    valid: the validation split with logits, if any.
    valid_facts: its ground truth; given where `valid` is.

  Returns:
    The evidence.

  Raises:
    InputError: no member, a member that is there twice, or one without
      validation logits where there are any; logits that are not finite, unless
      the user skips such members, or no others.
  """
  members = members_in(data)
  if valid is not None:
    valid = valid.isel(member=places_of(members, valid))
  bad = _not_finite([one for one in (data, valid) if one is not None])
  names = tuple(name_of(members.iloc[place]) for place in np.flatnonzero(bad))
  if bad.all() or (bad.any() and not options.skip_bad):
    ending = "" if where == MAIN else f" ({where[1]}, {where[0]} parameters)"
    raise InputError(
      f"logits that are not finite cannot be analysed: {'; '.join(names)}"
      + ending
    )
  if bad.any():
    kept = np.flatnonzero(~bad)
    members = members.iloc[kept].reset_index(drop=True)
    data = data.isel(member=kept)
    valid = None if valid is None else valid.isel(member=kept)
  beside = None
  if valid is not None and valid_facts is not None:
    beside = Evidence(
      where=(where[0], "valid"),
      facts=valid_facts,
      members=members,
      data=valid,
      valid=None,
      options=options,
    )
  return Evidence(
    where=where,
    facts=facts,
    members=members,
    data=data,
    valid=beside,
    options=options,
    left_out=(*data.attrs.get("left_out", ()), *names),
  )


def _not_finite(splits: Sequence[xr.Dataset]) -> np.ndarray:
  """Which members have a logit that is not finite: bool [member]."""
  return np.array(
    [
      not all(
        np.isfinite(data["logits"].isel(member=place).to_numpy()).all()
        for data in splits
      )
      for place in range(splits[0].sizes["member"])
    ]
  )
