"""Missing labels teach nothing: loss, gradient, best, a whole run."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from sklearn.metrics import log_loss
from splits import make_split

from prunebias_jax.config import Execution, Model, Pruning, Sweep, Train
from prunebias_jax.data.dataset import Dataset
from prunebias_jax.errors import InputError
from prunebias_jax.training import sweep as training
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


def holes(split, *, seed=0, attribute=None):
  """The split with a third of its labels missing."""
  labels = split.labels.astype(np.float32)
  missing = np.random.default_rng(seed).random(labels.shape) < 1 / 3
  if attribute is not None:
    missing[:, attribute] = True
  return dataclasses.replace(
    split, labels=np.where(missing, np.float32(np.nan), labels)
  )


DATASET = Dataset(
  name="holes",
  task="multilabel",
  names=("A", "B", "C"),
  identity_names=("C",),
  splits={
    "train": holes(make_split(80, "train")),
    "valid": holes(make_split(60, "valid")),
    # Nobody knows B in test.
    "test": holes(make_split(60, "test"), attribute=1),
  },
)
SWEEP = Sweep(
  seeds=(0, 1),
  sparsities=(0.0, 0.5),
  model=Model(width=0.25),
  train=Train(epochs=4, batch=20, crop=0, flip=False, warmup=0),
  finetune=Train(batch=20),
  pruning=Pruning(start=1, end=3),
  execution=Execution(devices=1, mode="map", keep_best=True),
)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
  path = tmp_path_factory.mktemp("missing") / "run"
  return training.train(SWEEP, path, dataset=DATASET)


def test_a_run_stores_missing_labels_as_nan(run):
  assert not run.members()["diverged"].any()
  for name, split in DATASET.splits.items():
    stored = run.split(name)["labels"].to_numpy()
    np.testing.assert_array_equal(stored, split.labels)
    assert stored.dtype == np.float32


def test_the_run_learns_what_it_is_told(run):
  test = run.split("test")
  labels = test["labels"].to_numpy()[:, 0]
  known = ~np.isnan(labels)
  right = (test["logits"].to_numpy()[:, known, 0] > 0) == labels[known]
  assert right.mean() > 0.8


def test_the_best_is_by_the_validation_labels_that_are_there(run):
  valid = run.split("valid")
  labels = valid["labels"].to_numpy()
  known = ~np.isnan(labels)
  log = run.metrics()
  for place, member in run.members().iterrows():
    mine = log[
      (log["seed"] == member["seed"]) & (log["sparsity"] == member["sparsity"])
    ]
    logits = valid["logits"].to_numpy()[place].astype(float)
    p = 1 / (1 + np.exp(-logits[known]))
    last = mine[mine["epoch"] == 4]["valid_loss"].iloc[0]
    np.testing.assert_allclose(last, log_loss(labels[known], p), rtol=1e-5)


def test_labels_to_choose_the_best_by_are_needed():
  labels = np.full((60, 3), np.nan, np.float32)
  valid = dataclasses.replace(DATASET.splits["valid"], labels=labels)
  nothing = dataclasses.replace(
    DATASET, splits={**DATASET.splits, "valid": valid}
  )
  with pytest.raises(InputError, match="no example of the valid split has a"):
    Engine.build(SWEEP, nothing)
