"""Quantized populations of a run: stored, resumed, grown, merged, refused."""

import dataclasses
import functools
import json
import shutil

import jax
import numpy as np
import pandas as pd
import pytest

from prunebias_jax import analysis, cli, quantization, store
from prunebias_jax.config import Data, Model, Pruning, Sweep, Train
from prunebias_jax.data.dataset import SPLITS
from prunebias_jax.data.markers import shown
from prunebias_jax.data.views import with_training_rows
from prunebias_jax.data.window import Window
from prunebias_jax.errors import InputError
from prunebias_jax.merge import merge
from prunebias_jax.quantization import Int8, Scheme, populations, quantize
from prunebias_jax.training.costs import cost_table
from prunebias_jax.training.evaluate import evaluate
from prunebias_jax.training.export import export_member
from prunebias_jax.training.parameters import load_parameters, parameters_path
from prunebias_jax.training.stored import open_engine, predict_stored
from prunebias_jax.training.sweep import train
from tests.splits import make_dataset

KINDS = ("float16", "int8_dynamic", "int8_static")
SWEEP = Sweep(
  seeds=(0, 1),
  sparsities=(0.0, 0.5),
  data=Data(size=8),
  model=Model(width=0.25),
  train=Train(epochs=1, batch=16),
  pruning=Pruning(start=0, end=1),
).override(
  {
    "execution.devices": 1,
    "execution.mode": "map",
    "execution.convolution": "plain",
  }
)
STATIC = Scheme.make("int8_static", calibration=20)
ALL = (Scheme.make("float16"), Scheme.make("int8_dynamic"), STATIC)


def make_data(seed=0):
  return make_dataset(seed, (48, 20, 20))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
  path = tmp_path_factory.mktemp("run")
  return train(SWEEP, path, dataset=make_data()).path


@pytest.fixture(scope="module")
def quantized(trained, tmp_path_factory):
  path = tmp_path_factory.mktemp("quantized") / "run"
  shutil.copytree(trained, path)
  return quantize(path, ALL, dataset=make_data())


@pytest.fixture
def copy(trained, tmp_path):
  return shutil.copytree(trained, tmp_path / "run")


def logits_by_member(run, split="test"):
  """Logits by population and seed."""
  members = run.members()
  keys = members[list(store.MEMBER_KEY)].itertuples(index=False, name=None)
  return {key: run.logits_of(place, split) for place, key in enumerate(keys)}


def test_every_member_has_its_quantized_ones(quantized):
  quantized.verify()
  members = quantized.members()
  assert members["done"].all()
  assert len(members) == 4 * (1 + len(KINDS))
  shared = [*store.MEMBER_SEEDS, "pruner", "sparsity", "seed"]
  parents = members.loc[members["quantization"] == "none", shared]
  for kind in KINDS:
    own = members.loc[members["quantization"] == kind, shared]
    np.testing.assert_array_equal(own, parents)


def test_logits_are_near_those_of_the_parent_and_not_the_same(quantized):
  found = logits_by_member(quantized)
  bounds = dict(zip(KINDS, (0.01, 0.5, 0.5), strict=True))
  for (*population, kind, seed), logits in found.items():
    if kind != "none":
      parent = found[(*population, "none", seed)]
      difference = np.abs(logits - parent).max() / parent.std()
      assert 0 < difference < bounds[kind]


def test_what_is_recorded(quantized):
  facts = store.open_run(quantized.path).facts["quantization"]
  assert [Scheme.from_facts(one) for one in facts] == list(ALL)
  assert len(facts[2]["calibration_ids_sha256"]) == 64


def test_static_ranges_are_those_of_the_calibration_images(quantized):
  """Against the network applied to these images, layer by layer."""
  data = make_data()
  rows = quantization.calibration_rows(data.splits["train"], STATIC)
  assert len(rows) == 20
  engine = open_engine(quantized, data)
  parts = load_parameters(quantized.path, 3)
  images = data.splits["train"].images[rows] * np.float32(2 / 255) - 1
  apply = functools.partial(
    engine.model.apply,
    train=False,
    capture_intermediates=True,
    mutable=["intermediates"],
  )
  variables = {key: parts[key] for key in ("params", "batch_stats")}
  _, state = jax.jit(apply)(variables, images)
  members = quantized.members()
  place = members.index[members["quantization"] == "int8_static"][3]
  path = quantized.path / "parameters" / f"{place:06d}-ranges.npz"
  with np.load(path) as ranges:
    assert ranges["conv0/low"] == pytest.approx(images.min(), rel=1e-6)
    assert ranges["conv0/high"] == pytest.approx(images.max(), rel=1e-6)
    after = np.asarray(state["intermediates"]["norm0"]["__call__"][0])
    assert ranges["conv1/high"] == pytest.approx(after.max(), rel=1e-5)
    assert ranges["conv1/low"] >= 0


def test_stored_logits_are_those_of_the_network(quantized):
  """What a notebook gets from `Int8` is what the run holds."""
  data = make_data()
  engine = open_engine(quantized, data)
  parts = load_parameters(quantized.path, 1)
  images = data.splits["test"].images * np.float32(2 / 255) - 1
  variables = {key: parts[key] for key in ("params", "batch_stats")}
  logits = jax.jit(Int8(engine.model).apply)(variables, images)
  stored = logits_by_member(quantized)["gmp-ri", 0.5, "int8_dynamic", 0]
  difference = np.abs(logits - stored)
  # In another program, an activation may be rounded to the next integer.
  assert np.mean(difference < 1e-5) > 0.8
  assert difference.max() < 0.02


def test_a_second_call_changes_nothing(quantized):
  before = (quantized.path / store.SWEEP).read_bytes()
  quantize(quantized.path, ALL, dataset=make_data())
  assert (quantized.path / store.SWEEP).read_bytes() == before


def test_an_interrupted_call_goes_on(quantized, copy, monkeypatch):
  """Killed after the first member is stored; then the same bits."""
  write, written = store.Run.write_member, []

  def once(self, index, logits, **options):
    if written:
      raise KeyboardInterrupt
    written.append(index)
    write(self, index, logits, **options)

  with monkeypatch.context() as patch:
    patch.setattr(store.Run, "write_member", once)
    with pytest.raises(KeyboardInterrupt):
      quantize(copy, STATIC, dataset=make_data())
  assert store.open_run(copy).members()["done"].sum() == 5
  run = quantize(copy, STATIC, dataset=make_data())
  assert run.members()["done"].all()
  found, whole = logits_by_member(run), logits_by_member(quantized)
  assert len(found) == 8
  for key, logits in found.items():
    np.testing.assert_array_equal(logits, whole[key])


def test_a_quantized_run_grows(copy):
  """By two seeds in training, then by the quantized members of these."""
  half = Scheme.make("float16")
  before = quantize(copy, half, dataset=make_data())
  larger = SWEEP.override({"seeds": [0, 1, 2, 3]})
  run = train(larger, copy, dataset=make_data())
  kinds = ["none"] * 4 + ["float16"] * 4 + ["none"] * 4
  assert run.members()["quantization"].tolist() == kinds
  assert run.members()["done"].all()
  run = quantize(copy, half, dataset=make_data())
  run.verify()
  members = run.members()
  assert members.loc[12:, "seed"].tolist() == [2, 2, 3, 3]
  assert set(members.loc[12:, "quantization"]) == {"float16"}
  found = logits_by_member(run)
  for key, logits in logits_by_member(before).items():
    np.testing.assert_array_equal(logits, found[key])


@pytest.mark.slow
def test_a_run_that_grew_is_one_made_at_once(quantized, tmp_path):
  path = shutil.copytree(quantized.path, tmp_path / "run")
  larger = SWEEP.override({"seeds": [0, 1, 2], "sparsities": [0.0, 0.5, 0.75]})
  train(larger, path, dataset=make_data())
  grown = logits_by_member(quantize(path, ALL, dataset=make_data()))
  train(larger, tmp_path / "once", dataset=make_data())
  once = logits_by_member(quantize(tmp_path / "once", ALL, dataset=make_data()))
  assert grown.keys() == once.keys()
  assert len(grown) == 9 * 4
  for key, logits in once.items():
    np.testing.assert_array_equal(logits, grown[key])


@pytest.mark.slow
def test_quantized_shards_are_merged(quantized, tmp_path):
  parts = []
  for seed in (0, 1):
    part = tmp_path / str(seed)
    train(SWEEP.override({"seeds": [seed]}), part, dataset=make_data())
    quantize(part, STATIC, dataset=make_data())
    parts.append(part)
  run = merge(parts, tmp_path / "all")
  found, whole = logits_by_member(run), logits_by_member(quantized)
  assert len(found) == 8
  for key, logits in found.items():
    np.testing.assert_array_equal(logits, whole[key])
  ranges = sorted(path.name for path in run.path.glob("parameters/*ranges*"))
  assert ranges == [f"{place:06d}-ranges.npz" for place in (2, 3, 6, 7)]


def test_shards_quantized_otherwise_are_not_merged(quantized, tmp_path):
  other = shutil.copytree(quantized.path, tmp_path / "run")
  facts = json.loads((other / store.SWEEP).read_text())
  facts["quantization"][1]["granularity"] = "tensor"
  (other / store.SWEEP).write_text(json.dumps(facts))
  with pytest.raises(InputError, match="int8_dynamic"):
    merge([quantized.path, other], tmp_path / "all")


def test_some_levels_only(copy):
  run = quantize(
    copy, Scheme.make("float16"), sparsities=[0.5], dataset=make_data()
  )
  added = run.members().iloc[4:]
  assert added["sparsity"].tolist() == [0.5, 0.5]
  assert added["quantization"].tolist() == ["float16"] * 2


def test_export_gives_the_parameters_of_the_parent(quantized, tmp_path):
  path = export_member(
    quantized, seed=1, sparsity=0.5, output=tmp_path / "member"
  )
  member = json.loads((path / "description.json").read_text())["member"]
  assert member["quantization"] == "none"


def test_contrasts_are_against_dense_of_the_same_seed(quantized):
  """A quantized dense population too is compared with the float one."""
  splits = {name: quantized.split(name) for name in SPLITS}
  table = analysis.analyze(splits).tables["contrasts"]
  compared = set(
    table[["pruner", "sparsity", "quantization"]].itertuples(
      index=False, name=None
    )
  )
  members = quantized.members()
  assert compared == {
    (pruner, level, kind)
    for pruner, level in zip(
      members["pruner"], members["sparsity"], strict=True
    )
    for kind in ("none", *KINDS)
  } - {("dense", 0.0, "none")}
  assert (table["n_seeds"] <= 2).all()


@pytest.mark.parametrize(
  ("change", "message"),
  [
    ({"sparsities": [0.7]}, "no member of sparsity 0.7; accepted: 0, 0.5"),
    (
      {"schemes": [*ALL[:2], Scheme.make("int8_static", None, 49)]},
      "accepted: 1 to 48",
    ),
    ({"dataset": make_data(seed=1)}, "begun with other data"),
  ],
)
def test_a_bad_request_leaves_the_run_alone(copy, change, message):
  before = {path: path.stat().st_mtime_ns for path in copy.rglob("*")}
  request = {"schemes": ALL, "dataset": make_data(), **change}
  with pytest.raises(InputError, match=message):
    quantize(copy, **request)
  after = {path: path.stat().st_mtime_ns for path in copy.rglob("*")}
  before.pop(copy / ".lock"), after.pop(copy / ".lock")
  assert after == before


def test_one_scheme_for_each_kind(quantized):
  for other in (
    Scheme.make("int8_static", "tensor", 20),
    Scheme.make("int8_static", "channel", 21),
  ):
    with pytest.raises(InputError, match=r"has int8_static \(channel, 20 im"):
      quantize(quantized.path, other, dataset=make_data())


def test_members_without_parameters_are_refused(copy):
  (copy / "parameters/000002.npz").unlink()
  with pytest.raises(InputError, match="keeps no last parameters"):
    quantize(copy, ALL, dataset=make_data())


def test_members_that_diverged_are_left_out(copy, caplog):
  run = store.open_run(copy)
  logits = {name: run.logits_of(1, name) for name in store.EVALUATED}
  run.write_member(1, logits, diverged=True)
  half = Scheme.make("float16")
  run = quantize(copy, half, dataset=make_data())
  assert len(run.members()) == 7
  assert "diverged: gmp-ri, sparsity 0.5, seed 0" in caplog.text
  run.write_member(3, logits, diverged=True)
  with pytest.raises(InputError, match="none of these 2 members"):
    quantize(copy, half, sparsities=[0.5], dataset=make_data())


def test_a_run_in_use_is_refused(copy):
  with (
    store.locked(copy),
    pytest.raises(InputError, match="in use by another process"),
  ):
    quantize(copy, ALL, dataset=make_data())


@pytest.mark.parametrize(
  ("arguments", "message"),
  [
    (["--kind", "int4"], "unknown kind 'int4'"),
    (["--kind", "float16", "--granularity", "channel"], "has no scales"),
    (["--kind", "int8_dynamic", "--calibration", "9"], "no fixed ranges"),
    (["--kind", "int8_static", "--calibration", "0"], "accepted: 1 and up"),
    (["--kind", "int8_static", "--granularity", "x"], "unknown granularity"),
    (["--kind", "float16"], "handed over in Python"),
    ([], "--kind"),
  ],
)
def test_bad_arguments_are_one_line(
  quantized, arguments, message, capsys, monkeypatch
):
  monkeypatch.setattr(cli.train, "prepare_backend", lambda sweep: None)
  assert cli.main(["quantize", str(quantized.path), *arguments]) == 2
  lines = capsys.readouterr().err.strip().splitlines()
  assert len(lines) == 1
  assert message in lines[0]


def test_calibration_images_do_not_depend_on_the_order():
  train = make_data().splits["train"]
  few = quantization.calibration_rows(train, STATIC)
  more = quantization.calibration_rows(
    train, Scheme.make("int8_static", calibration=30)
  )
  assert set(few) < set(more)
  turned = train.ids[::-1]
  backwards = populations.calibration_rows(
    type(train)(
      images=train.images,
      labels=train.labels,
      identities=train.identities,
      ids=turned,
    ),
    STATIC,
  )
  assert set(turned[backwards]) == set(train.ids[few])


def test_calibration_images_are_seen_as_evaluation_images_are():
  """Scaled, cut and marked like those of the other splits."""
  data = make_data()
  marked = np.arange(48, dtype=np.uint8) % 2
  splits = {
    name: dataclasses.replace(
      split,
      images=split.images.repeat(3, axis=-1),
      window=Window(shorter=8, size=6),
      marked=marked[: len(split)],
    )
    for name, split in data.splits.items()
  }
  data = dataclasses.replace(data, splits=splits, marker="grayscale")
  few = with_training_rows(data, np.array([3, 4, 9]))
  assert few.image_shape == (6, 6, 3)
  assert few.splits["train"].marked.tolist() == [1, 0, 1]
  np.testing.assert_array_equal(
    shown(few, "train", slice(3)),
    np.concatenate([shown(data, "train", slice(i, i + 1)) for i in (3, 4, 9)]),
  )


def test_costs_of_every_population(quantized):
  table = pd.read_csv(quantized.path / "costs.csv", keep_default_na=False)
  assert len(table) == 2 * 4
  assert (table["members"] == 2).all()
  model = quantized.facts["model"]
  assert (table["parameters"] == model["parameters"]).all()
  table = table.set_index(["sparsity", "quantization"])
  for kind in ("none", *KINDS):
    zeros = table["parameters"] - table["parameters_left"]
    assert zeros[0.5, kind] == round(0.5 * model["prunable"])
    assert zeros[0.0, kind] == 0
    assert table["flops_left"][0.5, kind] < table["flops"][0.5, kind]
  dense = table["bytes_dense"].loc[0.0]
  assert dense["none"] == 4 * (model["parameters"] + 2 * (4 + 8 + 16))
  assert dense["int8_static"] < dense["float16"] < dense["none"]


def test_inspect_shows_costs(quantized, capsys):
  assert cli.main(["inspect", str(quantized.path)]) == 0
  text = capsys.readouterr().out
  assert "gmp-ri, sparsity 0.5, int8_static  " in text
  assert "nothing here is smaller or faster unless" in text


def test_inspect_of_a_run_from_before_its_costs(copy, capsys):
  before = (copy / "costs.csv").read_text()
  (copy / "costs.csv").unlink()
  assert cost_table(store.open_run(copy)).to_csv(index=False) == before
  assert cli.main(["inspect", str(copy)]) == 0
  assert "of one member, one image" in capsys.readouterr().out
  for path in copy.glob("parameters/*.npz"):
    path.unlink()
  assert cli.main(["inspect", str(copy)]) == 0
  assert "keeps no parameters" in capsys.readouterr().out


@pytest.mark.parametrize("kind", KINDS)
def test_quantized_members_predict_again_what_is_stored(quantized, kind):
  """To the last bit; ranges are read, not measured once more."""
  engine = open_engine(quantized, make_data())
  model, load = quantization.predictor(engine, quantized, kind)
  members = quantized.members()
  places = members.index[members["quantization"] == kind].tolist()
  found = predict_stored(
    engine, map(load, places), ("test",), count=len(places), model=model
  )
  for index, logits in zip(places, found, strict=True):
    np.testing.assert_array_equal(
      logits["test"], quantized.logits_of(index, "test")
    )


def test_quantized_members_are_evaluated_with_their_parents(
  quantized, tmp_path
):
  path = shutil.copytree(quantized.path, tmp_path / "run")
  evaluate(
    store.open_run(path),
    ["test:contrast:3"],
    dataset=make_data(),
    quantized=quantization.predictor,
  )
  run = store.open_run(path)
  assert run.split("test:contrast:3").sizes["member"] == len(run.members())
  run.verify()


def test_damaged_ranges_are_one_line(quantized, tmp_path):
  path = shutil.copytree(quantized.path, tmp_path / "run")
  run = store.open_run(path)
  members = run.members()
  place = int(members.index[members["quantization"] == "int8_static"][0])
  parameters_path(path, place, "ranges").write_bytes(b"PK")
  engine = open_engine(run, make_data())
  _, load = quantization.predictor(engine, run, "int8_static")
  with pytest.raises(InputError, match=r"-ranges.npz cannot be read"):
    load(place)
