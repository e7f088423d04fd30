"""Stored members on more splits: right logits, resumed, grown, refused."""

import logging
import shutil

import jax
import numpy as np
import pandas as pd
import pytest
import zarr

from prunebias_jax import cli, data, store
from prunebias_jax.config import Data, Marker, Sweep
from prunebias_jax.data.corruptions import corrupted
from prunebias_jax.data.dataset import SPLITS, Dataset
from prunebias_jax.data.markers import shown
from prunebias_jax.errors import InputError
from prunebias_jax.evaluations import PIXELS, Evaluation
from prunebias_jax.training import batches
from prunebias_jax.training import evaluate as evaluating
from prunebias_jax.training.engine import Engine
from prunebias_jax.training.evaluate import evaluate
from prunebias_jax.training.export import export_member, load_exported
from prunebias_jax.training.members import member_table
from prunebias_jax.training.parameters import parameters_path, save_parameters
from prunebias_jax.training.provenance import facts
from prunebias_jax.training.stored import load_variables
from tests.splits import make_split

SWEEP = Sweep.from_dict(
  {
    "seeds": [0, 1],
    "sparsities": [0.0, 0.5],
    "data": {"name": "digits", "size": 8, "train": 96, "valid": 20, "test": 30},
    "model": {"width": 0.25},
    "train": {"epochs": 3, "batch": 32},
    "pruning": {"start": 1, "end": 2},
    "execution": {
      "devices": 1,
      "mode": "map",
      "convolution": "plain",
      "keep_best": True,
    },
  }
)
NOISE, BLUR = (
  Evaluation("last", name) for name in ("test:noise:3", "valid:blur:1")
)


@pytest.fixture(autouse=True)
def _quiet_start(monkeypatch):
  """The backend of the test process has started: its devices stay."""
  monkeypatch.setattr(cli.train, "prepare_backend", lambda sweep: None)
  yield
  logging.getLogger("prunebias_jax").setLevel(logging.NOTSET)


def keep(path, index, shapes, checkpoint):
  """Parameters of random numbers, as if they had been trained."""
  rng = np.random.default_rng([index, len(checkpoint)])

  def array(shape):
    if shape.dtype == bool:
      return np.ones((1, 1, *shape.shape), bool)
    return np.abs(rng.normal(0.1, 0.2, (1, 1, *shape.shape))).astype(np.float32)

  members = jax.tree.map(array, shapes._replace(momenta=()))
  save_parameters(path, index, members, (0, 0), checkpoint)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
  """A run as training leaves it, but for the sense in its parameters."""
  dataset = data.load(SWEEP.data)
  engine = Engine.build(SWEEP, dataset)
  run = store.create(
    tmp_path_factory.mktemp("runs") / "digits",
    facts=facts(SWEEP, dataset, engine, 1),
    members=member_table(SWEEP),
    dataset=dataset,
  )
  for index in range(4):
    rng = np.random.default_rng(index)
    logits = {
      name: rng.normal(size=dataset.splits[name].labels.shape)
      for name in store.EVALUATED
    }
    for checkpoint in ("last", "best"):
      keep(run.path, index, engine.shapes, checkpoint)
    run.write_member(index, logits)
  return run


@pytest.fixture(scope="module")
def evaluated(trained, tmp_path_factory):
  path = tmp_path_factory.mktemp("runs") / "evaluated"
  shutil.copytree(trained.path, path)
  run = store.open_run(path)
  evaluate(run, [NOISE.split, BLUR.split, NOISE.split])
  return run


@pytest.fixture
def copy(evaluated, tmp_path):
  """The evaluated run, to be changed."""
  shutil.copytree(evaluated.path, tmp_path / "run")
  return store.open_run(tmp_path / "run")


def files(run):
  """Every file of a run with the time it was written."""
  return {
    path: path.stat().st_mtime_ns
    for path in run.path.rglob("*")
    if path.is_file() and path.name != ".lock"
  }


def by_export(run, index, images, folder, checkpoint):
  member = run.members().iloc[index]
  path = export_member(
    run,
    seed=member["seed"],
    sparsity=member["sparsity"],
    output=folder / f"{index}-{checkpoint}",
    checkpoint=checkpoint,
  )
  model, variables = load_exported(path)
  scaled = images.astype(np.float32) * (2 / 255) - 1
  return jax.jit(lambda x: model.apply(variables, x, train=False))(scaled)


def test_logits_are_those_of_the_corrupted_pictures(evaluated, tmp_path):
  assert evaluated.evaluations()[2:] == [NOISE, BLUR]
  dataset = data.load(SWEEP.data)
  for evaluation in (NOISE, BLUR):
    base, kind, severity = evaluation.split.split(":")
    split = dataset.splits[base]
    images = corrupted(split.images, split.ids, kind, int(severity))
    found = evaluated.split(evaluation.split)
    assert found.sizes["member"] == 4
    for index in (0, 3):
      wanted = by_export(
        evaluated, index, images, tmp_path / base, evaluation.checkpoint
      )
      np.testing.assert_allclose(found["logits"][index], wanted, atol=1e-4)
    clean = evaluated.split(base)["logits"].to_numpy()
    assert np.abs(found["logits"].to_numpy() - clean).max() > 0.01
  evaluated.verify()
  assert not (evaluated.path / evaluating.FILE).exists()
  assert {"numpy", "pillow", PIXELS} <= {*evaluated.evaluation_facts(NOISE)}


def test_the_best_parameters(copy, tmp_path):
  evaluate(copy, ["test"], "best")
  best = Evaluation("best", "test")
  assert copy.evaluations()[2:] == [NOISE, BLUR, best]
  assert PIXELS not in copy.evaluation_facts(best)
  found = copy.split("test", "best")["logits"].to_numpy()
  images = data.load(SWEEP.data).splits["test"].images
  wanted = by_export(copy, 1, images, tmp_path / "exports", "best")
  np.testing.assert_allclose(found[1], wanted, atol=1e-4)
  assert np.abs(found - copy.split("test")["logits"].to_numpy()).max() > 0.01


def test_what_is_there_is_left_as_it_is(copy, capsys):
  before = files(copy)
  command = ["evaluate", str(copy.path), "--split", "test:noise:3"]
  assert cli.main([*command, "--split", "test"]) == 0
  out = capsys.readouterr().out
  assert "logits of valid, test, test:noise:3, valid:blur:1 in" in out
  assert files(copy) == before


def test_evaluations_reach_tables_report_and_overview(copy, capsys):
  command = ["evaluate", str(copy.path), "--checkpoint", "best"]
  assert cli.main([*command, "--split", "test", "--split", "valid"]) == 0
  assert cli.main(["analyze", str(copy.path)]) == 0
  capsys.readouterr()
  table = pd.read_csv(copy.path / "analysis" / "attributes.csv")
  keys = table[["checkpoint", "split", "threshold_rule"]].drop_duplicates()
  assert set(keys.itertuples(index=False, name=None)) == {
    (checkpoint, split, rule)
    for checkpoint, split in (
      ("last", "test"),
      ("last", "test:noise:3"),
      ("last", "valid:blur:1"),
      ("best", "test"),
    )
    for rule in ("default", "calibrated")
  }
  assert cli.main(["report", str(copy.path), "--formats", "svg"]) == 0
  page = (copy.path / "report.html").read_text()
  assert 'id="figure-robustness-noise"' in page
  assert 'id="figure-checkpoints"' in page
  capsys.readouterr()
  assert cli.main(["inspect", str(copy.path)]) == 0
  out = capsys.readouterr().out
  assert "test:noise:3 (last parameters, 4 done)" in out
  assert "valid (best parameters, 4 done)" in out


def test_a_killed_evaluation_goes_on(trained, evaluated, tmp_path, monkeypatch):
  shutil.copytree(trained.path, tmp_path / "run")
  run = store.open_run(tmp_path / "run")
  real, written = store.Run.write_evaluation, []

  def stop(self, *arguments):
    if len(written) == 2:
      raise KeyboardInterrupt
    written.append(arguments[1])
    real(self, *arguments)

  with monkeypatch.context() as patch:
    patch.setattr(store.Run, "write_evaluation", stop)
    with pytest.raises(KeyboardInterrupt):
      evaluate(run, [NOISE.split])
  assert run.evaluated(NOISE).tolist() == [True, True, False, False]
  assert run.split(NOISE.split).sizes["member"] == 2
  evaluate(run, [NOISE.split])
  np.testing.assert_array_equal(
    run.split(NOISE.split)["logits"], evaluated.split(NOISE.split)["logits"]
  )


def test_new_members_and_damaged_logits_are_evaluated(copy):
  logits = {name: copy.logits_of(3, name).copy() for name in store.EVALUATED}
  grown = copy.grow(copy.members().iloc[[3]].assign(seed=9))
  grown.write_member(4, logits)
  shutil.copy(parameters_path(grown.path, 3), parameters_path(grown.path, 4))
  stored = grown.logits_of(0, NOISE.split)
  path = grown.path / store.LOGITS / NOISE.group / "logits/c/0/0/0"
  path.write_bytes(path.read_bytes()[:-4])
  assert grown.evaluated(NOISE).tolist() == [False, True, True, True, False]
  evaluate(grown, [NOISE.split])
  grown.verify()
  found = grown.split(NOISE.split)["logits"].to_numpy()
  np.testing.assert_array_equal(found[4], found[3])
  np.testing.assert_array_equal(found[0], stored)


def test_quantized_members_go_by_what_they_are_made_of(copy, caplog):
  grown = copy.grow(copy.members().iloc[[1]].assign(quantization="float16"))
  grown.write_member(
    4, {name: copy.logits_of(1, name) for name in store.EVALUATED}
  )
  evaluate(grown, ["test:jpeg:1"])
  assert "1 quantized members are left out" in caplog.text
  jpeg = Evaluation("last", "test:jpeg:1")
  assert grown.evaluated(jpeg).tolist() == [True] * 4 + [False]

  def quantized(engine, run, kind):
    assert kind == "float16"
    return None, lambda place: load_variables(run, {4: 1}[place])

  evaluate(grown, ["test:jpeg:1"], quantized=quantized)
  found = grown.split("test:jpeg:1")["logits"].to_numpy()
  np.testing.assert_allclose(found[4], found[1], atol=1e-5)
  evaluate(grown, ["test"], "best", quantized=quantized)
  assert grown.split("test", "best").sizes["member"] == 4


def test_other_pixels_are_refused(copy):
  group = zarr.open_group(copy.path / store.LOGITS / NOISE.group, mode="r+")
  group.attrs[PIXELS] = "other"
  flags = group["done"]
  flags[1] = False
  with pytest.raises(
    InputError, match=r"other pixels of test:noise:3; accepted: numpy \d"
  ):
    evaluate(copy, [NOISE.split])
  assert not (copy.path / evaluating.FILE).exists()


@pytest.mark.parametrize("resize", ["host", "device"])
def test_pictures_are_corrupted_as_networks_see_them(tmp_path, resize):
  """Of pictures of 8 px that are scaled on the device, the window of 10."""
  plain = Dataset(
    name="tiny",
    task="multilabel",
    names=("A", "B", "C"),
    identity_names=("C",),
    splits={
      name: make_split(count, name, channels=3)
      for name, count in zip(SPLITS, (40, 8, 12), strict=True)
    },
  )
  config = Data(
    size=10 if resize == "device" else 8,
    resize=resize,
    marker=Marker(kind="yellow_square", attribute="A"),
  )
  dataset = data.viewed(plain, config)
  engine = Engine.build(SWEEP, dataset)
  named = evaluating.parse("test:jpeg:4")
  with evaluating._pixels(engine, named, tmp_path / "pixels") as seen:
    split = seen.engine.dataset.splits["test"]
    ids = dataset.splits["test"].ids
    wanted = corrupted(shown(dataset, "test", slice(None)), ids, "jpeg", 4)
    np.testing.assert_array_equal(
      shown(seen.engine.dataset, "test", slice(None)), wanted
    )
    assert split.marked is None
    population = evaluating.stored_population(engine, 1)
    pieces = batches.evaluated(population, seen.engine.dataset, "test", 12)
    np.testing.assert_array_equal(next(pieces)[0][0], wanted)
  assert wanted.shape[1:] == dataset.image_shape


@pytest.mark.parametrize(
  ("arguments", "message"),
  [
    (["--split", "test:fog:3"], "unknown corruption 'fog'; accepted: noise"),
    (["--split", "test:noise:9"], "severity '9'; accepted: 1 to 5"),
    (["--split", "train:noise:1"], "split is 'train:noise:1'; accepted: valid"),
    ([], "the following arguments are required: --split"),
    (["--split", "test", "--checkpoint", "first"], "invalid choice: 'first'"),
  ],
)
def test_bad_requests_are_one_line(evaluated, capsys, arguments, message):
  before = files(evaluated)
  assert cli.main(["evaluate", str(evaluated.path), *arguments]) == 2
  out, err = capsys.readouterr()
  assert out == ""
  assert len(err.strip().splitlines()) == 1
  assert message in err
  assert files(evaluated) == before


@pytest.mark.parametrize("checkpoint", ["last", "best"])
def test_parameters_that_are_not_kept(copy, capsys, checkpoint):
  parameters_path(copy.path, 2, checkpoint).unlink()
  before = files(copy)
  command = ["evaluate", str(copy.path), "--split", "test:jpeg:1"]
  assert cli.main([*command, "--checkpoint", checkpoint]) == 2
  err = capsys.readouterr().err
  assert f"keeps no {checkpoint} parameters of dense, sparsity 0, seed 1" in err
  assert files(copy) == before


def test_other_data_and_data_from_python(copy, capsys):
  other = {**copy.facts["data"], "fingerprint": "other"}
  changed = copy.update_facts(data=other)
  with pytest.raises(InputError, match="begun with other data"):
    evaluate(changed, ["test:jpeg:1"])
  sweep = SWEEP.override({"data.name": "arrays"}).to_dict()
  copy.update_facts(sweep=sweep, data=copy.facts["data"])
  command = ["evaluate", str(copy.path), "--split", "test:jpeg:1"]
  assert cli.main(command) == 2
  assert "handed over in Python" in capsys.readouterr().err
  evaluate(copy, ["test:jpeg:1"], dataset=data.load(SWEEP.data))
  assert copy.split("test:jpeg:1").sizes["member"] == 4


def test_a_run_in_use_and_one_without_members(copy, tmp_path):
  with (
    store.locked(copy.path),
    pytest.raises(InputError, match="in use by another process"),
  ):
    evaluate(copy, ["test:jpeg:1"])
  empty = store.create(
    tmp_path / "empty",
    facts=copy.facts,
    members=copy.members().drop(columns=["done", "diverged"]),
    dataset=data.load(SWEEP.data),
  )
  with pytest.raises(InputError, match="no finished member"):
    evaluate(empty, ["test:jpeg:1"])
