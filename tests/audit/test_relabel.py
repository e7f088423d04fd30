"""From verdicts to labels: who decides, what is written, what a run says."""

import json
import shutil

from audit_runs import sweep
import numpy as np
import pandas as pd
import pytest

from prunebias_jax.audit.contamination import contamination
from prunebias_jax.audit.log import Identity, Plan, VerdictLog, log_path
from prunebias_jax.audit.office import Office
from prunebias_jax.audit.relabel import corrections
from prunebias_jax.audit.selection import Filters, taxicab
from prunebias_jax.cli import main
from prunebias_jax.cli.inspect import describe
from prunebias_jax.errors import InputError
from prunebias_jax.store import open_run


@pytest.fixture
def judged(tmp_path):
  """A copy of a run with verdicts (reviewer, example, attribute, verdict)."""
  made = []

  def get(run, verdicts, split="valid"):
    path = tmp_path / f"run {len(made)}"
    if not made:
      shutil.copytree(run.path, path)
      made.append(open_run(path))
    copy = made[0]
    data = copy.split(split)
    labels = data["labels"].to_numpy()
    identity = Identity.of(copy, data.attrs["labels_sha256"])
    log = VerdictLog(log_path(copy, split), identity, Plan(split=split))
    ids = data["example"].to_numpy().tolist()
    names = data[data["labels"].dims[-1]].to_numpy().tolist()
    for number, (reviewer, row, attribute, verdict) in enumerate(verdicts):
      is_class = attribute == "(all)"
      label = labels[row] if is_class else labels[row, names.index(attribute)]
      log.append(
        str(number),
        kind="verdict",
        reviewer=reviewer,
        example_id=ids[row],
        attribute=attribute,
        verdict=verdict,
        label=str(label),
      )
    log.close()
    return copy

  return get


def test_more_than_half_of_a_cases_reviewers_decide(faces, judged):
  wrong, fine = "wrong_label", "nothing_unusual"
  run = judged(
    faces,
    [
      ("Ada", 0, "Male", wrong),
      ("Ada", 1, "Male", wrong),
      ("Ben", 1, "Male", fine),
      ("Ada", 2, "Young", wrong),
      ("Ben", 2, "Young", wrong),
      ("Cy", 2, "Young", fine),
      ("Ada", 3, "Smiling", "ambiguous_label"),
      ("Ada", 4, "Smiling", wrong),
      ("Ada", 4, "Smiling", fine),  # thought again
    ],
  )
  data = run.split("valid")
  names = data["attribute"].to_numpy().tolist()
  labels = data["labels"].to_numpy()

  def told(table):
    ids = data["example"].to_numpy().tolist()
    return {
      (ids.index(row.example_id), row.attribute): row.label
      for row in table.itertuples()
    }

  def opposite(row, name):
    return str(1 - labels[row, names.index(name)])

  flip = {
    (0, "Male"): opposite(0, "Male"),
    (2, "Young"): opposite(2, "Young"),
  }
  assert told(corrections(run)) == flip
  assert told(corrections(run, least=2)) == {(2, "Young"): flip[2, "Young"]}
  assert told(corrections(run, wrong="missing")) == dict.fromkeys(flip, "")
  assert told(corrections(run, wrong="exclude")) == {(0, ""): "", (2, ""): ""}
  found = told(corrections(run, ambiguous="missing"))
  assert found == {**flip, (3, "Smiling"): ""}
  with pytest.raises(InputError, match="corrects a label"):
    corrections(run, least=3)
  with pytest.raises(InputError, match="no verdicts on test"):
    corrections(run, ["test"])


def test_classes_are_left_out_or_nothing(classes, judged):
  run = judged(classes, [("Ada", 2, "(all)", "wrong_label")])
  [row] = corrections(run).itertuples()
  assert (row.example_id, row.attribute) == ("example 2", "")
  for wrong in ("flip", "missing"):
    with pytest.raises(InputError, match="accepted: exclude"):
      corrections(run, wrong=wrong)


def test_the_command_writes_what_a_new_sweep_takes(
  faces, judged, tmp_path, capsys
):
  from prunebias_jax.data import load

  run = judged(faces, [("Ada", 5, "Male", "wrong_label")])
  judged(faces, [("Ada", 6, "Young", "wrong_label")], split="test")
  output = tmp_path / "new folder" / "labels.csv"
  options = ["--output", str(output), "--split", "valid", "--split", "test"]
  assert main(["relabel", str(run.path), *options]) == 0
  said = capsys.readouterr().out
  assert "2 labels corrected, 0 examples left out" in said
  assert "not tested on unseen data" in said
  assert f"--data.corrections {output}" in said
  config = sweep().override({"data.corrections": str(output)})
  before, after = load(sweep().data), load(config.data)
  for name, row in (("valid", 5), ("test", 6)):
    same = before.splits[name].labels == after.splits[name].labels
    [[found_row, _]] = np.argwhere(~same)
    assert found_row == row
  table = pd.read_csv(output)
  assert table["split"].tolist() == ["valid", "test"]
  assert table["verdict"].tolist() == ["wrong_label"] * 2


def test_no_verdict_writes_no_file(faces, tmp_path, capsys):
  output = tmp_path / "labels.csv"
  assert main(["relabel", str(faces.path), "--output", str(output)]) == 2
  assert "prunebias audit" in capsys.readouterr().err
  assert not output.exists()


def test_an_audited_test_split_is_said(faces, judged):
  run = judged(faces, [("Ada", 5, "Male", "atypical")])
  assert contamination(run) == []
  run = judged(faces, [("Ada", 5, "Male", "atypical")], split="test")
  [note] = contamination(run)
  assert "audited (1 verdicts)" in note
  assert contamination(faces) == []


def test_a_run_of_corrected_test_labels_says_so(faces, tmp_path):
  shutil.copytree(faces.path, tmp_path / "run")
  counts = {"train": 0, "valid": 3, "test": 2}
  run = open_run(tmp_path / "run").update_facts(data={"corrections": counts})
  [note] = contamination(run)
  assert "2 corrections" in note
  assert "corrections 0 train, 3 valid, 2 test" in "\n".join(describe(run))


def test_training_records_how_many_corrections_there_are(tmp_path, caplog):
  from splits import make_dataset

  from prunebias_jax.config import Sweep
  from prunebias_jax.data import viewed
  from prunebias_jax.training.engine import Engine
  from prunebias_jax.training.provenance import facts

  file = tmp_path / "labels.csv"
  file.write_text("example_id,attribute,label\ntest3,a,\nvalid2,,\n")
  tiny = Sweep().override({"train.batch": 16})
  config = tiny.override({"data.corrections": str(file)})
  dataset = viewed(make_dataset(), config.data)
  found = facts(config, dataset, Engine.build(config, dataset), 1)
  assert found["data"]["corrections"] == {"train": 0, "valid": 1, "test": 1}
  assert "1 corrections change the test split" in caplog.text
  plain = make_dataset()
  found = facts(tiny, plain, Engine.build(tiny, plain), 1)
  assert "corrections" not in found["data"]


@pytest.mark.parametrize(
  "kind", [pytest.param("hostile", marks=pytest.mark.slow), "classes"]
)
def test_a_real_analysis_is_audited_and_keeps_the_note(
  kind, request, judged, capsys
):
  original = request.getfixturevalue(kind)
  attribute = "A" if kind == "hostile" else "(all)"
  run = judged(original, [("Ada", 5, attribute, "atypical")], split="test")
  assert main(["analyze", str(run.path), "--permutations", "99"]) == 0
  assert "The test split was audited" in capsys.readouterr().out
  notes = json.loads((run.path / "analysis" / "notes.json").read_text())
  assert any("audited" in str(note) for note in notes)
  office = Office(run, Plan(), writes=False)
  line = office.line(2, None, Filters())
  assert {"exemplar"} <= {place.arm for place in line.places}
  # The page's own votes, ties included, are those of the analysis.
  examples, table = office.examples, office.cases.table
  for population in examples.compressed:
    for question in range(len(examples.questions)):
      first, second = (
        examples.votes(place, question).modal
        for place in (examples.dense, population)
      )
      mine = table[
        (table["population"] == population) & (table["question"] == question)
      ]
      found = sorted(mine.loc[mine["is_cie"], "row"].tolist())
      assert found == np.flatnonzero(first != second).tolist()
      distance = taxicab(examples, population, question)[mine["row"]]
      np.testing.assert_allclose(mine["taxicab"], distance, atol=1e-6)
