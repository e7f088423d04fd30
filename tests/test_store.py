"""The run directory: written whole, read back, tampering told."""

import dataclasses
import json
import shutil

import numpy as np
import pandas as pd
import pytest
import zarr

from prunebias_jax import arrays, store
from prunebias_jax.config import Sweep
from prunebias_jax.data.corruptions import LEVELS
from prunebias_jax.data.dataset import Dataset
from prunebias_jax.errors import InputError
from prunebias_jax.evaluations import PIXELS, Evaluation
from prunebias_jax.merge import merge

MEMBERS = pd.DataFrame(
  {
    "pruner": ["dense", "gmp-ri", "gmp-ri"],
    "sparsity": [0.0, 0.8, 0.95],
    "quantization": "none",
    "seed": [3, 3, 3],
  }
)


def logits_of(index):
  rng = np.random.default_rng(index)
  return {
    "valid": rng.normal(size=(10, 3)).astype(np.float32),
    "test": rng.normal(size=(12, 3)).astype(np.float32),
  }


@pytest.fixture
def run(tmp_path, dataset):
  facts = {"sweep": {"name": "tiny"}}
  made = store.create(
    tmp_path / "run", facts=facts, members=MEMBERS, dataset=dataset
  )
  for index in (0, 2):
    made.write_member(index, logits_of(index))
  return made


def test_what_is_written_is_read(run, dataset):
  again = store.open_run(run.path)
  assert again.task == "multilabel"
  members = again.members()
  assert members["done"].tolist() == [True, False, True]
  pd.testing.assert_frame_equal(
    members[[*MEMBERS]], MEMBERS, check_names=False, check_dtype=False
  )
  again.verify()
  test = again.split("test")
  assert test.sizes == {
    "member": 2,
    "example": 12,
    "attribute": 3,
    "identity": 1,
  }
  assert test["sparsity"].values.tolist() == [0.0, 0.95]
  assert test["logits"].dtype == np.float32
  np.testing.assert_array_equal(
    test["logits"], [logits_of(0)["test"], logits_of(2)["test"]]
  )
  assert test["example"].values.tolist() == dataset.splits["test"].ids.tolist()
  np.testing.assert_array_equal(test["labels"], dataset.splits["test"].labels)
  np.testing.assert_array_equal(
    test["truth_margin"], dataset.splits["test"].truth["margin"]
  )
  train = again.split("train")
  assert "logits" not in train
  np.testing.assert_array_equal(
    train["identities"][:, 0], dataset.splits["train"].labels[:, 2]
  )
  np.testing.assert_array_equal(
    again.samples(), dataset.splits["test"].images[: store.SAMPLES]
  )


def test_each_member_is_one_uncompressed_chunk(run):
  chunks = sorted((run.path / store.LOGITS / "test/logits/c").rglob("0"))
  sizes = [chunk.stat().st_size for chunk in chunks if chunk.is_file()]
  assert sizes == [12 * 3 * 4] * 2


def chunk_of(run, index, split="test"):
  return run.path / store.LOGITS / split / "logits/c" / str(index) / "0/0"


@pytest.mark.parametrize(
  "damage",
  [
    lambda path: path.write_bytes(path.read_bytes()[:-8]),
    lambda path: path.write_bytes(b"\0" * 4 + path.read_bytes()[4:]),
    lambda path: path.unlink(),
  ],
  ids=["truncated", "altered", "removed"],
)
@pytest.mark.parametrize("split", ["valid", "test"])
def test_damaged_logits_name_the_member(run, damage, split):
  damage(chunk_of(run, 2, split))
  with pytest.raises(
    InputError, match=rf"gmp-ri, sparsity 0.95, seed 3: its {split} logits"
  ) as caught:
    run.verify()
  assert "\n" not in str(caught.value)


def test_altered_labels_are_told(run):
  labels = zarr.open_array(run.path / store.LOGITS / "test/labels", mode="r+")
  labels[0, 0] = 1 - labels[0, 0]
  with pytest.raises(InputError, match="labels of the test split"):
    run.split("test")


@pytest.mark.parametrize(
  "name", ["labels/c/0/0", "zarr.json", "labels/zarr.json"]
)
def test_unreadable_files_are_one_line(run, name):
  path = run.path / store.LOGITS / "test" / name
  path.write_bytes(path.read_bytes()[:-5])
  with pytest.raises(InputError, match="cannot read test") as caught:
    run.split("test")
  assert "\n" not in str(caught.value)


def test_a_missing_group_is_one_line(run):
  shutil.rmtree(run.path / store.LOGITS / "members")
  with pytest.raises(InputError, match="cannot read members"):
    run.members()


def test_a_directory_without_a_run(tmp_path):
  with pytest.raises(InputError, match=r"no run \(sweep\.json not found\)"):
    store.open_run(tmp_path)


@pytest.mark.parametrize("text", ["{", "[]", '{"format": 99}'])
def test_a_broken_sweep_file(tmp_path, text):
  (tmp_path / store.SWEEP).write_text(text)
  with pytest.raises(InputError, match=r"sweep\.json"):
    store.open_run(tmp_path)


def test_a_killed_creation_leaves_no_run_and_no_obstacle(run, dataset):
  (run.path / store.SWEEP).unlink()
  with pytest.raises(InputError):
    store.open_run(run.path)
  again = store.create(run.path, facts={}, members=MEMBERS, dataset=dataset)
  assert not again.members()["done"].any()


def test_one_process_at_a_time(tmp_path):
  with (
    store.locked(tmp_path),
    pytest.raises(InputError, match="in use by another process"),
    store.locked(tmp_path),
  ):
    pass
  with store.locked(tmp_path):
    pass


def test_facts_are_replaced_whole(run):
  assert run.update_facts(seconds=3.5).facts["seconds"] == 3.5
  facts = json.loads((run.path / store.SWEEP).read_text())
  assert facts["sweep"] == {"name": "tiny"}
  assert not list(run.path.glob(".*.partial"))


def test_the_metrics_log_keeps_the_last_of_a_repeated_epoch(run):
  key = MEMBERS.iloc[0].to_dict()
  key["seed"] = 3
  run.log(iter([{**key, "epoch": 1, "loss": 2.0}]))
  run.log(iter([{**key, "epoch": 1, "loss": 1.0}]))
  assert run.metrics()["loss"].tolist() == [1.0]


def test_multiclass_stores_class_ids(tmp_path, dataset):
  splits = {
    name: dataclasses.replace(
      split, labels=split.labels[:, 0].astype(np.int32), truth={}
    )
    for name, split in dataset.splits.items()
  }
  classes = Dataset(
    name="classes",
    task="multiclass",
    names=("zero", "one"),
    identity_names=("C",),
    splits=splits,
  )
  made = store.create(tmp_path, facts={}, members=MEMBERS, dataset=classes)
  made.write_member(1, {"valid": np.zeros((10, 2)), "test": np.ones((12, 2))})
  test = made.split("test")
  assert test["logits"].dims == ("member", "example", "class")
  assert test["labels"].dims == ("example",)


NOISY = Evaluation("last", "test:noise:3")


def noisy_of(index):
  return np.random.default_rng(100 + index).normal(size=(12, 3))


@pytest.fixture
def evaluated(run):
  run.add_evaluation(NOISY, {PIXELS: "12ab"})
  run.write_evaluation(NOISY, 2, noisy_of(2))
  return run


@pytest.mark.parametrize(
  ("evaluation", "group"),
  [
    (Evaluation("last", "test"), "test"),
    (Evaluation("last", "valid"), "valid"),
    (Evaluation("best", "test"), "best-test"),
    (Evaluation("last", "test:noise:3"), "last-test-noise-3"),
    (Evaluation("best", "valid:jpeg:1"), "best-valid-jpeg-1"),
  ],
)
def test_the_group_of_an_evaluation(evaluation, group):
  assert evaluation.group == group
  if not evaluation.is_trained:
    assert Evaluation.of_group(group) == evaluation
  assert all("-" not in name for name in LEVELS)


def test_an_evaluation_has_the_labels_of_its_base(evaluated, dataset):
  again = store.open_run(evaluated.path)
  assert again.evaluations() == [("last", "valid"), ("last", "test"), NOISY]
  assert again.evaluation_facts(NOISY)[PIXELS] == "12ab"
  assert again.evaluated(NOISY).tolist() == [False, False, True]
  found, test = again.split("test:noise:3"), again.split("test")
  assert found["sparsity"].values.tolist() == [0.95]
  np.testing.assert_array_equal(
    found["logits"][0], noisy_of(2).astype(np.float32)
  )
  for name in ("labels", "identities", "example", "truth_margin"):
    np.testing.assert_array_equal(found[name], test[name])
  assert found["logits"].dims == test["logits"].dims
  assert "digest" not in found
  group = again.path / store.LOGITS / NOISY.group
  assert sorted(one.name for one in group.iterdir()) == [
    "digest",
    "done",
    "logits",
    "zarr.json",
  ]
  again.verify()


def test_growth_keeps_evaluations(evaluated):
  more = MEMBERS.assign(seed=4)
  grown = evaluated.grow(more)
  assert grown.evaluated(NOISY).tolist() == [False, False, True] + [False] * 3
  assert grown.split("test:noise:3")["seed"].values.tolist() == [3]
  grown.write_member(4, logits_of(4))
  grown.write_evaluation(NOISY, 4, noisy_of(4))
  assert grown.split("test:noise:3")["seed"].values.tolist() == [3, 4]
  np.testing.assert_array_equal(
    grown.logits_of(4, "test:noise:3"), noisy_of(4).astype(np.float32)
  )
  grown.verify()


def test_a_growth_killed_before_its_end_changes_nothing(evaluated, monkeypatch):
  with monkeypatch.context() as patch:
    patch.setattr(store.Run, "update_facts", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
      evaluated.grow(MEMBERS.assign(seed=4))
  again = store.open_run(evaluated.path)
  assert again.evaluated(NOISY).tolist() == [False, False, True]
  assert again.split("test:noise:3").sizes["member"] == 1
  again.verify()


def test_a_member_evaluated_but_not_done_is_not_usable(evaluated):
  evaluated.write_evaluation(NOISY, 1, noisy_of(1))
  assert evaluated.split("test:noise:3")["sparsity"].values.tolist() == [0.95]
  assert evaluated.evaluated(NOISY).tolist() == [False, False, True]


def test_damaged_evaluations_are_told_and_not_counted(evaluated):
  path = chunk_of(evaluated, 2, NOISY.group)
  path.write_bytes(path.read_bytes()[:-4])
  with pytest.raises(
    InputError,
    match=r"0.95, seed 3: its test:noise:3 logits .* evaluate it again",
  ):
    evaluated.verify()
  assert not evaluated.evaluated(NOISY).any()
  evaluated.write_evaluation(NOISY, 2, noisy_of(2))
  evaluated.verify()


def test_a_killed_addition_is_no_obstacle(run, monkeypatch):
  with monkeypatch.context() as patch:
    patch.setattr(arrays, "write_group", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
      run.add_evaluation(NOISY, {})
  (run.path / f".{NOISY.group}.partial" / NOISY.group).mkdir(parents=True)
  assert run.evaluations() == [("last", "valid"), ("last", "test")]
  run.add_evaluation(NOISY, {})
  assert run.evaluations()[-1] == NOISY
  assert not list(run.path.glob(".*.partial"))


@pytest.mark.parametrize(
  ("name", "checkpoint"), [("test:blur:1", "last"), ("test", "best")]
)
def test_what_was_not_evaluated_is_one_line(evaluated, name, checkpoint):
  with pytest.raises(
    InputError, match=r"there are: valid, test, test:noise:3;"
  ) as caught:
    evaluated.split(name, checkpoint)
  assert "\n" not in str(caught.value)


def part(path, dataset, seed, pixels):
  """A finished run of one seed, evaluated besides."""
  sweep = Sweep(seeds=(seed,), sparsities=(0.0, 0.8, 0.95)).to_dict()
  facts = {"sweep": sweep, "data": {"fingerprint": "same"}}
  members = MEMBERS.assign(seed=seed)
  made = store.create(path, facts=facts, members=members, dataset=dataset)
  for index in range(3):
    made.write_member(index, logits_of(10 * seed + index))
  for evaluation, digest in pixels.items():
    made.add_evaluation(evaluation, {PIXELS: digest})
    made.write_evaluation(evaluation, 1, noisy_of(10 * seed + 1))
  return made


def test_merging_keeps_evaluations(tmp_path, dataset):
  best = Evaluation("best", "test:blur:1")
  part(tmp_path / "a", dataset, 1, {NOISY: "12ab"})
  part(tmp_path / "b", dataset, 2, {NOISY: "12ab", best: "34cd"})
  paths = [tmp_path / "a", tmp_path / "b"]
  both = merge(paths, tmp_path / "both")
  both.verify()
  assert both.evaluations()[2:] == [NOISY, best]
  nothing = [False] * 3
  assert both.evaluated(NOISY).tolist() == [False, True, False] * 2
  assert both.evaluated(best).tolist() == [*nothing, False, True, False]
  assert both.evaluation_facts(best)[PIXELS] == "34cd"
  np.testing.assert_array_equal(
    both.logits_of(4, NOISY.split), noisy_of(21).astype(np.float32)
  )


def test_runs_of_other_pixels_are_not_merged(tmp_path, dataset):
  part(tmp_path / "a", dataset, 1, {NOISY: "12ab"})
  part(tmp_path / "b", dataset, 2, {NOISY: "other"})
  with pytest.raises(InputError, match="other pixels of test:noise:3"):
    merge([tmp_path / "a", tmp_path / "b"], tmp_path / "both")
  assert not (tmp_path / "both" / store.SWEEP).exists()
