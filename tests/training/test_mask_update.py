"""Mask updates of one member, against formulas and numpy."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from splits import make_split

from prunebias_jax.config import Pruning, Sweep, Train
from prunebias_jax.data.augment import Augment
from prunebias_jax.data.dataset import Dataset
from prunebias_jax.errors import InputError
from prunebias_jax.pruning import regrowth
from prunebias_jax.pruning.masks import apply_masks, prunable
from prunebias_jax.training import mask_update, member, scoring
from prunebias_jax.training.layout import SHARED, TrainData, make_mesh
from prunebias_jax.training.members import member_table, pruner_name
from prunebias_jax.training.population import Population
from prunebias_jax.training.recipe import make_recipe


class Two(nn.Module):
  """Two linear layers of 512 and 24 weights around a normalisation."""

  @nn.compact
  def __call__(self, images, train):
    x = nn.Dense(8, name="first")(images.reshape(len(images), -1))
    x = nn.BatchNorm(use_running_average=not train, name="norm")(x)
    return nn.Dense(3, name="head")(nn.relu(x))


def recipe_of(**pruning):
  return make_recipe(
    Train(epochs=4),
    model=Two(),
    task="multilabel",
    steps_per_epoch=5,
    pruning=Pruning(**pruning),
  )


@pytest.fixture(scope="module")
def fresh():
  init = jax.jit(lambda seed: member.init(recipe_of(), seed, (8, 8, 1)))
  return init(jnp.uint32(0))


@pytest.fixture(scope="module")
def batch():
  """Two steps of six examples."""
  rng = np.random.default_rng(0)
  images = rng.integers(0, 256, (2, 6, 8, 8, 1)).astype(np.uint8)
  labels = rng.integers(0, 2, (2, 6, 3)).astype(np.uint8)
  return TrainData(jnp.asarray(images), jnp.asarray(labels))


def loss_of(params, state, images, labels):
  """The training loss, written out."""
  logits, _ = recipe_of().model.apply(
    {"params": params, "batch_stats": state.batch_stats},
    images / 127.5 - 1,
    train=True,
    mutable=["batch_stats"],
  )
  return optax.sigmoid_binary_cross_entropy(logits, labels).mean()


@pytest.fixture(scope="module")
def gradient(fresh, batch):
  """Of the mean loss over the steps, at fresh weights."""
  slopes_of = jax.jit(jax.grad(loss_of))
  slopes = [
    slopes_of(fresh.params, fresh, images, labels)
    for images, labels in zip(batch.images, batch.labels, strict=True)
  ]
  return jax.tree.map(lambda a, b: (a + b) / 2, *slopes)


def lowest(scores, count):
  """Paths and places of the smallest scores of all layers."""
  order = np.concatenate([np.ravel(np.abs(scores[p])) for p in sorted(scores)])
  return set(np.argsort(order, kind="stable")[:count].tolist())


def pruned_of(state):
  masks = [np.ravel(state.masks[path]) for path in sorted(state.masks)]
  return set(np.flatnonzero(~np.concatenate(masks)).tolist())


def test_gradients_are_the_mean_over_steps(fresh, batch, gradient):
  found = jax.jit(
    lambda s, b: mask_update.gradients(recipe_of(), s, b)
  )(fresh, batch)  # fmt: skip
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-3, atol=1e-5),
    found,
    gradient,
  )


def test_saliency_prunes_what_the_loss_feels_least(fresh, batch, gradient):
  recipe = recipe_of(criterion="saliency")
  update = jax.jit(lambda s, k, b: mask_update.prune(recipe, s, k, batch=b))
  state = update(fresh, jnp.array([150]), batch)
  slopes, weights = prunable(gradient), prunable(fresh.params)
  scores = {path: weights[path] * slopes[path] for path in weights}
  assert len(pruned_of(state)) == 150
  # The two sum in different orders: places at the edge may change.
  assert len(pruned_of(state) & lowest(scores, 150)) >= 148
  assert len(pruned_of(state) & lowest(weights, 150)) < 148
  assert mask_update.zeros(state) == 150
  later = update(state, jnp.array([300]), batch)
  assert pruned_of(state) < pruned_of(later)
  assert len(pruned_of(later)) == 300
  assert bool(later.healthy)


def test_a_gradient_that_is_not_finite_ends_the_member(fresh, batch):
  recipe = recipe_of(criterion="saliency")
  broken = fresh._replace(
    params=jax.tree.map(lambda x: x * jnp.inf, fresh.params)
  )
  update = jax.jit(lambda s, k, b: mask_update.prune(recipe, s, k, batch=b))
  state = update(broken, jnp.array([1]), batch)
  assert not bool(state.healthy)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_regrown_weights_begin_at_zero_without_momentum(
  fresh, batch, optimizer
):
  """The masks are those of the definition; what stays keeps its momentum."""
  recipe = make_recipe(
    Train(epochs=4, optimizer=optimizer),
    model=Two(),
    task="multilabel",
    steps_per_epoch=5,
    pruning=Pruning(regime="rigl"),
  )
  masks = {
    path: jnp.arange(x.size).reshape(x.shape) % 2 == 0
    for path, x in prunable(fresh.params).items()
  }
  state = fresh._replace(masks=masks)
  state = state._replace(params=apply_masks(state.params, masks))
  momenta = jax.tree.map(jnp.ones_like, recipe.optimizer.init(state.params))
  state = state._replace(momenta=momenta)
  update = jax.jit(lambda s, k, b: mask_update.regrow(recipe, s, k, b))
  found = update(state, jnp.array([100, 5]), batch)
  expected, grown = regrowth.move(
    prunable(state.params),
    prunable(mask_update.gradients(recipe, state, batch)),
    masks,
    jnp.array([100, 5]),
  )
  means = {
    path: [
      leaf
      for where, leaf in jax.tree.leaves_with_path(found.momenta)
      if jax.tree_util.keystr(where, simple=True, separator="/").endswith(path)
    ]
    for path in masks
  }
  for (path, mask), count in zip(masks.items(), (100, 5), strict=True):
    after = np.asarray(found.masks[path])
    # The two sum in different orders: places at the edge may change.
    assert (after != expected[path]).sum() <= 2
    assert after.sum() == mask.sum()
    new = after & ~np.asarray(mask)
    assert new.sum() == grown[path].sum() == count
    weights = np.asarray(prunable(found.params)[path])
    assert not weights[new].any()
    assert not weights[~after].any()
    assert len(means[path]) == {"sgd": 1, "adam": 2}[optimizer]
    for momentum in means[path]:
      np.testing.assert_array_equal(momentum, ~new)
  assert bool(found.healthy)
  broken = state._replace(
    params=jax.tree.map(lambda x: x * jnp.inf, state.params)
  )
  assert not bool(update(broken, jnp.array([1, 1]), batch).healthy)


def test_random_masks_are_the_seeds_own_and_nested(fresh):
  recipe = recipe_of(criterion="random")
  update = jax.jit(lambda s, k, seed: mask_update.prune(recipe, s, k, seed))
  first = update(fresh, jnp.array([100]), jnp.uint32(3))
  second = update(first, jnp.array([400]), jnp.uint32(3))
  at_once = update(fresh, jnp.array([400]), jnp.uint32(3))
  other = update(fresh, jnp.array([400]), jnp.uint32(4))
  assert len(pruned_of(first)) == 100
  assert pruned_of(first) < pruned_of(second)
  assert pruned_of(second) == pruned_of(at_once) != pruned_of(other)


def masks_of(dataset, *, seeds, levels, devices, **pruning):
  """Masks [seed, level, ...] after two updates."""
  population = Population(
    recipe=recipe_of(**pruning),
    augment=Augment(flip=False, crop=0),
    image_shape=(8, 8, 1),
    examples=40,
    batch=8,
    dispatch=2,
    seeds=np.array([(seed, 100, 200) for seed in seeds], np.uint32),
    levels=levels,
    mode="map",
    mesh=make_mesh(jax.devices()[:devices], len(seeds), levels),
  )
  batch = None
  if pruning["criterion"] == "saliency":
    sample = scoring.scoring_batch(dataset, count=16, batch=8, seed=0)
    batch = TrainData(*population.place(sample, SHARED))
  counts = np.arange(1, levels + 1)[:, None] * 160
  state = population.prune(population.init(), counts // 2, batch)
  state = population.prune(state, counts, batch)
  zeros = population.zeros(state)
  np.testing.assert_array_equal(zeros, [counts[:, 0]] * len(seeds))
  return {path: population.grid(mask) for path, mask in state.masks.items()}


@pytest.mark.parametrize("criterion", ["random", "saliency"])
def test_masks_are_those_of_the_member_alone(dataset, criterion):
  many = masks_of(
    dataset, seeds=(3, 5, 8), levels=2, devices=4, criterion=criterion
  )
  alone = masks_of(
    dataset, seeds=(5,), levels=1, devices=1, criterion=criterion
  )
  for path, masks in many.items():
    np.testing.assert_array_equal(masks[1, 0], alone[path][0, 0])
    if criterion == "random":
      assert not (masks[:, 1] & ~masks[:, 0]).any()
  first = many["first/kernel"]
  assert not np.array_equal(first[0], first[1])


@pytest.mark.parametrize("criterion", ["random", "saliency"])
def test_what_a_criterion_needs_must_be_given(fresh, criterion):
  with pytest.raises(ValueError, match=f"{criterion} needs"):
    mask_update.prune(recipe_of(criterion=criterion), fresh, jnp.array([1]))


def test_scoring_examples_are_a_fixed_sample_of_the_split(dataset):
  train = dataset.splits["train"]
  images, labels = scoring.scoring_batch(dataset, count=24, batch=8, seed=1)
  assert images.shape == (3, 8, 8, 8, 1)
  assert labels.shape == (3, 8, 3)
  rows = {image.tobytes(): row for row, image in enumerate(train.images)}
  chosen = [rows[x.tobytes()] for x in images.reshape(24, 8, 8, 1)]
  assert len(set(chosen)) == 24
  np.testing.assert_array_equal(train.labels[chosen], labels.reshape(24, 3))
  again = scoring.scoring_batch(dataset, count=24, batch=8, seed=1)
  np.testing.assert_array_equal(images, again[0])
  for changes in ({"seed": 2}, {"number": 1}):
    asked = {"count": 24, "batch": 8, "seed": 1, **changes}
    other, _ = scoring.scoring_batch(dataset, **asked)
    assert not np.array_equal(images, other)
  whole, _ = scoring.scoring_batch(dataset, count=0, batch=10, seed=1)
  assert whole.shape == (1, 10, 8, 8, 1)


def test_scoring_examples_carry_their_markers():
  splits = {
    name: dataclasses.replace(
      make_split(12, name, channels=3), marked=np.ones(12, np.uint8)
    )
    for name in ("train", "valid", "test")
  }
  marked = Dataset(
    name="tiny",
    task="multilabel",
    names=("A", "B", "C"),
    identity_names=("C",),
    splits=splits,
    marker="grayscale",
  )
  images, _ = scoring.scoring_batch(marked, count=4, batch=4, seed=0)
  assert (images == images[..., :1]).all()


@pytest.mark.parametrize(
  ("regime", "count", "message"),
  [
    ("gmp-ri", 100, r"100; accepted: up to train.batch \(64\) or a multiple"),
    ("one-shot", 48, r"48; accepted: up to finetune.batch \(32\) or a multi"),
  ],
)
def test_scoring_examples_fill_their_batches(regime, count, message):
  def sweep_of(count):
    return Sweep(
      finetune=Train(batch=32),
      pruning=Pruning(regime=regime, scoring_examples=count),
    )

  for accepted in (0, 7, 128):
    sweep_of(accepted)
  with pytest.raises(InputError, match=message):
    sweep_of(count)


@pytest.mark.parametrize(
  ("changes", "name"),
  [
    ({}, "gmp-ri"),
    ({"regime": "gmp-pt", "exclude": ("head/*",)}, "gmp-pt"),
    ({"criterion": "random"}, "gmp-ri random"),
    ({"structure": "2:4", "allocation": "uniform"}, "gmp-ri 2:4 uniform"),
    ({"schedule": "constant"}, "gmp-ri constant"),
    (
      {
        "regime": "one-shot",
        "criterion": "saliency",
        "allocation": "erk",
        "schedule": "constant",
      },
      "one-shot saliency erk",
    ),
  ],
)
def test_populations_are_named_by_what_is_not_default(changes, name):
  pruning = Pruning(**changes)
  assert pruner_name(pruning) == name
  table = member_table(
    Sweep(seeds=(0,), sparsities=(0.0, 0.5), pruning=pruning)
  )
  assert table["pruner"].tolist() == ["dense", name]
