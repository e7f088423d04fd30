"""The lift over seeds and levels changes nothing that a member sees."""

import functools

import jax
import numpy as np
import pytest

from prunebias_jax import models
from prunebias_jax.config import Model, Train
from prunebias_jax.data.augment import Augment
from prunebias_jax.training.layout import SHARED, TrainData, make_mesh
from prunebias_jax.training.lift import in_turn
from prunebias_jax.training.population import Population
from prunebias_jax.training.recipe import make_recipe

BATCH = 8
SIZE = (8, 8, 1)
CNN = Model(name="cnn", width=0.25)
# Where it is not the convolutions' bits that are looked at.
FLAT = Model(name="nets:Flat")


def make_population(
  dataset,
  *,
  seeds,
  levels,
  mode="map",
  devices=1,
  net=CNN,
  dispatch=4,
  lowering="canonical",
):
  config = Train(epochs=3, batch=BATCH, learning_rate=0.05)
  steps = len(dataset.splits["train"]) // BATCH
  model = models.build(net, outputs=3, lowering=lowering)
  return Population(
    recipe=make_recipe(
      config, model=model, task=dataset.task, steps_per_epoch=steps
    ),
    augment=Augment(flip=True, crop=1),
    image_shape=SIZE,
    examples=len(dataset.splits["train"]),
    batch=BATCH,
    dispatch=dispatch,
    seeds=np.repeat(np.array(seeds, np.uint32)[:, None], 3, 1),
    levels=levels,
    mode=mode,
    mesh=make_mesh(jax.devices()[:devices], len(seeds), levels),
  )


def train(population, dataset, shares, *, epochs=3, most_steps=None):
  """Trains with a mask update before every epoch but the first."""
  split = dataset.splits["train"]
  data = TrainData(
    *(population.place(x, SHARED) for x in (split.images, split.labels))
  )
  state = population.init()
  weights = sum(x[0, 0].size for x in jax.tree.leaves(state.masks))
  steps = population.examples // population.batch
  done = 0
  for epoch in range(epochs):
    if epoch:
      counts = np.rint(np.array(shares) * weights * epoch / (epochs - 1))
      state = population.prune(state, counts.astype(np.int32)[:, None])
    order = population.order(epoch)
    for first in range(0, steps, population.dispatch):
      count = min(population.dispatch, steps - first)
      if most_steps is not None:
        count = min(count, most_steps - done)
      done += count
      state, _ = population.train(
        state,
        data,
        order,
        epoch_step=first,
        step=epoch * steps + first,
        count=count,
      )
  return state


def logits(population, dataset, shares, **options):
  state = train(population, dataset, shares, **options)
  images = population.place(dataset.splits["test"].images[None], SHARED)
  return population.grid(population.predict(state, images))


@pytest.fixture(scope="module")
def reference(dataset):
  """Three seeds x two levels on one device, one member after the other."""
  population = make_population(dataset, seeds=(3, 5, 8), levels=2)
  return logits(population, dataset, (0.0, 0.75))


@pytest.mark.parametrize(
  ("seeds", "levels", "devices"),
  [
    ((5,), 1, 1),
    pytest.param((5,), 2, 2, marks=pytest.mark.slow),
    pytest.param((3, 5), 1, 1, marks=pytest.mark.slow),
    ((8, 5, 3), 2, 8),
  ],
)
def test_a_member_is_the_same_bits_in_any_population(
  dataset, reference, seeds, levels, devices
):
  population = make_population(
    dataset, seeds=seeds, levels=levels, devices=devices
  )
  shares = (0.0, 0.75)[-levels:]
  found = logits(population, dataset, shares)
  for row, seed in enumerate(seeds):
    expected = reference[(3, 5, 8).index(seed), -levels:]
    np.testing.assert_array_equal(found[row], expected)


def test_the_same_run_twice_is_the_same_bits(dataset, reference):
  population = make_population(dataset, seeds=(3, 5, 8), levels=2)
  again = logits(population, dataset, (0.0, 0.75))
  np.testing.assert_array_equal(again, reference)


@pytest.mark.parametrize(
  "dispatch", [pytest.param(1, marks=pytest.mark.slow), 3]
)
def test_steps_per_dispatch_need_not_divide_an_epoch(
  dataset, reference, dispatch
):
  population = make_population(
    dataset, seeds=(3, 5, 8), levels=2, dispatch=dispatch
  )
  found = logits(population, dataset, (0.0, 0.75))
  np.testing.assert_array_equal(found, reference)


@pytest.fixture(scope="module")
def ten_steps(dataset):
  """Five seeds x three levels after ten steps, by mode and devices.

  Float noise grows with training, so comparisons of modes stop there.
  """

  def run(mode, devices):
    population = make_population(
      dataset,
      seeds=(3, 5, 8, 9, 11),
      levels=3,
      devices=devices,
      mode=mode,
      lowering="canonical" if mode == "map" else "matmul",
    )
    shares = (0.0, 0.5, 0.75)
    return logits(population, dataset, shares, epochs=2, most_steps=10)

  return functools.cache(run)


@pytest.mark.parametrize(
  ("mode", "devices"),
  [
    pytest.param("vmap", 2, marks=pytest.mark.slow),
    ("chunk:2", 8),
    pytest.param("chunk:7", 1, marks=pytest.mark.slow),
  ],
)
def test_modes_agree_over_ten_steps(ten_steps, mode, devices):
  found = ten_steps(mode, devices)
  assert np.isfinite(found).all()
  np.testing.assert_allclose(found, ten_steps("map", 1), atol=1e-4)


@pytest.mark.parametrize(
  ("mode", "groups", "padded"),
  [
    ("map", (1, 1), (5, 3)),
    ("vmap", (5, 3), (5, 3)),
    ("chunk:2", (1, 2), (5, 4)),
    ("chunk:3", (1, 3), (5, 3)),
    ("chunk:7", (2, 3), (6, 3)),
    ("chunk:99", (5, 3), (5, 3)),
  ],
)
def test_groups_are_even_and_waste_little(dataset, mode, groups, padded):
  population = make_population(
    dataset, seeds=(3, 5, 8, 9, 11), levels=3, mode=mode
  )
  assert (population.groups, population.padded) == (groups, padded)


def test_levels_are_equal_until_pruning_parts_them(dataset):
  population = make_population(dataset, seeds=(3, 5), levels=2, net=FLAT)
  found = logits(population, dataset, (0.0, 0.75), epochs=1)
  np.testing.assert_array_equal(found[:, 0], found[:, 1])
  assert np.abs(found[0] - found[1]).max() > 1e-3


def test_init_and_order_equal_those_of_a_single_member(dataset):
  population = make_population(
    dataset, seeds=(3, 5, 8), levels=2, devices=2, net=FLAT
  )
  alone = make_population(dataset, seeds=(5,), levels=1, net=FLAT)
  for many, single in zip(
    jax.tree.leaves(population.init()),
    jax.tree.leaves(alone.init()),
    strict=True,
  ):
    for level in range(2):
      np.testing.assert_array_equal(many[1, level], single[0, 0])
  for epoch in (0, 7):
    many, single = population.order(epoch), alone.order(epoch)
    np.testing.assert_array_equal(many[1], single[0])
    places = np.asarray(single[0][: population.examples])
    assert sorted(places) == list(range(population.examples))
  assert np.any(population.order(0)[0] != population.order(1)[0])
  assert np.any(population.order(0)[0] != population.order(0)[1])


@pytest.mark.parametrize("mode", ["map", "vmap"])
def test_masks_are_exact_nested_and_leave_the_rest_alone(dataset, mode):
  population = make_population(
    dataset, seeds=(3, 5), levels=3, mode=mode, net=FLAT
  )
  state = train(population, dataset, (0, 0, 0), epochs=1)
  weights = sum(x[0, 0].size for x in jax.tree.leaves(state.masks))
  earlier = jax.tree.map(np.asarray, state)
  for counts in ((0, 7, 50), (0, 7, 51), (0, weights // 2, weights)):
    state = population.prune(state, np.array(counts, np.int32)[:, None])
    for seed in range(2):
      for level, count in enumerate(counts):
        zeros = sum(
          int((~np.asarray(x[seed, level])).sum()) for x in state.masks.values()
        )
        assert zeros == count
    for name, mask in state.masks.items():
      assert not np.any(np.asarray(mask) & ~earlier.masks[name]), "not nested"
      layer, kernel = name.split("/")
      pruned = np.asarray(state.params[layer][kernel])[~np.asarray(mask)]
      assert not pruned.any()
    for layer, arrays in state.params.items():
      for name, array in arrays.items():
        if name != "kernel":
          np.testing.assert_array_equal(array, earlier.params[layer][name])
    earlier = jax.tree.map(np.asarray, state)


def test_pruned_weights_stay_zero_after_every_step(dataset):
  population = make_population(
    dataset, seeds=(3,), levels=2, dispatch=1, net=FLAT
  )
  state = train(population, dataset, (0.0, 0.75), epochs=3)
  for name, mask in state.masks.items():
    layer, kernel = name.split("/")
    weights, mask = np.asarray(state.params[layer][kernel]), np.asarray(mask)
    assert not weights[~mask].any()
    assert weights[mask].any()
    assert mask[:, 0].all()


def test_the_compiled_step_has_no_collective(dataset):
  population = make_population(dataset, seeds=(3, 5), levels=4, devices=8)
  split = dataset.splits["train"]
  data = TrainData(
    *(population.place(x, SHARED) for x in (split.images, split.labels))
  )
  arguments = population.train_arguments(
    population.init(), data, population.order(0), epoch_step=0, step=0, count=1
  )
  text = population.train_program.lower(*arguments).compile().as_text()
  assert "while" in text
  for collective in ("all-", "collective-", "reduce-scatter"):
    assert f" {collective}" not in text, f"{collective} in the compiled step"


@pytest.mark.parametrize(
  ("devices", "seeds", "levels", "shape"),
  [
    (1, 5, 7, (1, 1)),
    (2, 4, 4, (2, 1)),
    (2, 3, 4, (1, 2)),
    (8, 5, 7, (1, 7)),
    (8, 1, 3, (1, 3)),
    (8, 2, 1, (2, 1)),
    (8, 64, 7, (8, 1)),
  ],
)
def test_mesh_gives_the_busiest_device_least(devices, seeds, levels, shape):
  mesh = make_mesh(jax.devices()[:devices], seeds, levels)
  assert mesh.devices.shape == shape


def test_in_turn_stops_at_the_count():
  states = np.arange(4.0, dtype=np.float32)
  after, outputs = jax.jit(
    lambda count: in_turn(
      lambda state, x: (state + x, state * x), states, states, count
    )
  )(3)
  np.testing.assert_array_equal(after, [0, 2, 4, 3])
  np.testing.assert_array_equal(outputs, [0, 1, 4, 0])


@pytest.mark.slow
def test_a_residual_network_is_the_same_bits_alone(dataset):
  make = functools.partial(
    make_population, dataset, net=Model(name="resnet18", width=0.25)
  )
  run = functools.partial(logits, dataset=dataset, epochs=2)
  many = run(make(seeds=(3, 5), levels=2), shares=(0.0, 0.75))
  alone = run(make(seeds=(5,), levels=1), shares=(0.75,))
  np.testing.assert_array_equal(many[1, 1], alone[0, 0])
