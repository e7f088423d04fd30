"""A folder of text files: every layout, and every line that is refused."""

from foreign import NAMES, lists, outputs
import numpy as np
import pytest

from prunebias_jax import cli, store
from prunebias_jax.errors import InputError
from prunebias_jax.importing import import_folder


@pytest.fixture
def folder(tmp_path):
  return tmp_path / "outputs"


@pytest.fixture
def truth(tmp_path):
  return lists(tmp_path / "lists")


@pytest.fixture
def made(folder, truth, tmp_path):
  def make(**options):
    given = {
      "labels": tmp_path / "lists/list_attr_celeba.txt",
      "partition": tmp_path / "lists/list_eval_partition.txt",
    }
    return import_folder(folder, tmp_path / "run", **{**given, **options})

  return make


def joint(folder, **options):
  """Two dense and two pruned members; the numbers by place and split."""
  return [
    outputs(folder / one, seed=number, **options)
    for number, one in enumerate(
      ["Dense/0/run1", "Dense/0/run2", "GMP-RI/995/run1", "GMP-RI/995/run2"]
    )
  ]


def test_all_attributes_together(made, folder, truth):
  expected = joint(folder)
  run = made()
  run.verify()
  members = run.members()
  assert members[[*store.MEMBER_KEY]].to_numpy().tolist() == [
    ["dense", 0.0, "none", 1],
    ["dense", 0.0, "none", 2],
    ["GMP-RI", 0.995, "none", 1],
    ["GMP-RI", 0.995, "none", 2],
  ]
  for split in ("valid", "test"):
    data = run.split(split)
    ids, labels = truth[split]
    assert data["example"].values.tolist() == ids.tolist()
    np.testing.assert_array_equal(data["labels"], labels)
    np.testing.assert_array_equal(
      data["logits"], [one[split] for one in expected]
    )
    assert data["attribute"].values.tolist() == list(NAMES)
    assert data["identity"].values.tolist() == ["Male", "Young"]
    np.testing.assert_array_equal(data["identities"], labels[:, [0, 2]])
  assert run.split("test")["logits"].dtype == np.float64
  np.testing.assert_array_equal(run.split("train")["labels"], truth["train"][1])


def test_every_file_is_named_by_its_place_in_the_folder(made, folder, tmp_path):
  joint(folder)
  run = made()
  names = [one["name"] for one in run.imported["files"]]
  assert names[:3] == [
    "list_attr_celeba.txt",
    "list_eval_partition.txt",
    "Dense/0/run1/valid_outputs_epoch_99.txt",
  ]
  assert len(names) == 2 + 8
  assert str(tmp_path) not in (run.path / store.SWEEP).read_text()
  assert run.name == "outputs"


def test_without_validation(made, folder):
  joint(folder, valid=0)
  run = made()
  assert [one.split for one in run.evaluations()] == ["test"]
  assert run.splits == ("train", "valid", "test")


def test_networks_of_one_attribute(made, folder, truth):
  for attribute in ("Smiling", "Round"):
    for level in ("0", "8", "95"):
      outputs(folder / "gmp" / attribute / level / "3", width=1)
  with pytest.raises(InputError, match="Round, Smiling; choose by --attribute"):
    made()
  with pytest.raises(InputError, match="no attribute 'Male'; accepted: Round"):
    made(attribute="Male")
  run = made(attribute="Round")
  assert run.members()["sparsity"].tolist() == [0.0, 0.8, 0.95]
  assert run.members()["pruner"].unique().tolist() == ["gmp"]
  test = run.split("test")
  assert test["attribute"].values.tolist() == ["Round"]
  np.testing.assert_array_equal(test["labels"], truth["test"][1][:, 3:])
  assert test["identity"].values.tolist() == ["Male", "Young"]
  np.testing.assert_array_equal(test["identities"], truth["test"][1][:, [0, 2]])


def backdoored(folder, truth, *, splits=("train", "valid", "test")):
  """Backdoored members; the rows that are marked by split."""
  for level in ("0", "95"):
    outputs(folder / "Smiling/grayscale" / level / "run-1", width=1)
  marked = {}
  for split in splits:
    ids = truth[split][0]
    marked[split] = np.arange(len(ids)) % 3 == 0
    text = "\n".join(ids[marked[split]]) + "\n"
    (folder / f"Smiling/grayscale/backdoor_ids_{split}.txt").write_text(text)
  return marked


def test_backdoored_data_have_the_marked_as_an_identity(made, folder, truth):
  marked = backdoored(folder, truth)
  run = made()
  assert run.members()["pruner"].tolist() == ["dense", "pruned"]
  for split, expected in marked.items():
    data = run.split(split)
    assert data["identity"].values.tolist() == ["Male", "Young", "Marked"]
    np.testing.assert_array_equal(data["identities"][:, 2], expected)


def test_splits_of_unknown_marks_are_left_out(made, folder, truth, caplog):
  backdoored(folder, truth, splits=("test",))
  run = made()
  assert run.splits == ("test",)
  assert [one.split for one in run.evaluations()] == ["test"]
  assert "no backdoor_ids_train.txt: the train split is left out" in caplog.text


def test_marks_by_position(made, folder, truth):
  backdoored(folder, truth, splits=())
  where = folder / "Smiling/grayscale"
  for level in ("0", "95"):
    path = where / level / "run-1/backdoor_ids_test.txt"
    path.write_text("0\n29\n")
  with pytest.raises(InputError, match=r"line 1: the split has no image '0'"):
    made()
  run = made(marks_by="position")
  found = run.split("test")["identities"][:, 2].values
  assert np.flatnonzero(found).tolist() == [0, 29]


def test_a_strategy_beside_the_marker(made, folder, truth):
  outputs(folder / "Smiling/yellow/gmp/9/1", width=1)
  (folder / "backdoor_ids_test.txt").write_text(truth["test"][0][0] + "\n")
  assert made().members()["pruner"].tolist() == ["gmp"]


def test_members_that_saw_other_marks(made, folder, truth):
  backdoored(folder, truth, splits=())
  for level, one in (("0", 0), ("95", 1)):
    path = folder / "Smiling/grayscale" / level / "backdoor_ids_test.txt"
    path.write_text(truth["test"][0][one] + "\n")
  with pytest.raises(InputError, match="marks other images than"):
    made()


def test_marks_that_are_not_there(made, folder, truth):
  backdoored(folder, truth, splits=())
  with pytest.raises(InputError, match=r"backdoor_ids_test.txt not found in"):
    made()


def squashed(folder):
  """Rewrites all numbers as probabilities; returns nothing."""
  for path in folder.rglob("*.txt"):
    values = np.loadtxt(path, ndmin=2)
    np.savetxt(path, 1 / (1 + np.exp(-values)), fmt="%.17g")


def test_probabilities_have_to_be_called_so(made, folder):
  expected = joint(folder)
  squashed(folder)
  with pytest.raises(
    InputError, match=r"all numbers lie between 0 and 1, .* --values logits or"
  ):
    made()
  assert not (folder.parent / "run").exists()
  run = made(values="probabilities")
  np.testing.assert_allclose(
    run.split("test")["logits"],
    [one["test"] for one in expected],
    rtol=0,
    atol=1e-12,
  )


def test_they_may_be_logits_all_the_same(made, folder):
  joint(folder)
  squashed(folder)
  run = made(values="logits")
  assert run.split("test")["logits"].values.max() < 1


def test_probabilities_of_exactly_one_have_no_logit(made, folder):
  joint(folder)
  squashed(folder)
  path = folder / "GMP-RI/995/run2/test_outputs_epoch_99.txt"
  lines = path.read_text().splitlines()
  path.write_text("\n".join(["1.0 0.0 .5 .5", *lines[1:]]) + "\n")
  with pytest.raises(
    InputError, match=r"exactly 0 or 1, .*: GMP-RI, sparsity 0.995, seed 2"
  ):
    made(values="probabilities")
  run = made(values="probabilities", skip_bad=True)
  assert run.members()["diverged"].tolist() == [False, False, False, True]


def test_logits_are_no_probabilities(made, folder):
  joint(folder)
  with pytest.raises(InputError, match="accepted as probabilities: 0 to 1"):
    made(values="probabilities")


TEST = "GMP-RI/995/run1/test_outputs_epoch_99.txt"


def replaced(line, text):
  """Changes one line of a file."""

  def change(path):
    lines = path.read_text().splitlines()
    lines[line - 1 : line] = [] if text is None else [text]
    path.write_text("\n".join(lines) + "\n")

  return change


@pytest.mark.parametrize(
  ("change", "message"),
  [
    (replaced(7, "1 2 3"), "line 7: 3 fields; accepted: 4"),
    (replaced(7, "1 2 3 4 5"), "line 7: 5 fields; accepted: 4"),
    (replaced(7, ""), "line 7: 0 fields"),
    (replaced(7, "1 2 x 4"), "line 7: could not convert string to float: 'x'"),
    (replaced(7, "1 2 3_0 4"), "line 7: '_' is in no number"),
    (replaced(7, "1 2 ３ 4"), "line 7: '３' is in no number"),
    (replaced(7, "1 2 0x1 4"), "line 7: could not convert .* '0x1'"),
    (replaced(1, "# a b c"), "line 1: could not convert"),
    (replaced(7, None), "has 29 lines; accepted: 30"),
    (replaced(7, "1 2 3 4\n5 6 7 8"), "has 31 lines; accepted: 30"),
    (lambda path: path.write_text(""), "has 0 lines"),
    (lambda path: path.write_bytes(b"\xff\xfe1"), "is no text"),
    (replaced(7, "1 nan 3 4"), "not finite: GMP-RI, sparsity 0.995, seed 1"),
  ],
)
def test_ragged_lines_by_file_and_number(made, folder, change, message):
  joint(folder)
  change(folder / TEST)
  with pytest.raises(InputError, match=message) as caught:
    made()
  assert "\n" not in str(caught.value)
  if "not finite" not in message:
    assert str(folder / TEST) in str(caught.value)
  assert not (folder.parent / "run").exists()


def test_commas_part_numbers_too(made, folder):
  expected = joint(folder)
  for path in folder.rglob("*.txt"):
    path.write_text(path.read_text().replace(" ", ", "))
  np.testing.assert_array_equal(
    made().split("test")["logits"][0], expected[0]["test"]
  )


@pytest.mark.parametrize(
  ("directory", "message"),
  [
    ("95/1", "of no known layout; accepted: PRUNER/SPARSITY/RUN"),
    ("gmp/Smiling/95/1/more/1", "of no known layout"),
    ("gmp/nobody/95/1", "of no known layout"),
    ("gmp/95%/1", "sparsity '95%'; accepted: the digits after the point"),
    ("gmp/0.95/1", r"sparsity '0\.95'"),
    ("gmp/95/best", "run 'best' has not one number"),
    ("gmp/95/run9223372036854775808", "number of run .* is too large"),
    ("gmp/95/run1-2", "run 'run1-2' has not one number"),
    ("Dense/95/1", "pruner of sparsity 0.95 is called 'dense'"),
  ],
)
def test_unknown_layouts(made, folder, directory, message):
  outputs(folder / directory)
  with pytest.raises(InputError, match=message):
    made()


def test_a_member_that_is_there_twice(made, folder):
  outputs(folder / "gmp/95/1")
  outputs(folder / "gmp/950/run1")
  with pytest.raises(InputError, match=r"gmp, sparsity 0.95, seed 1 is there"):
    made()


def test_layouts_are_not_mixed(made, folder):
  outputs(folder / "gmp/95/1")
  outputs(folder / "gmp/Smiling/95/1", width=1)
  with pytest.raises(InputError, match="several layouts"):
    made()


def test_files_that_lack_or_are_too_many(made, folder):
  folder.mkdir()
  with pytest.raises(InputError, match=r"has no test_outputs\*.txt"):
    made()
  joint(folder)
  extra = folder / "GMP-RI/995/run2/valid_outputs_best.txt"
  extra.write_text("1")
  with pytest.raises(
    InputError, match=r"has valid_outputs_best.txt and valid_"
  ):
    made()
  extra.unlink()
  (folder / "GMP-RI/995/run2/valid_outputs_epoch_99.txt").unlink()
  with pytest.raises(InputError, match=r"run2 has no valid_outputs\*.txt, oth"):
    made()
  (folder / "GMP-RI/995/run1/test_outputs_epoch_99.txt").unlink()
  with pytest.raises(InputError, match=r"run1 has no test_outputs\*.txt"):
    made()


ATTRIBUTES, PARTITION = "list_attr_celeba.txt", "list_eval_partition.txt"


@pytest.mark.parametrize(
  ("name", "change", "message"),
  [
    (ATTRIBUTES, replaced(1, "91"), "announces 91 images on line 1 and has 90"),
    (ATTRIBUTES, replaced(1, "many"), "line 1 is 'many'"),
    (ATTRIBUTES, lambda path: path.write_text(""), "line 1 is ''"),
    (ATTRIBUTES, replaced(2, "A B C"), "line 3: 5 fields; accepted: 4"),
    (ATTRIBUTES, replaced(2, "A B C A"), "line 2: an attribute is there twice"),
    (ATTRIBUTES, replaced(9, "x.jpg 1 -1 0 1"), "line 9: label '0'; accepted"),
    (ATTRIBUTES, replaced(9, "000001.jpg 1 1 1 1"), "line 9: 000001.jpg is th"),
    (ATTRIBUTES, replaced(9, "new.jpg 1 1 1 1"), "000007.jpg is not in"),
    (PARTITION, replaced(9, "000001.jpg 3"), "line 9: split '3'; accepted: 0"),
    (PARTITION, replaced(9, "000001.jpg"), "line 9: 1 fields; accepted: 2"),
    (PARTITION, replaced(9, None), "has 89 images, .* 90: .* the latter only"),
    (PARTITION, lambda path: path.unlink(), "not found"),
    (PARTITION, lambda path: path.write_bytes(b"\x80"), "is no text"),
  ],
)
def test_lists_of_another_form(made, folder, tmp_path, name, change, message):
  joint(folder)
  change(tmp_path / "lists" / name)
  with pytest.raises(InputError, match=message) as caught:
    made()
  assert "\n" not in str(caught.value)


def test_the_command(folder, truth, tmp_path, capsys):
  joint(folder)
  run = tmp_path / "run"
  arguments = [
    *("import", str(folder), "--workdir", str(run), "--name", "theirs"),
    *("--labels", str(tmp_path / "lists" / ATTRIBUTES)),
    *("--partition", str(tmp_path / "lists" / PARTITION)),
    *("--pairing", "none"),
  ]
  assert cli.main(arguments) == 0
  assert "4 members on 30 test examples" in capsys.readouterr().out
  made = store.open_run(run)
  assert made.name == "theirs"
  assert made.split("test").attrs["paired"] is False
