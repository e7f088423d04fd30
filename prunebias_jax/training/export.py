"""One member as a file of its own: the network, its parameters, its names."""

import json
from pathlib import Path
import shutil
from typing import Any

from flax import traverse_util
import flax.linen as nn
import numpy as np

from prunebias_jax import models, store
from prunebias_jax.config import Sweep
from prunebias_jax.errors import InputError
from prunebias_jax.training.parameters import load_parameters

DESCRIPTION = "description.json"


def export_member(
  run: store.Run,
  *,
  seed: int,
  sparsity: float,
  output: Path,
  checkpoint: str = "last",
) -> Path:
  """Writes one member's parameters and what is needed to apply them.

  Args:
    run: a run that keeps parameters.
    seed: the member's seed.
    sparsity: its sparsity.
    output: a folder to make; one that is there is refused.
    checkpoint: "last", or "best" (lowest validation loss) where kept.

  Returns:
    The folder: parameters.npz (params/..., batch_stats/..., masks/...) and
    description.json (model, names, image shape, normalisation, member).

  Raises:
    InputError: no such member, no parameters of it, a folder in the way, or an
      imported run.
  """
  model = run.sweep().to_dict()["model"]
  # A quantized member has the parameters of the one that it was made of.
  members = run.trained()
  found = members.index[
    (members["seed"] == seed) & np.isclose(members["sparsity"], sparsity)
  ]
  if not len(found):
    seeds = ", ".join(map(str, members["seed"].unique()))
    levels = ", ".join(f"{one:g}" for one in members["sparsity"].unique())
    raise InputError(
      f"{run.path} has no member of seed {seed} and sparsity {sparsity:g}; "
      f"seeds: {seeds}; sparsities: {levels}"
    )
  index = int(found[0])
  parts = load_parameters(run.path, index, checkpoint)
  if output.exists():
    raise InputError(f"{output} exists already; name a folder to make")
  staging = output.with_name(f".{output.name}.partial")
  shutil.rmtree(staging, ignore_errors=True)
  staging.mkdir(parents=True)
  arrays: dict[str, np.ndarray] = {}
  for part, tree in parts.items():
    flat = traverse_util.flatten_dict(tree, sep="/")
    arrays |= {f"{part}/{name}": array for name, array in flat.items()}
  np.savez(staging / "parameters.npz", allow_pickle=False, **arrays)
  labels = run.split("train")
  names = labels[store.output_dimension(run.task)].values
  description = {
    "member": {
      str(key): value for key, value in members.loc[index].to_dict().items()
    },
    "checkpoint": checkpoint,
    "model": model,
    "task": run.task,
    "outputs": [str(name) for name in names],
    "image_shape": list(run.samples().shape[1:]),
    "normalisation": "pixels * 2 / 255 - 1",
  }
  text = json.dumps(description, indent=1, default=lambda x: x.item())
  (staging / DESCRIPTION).write_text(text + "\n")
  staging.rename(output)
  return output


def load_exported(path: Path) -> tuple[nn.Module, dict[str, Any]]:
  """The network of an exported member and its variables.

  Apply it to float32 images [example, y, x, channel] in [-1, 1] (pixels * 2 /
  255 - 1): `logits = model.apply(variables, images, train=False)`.
  """
  try:
    description = json.loads((path / DESCRIPTION).read_text())
    with np.load(path / "parameters.npz") as file:
      flat = {key: file[key] for key in file.files}
  except (OSError, ValueError) as error:
    raise InputError(f"{path} is no exported member: {error}") from None
  model = models.build(
    Sweep.from_dict({"model": description["model"]}).model,
    outputs=len(description["outputs"]),
    lowering="plain",
    image_shape=tuple(description["image_shape"]),
  )
  tree = traverse_util.unflatten_dict(flat, sep="/")
  return model, {part: tree.get(part, {}) for part in ("params", "batch_stats")}
