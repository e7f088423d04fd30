"""The levels of each pruner side by side, and how far each is safe."""

import dataclasses

import numpy as np
import xarray as xr

from prunebias_jax.analysis.cells import Population
from prunebias_jax.analysis.criteria.safety import Safety, judge
from prunebias_jax.analysis.evidence import Evidence
from prunebias_jax.analysis.parents import by_parent
from prunebias_jax.analysis.rates import divide
from prunebias_jax.analysis.tables import output_of

BIAS = "abs_bias_amplification"
TCB = "abs_log_tcb"
Measure = tuple[str, str, str]  # metric, identity, value


@dataclasses.dataclass(frozen=True, kw_only=True)
class Family:
  """The levels of one pruner and quantization, from the lowest.

  Attributes:
    levels: their populations.
    pairs: of each, int [pair, 2], see `Evidence.compared`.
    measures: the kinds of bias.
    safety: [level, threshold_rule, measure, output]; the last output is the
      mean over the others.
    averaged: int [threshold_rule, measure], the outputs in that mean.
  """

  levels: tuple[Population, ...]
  pairs: tuple[np.ndarray, ...]
  measures: tuple[Measure, ...]
  safety: Safety
  averaged: np.ndarray


def judged_families(evidence: Evidence, arrays: xr.Dataset) -> list[Family]:
  """Judges every pruner and quantization of which some level has pairs.

  The mean goes over the outputs that have a value in every dense member of the
  pairs; a pair whose compressed member lacks one of these has no mean. So an
  output that compression makes constant does not leave the mean unseen.
  """
  by_family: dict[tuple[str, str], list[Population]] = {}
  compared = evidence.compared()
  for population in compared:
    family = population[0], population[2]
    by_family.setdefault(family, []).append(population)
  sizes, measures = bias_sizes(arrays)
  result = []
  for populations in by_family.values():
    levels = tuple(sorted(populations, key=lambda one: one[1]))
    pairs = tuple(compared[one][1] for one in levels)
    if not any(len(one) for one in pairs):
      continue
    partners = np.concatenate([one[:, 1] for one in pairs])
    common = np.isfinite(sizes[partners]).all(axis=0)
    full = _with_mean(sizes, common)
    result.append(
      Family(
        levels=levels,
        pairs=pairs,
        measures=measures,
        safety=judge(
          [by_parent(full[one[:, 1]], one) for one in pairs],
          [by_parent(full[one[:, 0]], one) for one in pairs],
          margin=evidence.options.safe_margin,
          level=evidence.options.level,
        ),
        averaged=common.sum(axis=-1),
      )
    )
  return result


def bias_sizes(arrays: xr.Dataset) -> tuple[np.ndarray, tuple[Measure, ...]]:
  """How large each kind of bias is: |bias amplification|, |log tcb|.

  Returns:
    float64 [member, threshold_rule, measure, output], NaN where there is no
    value or it is infinite (a tcb of 0), and the measures.
  """
  output = output_of(arrays)
  order = ("member", "threshold_rule", "pair", output)
  bias = arrays["bias_amplification"].transpose(*order).to_numpy()
  tcb = arrays["tcb"].to_numpy()
  with np.errstate(divide="ignore"):
    shift = np.abs(np.log(tcb))
  sizes = np.concatenate([np.abs(bias), shift[:, :, None]], axis=2)
  measures: list[Measure] = [
    (BIAS, str(identity), str(value))
    for identity, value in zip(
      arrays["pair_identity"].to_numpy(),
      arrays["pair_value"].to_numpy(),
      strict=True,
    )
  ]
  sizes[~np.isfinite(sizes)] = np.nan
  return sizes, (*measures, (TCB, "", ""))


def _with_mean(sizes: np.ndarray, common: np.ndarray) -> np.ndarray:
  """Adds the mean over the outputs in `common` as a last output."""
  total = np.where(common, sizes, 0.0).sum(axis=-1, keepdims=True)
  mean = divide(total, common.sum(axis=-1, keepdims=True))
  return np.concatenate([sizes, mean], axis=-1)
