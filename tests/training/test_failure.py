"""Learning from Failure, against a transcription in numpy."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from prunebias_jax.config import Loss, Train
from prunebias_jax.data.dataset import Dataset
from prunebias_jax.training import failure, mask_update, member, weighting
from prunebias_jax.training.layout import TrainData
from prunebias_jax.training.loss import loss_and_accuracy
from prunebias_jax.training.recipe import make_recipe

LOSS = Loss(kind="learning_from_failure", q=0.6, ema=0.8)
RATE = 0.5


class Linear(nn.Module):
  """Logits that are linear in the pixels."""

  outputs: int

  @nn.compact
  def __call__(self, images, train):
    return nn.Dense(self.outputs, name="head")(images.reshape(len(images), -1))


def recipe_of(task, outputs, table, smoothing=0.0):
  return make_recipe(
    Train(
      epochs=1,
      momentum=0,
      weight_decay=0,
      warmup=0,
      schedule="constant",
      learning_rate=RATE,
      label_smoothing=smoothing,
    ),
    model=Linear(outputs),
    task=task,
    steps_per_epoch=4,
    loss=LOSS,
    table=table,
  )


class Perceptron(nn.Module):
  """One hidden layer, one logit."""

  @nn.compact
  def __call__(self, images, train):
    x = nn.Dense(32, name="first")(images.reshape(len(images), -1))
    return nn.Dense(1, name="head")(nn.relu(x))


class Reference:
  """The algorithm for linear networks, label by label, in float64."""

  def __init__(self, state, labels, classes, smoothing):
    nets = (state.biased.params, state.params)
    self.kernels = [np.asarray(p["head"]["kernel"], float) for p in nets]
    self.biases = [np.asarray(p["head"]["bias"], float) for p in nets]
    self.labels, self.classes, self.smoothing = labels, classes, smoothing
    self.averages = [{}, {}]
    self.weights = {}

  def probabilities(self, net, pixels):
    logits = pixels @ self.kernels[net] + self.biases[net]
    if self.classes:
      return np.exp(logits) / np.exp(logits).sum()
    return 1 / (1 + np.exp(-logits))

  def keys(self, row):
    """The labels of an example that are there."""
    if self.classes:
      return [(row,)]
    return [
      (row, column)
      for column in range(self.labels.shape[1])
      if not np.isnan(self.labels[row, column])
    ]

  def of_label(self, net, pixels, key):
    """Probability of a label; its gradient of cross-entropy by the logits."""
    p, label = self.probabilities(net, pixels), self.labels[key]
    smooth = self.smoothing if net else 0.0
    if self.classes:
      target = (1 - smooth) * np.eye(len(p))[label] + smooth / len(p)
      return p[label], p - target
    column = key[1]
    target = (1 - smooth) * label + smooth / 2
    slope = np.zeros(len(p))
    slope[column] = p[column] - target
    return p[column] if label else 1 - p[column], slope

  def same_class(self, key):
    """The labels of the split that are of the class (and attribute) of one."""
    for other in self.averages[0]:
      alike = self.labels[other] == self.labels[key]
      if alike and other[1:] == key[1:]:
        yield other

  def step(self, images, places):
    pixels = images.reshape(len(images), -1) / 127.5 - 1
    keys = [(k, x) for row, x in zip(places, pixels, strict=True)
            for k in self.keys(row)]  # fmt: skip
    for net in (0, 1):
      for key, x in keys:
        loss = -np.log(self.of_label(net, x, key)[0])
        old = self.averages[net].get(key, loss)
        self.averages[net][key] = LOSS.ema * old + (1 - LOSS.ema) * loss
    updates = [
      [np.zeros_like(k), np.zeros_like(b)]
      for k, b in zip(self.kernels, self.biases, strict=True)
    ]
    for key, x in keys:
      biased, own = (
        averages[key] / max(averages[one] for one in self.same_class(key))
        for averages in self.averages
      )
      self.weights[key] = biased / (biased + own)
      p, slope = self.of_label(0, x, key)
      for net, gradient in enumerate(
        (p**LOSS.q * slope, self.weights[key] * self.of_label(1, x, key)[1])
      ):
        updates[net][0] += np.outer(x, gradient) / len(keys)
        updates[net][1] += gradient / len(keys)
    for net in (0, 1):
      self.kernels[net] -= RATE * updates[net][0]
      self.biases[net] -= RATE * updates[net][1]


def case(task, missing):
  """Twelve examples, their labels, and batches that meet some again."""
  rng = np.random.default_rng(5)
  images = rng.integers(0, 256, (12, 2, 2, 1)).astype(np.uint8)
  labels = rng.integers(0, 3, 12).astype(np.int32)
  if task == "multilabel":
    labels = rng.integers(0, 2, (12, 3)).astype(np.uint8)
    # A class of a single example, and one that no example has.
    labels[:, 1], labels[:, 2] = [1] + [0] * 11, 1
  if missing:
    labels = labels.astype(np.float32)
    labels[rng.random(labels.shape) < 0.3] = np.nan
  batches = [
    [0, 1, 2, 3, 4],
    [7, 6, 5, 2, 0],
    [11, 10, 9, 8, 0],
    [4, 3, 2, 1, 6],
  ]
  return images, labels, np.array(batches, np.int32)


@pytest.mark.parametrize(
  ("task", "missing", "smoothing"),
  [
    ("multilabel", False, 0.0),
    ("multilabel", True, 0.1),
    ("multiclass", False, 0.1),
  ],
)
def test_four_steps_are_those_of_the_algorithm(task, missing, smoothing):
  images, labels, batches = case(task, missing)
  recipe = recipe_of(task, 3, labels.shape, smoothing)
  state = member.init(recipe, jnp.uint32(0), (2, 2, 1))
  expected = Reference(state, labels, task == "multiclass", smoothing)
  step = jax.jit(lambda *x: member.train_step(recipe, *x))
  for number, places in enumerate(batches):
    batch = TrainData(images[places], labels[places], places=places)
    state, _ = step(state, batch, number, labels)
    expected.step(images[places], places)
  for net, params in enumerate((state.biased.params, state.params)):
    np.testing.assert_allclose(
      params["head"]["kernel"], expected.kernels[net], rtol=2e-4, atol=1e-5
    )
    averages = np.full(labels.shape, failure.UNSEEN)
    for key, value in expected.averages[net].items():
      averages[key] = value
    np.testing.assert_allclose(
      state.biased.losses[net], averages, rtol=2e-4, atol=1e-6
    )
  assert bool(state.healthy)


def test_the_two_networks_begin_apart():
  recipe = recipe_of("multilabel", 3, (12, 3))
  state = member.init(recipe, jnp.uint32(0), (2, 2, 1))
  plain = member.init(
    make_recipe(Train(), model=Linear(3), task="multilabel", steps_per_epoch=4),
    jnp.uint32(0),
    (2, 2, 1),
  )
  assert plain.biased is None
  kernel = state.params["head"]["kernel"]
  np.testing.assert_array_equal(kernel, plain.params["head"]["kernel"])
  assert np.any(kernel != state.biased.params["head"]["kernel"])


def test_the_biased_network_is_not_pruned():
  recipe = recipe_of("multilabel", 3, (12, 3))
  state = member.init(recipe, jnp.uint32(0), (2, 2, 1))
  prune = jax.jit(lambda *x: mask_update.prune(recipe, *x))
  pruned = prune(state, jnp.array([6], jnp.int32))
  assert (np.asarray(pruned.params["head"]["kernel"]) == 0).sum() == 6
  assert np.all(np.asarray(pruned.biased.params["head"]["kernel"]) != 0)


def test_a_biased_network_that_is_not_finite_freezes_the_member():
  images, labels, batches = case("multilabel", False)
  recipe = recipe_of("multilabel", 3, labels.shape)
  state = member.init(recipe, jnp.uint32(0), (2, 2, 1))
  broken = jax.tree.map(lambda x: x.at[0].set(jnp.nan), state.biased.params)
  before = state._replace(biased=state.biased._replace(params=broken))
  places = batches[0]
  batch = TrainData(images[places], labels[places], places=places)
  step = jax.jit(lambda *x: member.train_step(recipe, *x))
  after, _ = step(before, batch, 0, labels)
  assert not bool(after.healthy)
  jax.tree.map(
    np.testing.assert_array_equal, after._replace(healthy=True),
    before._replace(healthy=True),
  )  # fmt: skip


@pytest.mark.parametrize("task", ["multilabel", "multiclass"])
def test_labels_that_both_networks_know_weigh_nothing(task):
  labels = np.array([[0], [1]]) if task == "multilabel" else np.array([0, 1])
  losses = np.zeros((2, *labels.shape), np.float32)
  weights = failure.relative_difficulty(
    task, jnp.asarray(losses), labels, labels, np.arange(2)
  )
  np.testing.assert_array_equal(weights, np.zeros(labels.shape))


def test_generalised_cross_entropy_by_definition():
  p = np.array([1.0, 0.9, 0.3, 1e-3, 1e-20])
  losses = jnp.asarray(-np.log(p), jnp.float32)
  for q in (0.01, 0.7, 1.0):
    np.testing.assert_allclose(
      failure.generalised(losses, q), (1 - p**q) / q, rtol=1e-5, atol=1e-5
    )
    slopes = jax.vmap(jax.grad(lambda x, q=q: failure.generalised(x, q)))
    np.testing.assert_allclose(slopes(losses), p**q, rtol=1e-4)


@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_a_weighted_loss_by_definition(missing, smoothing):
  rng = np.random.default_rng(2)
  logits = rng.normal(0, 2, (6, 3)).astype(np.float32)
  labels = rng.integers(0, 2, (6, 3)).astype(np.float32)
  weights = rng.random((6, 3)).astype(np.float32)
  if missing:
    labels[rng.random(labels.shape) < 0.3] = np.nan
  there = ~np.isnan(labels)
  p = 1 / (1 + np.exp(-logits.astype(float)))
  y = (1 - smoothing) * labels + smoothing / 2
  losses = -(y * np.log(p) + (1 - y) * np.log(1 - p)) * weights
  given = labels if missing else labels.astype(np.uint8)
  loss, accuracy = loss_and_accuracy(
    "multilabel", logits, given, smoothing, weights
  )
  np.testing.assert_allclose(loss, losses[there].mean(), rtol=1e-5)
  right = (logits > 0) == (labels == 1)
  np.testing.assert_allclose(accuracy, right[there].mean(), rtol=1e-6)


def test_weighted_classes_by_definition():
  logits = np.array([[2.0, -1.0, 0.5], [0.5, 3.0, 1.0]], np.float32)
  labels, weights = np.array([0, 2]), np.array([0.5, 2.0], np.float32)
  p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
  expected = np.mean(weights * -np.log(p[[0, 1], labels]))
  loss, _ = loss_and_accuracy("multiclass", logits, labels, 0.0, weights)
  np.testing.assert_allclose(loss, expected, rtol=1e-5)


def spurious(seed, count, rare):
  """Images whose label is in a fine pattern, and mostly in the brightness too.

  Args:
    seed: of the draws.
    count: examples.
    rare: share of the examples whose brightness says the opposite.

  Returns:
    images, labels and brightness [example].
  """
  rng = np.random.default_rng(seed)
  labels = rng.integers(0, 2, count)
  bright = np.where(rng.random(count) < rare, 1 - labels, labels)
  shade = 40 * (2 * bright - 1) + rng.normal(0, 40, count)
  contrast = 15 * (2 * labels - 1) + rng.normal(0, 8, count)
  images = 128 + rng.normal(0, 10, (count, 4, 4, 1))
  images[:, :, :2] += shade[:, None, None, None]
  pattern = np.array([[1, -1], [-1, 1], [1, -1], [-1, 1]])[..., None]
  images[:, :, 2:] += contrast[:, None, None, None] * pattern
  return np.clip(images, 0, 255).astype(np.uint8), labels, bright


@pytest.fixture(scope="module")
def worst():
  """Accuracy of the worst group by kind of loss, a mean over three seeds."""
  count, batch, epochs = 1024, 64, 30
  images, labels, bright = spurious(0, count, rare=0.05)
  dataset = Dataset.from_arrays(
    images=np.concatenate([images] * 3),
    labels=np.tile(labels, 3)[:, None],
    splits=np.repeat(["train", "valid", "test"], count),
    names=("pattern",),
    identities={"bright": np.tile(bright, 3)},
  )
  test_images, test_labels, test_bright = spurious(1, 2000, rare=0.5)

  def of_kind(kind):
    grouped = kind == "group_reweighted"
    loss = Loss(kind=kind, identities=("bright",) if grouped else ())
    data = {"images": images, "labels": labels[:, None].astype(np.uint8)}
    if kind in weighting.REWEIGHTED:
      data["weights"] = weighting.label_weights(dataset, loss)
    if loss.learns_from_failure:
      data["places"] = np.arange(count, dtype=np.int32)
    recipe = make_recipe(
      Train(epochs=epochs, batch=batch, learning_rate=0.05, weight_decay=0),
      model=Perceptron(),
      task="multilabel",
      steps_per_epoch=count // batch,
      loss=loss,
      table=(count, 1),
    )

    @jax.jit
    def epoch(state, order, first):
      batches = {
        name: jnp.asarray(array)[order].reshape(-1, batch, *array.shape[1:])
        for name, array in data.items()
      }
      return member.train_steps(
        recipe,
        state,
        TrainData(**batches),
        first,
        count // batch,
        jnp.asarray(data["labels"]),
      )[0]

    lowest = []
    for seed in range(3):
      state = member.init(recipe, jnp.uint32(seed), (4, 4, 1))
      rng = np.random.default_rng(seed)
      for number in range(epochs):
        order = rng.permutation(count)
        state = epoch(state, order, number * (count // batch))
      logits = np.asarray(member.predict(recipe, state, test_images))[:, 0]
      right = (logits > 0) == test_labels
      lowest.append(
        min(
          right[(test_labels == label) & (test_bright == group)].mean()
          for label in (0, 1)
          for group in (0, 1)
        )
      )
    return float(np.mean(lowest))

  kinds = ("plain", "group_reweighted", "learning_from_failure")
  return {kind: of_kind(kind) for kind in kinds}


@pytest.mark.parametrize("kind", ["group_reweighted", "learning_from_failure"])
def test_the_worst_group_gains(worst, kind):
  """Measured: plain .885, group_reweighted .937, learning_from_failure .937."""
  assert worst["plain"] < 0.9
  assert worst[kind] > worst["plain"] + 0.03
