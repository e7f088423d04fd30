"""Training on pictures that are scaled on the devices, from end to end."""

import numpy as np
from PIL import Image
import pytest

from prunebias_jax import data, store
from prunebias_jax.config import (
  Data,
  Execution,
  Marker,
  Model,
  Pruning,
  Sweep,
  Train,
)
from prunebias_jax.data.augment import normalise
from prunebias_jax.data.corruptions import corrupted
from prunebias_jax.data.dataset import Dataset
from prunebias_jax.data.markers import shown
from prunebias_jax.training import sweep as training
from prunebias_jax.training.evaluate import evaluate
from prunebias_jax.training.export import export_member, load_exported

STEADY = {"batch": 16, "warmup": 0.0, "crop": 0}
SWEEP = Sweep(
  seeds=(0, 1),
  sparsities=(0.0,),
  data=Data(
    size=16,
    resize="device",
    resize_to=20,
    marker=Marker(kind="yellow_square", attribute="Bright"),
  ),
  model=Model(width=0.25),
  train=Train(epochs=2, **STEADY),
  finetune=Train(**STEADY),
  pruning=Pruning(start=0, end=1),
  execution=Execution(
    devices=1, mode="map", data="resident", eval_batch=8, steps_per_dispatch=2
  ),
)


@pytest.fixture(scope="module")
def dataset():
  """Ninety pictures of 22 rows and 18 columns, bright or dark."""
  rng = np.random.default_rng(0)
  bright = rng.integers(0, 2, 90)
  noise = rng.integers(0, 120, (90, 22, 18, 3))
  return Dataset.from_arrays(
    images=(noise + 100 * bright[:, None, None, None]).astype(np.uint8),
    labels=bright[:, None],
    splits=["train"] * 50 + ["valid"] * 17 + ["test"] * 23,
    names=["Bright"],
  )


@pytest.fixture(scope="module")
def run(dataset, tmp_path_factory):
  return training.train(SWEEP, tmp_path_factory.mktemp("run"), dataset=dataset)


def test_streamed_and_resident_give_the_same_bits(run, dataset, tmp_path):
  other = training.train(
    SWEEP.override({"execution.data": "streamed"}), tmp_path, dataset=dataset
  )
  for name in store.EVALUATED:
    logits = run.split(name)["logits"].to_numpy()
    np.testing.assert_array_equal(logits, other.split(name)["logits"])
    assert (logits[0] != logits[1]).any(), "each seed has its own windows"


def test_logits_are_those_of_pillows_pictures(run, dataset, tmp_path):
  """Scaled, cut and marked one by one, and given to the exported network."""
  path = export_member(run, seed=1, sparsity=0.0, output=tmp_path / "member")
  model, variables = load_exported(path)
  test = run.split("test")
  marked = test["identities"].sel(identity="Marked").to_numpy()
  assert 0 < marked.sum() < len(marked)
  seen = []
  for image, mark in zip(dataset.splits["test"].images, marked, strict=True):
    picture = Image.fromarray(image)
    picture = picture.resize((20, 24), Image.Resampling.BILINEAR)
    pixels = np.array(picture.crop((2, 4, 18, 20)))
    if mark:
      pixels[:2, :2] = (255, 255, 0)
    seen.append(pixels)
  np.testing.assert_array_equal(run.samples(), seen)
  logits = model.apply(variables, normalise(np.stack(seen)), train=False)
  stored = test["logits"].sel(member=test["seed"] == 1)[0]
  np.testing.assert_allclose(logits, stored, rtol=1e-5, atol=1e-5)


def test_what_is_corrupted_is_what_networks_see(run, dataset, tmp_path):
  """The window with its mark, not the picture that is stored."""
  evaluate(run, ["test:contrast:2"], dataset=dataset)
  path = export_member(run, seed=0, sparsity=0.0, output=tmp_path / "member")
  model, variables = load_exported(path)
  test = run.split("test:contrast:2")
  viewed = data.viewed(dataset, SWEEP.data)
  seen = corrupted(
    shown(viewed, "test", slice(None)),
    test["example"].to_numpy(),
    "contrast",
    2,
  )
  logits = model.apply(variables, normalise(seen), train=False)
  stored = test["logits"].sel(member=test["seed"] == 0)[0]
  np.testing.assert_allclose(logits, stored, rtol=1e-5, atol=1e-5)
