"""What members would cost: parameters, multiplications, bytes.

All of it is arithmetic on shapes and zeros. Masks simulate sparsity: nothing
here is smaller or faster unless a runtime makes use of it.
"""

from collections.abc import Mapping, Sequence
import dataclasses
from typing import Any

from flax import traverse_util
import numpy as np
import pandas as pd

from prunebias_jax import models, store
from prunebias_jax.models.layers import Layer, find_layers
from prunebias_jax.training.layers import POPULATION
from prunebias_jax.training.parameters import load_parameters, parameters_path

COSTS = "costs.csv"
# Bytes of a kernel's weight; of a bias; float32 is 4.
WIDTHS = {
  "none": (4, 4),
  "float16": (2, 2),
  "int8_dynamic": (1, 4),
  "int8_static": (1, 4),
}
FLOAT = 4
# A fixed scale and zero point for the inputs of a layer.
FIXED = 5


@dataclasses.dataclass(frozen=True)
class Costs:
  """What one member costs.

  Attributes:
    parameters: number of parameters.
    parameters_left: of them, those that are not zeros of a kernel.
    flops: operations for one image, two for each multiplication of a
      convolution or linear layer; everything else is not counted.
    flops_left: the same without multiplications by zeros of a kernel.
    bytes_float32: parameters and batch statistics as float32.
    bytes_dense: the same with kernels and biases as the quantization has them,
      and its scales.
    bytes_sparse: the same with kernels as a bit for each weight, and the
      weights that are not zero.
  """

  parameters: int
  parameters_left: int
  flops: int
  flops_left: int
  bytes_float32: int
  bytes_dense: int
  bytes_sparse: int


COLUMNS = [
  *POPULATION,
  "members",
  *(field.name for field in dataclasses.fields(Costs)),
]
_FLAGS = ("done", "diverged")  # of a member, not what it is


def member_costs(
  layers: Sequence[Layer],
  params: Mapping[str, Any],
  batch_stats: Mapping[str, Any],
  *,
  kind: str = "none",
  granularity: str | None = None,
) -> Costs:
  """The costs of one member.

  Args:
    layers: what `models.layers.find_layers` finds in its network.
    params: parameters; zeros of kernels count as pruned.
    batch_stats: running statistics.
    kind: its quantization, a key of `WIDTHS`.
    granularity: "channel" where each output has a scale of its own.
  """
  flat = traverse_util.flatten_dict(params, sep="/")
  statistics = traverse_util.flatten_dict(batch_stats, sep="/")
  parameters = sum(map(np.size, flat.values()))
  numbers = parameters + sum(map(np.size, statistics.values()))
  of_weight, of_bias = WIDTHS[kind]
  zeros, flops, flops_left = 0, 0, 0
  # What is float32 whatever the quantization, and what the layers hold.
  floats, dense, sparse = numbers, 0, 0
  for layer in layers:
    kernel = np.asarray(flat[f"{layer.path}/kernel"])
    bias = np.size(flat.get(f"{layer.path}/bias", ()))
    left = int(np.count_nonzero(kernel))
    zeros += kernel.size - left
    # Not of the layer's own shape: a loop over layers stores them as one.
    flops += 2 * kernel.size * layer.positions
    flops_left += 2 * left * layer.positions
    floats -= kernel.size + bias
    fixed = of_bias * bias + _bytes_of_scales(layer, kind, granularity)
    dense += of_weight * kernel.size + fixed
    sparse += of_weight * left + -(-kernel.size // 8) + fixed
  return Costs(
    parameters=parameters,
    parameters_left=parameters - zeros,
    flops=flops,
    flops_left=flops_left,
    bytes_float32=FLOAT * numbers,
    bytes_dense=FLOAT * floats + dense,
    bytes_sparse=FLOAT * floats + sparse,
  )


def _bytes_of_scales(layer: Layer, kind: str, granularity: str | None) -> int:
  """Scales of a layer's kernel, and of its inputs where they are fixed."""
  if not kind.startswith("int8"):
    return 0
  scales = layer.features if granularity == "channel" else 1
  return FLOAT * scales + (FIXED if kind == "int8_static" else 0)


def cost_table(run: store.Run) -> pd.DataFrame:
  """Costs of every population, means over its members whose parameters stay.

  Args:
    run: a run that keeps parameters.

  Returns:
    One row for each population: pruner, sparsity, quantization, members (how
    many the means are of) and the fields of `Costs`.
  """
  members = run.members()
  usable = members[members["done"] & ~members["diverged"]]
  shared = [name for name in usable if name not in ("quantization", *_FLAGS)]
  granularity = {
    scheme["kind"]: scheme["granularity"]
    for scheme in run.facts.get("quantization", ())
  }
  rows: list[dict[str, Any]] = []
  layers: list[Layer] | None = None
  for _, alike in usable.groupby(shared, sort=False, dropna=False):
    trained = alike.index[alike["quantization"] == "none"]
    if not len(trained):
      continue
    index = int(trained[0])
    if not parameters_path(run.path, index).exists():
      continue
    parts = load_parameters(run.path, index)
    layers = layers or _layers_of(run, parts)
    for _, member in alike.iterrows():
      kind = member["quantization"]
      costs = member_costs(
        layers,
        parts["params"],
        parts["batch_stats"],
        kind=kind,
        granularity=granularity.get(kind),
      )
      key = {name: member[name] for name in POPULATION}
      rows.append({**key, **dataclasses.asdict(costs)})
  if not rows:
    return pd.DataFrame(columns=COLUMNS)
  grouped = pd.DataFrame(rows).groupby(POPULATION, sort=False)
  means = grouped.mean().assign(members=grouped.size()).reset_index()
  order = {key: place for place, key in enumerate(_populations(members))}
  keys = means[POPULATION].itertuples(index=False, name=None)
  means = means.iloc[np.argsort([order[key] for key in keys], kind="stable")]
  return means[COLUMNS].reset_index(drop=True)


def write_costs(run: store.Run) -> None:
  """Writes the table of costs into the run."""
  text = cost_table(run).to_csv(index=False)
  store.write_atomically(run.path / COSTS, text)


def _populations(members: pd.DataFrame) -> list[tuple[Any, ...]]:
  """The populations in the order of the index."""
  distinct = members[POPULATION].drop_duplicates()
  return list(distinct.itertuples(index=False, name=None))


def _layers_of(run: store.Run, parts: Mapping[str, Any]) -> list[Layer]:
  """The layers of a run's network that multiply."""
  labels = run.split("train")
  outputs = labels.sizes[store.output_dimension(run.task)]
  shape = tuple(run.samples().shape[1:])
  network = models.build(
    run.sweep().model,
    outputs=outputs,
    lowering="plain",
    image_shape=shape,
  )
  variables = {key: parts[key] for key in ("params", "batch_stats")}
  return find_layers(network, variables, shape)
