"""The table "exemplars", and the arrays of all examples behind it."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import xarray as xr

from prunebias_jax.analysis.cells import Population
from prunebias_jax.analysis.columns import POPULATION, WHERE
from prunebias_jax.analysis.evidence import Evidence
from prunebias_jax.analysis.exemplars.comparison import Comparison, questions
from prunebias_jax.analysis.exemplars.order import onset
from prunebias_jax.analysis.tables import frame

DIMENSIONS = ("population", "example", "attribute")
DECIMALS = 6  # of excess in the table; exact enough to sort by


def shown(comparison: Comparison) -> dict[str, np.ndarray]:
  """What is kept of a comparison, compact: [example, question] each.

  `dense_share` and `compressed_share` are the shares of members that predict
  an attribute, or that vote for the dense modal class.
  """
  shares = {}
  for side, votes in (
    ("dense", comparison.sides.dense),
    ("compressed", comparison.sides.compressed),
  ):
    counts = votes.counts
    if votes.exclusive:
      modal = comparison.modal_dense.astype(np.int64)
      counts = np.take_along_axis(counts, modal, axis=1)
    shares[f"{side}_share"] = (counts / votes.members).astype(np.float32)
  outputs = comparison.sides.dense.probability.shape[1]
  small = comparison.sides.dense.exclusive and outputs > 127
  kind = np.int16 if small else np.int8
  return {
    **shares,
    "modal_dense": comparison.modal_dense.astype(kind),
    "modal_compressed": comparison.modal_compressed.astype(kind),
    "is_cie": comparison.exemplar,
    "taxicab": comparison.taxicab.astype(np.float32),
    "excess": comparison.excess.astype(np.float32),
    "rank": comparison.rank,
    "listed": comparison.listed,
    "control": comparison.control,
  }


def example_arrays(
  evidence: Evidence,
  populations: Sequence[Population],
  parts: Sequence[dict[str, np.ndarray]],
) -> xr.Dataset:
  """Stacks what `shown` returns, and adds the onset of every series.

  Args:
    evidence: the evaluation.
    populations: the compressed populations.
    parts: what is kept of each.

  Returns:
    Variables [population, example, attribute]; of a classifier `attribute` is
    one, "(all)".
  """
  names = questions(evidence)
  data = xr.Dataset(attrs=dict(zip(WHERE, evidence.where, strict=True)))
  for name in parts[0]:
    data[name] = (DIMENSIONS, np.stack([part[name] for part in parts]))
  exemplar = data["is_cie"].to_numpy()
  found = np.full(exemplar.shape, np.nan, np.float32)
  series: dict[tuple[str, str], list[int]] = {}
  for place, (pruner, _, quantization) in enumerate(populations):
    series.setdefault((pruner, quantization), []).append(place)
  for places in series.values():
    places.sort(key=lambda place: populations[place][1])
    levels = np.array([populations[place][1] for place in places])
    found[places] = onset(exemplar[places], levels)
  data["onset"] = (DIMENSIONS, found)
  columns = zip(*populations, strict=True)
  return data.assign_coords(
    {
      "example": evidence.data["example"].to_numpy().astype(str),
      "attribute": list(names),
      **{
        key: ("population", np.array(values))
        for key, values in zip(POPULATION, columns, strict=True)
      },
    }
  )


def exemplars_table(data: xr.Dataset, reasons: Sequence[str]) -> pd.DataFrame:
  """The rows that a person looks at: exemplars, the queue, the controls.

  Args:
    data: what `example_arrays` returns.
    reasons: of each population, why there is no null, or "".
  """
  chosen = (data["listed"] | data["control"]).to_numpy()
  # By population and attribute, then rank; controls stand at theirs.
  population, attribute, example = np.nonzero(chosen.transpose(0, 2, 1))
  rank = data["rank"].to_numpy()[population, example, attribute]
  order = np.lexsort((rank, attribute, population))
  rows = (population[order], example[order], attribute[order])

  def column(name: str) -> np.ndarray:
    return data[name].to_numpy()[rows]

  def names(key: str, places: np.ndarray) -> np.ndarray:
    values = data[key].to_numpy()
    return (values.astype(object) if values.dtype.kind in "UT" else values)[
      places
    ]

  members = {
    f"{side}_share": np.round(column(f"{side}_share").astype(float), DECIMALS)
    for side in ("dense", "compressed")
  }
  return frame(
    "exemplars",
    {
      **{key: names(key, rows[0]) for key in POPULATION},
      "example_id": names("example", rows[1]),
      "attribute": names("attribute", rows[2]),
      **members,
      "taxicab": np.round(column("taxicab").astype(float), DECIMALS),
      "excess": np.round(column("excess").astype(float), DECIMALS),
      "onset": np.round(column("onset").astype(float), DECIMALS),
      **{
        name: column(name)
        for name in (
          "modal_dense",
          "modal_compressed",
          "is_cie",
          "rank",
          "control",
        )
      },
      "reason": np.array(reasons, object)[rows[0]],
    },
    data,
  )
