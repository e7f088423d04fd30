"""Foreign logits in an archive: what is stored, and what is refused."""

import hashlib
import json
import os
from pathlib import Path

from foreign import SIZES, archive, saved
import hypothesis
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
import numpy as np
import pytest

from prunebias_jax import cli, store
from prunebias_jax.errors import InputError
from prunebias_jax.importing import import_archive
from prunebias_jax.importing.archive import KEYS


@pytest.fixture
def made(tmp_path):
  """Imports arrays, changed."""

  def make(arrays=None, /, *, options=None, **changes):
    arrays = {**(archive() if arrays is None else arrays), **changes}
    arrays = {key: one for key, one in arrays.items() if one is not None}
    file = saved(tmp_path / "theirs.npz", arrays)
    return import_archive(file, tmp_path / "run", **(options or {}))

  return make


def test_what_is_given_is_stored(made, tmp_path):
  arrays = archive()
  run = made(
    arrays,
    attribute_names=np.array(["A", "B", "C"]),
    identity_names=np.array(["B"]),
    quantization=np.array(["none", "int8", "none", "int8"]),
    seed_order=np.array([5, 5, 6, 6]),
    test_example_ids=np.arange(30),
  )
  run.verify()
  members = run.members()
  assert members["done"].all()
  assert not members["diverged"].any()
  for key in ("pruner", "sparsity", "seed"):
    assert members[key].tolist() == arrays[key].tolist()
  assert members["quantization"].tolist() == ["none", "int8"] * 2
  assert members["seed_order"].tolist() == [5, 5, 6, 6]
  for split in ("valid", "test"):
    data = run.split(split)
    np.testing.assert_array_equal(data["logits"], arrays[f"{split}_logits"])
    np.testing.assert_array_equal(data["labels"], arrays[f"{split}_labels"])
    np.testing.assert_array_equal(
      data["identities"][:, 0], arrays[f"{split}_labels"][:, 1]
    )
  assert run.split("test")["example"].values.tolist() == [
    str(index) for index in range(30)
  ]
  assert run.split("train")["labels"].dtype == np.uint8
  assert run.split("test")["attribute"].values.tolist() == ["A", "B", "C"]
  assert run.split("valid")["example"].values[3] == "valid-3"
  assert run.split("test").attrs["paired"]
  assert "parent_seed" not in run.split("test").coords
  assert run.samples().shape == (0, 0, 0, 3)
  assert run.metrics().empty


def test_a_run_says_where_it_is_from_and_holds_no_path(made, tmp_path):
  run = made()
  content = (tmp_path / "theirs.npz").read_bytes()
  assert run.imported == {
    "files": [
      {"name": "theirs.npz", "sha256": hashlib.sha256(content).hexdigest()}
    ],
    "pairing": "seed",
    "precision": "float32",
  }
  assert run.name == "theirs"
  text = (run.path / store.SWEEP).read_text()
  assert str(tmp_path) not in text
  assert json.loads(text)["data"]["sizes"] == SIZES


@hypothesis.given(data=st.data())
@hypothesis.settings(max_examples=12, deadline=None)
def test_whatever_fits_comes_back_as_it_was(tmp_path_factory, data):
  """Any finite logits, extreme ones too, and any labels, missing ones too."""
  folder = tmp_path_factory.mktemp("any")
  shape = data.draw(st.tuples(*[st.integers(1, 4)] * 3))
  dtype = data.draw(st.sampled_from([np.float16, np.float32, np.float64]))
  finite = hnp.from_dtype(
    np.dtype(dtype), allow_nan=False, allow_infinity=False
  )
  logits = data.draw(hnp.arrays(dtype, shape, elements=finite))
  values = st.sampled_from([0.0, 1.0, np.nan])
  labels = data.draw(hnp.arrays(float, shape[1:], elements=values))
  seeds = data.draw(
    st.lists(
      st.integers(0, 2**63 - 1),
      min_size=shape[0],
      max_size=shape[0],
      unique=True,
    )
  )
  file = saved(
    folder / "any.npz",
    {
      "test_logits": logits,
      "test_labels": labels,
      "pruner": np.array(["gmp"] * shape[0]),
      "sparsity": np.full(shape[0], 0.5),
      "seed": np.array(seeds, np.int64),
    },
  )
  run = import_archive(file, folder / "run")
  run.verify()
  test = run.split("test")
  assert test["logits"].to_numpy().tobytes() == logits.tobytes()
  np.testing.assert_array_equal(test["labels"], labels)
  assert test["seed"].values.tolist() == seeds


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", ">f4"])
def test_the_precision_given_is_kept(made, dtype):
  arrays = archive(dtype=dtype)
  run = made(arrays)
  run.verify()
  logits = run.split("test")["logits"]
  assert logits.dtype == np.dtype(dtype).newbyteorder("=")
  np.testing.assert_array_equal(logits, arrays["test_logits"])
  chunk = run.path / store.LOGITS / "test/logits/c/0/0/0"
  assert chunk.stat().st_size == 30 * 3 * np.dtype(dtype).itemsize


def test_numbers_stand_for_names(made):
  run = made()
  assert run.split("test")["attribute"].values.tolist() == [
    f"attribute_{index}" for index in range(3)
  ]
  assert run.split("test").sizes["identity"] == 0


def test_exclusive_classes(made):
  arrays = archive(classes=True)
  run = made(
    arrays,
    class_names=np.array([b"cat", b"dog", b"owl"]),
    group_names=np.array(["night"]),
    **{f"{x}_groups": np.arange(n)[:, None] % 2 for x, n in SIZES.items()},
  )
  assert run.task == "multiclass"
  test = run.split("test")
  assert test["logits"].dims == ("member", "example", "class")
  assert test["class"].values.tolist() == ["cat", "dog", "owl"]
  np.testing.assert_array_equal(test["labels"], arrays["test_labels"])
  assert test["labels"].dtype == np.int32
  assert test["identities"][:3, 0].values.tolist() == [0, 1, 0]


def test_missing_labels_stay_missing(made):
  labels = archive()["test_labels"].astype(float)
  labels[2, 1] = np.nan
  run = made(test_labels=labels)
  found = run.split("test")["labels"]
  assert found.dtype == np.float32
  np.testing.assert_array_equal(found, labels)


def test_celebas_identities_where_the_names_are_its(made):
  names = np.array(["Smiling", "Young", "Male"])
  run = made(attribute_names=names)
  test = run.split("test")
  assert test["identity"].values.tolist() == ["Male", "Young"]
  np.testing.assert_array_equal(
    test["identities"], archive()["test_labels"][:, [2, 1]]
  )


def test_others_names_have_no_identities_of_their_own(made):
  run = made(attribute_names=np.array(["Smiling", "Young", "Tall"]))
  assert run.split("test").sizes["identity"] == 0


def test_none_can_be_asked_for(made):
  run = made(
    attribute_names=np.array(["Smiling", "Young", "Male"]),
    identity_names=np.array([], str),
  )
  assert run.split("test").sizes["identity"] == 0


def test_groups_are_identities_beside_attributes(made):
  """Columns of text: one of 0 and 1, the other of categories."""
  columns = {
    f"{split}_groups": np.array(
      [[str(row % 2), "abc"[row % 3]] for row in range(count)]
    )
    for split, count in SIZES.items()
  }
  run = made(
    attribute_names=np.array(["A", "B", "C"]),
    identity_names=np.array(["C"]),
    group_names=np.array(["old", "camera"]),
    **columns,
  )
  test = run.split("test")
  assert test["identity"].values.tolist() == [
    "C", "old", "camera=a", "camera=b", "camera=c",
  ]  # fmt: skip
  assert test["identities"][4, 1:].values.tolist() == [0, 0, 1, 0]


@pytest.mark.parametrize(
  ("keys", "pairing", "paired"),
  [
    ({}, "seed", True),
    ({"paired": np.array(True)}, "seed", True),
    ({"paired": np.array(False)}, "none", False),
    ({"parent_seed": np.array([-1, 7, -1, 7])}, "parent_seed", True),
  ],
)
def test_who_pairs_with_whom(made, keys, pairing, paired):
  run = made(**keys)
  assert run.imported["pairing"] == pairing
  data = run.split("test")
  assert data.attrs["paired"] is paired
  if pairing == "parent_seed":
    assert data["parent_seed"].values.tolist() == [-1, 7, -1, 7]
    assert run.members()["parent_seed"].tolist() == [-1, 7, -1, 7]


def test_pairing_may_be_chosen_where_the_file_does_not_say(made, tmp_path):
  assert made(options={"pairing": "none"}).imported["pairing"] == "none"
  file = saved(tmp_path / "b.npz", {**archive(), "paired": np.array(True)})
  with pytest.raises(InputError, match="paired: pairing cannot be chosen"):
    import_archive(file, tmp_path / "other", pairing="none")
  with pytest.raises(InputError, match="unknown pairing 'both'"):
    import_archive(file, tmp_path / "other", pairing="both")


def test_sparsities_are_meant_as_they_are_written(made):
  sparsity = np.array([0, 0.995, 0, 0.995], np.float32)
  assert made(sparsity=sparsity).members()["sparsity"].tolist() == [
    0, 0.995, 0, 0.995,
  ]  # fmt: skip


def test_bad_members_are_named_and_may_be_left_out(made, tmp_path):
  arrays = archive()
  arrays["test_logits"][1, 3, 0] = np.inf
  arrays["valid_logits"][2, 0, 0] = np.nan
  with pytest.raises(
    InputError,
    match=r"not finite: gmp, sparsity 0.9, seed 0; dense, sparsity 0, seed 1; "
    "--skip-bad",
  ):
    made(arrays)
  assert not (tmp_path / "run").exists()
  run = made(arrays, options={"skip_bad": True})
  run.verify()
  assert run.members()["diverged"].tolist() == [False, True, True, False]
  assert run.split("test")["seed"].values.tolist() == [0, 1]


def test_bad_throughout_is_refused(made):
  arrays = archive()
  arrays["test_logits"][:, 0] = np.nan
  with pytest.raises(InputError, match="in every member"):
    made(arrays, options={"skip_bad": True})


def test_validation_and_train_may_be_absent(made):
  run = made(valid_logits=None, valid_labels=None, train_labels=None)
  run.verify()
  assert run.splits == ("test",)
  assert [one.split for one in run.evaluations()] == ["test"]
  with pytest.raises(InputError, match="no train labels"):
    run.split("train")
  with pytest.raises(InputError, match=r"no valid logits; there are: test$"):
    run.split("valid")


def test_validation_labels_may_be_alone(made):
  run = made(valid_logits=None)
  assert "logits" not in run.split("valid")
  assert [one.split for one in run.evaluations()] == ["test"]


def _groups(*columns, names=("g",)):
  """Group columns that repeat two values each."""
  return {
    **{
      f"{split}_groups": np.resize(np.array(columns).T, (count, len(names)))
      for split, count in SIZES.items()
    },
    "group_names": np.array(names),
  }


NAN_LABELS = np.where(np.arange(90).reshape(30, 3) % 7, 1.0, np.nan)
REFUSED = {
  "no_logits": ({"test_logits": None}, "lacks test_logits; needed are"),
  "no_seed": ({"seed": None}, "lacks seed; needed"),
  "unknown_key": (
    {"test_logit": np.zeros(3)},
    "unknown field 'test_logit'; did you mean 'test_logits'",
  ),
  "flat_logits": (
    {"test_logits": np.zeros((4, 30), np.float32)},
    r"test_logits are of shape \(4, 30\); accepted: \[member, example, attr",
  ),
  "no_member": (
    {"test_logits": np.zeros((0, 30, 3), np.float32)},
    r"shape \(0, 30, 3\)",
  ),
  "whole_logits": (
    {"test_logits": np.zeros((4, 30, 3), int)},
    "test_logits are int64; accepted: float16, float32, float64",
  ),
  "two_precisions": (
    {"valid_logits": np.zeros((4, 24, 3))},
    "valid_logits are float64, test_logits float32",
  ),
  "fewer_valid_members": (
    {"valid_logits": np.zeros((3, 24, 3), np.float32)},
    "valid_logits are of 3 members and 3 outputs, test_logits of 4 and 3",
  ),
  "other_valid_attributes": (
    {"valid_logits": np.zeros((4, 24, 2), np.float32)},
    "valid_logits are of 4 members and 2 outputs",
  ),
  "valid_without_labels": (
    {"valid_labels": None},
    "valid_logits without valid_labels",
  ),
  "examples": (
    {"test_labels": np.zeros((29, 3), int)},
    "test_logits are of 30 examples, test_labels of 29",
  ),
  "attributes": (
    {"train_labels": np.zeros((50, 4), int)},
    "train_labels are of 4 attributes, the logits of 3",
  ),
  "empty_train": (
    {"train_labels": np.zeros((0, 3), int)},
    r"train_labels are of shape \(0, 3\)",
  ),
  "minus_one": (
    {"test_labels": np.full((30, 3), -1)},
    r"test_labels hold -1; accepted: 0, 1 and NaN \(missing\)",
  ),
  "infinite_label": (
    {"test_labels": np.full((30, 3), np.inf)},
    "test_labels hold inf",
  ),
  "text_labels": (
    {"test_labels": np.full((30, 3), "yes")},
    "test_labels are <U3; accepted: 0, 1 and NaN",
  ),
  "class_too_high": (
    {
      "test_labels": np.full(30, 3),
      "valid_labels": np.zeros(24, int),
      "train_labels": None,
    },
    "test_labels hold 3; accepted: class ids 0 to 2",
  ),
  "float_classes": (
    {
      "test_labels": np.zeros(30),
      "valid_labels": None,
      "valid_logits": None,
      "train_labels": None,
    },
    "test_labels are float64; accepted: whole numbers",
  ),
  "mixed_tasks": (
    {"test_labels": np.zeros(30, int)},
    r"train_labels are of shape \(50, 3\); accepted: \[example\], class ids",
  ),
  "one_class": (
    {
      "test_logits": np.zeros((4, 30, 1), np.float32),
      "valid_logits": None,
      "test_labels": np.zeros(30, int),
    },
    r"the logits are of one class; .* labels \[example, 1\]",
  ),
  "names": (
    {"attribute_names": np.array(["A", "B"])},
    "attribute_names are 2, the logits are of 3",
  ),
  "double_names": (
    {"attribute_names": np.array(["A", "B", "A"])},
    "attribute_names holds 'A' more than once",
  ),
  "reserved_name": (
    {"attribute_names": np.array(["A", "B", "(all)"])},
    r"attribute '\(all\)' has the name that the tables use",
  ),
  "empty_name": (
    {"attribute_names": np.array(["A", "", "C"])},
    "attribute_names holds ''; accepted: printable text",
  ),
  "two_lines": (
    {"pruner": np.array(["dense", "a\nb", "dense", "a\nb"])},
    r"pruner holds 'a\\nb'",
  ),
  "class_names": (
    {"class_names": np.array(["A", "B", "C"])},
    "class_names, but test_labels of shape .* are those of attributes",
  ),
  "numbers_as_names": (
    {"attribute_names": np.arange(3)},
    r"attribute_names is int64 of shape \(3,\); accepted: one text each",
  ),
  "objects": (
    {"attribute_names": np.array(["A", "B", "C"], object)},
    "attribute_names is an array of Python objects, which are not read",
  ),
  "unknown_identity": (
    {"identity_names": np.array(["Male"])},
    "unknown identity 'Male' in identity_names; accepted: attribute_0",
  ),
  "missing_identity": (
    {"test_labels": NAN_LABELS, "identity_names": np.array(["attribute_0"])},
    "identity 'attribute_0' has 5 missing labels in test",
  ),
  "groups_without_names": (
    {"test_groups": np.zeros((30, 1))},
    "test_groups without group_names",
  ),
  "groups_of_complex_numbers": (
    _groups([1j, 0]),
    "groups: 'g' is complex128; accepted: numbers, text or dates",
  ),
  "groups_of_bytes": (
    _groups([b"\xff", b"a"]),
    "groups: 'g' holds bytes that are no UTF-8",
  ),
  "groups_of_two_lines": (
    _groups(["a\nb", "c"]),
    r"groups: 'g' holds 'a\\nb'; accepted: printable text",
  ),
  "groups_of_no_text": (
    _groups(["", "c"]),
    "groups: 'g' holds ''; accepted: printable text",
  ),
  "group_with_a_star": (
    _groups(["a", "b*c"]),
    r"identity 'g=b\*c': the tables join the names of crossed identities",
  ),
  "groups_of_one_name": (
    _groups(["a", "b"], ["1", "0"], names=("g", "g=a")),
    "groups: two columns make an identity 'g=a'",
  ),
  "groups_of_test_only": (
    {"test_groups": np.zeros((30, 1)), "group_names": np.array(["g"])},
    "groups are given of test, labels of train, valid, test",
  ),
  "short_ids": (
    {"valid_example_ids": np.arange(23)},
    r"valid_example_ids are of shape \(23,\); accepted: one for each of 24",
  ),
  "double_ids": (
    {"test_example_ids": np.array(["a"] * 30)},
    r"example id 'a' stands for more than one example \(test\)",
  ),
  "ids_in_two_splits": (
    {
      "test_example_ids": np.arange(30),
      "valid_example_ids": np.arange(29, 53),
    },
    r"example id '29' stands for more than one example \(valid, test\)",
  ),
  "two_ids": (
    {"example_ids": np.arange(30), "test_example_ids": np.arange(30)},
    "example_ids are those of test",
  ),
  "ids_of_nothing": (
    {"train_labels": None, "train_example_ids": np.arange(50)},
    "train_example_ids without train_labels",
  ),
  "twice": (
    {"seed": np.array([1, 1, 1, 2])},
    "dense, sparsity 0, seed 1 is there more than once",
  ),
  "percent": (
    {"sparsity": np.array([0, 90, 0, 90])},
    "sparsity holds 90; accepted: shares from 0 to below 1",
  ),
  "nan_sparsity": ({"sparsity": np.full(4, np.nan)}, "sparsity holds nan"),
  "dense_that_prunes": (
    {"pruner": np.array(["dense"] * 4)},
    "pruner of sparsity 0.9 is called 'dense'",
  ),
  "negative_seed": (
    {"seed": np.array([-1, 0, 1, 2])},
    "seed holds -1; accepted: 0 to",
  ),
  "huge_seed": (
    {"seed": np.array([0, 1, 2, 2**64 - 1], np.uint64)},
    "seed holds 18446744073709551615",
  ),
  "real_seed": ({"seed": np.arange(4.0)}, "seed is float64; accepted: whole"),
  "three_seeds": (
    {"seed": np.arange(3)},
    r"seed is of shape \(3,\); accepted: one for each of 4 members",
  ),
  "unpaired_parent": (
    {"paired": np.array(False), "parent_seed": np.zeros(4, int)},
    "paired is False, but there is parent_seed",
  ),
  "paired_by_member": (
    {"paired": np.ones(4, bool)},
    "accepted: one bool",
  ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refusals_are_one_line_and_write_nothing(made, tmp_path, case):
  changes, message = REFUSED[case]
  with pytest.raises(InputError, match=message) as caught:
    made(**changes)
  assert "\n" not in str(caught.value)
  assert str(caught.value).startswith(str(tmp_path / "theirs.npz"))
  assert not (tmp_path / "run").exists()


def test_group_named_as_an_attribute(made):
  groups = {f"{x}_groups": np.arange(n)[:, None] % 2 for x, n in SIZES.items()}
  with pytest.raises(InputError, match="'attribute_1' is an attribute and in"):
    made(group_names=np.array(["attribute_1"]), **groups)


@pytest.mark.parametrize(
  ("content", "message"),
  [
    (b"", "no .npz that can be read"),
    (b"no archive", "no .npz that can be read"),
    (b"PK\x03\x04 cut off", "no .npz that can be read"),
    (b"\x80\x04N.", "no .npz that can be read"),
    (None, "not found"),
  ],
)
def test_what_is_no_archive(tmp_path, content, message):
  file = tmp_path / "theirs.npz"
  if content is not None:
    file.write_bytes(content)
  with pytest.raises(InputError, match=message) as caught:
    import_archive(file, tmp_path / "run")
  assert "\n" not in str(caught.value)


def test_a_truncated_archive(tmp_path):
  file = saved(tmp_path / "theirs.npz", archive())
  for cut in (100, 5000, os.path.getsize(file) - 30):
    file.write_bytes(file.read_bytes()[:cut])
    with pytest.raises(InputError, match="can be read"):
      import_archive(file, tmp_path / "run")


def test_an_altered_archive(tmp_path):
  file = saved(tmp_path / "theirs.npz", archive())
  content = bytearray(file.read_bytes())
  content[len(content) // 2] ^= 0xFF
  file.write_bytes(bytes(content))
  with pytest.raises(InputError, match="CRC"):
    import_archive(file, tmp_path / "run")


def test_a_single_array(tmp_path):
  file = tmp_path / "theirs.npz"
  with file.open("wb") as opened:
    np.save(opened, np.zeros(3))
  with pytest.raises(InputError, match="holds a single array"):
    import_archive(file, tmp_path / "run")


def test_a_run_in_the_way_is_left_alone(made, tmp_path):
  run = made()
  with pytest.raises(InputError, match="holds a run already"):
    made()
  run.verify()


def test_a_file_in_the_way(tmp_path):
  file = saved(tmp_path / "theirs.npz", archive())
  with pytest.raises(InputError, match="is a file; accepted: a directory"):
    import_archive(file, file)
  assert import_archive(file, tmp_path / "deep/er/run").members().size


def test_a_failure_in_the_middle_leaves_nothing(made, tmp_path, monkeypatch):
  def full(*_, **__):
    raise OSError(28, "No space left on device")

  (tmp_path / "run").mkdir()
  (tmp_path / "run/notes.txt").write_text("mine")
  monkeypatch.setattr(store.Run, "write_member", full)
  with pytest.raises(OSError, match="No space"):
    made()
  left = sorted(one.name for one in (tmp_path / "run").iterdir())
  assert left == [".lock", "notes.txt"]


def test_the_command(tmp_path, capsys):
  file = saved(tmp_path / "theirs.npz", archive())
  run = tmp_path / "run"
  assert cli.main(["import", str(file), "--workdir", str(run)]) == 0
  out = capsys.readouterr().out
  assert out == (
    f"4 members on 30 test examples in {run}; next: prunebias analyze {run}\n"
  )
  again = ["import", str(file), "--workdir", str(run)]
  assert cli.main(again) == cli.BAD_INPUT
  assert "holds a run already" in capsys.readouterr().err
  folder = ["import", str(tmp_path), "--workdir", str(tmp_path / "b")]
  assert cli.main(folder) == cli.BAD_INPUT
  assert "--labels FILE is needed" in capsys.readouterr().err
  assert cli.main([*again, "--values", "logits"]) == cli.BAD_INPUT
  assert "--values is for folders" in capsys.readouterr().err


def test_the_example_of_the_documentation(tmp_path, monkeypatch):
  text = (Path(__file__).parents[1] / "docs/importing.md").read_text()
  example = text.split("```python\n")[2].split("```")[0]
  monkeypatch.chdir(tmp_path)
  exec(example, {})
  run = import_archive("theirs.npz", "run")
  assert len(run.members()) == 12
  assert run.split("test")["identity"].values.tolist() == ["Male"]


def test_every_key_is_documented():
  text = (Path(__file__).parents[1] / "docs/importing.md").read_text()
  for key in KEYS:
    assert f"`{key}`" in text, key
