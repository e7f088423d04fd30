"""One model's functions against optax, by hand and by definition."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from prunebias_jax import models
from prunebias_jax.config import Model, Train
from prunebias_jax.pruning.masks import apply_masks, prunable
from prunebias_jax.training import mask_update, member
from prunebias_jax.training.layout import TrainData
from prunebias_jax.training.loss import loss_and_accuracy
from prunebias_jax.training.randomness import (
  Purpose,
  augment_key,
  epoch_order,
  purpose_key,
)
from prunebias_jax.training.recipe import make_recipe


def recipe_of(**changes):
  model = models.build(
    Model(name="cnn", width=0.25), outputs=3, lowering="plain"
  )
  config = Train(epochs=4, **{"warmup": 0.0, **changes})
  return make_recipe(config, model=model, task="multilabel", steps_per_epoch=5)


@pytest.fixture
def batch():
  rng = np.random.default_rng(0)
  images = rng.integers(0, 256, (6, 8, 8, 1)).astype(np.uint8)
  return TrainData(images, rng.integers(0, 2, (6, 3)).astype(np.uint8))


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("decay", [0.0, 0.01])
def test_steps_equal_those_of_the_optax_optimizer(optimizer, decay, batch):
  recipe = recipe_of(
    optimizer=optimizer,
    weight_decay=decay,
    schedule="constant",
    learning_rate=0.05,
  )
  reference = (
    optax.chain(optax.add_decayed_weights(decay), optax.sgd(0.05, 0.9))
    if optimizer == "sgd"
    else optax.adamw(0.05, weight_decay=decay)
  )
  state = member.init(recipe, jnp.uint32(0), (8, 8, 1))
  params, stats = state.params, state.batch_stats
  moments = reference.init(params)
  images, labels = batch.images, batch.labels

  def loss_of(params, stats):
    logits, updated = recipe.model.apply(
      {"params": params, "batch_stats": stats},
      images / 127.5 - 1,
      train=True,
      mutable=["batch_stats"],
    )
    losses = optax.sigmoid_binary_cross_entropy(logits, labels)
    return losses.mean(), updated["batch_stats"]

  for step in range(3):
    state, progress = member.train_step(recipe, state, batch, step)
    (loss, stats), gradient = jax.value_and_grad(loss_of, has_aux=True)(
      params, stats
    )
    updates, moments = reference.update(gradient, moments, params)
    params = optax.apply_updates(params, updates)
    np.testing.assert_allclose(progress.loss, loss, rtol=1e-4)
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-4),
    state.params,
    params,
  )


def test_learning_rate_warms_up_and_falls_to_zero():
  recipe = recipe_of(warmup=2.0, learning_rate=1.0)
  rates = [float(recipe.learning_rate(step)) for step in range(21)]
  np.testing.assert_allclose(rates[:10], np.arange(1, 11) / 10, rtol=1e-6)
  assert all(np.diff(rates[10:]) < 0)
  np.testing.assert_allclose(rates[15], 0.5, atol=1e-6)
  np.testing.assert_allclose(rates[20], 0, atol=1e-6)


def test_learning_rate_drops_by_steps():
  recipe = recipe_of(
    warmup=1.0, schedule="steps", drops=(2, 3.4), learning_rate=1.0
  )
  rates = [float(recipe.learning_rate(step)) for step in range(20)]
  np.testing.assert_allclose(rates[:5], np.arange(1, 6) / 5, rtol=1e-6)
  expected = np.repeat([1.0, 0.1, 0.01], [5, 7, 3])
  np.testing.assert_allclose(rates[5:], expected, rtol=1e-5)


def test_nesterov_looks_ahead():
  recipe = recipe_of(nesterov=True, weight_decay=0.0, momentum=0.5)
  params = {"w": jnp.ones(2)}
  state = recipe.optimizer.init(params)
  expected = np.zeros(2)
  for step in range(3):
    gradient = np.array([1.0, -2.0]) * (step + 1)
    direction, state = recipe.optimizer.update(
      {"w": jnp.asarray(gradient)}, state, params
    )
    expected = gradient + 0.5 * expected
    np.testing.assert_allclose(
      direction["w"], gradient + 0.5 * expected, rtol=1e-6
    )


def test_momentum_is_zeroed_where_an_epoch_begins(batch):
  keeps = recipe_of()
  forgets = make_recipe(
    Train(epochs=4, warmup=0, reset_momentum=True),
    model=keeps.model,
    task="multilabel",
    steps_per_epoch=5,
    first_step=7,
  )
  state = member.init(keeps, jnp.uint32(0), (8, 8, 1))
  step = jax.jit(lambda s, k: member.train_step(forgets, s, batch, k)[0])
  state = step(state, 9)
  fresh = member.restart(forgets, state)
  for number, zeroed in ((12, True), (17, True), (11, False), (15, False)):
    same = jax.tree.map(
      np.array_equal, step(state, number).momenta, step(fresh, number).momenta
    )
    assert all(jax.tree.leaves(same)) == zeroed


def test_pruned_weights_stay_zero_though_their_gradient_is_not(batch):
  recipe = recipe_of(weight_decay=0.1)
  state = member.init(recipe, jnp.uint32(0), (8, 8, 1))
  state = mask_update.prune(recipe, state, jnp.array([200], jnp.int32))
  for step in range(3):
    state, _ = member.train_step(recipe, state, batch, step)
    zeros = sum(
      int((np.asarray(x) == 0).sum()) for x in prunable(state.params).values()
    )
    assert zeros == 200
    assert any(
      np.asarray(x).any()
      for x in jax.tree.leaves(
        apply_masks(
          state.momenta[1].trace, jax.tree.map(jnp.invert, state.masks)
        )
      )
    )


def test_train_steps_is_train_step_repeated(batch):
  recipe = recipe_of()
  state = member.init(recipe, jnp.uint32(0), (8, 8, 1))
  batches = jax.tree.map(lambda x: jnp.stack([x, x[::-1], x]), batch)
  many, progress = member.train_steps(
    recipe, state, batches, jnp.int32(4), jnp.int32(2)
  )
  total = 0.0
  for index in range(2):
    own = TrainData(batches.images[index], batches.labels[index])
    state, one = member.train_step(recipe, state, own, 4 + index)
    total += float(one.loss)
  np.testing.assert_allclose(progress.loss, total, rtol=1e-5)
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5),
    many.params,
    state.params,
  )


def test_loss_and_accuracy_by_definition():
  logits = jnp.array([[2.0, -1.0], [0.5, 3.0]])
  loss, accuracy = loss_and_accuracy(
    "multilabel", logits, jnp.array([[1, 0], [0, 1]])
  )
  p = 1 / (1 + np.exp(-np.asarray(logits)))
  y = np.array([[1, 0], [0, 1]])
  expected = -(y * np.log(p) + (1 - y) * np.log(1 - p)).mean()
  np.testing.assert_allclose(loss, expected, rtol=1e-5)
  assert accuracy == 0.75
  loss, accuracy = loss_and_accuracy("multiclass", logits, jnp.array([0, 0]))
  softmax = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
  np.testing.assert_allclose(loss, -np.log(softmax[:, 0]).mean(), rtol=1e-5)
  assert accuracy == 0.5


def test_smoothed_loss_by_definition():
  logits = jnp.array([[2.0, -1.0], [0.5, 3.0]])
  p = 1 / (1 + np.exp(-np.asarray(logits)))
  y = np.array([[0.95, 0.05], [0.05, 0.95]])
  expected = -(y * np.log(p) + (1 - y) * np.log(1 - p)).mean()
  loss, accuracy = loss_and_accuracy(
    "multilabel", logits, jnp.array([[1, 0], [0, 1]]), 0.1
  )
  np.testing.assert_allclose(loss, expected, rtol=1e-5)
  assert accuracy == 0.75
  p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
  expected = -(0.95 * np.log(p[:, 0]) + 0.05 * np.log(p[:, 1])).mean()
  loss, accuracy = loss_and_accuracy(
    "multiclass", logits, jnp.array([0, 0]), 0.1
  )
  np.testing.assert_allclose(loss, expected, rtol=1e-5)
  assert accuracy == 0.5


def test_purposes_and_seeds_have_keys_of_their_own():
  keys = {
    tuple(jax.random.key_data(purpose_key(seed, purpose)).tolist())
    for seed in range(3)
    for purpose in Purpose
  }
  keys |= {
    tuple(jax.random.key_data(augment_key(seed, step)).tolist())
    for seed in range(3)
    for step in range(3)
  }
  assert len(keys) == 3 * len(Purpose) + 9
  assert np.any(epoch_order(0, 0, 50) != epoch_order(1, 0, 50))
