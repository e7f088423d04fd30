"""How members run is measured once, recorded, and kept."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from prunebias_jax.config import DETERMINISTIC_FLAG, Execution, Sweep
from prunebias_jax.data import cache
from prunebias_jax.errors import InputError
from prunebias_jax.training import choice, measuring
from prunebias_jax.training import engine as engines
from prunebias_jax.training import sweep as training
from prunebias_jax.training.engine import Engine
from prunebias_jax.training.measuring import Measured
from prunebias_jax.training.parameters import load_parameters

SWEEP = Sweep.from_dict(
  {
    "seeds": [0, 1, 2],
    "sparsities": [0.0, 0.5],
    "data": {
      "name": "digits",
      "size": 8,
      "train": 96,
      "valid": 20,
      "test": 20,
    },
    "model": {"width": 0.125},
    "train": {"epochs": 2, "batch": 32, "warmup": 0.0},
    "pruning": {"start": 1, "end": 2},
    "execution": {"devices": 1, "checkpoint_minutes": 0.0},
  }
)


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
  monkeypatch.setenv("PRUNEBIAS_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def engine():
  return engine_of(SWEEP)


def engine_of(sweep):
  return Engine.build(sweep, training.data.load(sweep.data))


def speeds(fastest):
  """A stand-in for measuring in which one way is the fastest."""

  def measure(engine, population, steps):
    is_it = (engine.mode, engine.lowering) == fastest
    return Measured(0.1 if is_it else 0.2, 1)

  return measure


def members_of(population):
  return len(population.seeds) * population.levels


def test_what_is_measured_is_real_and_then_kept(engine, monkeypatch):
  monkeypatch.setattr(choice, "GROUPS", ())
  chosen = choice.choose(engine, 3)
  measured = [way for way in chosen.measured if way["images_per_second"]]
  assert measured[0]["mode"] == "map"
  best = max(measured, key=lambda way: way["images_per_second"])
  assert (chosen.mode, chosen.lowering) == (best["mode"], best["lowering"])

  def never(*_):
    raise AssertionError("measured again")

  monkeypatch.setattr(choice, "measure", never)
  again = choice.choose(engine_of(SWEEP), 3)
  assert again.measured == chosen.measured
  assert (again.mode, again.lowering) == (chosen.mode, chosen.lowering)


@pytest.mark.parametrize(
  "fastest", [("map", "canonical"), ("vmap", "plain"), ("chunk:4", "matmul")]
)
def test_the_fastest_is_chosen(engine, monkeypatch, fastest):
  def scaled(engine, population, steps):
    found = speeds(fastest)(engine, population, steps)
    return found._replace(seconds=found.seconds * members_of(population))

  monkeypatch.setattr(choice, "measure", scaled)
  monkeypatch.setattr(choice, "device_bytes", lambda *_: 0)
  chosen = choice.choose(engine, 3)
  assert (chosen.mode, chosen.lowering) == fastest


def test_a_cache_that_cannot_be_written_is_no_hindrance(
  engine, tmp_path, monkeypatch, caplog
):
  (tmp_path / "file").write_text("in the way")
  monkeypatch.setenv("PRUNEBIAS_CACHE", str(tmp_path / "file" / "cache"))
  monkeypatch.setattr(choice, "measure", speeds(("vmap", "matmul")))
  monkeypatch.setattr(choice, "device_bytes", lambda *_: 0)
  assert choice.choose(engine, 3).mode == "vmap"
  assert "cannot be written" in caplog.text


def test_what_does_not_fit_is_not_tried(engine, monkeypatch):
  def needed(engine, population):
    return 1e15 if engine.mode != "map" else 1

  monkeypatch.setattr(choice, "device_bytes", needed)
  chosen = choice.choose(engine, 3)
  assert chosen.mode == "map"
  reasons = {w["reason"].split(" of ")[0] for w in chosen.measured[1:]}
  assert reasons == {"needs 1000000.0"}


def test_measuring_ends(engine, monkeypatch):
  monkeypatch.setattr(choice, "BUDGET", -1.0)
  chosen = choice.choose(engine, 3)
  speeds = [way["images_per_second"] for way in chosen.measured]
  assert speeds[0] > 0
  assert set(speeds[1:]) == {None}
  assert {w["reason"] for w in chosen.measured[1:]} == {
    "no time left to measure it"
  }


@pytest.mark.parametrize(
  ("fixed", "expected"),
  [
    ({"mode": "map"}, [("map", "canonical")]),
    (
      {"mode": "chunk:2"},
      [("chunk:2", "matmul"), ("chunk:2", "plain")],
    ),
    ({"mode": "vmap", "convolution": "plain"}, [("vmap", "plain")]),
    (
      {"convolution": "matmul"},
      [("map", "matmul"), ("vmap", "matmul"), ("chunk:4", "matmul")],
    ),
  ],
)
def test_fixed_choices_are_kept(fixed, expected):
  execution = dataclasses.replace(SWEEP.execution, **fixed)
  engine = engine_of(dataclasses.replace(SWEEP, execution=execution))
  ways = list(choice.candidates(engine, 3))
  assert [(way.mode, way.lowering) for way in ways] == expected


def test_one_way_is_not_measured(monkeypatch):
  monkeypatch.setattr(choice, "measure", None)
  chosen = choice.choose(
    engine_of(SWEEP.override({"execution.mode": "map"})), 3
  )
  assert (chosen.mode, chosen.lowering) == ("map", "canonical")
  assert not chosen.measured
  assert not (cache.directory() / "ways").exists()


def test_a_resume_keeps_the_choice(tmp_path, monkeypatch):
  """Whatever a new measurement would say."""
  monkeypatch.setattr(choice, "measure", speeds(("vmap", "matmul")))
  monkeypatch.setattr(choice, "device_bytes", lambda *_: 0)
  real = training.Chunk.train

  def stop(self, *arguments):
    raise KeyboardInterrupt

  monkeypatch.setattr(training.Chunk, "train", stop)
  with pytest.raises(KeyboardInterrupt):
    training.train(SWEEP, tmp_path / "run")
  used = []

  def train(self, *arguments):
    used.append((self.engine.mode, self.engine.lowering))
    return real(self, *arguments)

  monkeypatch.setattr(training.Chunk, "train", train)
  monkeypatch.setattr(choice, "measure", None)
  monkeypatch.setenv("PRUNEBIAS_CACHE", str(tmp_path / "other"))
  run = training.train(SWEEP, tmp_path / "run")
  assert used == [("vmap", "matmul")]
  assert run.facts["execution"]["mode"] == "vmap"
  assert len(run.facts["execution"]["measured"]) > 1


def test_bfloat16_keeps_float32_parameters_and_logits(tmp_path):
  base = SWEEP.override({"execution.mode": "map", "seeds": [0]})
  runs = {
    name: training.train(
      base.override({"execution.precision": name}), tmp_path / name
    )
    for name in ("float32", "bfloat16")
  }
  logits = {
    name: run.split("test")["logits"].to_numpy() for name, run in runs.items()
  }
  assert runs["bfloat16"].facts["execution"]["precision"] == "bfloat16"
  assert logits["bfloat16"].dtype == np.float32
  # bfloat16 itself would hold no number that differs from its rounding.
  rounded = np.asarray(logits["bfloat16"].astype(jnp.bfloat16), np.float32)
  assert (rounded != logits["bfloat16"]).any()
  np.testing.assert_allclose(logits["bfloat16"], logits["float32"], atol=0.3)
  assert (logits["bfloat16"] != logits["float32"]).any()
  parameters = load_parameters(runs["bfloat16"].path, 0)
  kinds = {x.dtype for x in jax.tree.leaves(parameters["params"])}
  assert kinds == {np.dtype(np.float32)}


def test_a_chunk_that_cannot_fit_is_refused(monkeypatch):
  engine = engine_of(SWEEP.override({"execution.chunk": 6}))
  bytes_of = {3: 300, 2: 200, 1: 100}
  monkeypatch.setattr(measuring, "memory_limit", lambda engine: 250)
  monkeypatch.setattr(
    measuring, "device_bytes", lambda engine, p: bytes_of[len(p.seeds)]
  )
  with pytest.raises(InputError, match=r"chunk is 6 members.*up to 4, or 0"):
    measuring.chunk_rows(engine, 3)
  assert measuring.chunk_rows(engine_of(SWEEP), 3) == 2


def test_one_seed_that_cannot_fit_is_refused(engine, monkeypatch):
  monkeypatch.setattr(measuring, "memory_limit", lambda engine: 1.0)
  monkeypatch.setattr(measuring, "device_bytes", lambda *_: 3e9)
  with pytest.raises(
    InputError, match=r"2 levels, the smallest .* needs 3.0 GB .* up to 0.0 GB"
  ):
    measuring.chunk_rows(engine, 3)


@pytest.mark.parametrize("mode", ["chunk", "chunk:0", "chunk:x", "pmap", ""])
def test_unknown_modes_are_refused(mode):
  with pytest.raises(InputError, match="accepted: auto, map, vmap, chunk:K"):
    Execution(mode=mode)


def test_no_devices_are_refused():
  with pytest.raises(InputError, match=r"devices is 0; accepted: \[1, inf\)"):
    Execution(devices=0)


def test_determinism_is_not_promised_without_the_flag(monkeypatch):
  monkeypatch.setenv("XLA_FLAGS", "--xla_dump_to=x")
  with pytest.raises(InputError, match="needs XLA_FLAGS=--xla_gpu_determ"):
    engines._require_deterministic()
  monkeypatch.setenv("XLA_FLAGS", f"--xla_dump_to=x {DETERMINISTIC_FLAG}")
  engines._require_deterministic()
