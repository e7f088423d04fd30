"""Missing labels teach nothing: loss, gradient, best, a whole run."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pandas as pd
from PIL import Image
import pytest
from sklearn.metrics import log_loss
from splits import make_split

from prunebias_jax import cli, config_file, data, store
from prunebias_jax.errors import InputError
from prunebias_jax.report.sections.groups.table import group_rows
from prunebias_jax.report.source import Source, open_source
from prunebias_jax.training.engine import Engine
from prunebias_jax.training.loss import loss_and_accuracy

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(0, 2, (9, 4)).astype(np.float32)
LABELS = RNG.integers(0, 2, (9, 4)).astype(np.float32)
MISSING = RNG.random((9, 4)) < 0.4
HOLES = np.where(MISSING, np.float32(np.nan), LABELS)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_loss_accuracy_and_gradient_are_those_of_the_labels_there(smoothing):
  def loss_of(logits, labels):
    return loss_and_accuracy("multilabel", logits, labels, smoothing)

  (loss, accuracy), gradient = jax.value_and_grad(loss_of, has_aux=True)(
    LOGITS, HOLES
  )
  # Whole labels in a batch of what is there, by hand.
  (expected, right), kept = jax.value_and_grad(loss_of, has_aux=True)(
    LOGITS[~MISSING][:, None], LABELS[~MISSING][:, None].astype(np.uint8)
  )
  np.testing.assert_allclose(loss, expected, rtol=1e-6)
  np.testing.assert_allclose(accuracy, right, rtol=1e-6)
  np.testing.assert_allclose(gradient[~MISSING], kept[:, 0], rtol=1e-5)
  assert (np.asarray(gradient)[MISSING] == 0).all()


def test_a_missing_label_hides_its_logit_whatever_that_is():
  wild = np.where(MISSING, np.float32(np.inf), LOGITS)
  for logits in (LOGITS, wild):
    loss, gradient = jax.value_and_grad(
      lambda z: loss_and_accuracy("multilabel", z, HOLES)[0]
    )(logits)
    assert np.isfinite(loss)
    assert np.isfinite(gradient).all()
    np.testing.assert_array_equal(
      loss, loss_and_accuracy("multilabel", LOGITS, HOLES)[0]
    )


def test_a_batch_without_labels_is_no_loss():
  nothing = jnp.full((9, 4), jnp.nan)
  (loss, accuracy), gradient = jax.value_and_grad(
    lambda z: loss_and_accuracy("multilabel", z, nothing), has_aux=True
  )(jnp.asarray(LOGITS))
  assert (loss, accuracy) == (0, 0)
  assert not np.asarray(gradient).any()


def test_whole_labels_are_compiled_as_if_none_could_be_missing():
  def plain(logits, labels):
    losses = optax.sigmoid_binary_cross_entropy(logits, labels)
    right = (logits > 0) == (labels > 0)
    return losses.mean(), right.mean(dtype=jnp.float32)

  def text(function, labels):
    return jax.jit(lambda z, y: function(z, y)).lower(LOGITS, labels).as_text()

  def ours(logits, labels):
    return loss_and_accuracy("multilabel", logits, labels)

  whole = LABELS.astype(np.uint8)
  assert text(ours, whole) == text(plain, whole)
  assert text(ours, HOLES) != text(plain, HOLES)


CONFIG = """
from prunebias_jax.config import Data, Execution, Model, Sweep, Table
from prunebias_jax.config import Train

def sweep():
  return Sweep(
    seeds=(0, 1),
    sparsities=(0.0,),
    data=Data(
      name="table",
      root={root!r},
      size=8,
      table=Table(file="table.csv", labels=("A", "B", "C")),
      identities=("camera",),
    ),
    model=Model(width=0.25),
    train=Train(epochs=4, batch=20, crop=0, flip=False, warmup=0),
    finetune=Train(batch=20),
    execution=Execution(devices=1, mode="map", keep_best=True),
  )
"""


def write_table(folder):
  """200 pictures, a third of whose labels nobody knows; B never in test."""
  rng = np.random.default_rng(0)
  parts = []
  for name, count in (("train", 80), ("valid", 60), ("test", 60)):
    split = make_split(count, name)
    for image, one in zip(split.images[..., 0], split.ids, strict=True):
      Image.fromarray(image).save(folder / f"{one}.png")
    part = pd.DataFrame(split.labels, columns=list("ABC"), dtype="Int64")
    part = part.mask(rng.random(part.shape) < 1 / 3)
    if name == "test":
      part["B"] = pd.NA
    known = {"id": split.ids, "path": split.ids + ".png", "split": name}
    parts.append(part.assign(**known, camera=rng.choice(["x", "y"], count)))
  pd.concat(parts).to_csv(folder / "table.csv", index=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
  folder = tmp_path_factory.mktemp("missing")
  write_table(folder)
  (folder / "config.py").write_text(CONFIG.format(root=str(folder)))
  return folder


@pytest.fixture(scope="module")
def run(folder):
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(cli.train, "prepare_backend", lambda sweep: None)
    config, path = str(folder / "config.py"), str(folder / "run")
    assert cli.main(["train", config, "--workdir", path]) == 0
  return store.open_run(path)


def test_a_run_stores_missing_labels_as_nan(run, folder):
  assert not run.members()["diverged"].any()
  table = pd.read_csv(folder / "table.csv")
  for name in store.SPLITS:
    stored = run.split(name)["labels"].to_numpy()
    assert stored.dtype == np.float32
    there = table[table["split"] == name][["A", "B", "C"]].to_numpy(float)
    np.testing.assert_array_equal(stored, there)


def test_the_run_learns_what_it_is_told(run):
  test = run.split("test")
  labels = test["labels"].to_numpy()[:, 0]
  known = ~np.isnan(labels)
  right = (test["logits"].to_numpy()[:, known, 0] > 0) == labels[known]
  assert right.mean() > 0.8


def test_the_validation_loss_is_of_the_labels_that_are_there(run):
  valid = run.split("valid")
  labels = valid["labels"].to_numpy()
  known = ~np.isnan(labels)
  log = run.metrics()
  for place, member in run.members().iterrows():
    same = (log["seed"] == member["seed"]) & (
      log["sparsity"] == member["sparsity"]
    )
    found = log[same & (log["epoch"] == 4)]["valid_loss"].item()
    logits = valid["logits"].to_numpy()[place].astype(float)
    p = 1 / (1 + np.exp(-logits[known]))
    np.testing.assert_allclose(found, log_loss(labels[known], p), rtol=1e-5)


def test_from_a_table_with_empty_cells_to_a_report(run, capsys):
  assert cli.main(["analyze", str(run.path)]) == 0
  out = capsys.readouterr().out
  assert "Missing labels in test (60 examples): B 60, " in out
  assert "No test label of B" in out
  table = pd.read_csv(run.path / "analysis/attributes.csv")
  table = table.set_index("attribute")
  assert table.loc["B", "accuracy"].isna().all()
  assert table.loc[["A", "C"], "accuracy"].notna().all()
  assert cli.main(["report", str(run.path), "--formats", "svg"]) == 0
  page = (run.path / "report.html").read_text()
  assert "not labelled" in page
  assert "No test label of B" in page
  assert "An example without a label of an attribute belongs to its" in page
  assert cli.main(["inspect", str(run.path)]) == 0


def test_groups_count_examples_and_older_analyses_too(run):
  assert cli.main(["analyze", str(run.path)]) == 0
  source = open_source(run)
  sizes = [int(row.size) for row in group_rows(source)]
  assert sizes[0] == 60
  assert sizes[1] + sizes[2] == 60
  whole = source.analysis
  arrays = whole.arrays.drop_vars(["n_examples", "n_missing", "n_labels"])
  older = dataclasses.replace(whole, arrays=arrays)
  names = [row.name for row in group_rows(Source(run, older))]
  assert names == [row.name for row in group_rows(source)]


def test_labels_to_choose_the_best_by_are_needed(folder):
  sweep = config_file.load_config(folder / "config.py")
  dataset = data.load(sweep.data)
  valid = dataset.splits["valid"]
  nothing = dataclasses.replace(
    valid, labels=np.full_like(valid.labels, np.nan)
  )
  splits = {**dataset.splits, "valid": nothing}
  with pytest.raises(InputError, match="no example of the valid split has a"):
    Engine.build(sweep, dataclasses.replace(dataset, splits=splits))
