"""Wherever images live, members see the same ones and there is one copy."""

import dataclasses
import threading
import types

import jax
import numpy as np
import pytest

from prunebias_jax import store
from prunebias_jax.config import (
  Data,
  Execution,
  Model,
  Pruning,
  Sweep,
  Train,
)
from prunebias_jax.errors import InputError
from prunebias_jax.merge import merge
from prunebias_jax.training import batches, measuring, memory
from prunebias_jax.training import sweep as training
from prunebias_jax.training.batches import Dispatch
from prunebias_jax.training.engine import Engine
from prunebias_jax.training.plan import Phase
from prunebias_jax.training.population import Population

# Six steps an epoch in dispatches of four and two; three seeds on two devices.
TINY = Sweep(
  name="tiny",
  seeds=(0, 7, 3),
  sparsities=(0.0, 0.9),
  data=Data(name="digits", size=8, train=200, valid=30, test=50),
  model=Model(name="cnn", width=0.25),
  train=Train(epochs=2, batch=32, flip=False, crop=1),
  pruning=Pruning(start=1, every=1, end=2),
  execution=Execution(
    devices=2,
    data="resident",
    checkpoint_minutes=1e-9,
    eval_batch=20,
    steps_per_dispatch=4,
  ),
)
STREAMED = TINY.override({"execution.data": "streamed"})
SEEDS = np.repeat(np.array([[0], [7], [3]], np.uint32), 3, 1)


@pytest.fixture(scope="module")
def resident(tmp_path_factory):
  return training.train(TINY, tmp_path_factory.mktemp("runs") / "resident")


@pytest.fixture(scope="module")
def streamed(tmp_path_factory):
  return training.train(STREAMED, tmp_path_factory.mktemp("runs") / "streamed")


def assert_same_results(one, other):
  for name in store.EVALUATED:
    np.testing.assert_array_equal(
      one.split(name)["logits"], other.split(name)["logits"]
    )
  columns = ["seed", "sparsity", "epoch", "loss", "accuracy", "zeros"]
  tables = [
    run.metrics()[columns].sort_values(columns[:3], ignore_index=True)
    for run in (one, other)
  ]
  assert tables[0].equals(tables[1])


def population_of(engine, levels=1):
  phase = Phase(name="train", config=engine.sweep.train)
  return engine.population(phase, SEEDS, levels)


def engine_on(dataset, sweep=TINY, **changes):
  """An engine for eight examples a step of the data set at hand."""
  sweep = sweep.override({"train.batch": 8, "finetune.batch": 8})
  return dataclasses.replace(Engine.build(sweep, dataset), **changes)


def with_train(dataset, **changes):
  train = dataclasses.replace(dataset.splits["train"], **changes)
  return dataclasses.replace(dataset, splits={**dataset.splits, "train": train})


def threads():
  return [one for one in threading.enumerate() if "batches" in one.name]


def test_a_streamed_run_has_the_bits_of_a_resident_one(resident, streamed):
  assert streamed.facts["execution"]["data"] == "streamed"
  assert resident.facts["execution"]["data"] == "resident"
  assert_same_results(streamed, resident)


def test_runs_on_different_paths_belong_together(resident, streamed, tmp_path):
  """Nothing but that they hold the same members keeps them from merging."""
  with pytest.raises(InputError, match="is in another of the runs too"):
    merge([resident.path, streamed.path], tmp_path)


def test_stopped_inside_an_epoch_it_goes_on_on_either_path(
  resident, tmp_path, monkeypatch
):
  """A read that fails in the thread, then an interrupt, then the other path."""
  calls = []

  def stop(function, after, error):
    def stopping(*arguments, **options):
      calls.append(1)
      if len(calls) == after:
        raise error
      return function(*arguments, **options)

    calls.clear()
    return stopping

  with monkeypatch.context() as patch:
    # Images and labels of one dispatch, and then of the next, made ahead.
    failing = stop(batches._gathered, 4, OSError("the disk is gone"))
    patch.setattr(batches, "_gathered", failing)
    with pytest.raises(OSError, match="the disk is gone"):
      training.train(STREAMED, tmp_path)
  assert not threads()
  with monkeypatch.context() as patch:
    patch.setattr(
      Population, "train", stop(Population.train, 3, KeyboardInterrupt)
    )
    with pytest.raises(KeyboardInterrupt):
      training.train(STREAMED, tmp_path)
  assert not threads()
  newest = max(int(x.name) for x in tmp_path.glob("checkpoints/*/[0-9]*"))
  assert newest % 6, "stopped inside an epoch"
  assert_same_results(training.train(TINY, tmp_path), resident)


@pytest.mark.parametrize(("devices", "levels"), [(1, 1), (2, 1), (8, 2)])
def test_batches_are_the_rows_that_the_order_names(
  dataset, tmp_path, devices, levels
):
  np.save(tmp_path / "x.npy", dataset.splits["train"].images)
  mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
  classes = np.arange(40, dtype=np.int32) % 3
  marks = np.arange(40, dtype=np.uint8) % 5 // 4
  dataset = dataclasses.replace(
    dataset,
    task="multiclass",
    splits={
      name: dataclasses.replace(
        split,
        images=mapped if name == "train" else split.images,
        labels=classes[: len(split)],
        marked=marks[: len(split)],
      )
      for name, split in dataset.splits.items()
    },
  )
  engine = engine_on(dataset, data="streamed", devices=jax.devices()[:devices])
  population = population_of(engine, levels)
  dispatches = [Dispatch(0, 0, 4), Dispatch(0, 4, 1), Dispatch(5, 2, 3)]
  with engine.sources(population, dispatches) as sources:
    found = list(sources)
  assert len(found) == 3
  for (epoch, first, steps), (data, order) in zip(
    dispatches, found, strict=True
  ):
    assert order is None
    wanted = np.asarray(population.order(epoch))[:3, :40]
    wanted = wanted.reshape(3, 5, 8)[:, first : first + steps]
    for array, rows in zip(data[:3], (mapped, classes, marks), strict=True):
      assert array.shape[:3] == (population.padded[0], 4, 8)
      np.testing.assert_array_equal(array[:3, :steps], rows[wanted])
      assert not np.asarray(array[:, steps:]).any()
  assert not threads()


@pytest.mark.parametrize(("held", "times"), [(0, 3), (7000, 1), (10**9, 0)])
def test_pages_of_a_memory_map_are_let_go(dataset, monkeypatch, held, times):
  """A dispatch of four steps takes 6 kB for three seeds."""
  released = []
  monkeypatch.setattr(batches.cache, "release", released.append)
  monkeypatch.setattr(batches, "HELD", held)
  engine = engine_on(dataset, data="streamed", devices=jax.devices()[:1])
  dispatches = [Dispatch(0, first, 1) for first in range(3)]
  with engine.sources(population_of(engine), dispatches) as sources:
    assert len(list(sources)) == 3
  assert len(released) == times
  assert all(one is dataset.splits["train"].images for one in released)


def test_only_one_item_is_made_ahead():
  made = []
  release = threading.Event()

  def items():
    for number in range(4):
      if number == 2:
        release.wait(60)
      made.append(number)
      yield number

  ahead = batches.one_ahead(items())
  assert next(ahead) == 0
  assert next(ahead) == 1
  assert made == [0, 1], "the third waits"
  release.set()
  assert next(ahead) == 2
  ahead.close()
  assert made in ([0, 1, 2], [0, 1, 2, 3])
  assert not threads()
  assert list(batches.one_ahead(iter("abc"))) == ["a", "b", "c"]
  assert list(batches.one_ahead(iter(""))) == []


def test_an_item_that_cannot_be_made_raises_in_its_place():
  def items():
    yield 1
    yield 2
    raise MemoryError("no room")

  ahead = batches.one_ahead(items())
  assert [next(ahead), next(ahead)] == [1, 2]
  with pytest.raises(MemoryError, match="no room"):
    next(ahead)
  assert not threads()


@pytest.mark.parametrize("kind", ["memory map", "unaligned", "strided"])
def test_cpu_devices_share_one_copy_of_the_data(dataset, tmp_path, kind):
  images = dataset.splits["train"].images
  if kind == "memory map":
    np.save(tmp_path / "x.npy", images)
    given = np.load(tmp_path / "x.npy", mmap_mode="r")
  elif kind == "unaligned":
    memory = np.zeros(images.size + 64, np.uint8)
    start = -memory.ctypes.data % 64 + 16
    given = memory[start : start + images.size].reshape(images.shape)
    given[:] = images
  else:
    given = np.repeat(images, 2, 0)[::2]
  engine = engine_on(
    with_train(dataset, images=given), devices=jax.devices()[:6]
  )
  pointers = []
  for levels in (1, 2):  # another mesh, the same memory
    population = population_of(engine, levels)
    with engine.sources(population, [Dispatch(0, 0, 1)]) as sources:
      data, _ = next(sources)
    assert len(data.images.addressable_shards) == 3 * levels
    np.testing.assert_array_equal(data.images, images)
    pointers += [
      shard.data.unsafe_buffer_pointer()
      for shard in data.images.addressable_shards
    ]
  assert len(set(pointers)) == 1
  assert (pointers[0] == given.ctypes.data) == (kind == "memory map")


def test_a_piece_of_a_split_is_bounded_and_the_logits_are_the_same(
  dataset, monkeypatch
):
  engine = engine_on(dataset)
  engine = dataclasses.replace(
    engine, sweep=engine.sweep.override({"execution.eval_batch": 3})
  )
  population = population_of(engine)
  state = population.init()
  whole = engine.predict(population, state)
  assert whole["test"].shape == (3, 1, 12, 3)
  assert whole["valid"].shape == (3, 1, 10, 3)
  monkeypatch.setattr(batches, "EVAL_STEPS", 3)
  images = dataset.splits["valid"].images
  pieces = list(batches.evaluated(population, dataset, "valid", 3))
  assert [piece.shape[:2] for piece, _ in pieces] == [(3, 3), (3, 3)]
  assert [steps for _, steps in pieces] == [3, 1]
  rows = np.concatenate([np.asarray(x).reshape(9, 8, 8, 1) for x, _ in pieces])
  np.testing.assert_array_equal(rows[:10], images)
  again = engine.predict(population, state)
  for name, logits in whole.items():
    np.testing.assert_array_equal(again[name], logits)
    assert np.abs(logits).min() > 0, "each example has its own"


class Accelerator(types.SimpleNamespace):
  """A device with memory of its own."""

  platform = "gpu"

  def memory_stats(self):
    return {"bytes_limit": self.bytes}


def test_auto_keeps_the_data_where_half_of_the_memory_holds_them(
  dataset, monkeypatch
):
  size = 40 * (8 * 8 + 3)  # the training split, labels too
  enough = 2 * size / memory.USABLE
  for room, found in ((1.01, "resident"), (0.99, "streamed")):
    device = Accelerator(bytes=enough * room)
    assert memory.data_path("auto", dataset, device, 4) == found
    assert memory.data_path("resident", dataset, device, 4) == "resident"
    assert memory.data_path("streamed", dataset, device, 4) == "streamed"
  # CPU devices share the machine's memory, and one copy in it.
  cpu = jax.devices()[0]
  for room, found in ((1.1, "resident"), (0.9, "streamed")):
    monkeypatch.setattr(
      memory, "memory_limit", lambda _, n, room=room: room * enough / n
    )
    assert memory.data_path("auto", dataset, cpu, 1) == found
    assert memory.data_path("auto", dataset, cpu, 8) == found


@pytest.mark.parametrize("devices", [1, 4])
def test_memory_counts_the_data_where_they_are(dataset, devices):
  """On a CPU one copy for all devices, streamed what is on its way."""
  analysis = types.SimpleNamespace(
    argument_size_in_bytes=10_000, temp_size_in_bytes=500
  )
  program = types.SimpleNamespace(memory_analysis=lambda: analysis)
  held = {"resident": 40 * (64 + 3), "streamed": 3 * 4 * 8 * (64 + 3)}
  for path, size in held.items():
    engine = engine_on(dataset, data=path, devices=jax.devices()[:devices])
    population = population_of(engine)
    with engine.sources(population, [Dispatch(0, 0, 4)]) as sources:
      data, _ = next(sources)
    found = measuring._program_bytes(engine, program, data)
    over_seeds = min(devices, 3)
    expected = {
      "resident": 10_500 - size + size / devices,
      "streamed": 10_500 + size / over_seeds,
    }
    assert found == pytest.approx(expected[path], abs=1)


def test_a_rough_count_asks_the_compiler_only_about_resident_data(
  dataset, monkeypatch
):
  """A split of 1.3 MB, of which a dispatch takes 2 kB for each seed."""
  count = 20_000
  large = with_train(
    dataset,
    images=np.zeros((count, 8, 8, 1), np.uint8),
    labels=np.zeros((count, 3), np.uint8),
    identities=np.zeros((count, 1), np.uint8),
    ids=np.arange(count).astype(str),
  )

  def asked(*_):
    raise InterruptedError("asked the compiler")

  monkeypatch.setattr(measuring, "_compiled", asked)
  monkeypatch.setattr(measuring, "memory_limit", lambda *_: 4e6)
  small = TINY.override({"sparsities": [0.0], "execution.devices": 1})
  assert measuring.chunk_rows(engine_on(large, small, data="streamed"), 3) == 3
  with pytest.raises(InterruptedError, match="asked the compiler"):
    measuring.chunk_rows(engine_on(large, small, data="resident"), 3)
