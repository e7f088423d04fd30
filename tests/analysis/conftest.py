from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pytest
import xarray as xr

from prunebias_jax.analysis import Options
from prunebias_jax.analysis.evidence import gather_evidence
from prunebias_jax.analysis.exemplars import Exemplars, examine
from prunebias_jax.analysis.facts import gather

Members = Sequence[tuple[str, float, str, int]]
DENSE_AND_ONE: Members = [
  (pruner, sparsity, "none", seed)
  for seed in range(3)
  for pruner, sparsity in (("dense", 0.0), ("magnitude", 0.9))
]


def _with_members(data: xr.Dataset, members: Members) -> xr.Dataset:
  columns = zip(*members, strict=True)
  names = ("pruner", "sparsity", "quantization", "seed")
  return data.assign_coords(
    {
      name: ("member", np.array(column, object if kind == "text" else None))
      for name, column, kind in zip(
        names, columns, ("text", "", "text", ""), strict=True
      )
    }
  )


@pytest.fixture
def make_splits() -> Callable[..., dict[str, xr.Dataset]]:
  """Splits as `store.Run.split` returns them, of random numbers."""

  def make(
    members: Members = DENSE_AND_ONE,
    *,
    names: Sequence[str] = ("A", "B", "C"),
    identities: Sequence[str] = ("A", "G"),
    examples: int = 60,
    multiclass: bool = False,
    seed: int = 0,
  ) -> dict[str, xr.Dataset]:
    rng = np.random.default_rng(seed)
    output = "class" if multiclass else "attribute"
    splits = {}
    for name in ("train", "valid", "test"):
      group = rng.integers(0, 2, (examples, len(identities)))
      lean = group[:, -1:].sum(axis=1, keepdims=True)
      truth = rng.normal(size=(examples, len(names))) + lean
      if multiclass:
        labels, dims = truth.argmax(1).astype(np.int32), ("example",)
      else:
        labels, dims = (truth > 1.0).astype(np.uint8), ("example", output)
      data = xr.Dataset(
        {
          "labels": (dims, labels),
          "identities": (("example", "identity"), group.astype(np.uint8)),
        },
        coords={
          "example": [f"{name}{i}" for i in range(examples)],
          output: list(names),
          "identity": np.array(identities, str),
        },
      )
      if name != "train":
        noise = rng.normal(size=(len(members), *truth.shape))
        spread = np.array([0.5 + member[1] for member in members])
        logits = truth - 1.0 + noise * spread[:, None, None]
        data["logits"] = (
          ("member", "example", output),
          logits.astype(np.float32),
        )
        data = _with_members(data, members)
      splits[name] = data
    return splits

  return make


@pytest.fixture
def edit() -> Callable[..., dict[str, xr.Dataset]]:
  """Replaces a variable of one split by what a function makes of it."""

  def apply(
    splits: Mapping[str, xr.Dataset],
    split: str,
    variable: str,
    change: Callable[[np.ndarray], np.ndarray],
  ) -> dict[str, xr.Dataset]:
    data = splits[split]
    values = change(data[variable].to_numpy().copy())
    changed = data.assign({variable: (data[variable].dims, values)})
    return {**splits, split: changed}

  return apply


@pytest.fixture
def examined() -> Callable[..., Exemplars]:
  """The exemplars of the test split, without the rest of an analysis."""

  def apply(splits: Mapping[str, xr.Dataset], **choices: object) -> Exemplars:
    return examine(
      gather_evidence(
        ("last", "test"), splits["test"], gather(splits), Options(**choices)
      )
    )

  return apply
