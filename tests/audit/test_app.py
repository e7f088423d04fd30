"""The page's interface: the queue, verdicts, the gallery, comparisons."""

import csv
import io
import itertools
import json
import shutil

from audit_runs import HOSTILE
import numpy as np
import pytest

pytest.importorskip("starlette", reason="needs the extra audit")
pytest.importorskip("httpx2", reason="needs the extra test")

from sklearn.metrics import confusion_matrix
from starlette.testclient import TestClient

from prunebias_jax.analysis.calibration import calibrated_thresholds
from prunebias_jax.audit.app import make_app
from prunebias_jax.audit.line import make_line
from prunebias_jax.audit.log import Plan
from prunebias_jax.audit.office import Office
from prunebias_jax.audit.selection import Filters
from prunebias_jax.store import open_run

TOKEN = "t" * 20


class Desk:
  """An audit, and a browser of which the token is known."""

  def __init__(self, run, plan=None):
    self.office = Office(run, plan or Plan())
    self.office.open_pictures()
    app = make_app(self.office, token=TOKEN)
    self.client = TestClient(app, base_url="http://127.0.0.1:8765")
    self.client.headers["x-audit-token"] = TOKEN
    self._keys = map(str, itertools.count())

  def get(self, path, **query):
    answer = self.client.get(path, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()

  def refuses(self, path, **query):
    answer = self.client.get(path, params=query)
    assert answer.status_code == 400
    return answer.json()["error"]

  def post(self, **values):
    body = {"key": next(self._keys), "reviewer": "Ada", "kind": "verdict"}
    return self.client.post("/api/verdicts", json={**body, **values})

  def judge(self, verdict="atypical", reviewer="Ada", **query):
    """Judges the next case of a queue."""
    item = self.get("/api/queue", reviewer=reviewer, **query)["item"]
    answer = self.post(
      row=item["row"],
      question=item["question"],
      reviewer=reviewer,
      verdict=verdict,
      queue=query,
      seconds=2.5,
    )
    assert answer.status_code == 200, answer.text
    return item


@pytest.fixture
def desk(tmp_path):
  """Opens an audit of a copy of a run."""
  opened = []

  def get(run, plan=None):
    path = tmp_path / f"run {len(opened)}"
    shutil.copytree(run.path, path)
    opened.append(Desk(open_run(path), plan))
    return opened[-1]

  yield get
  for one in opened:
    one.office.close()


def test_the_queue_does_not_tell_controls_from_exemplars(faces, desk):
  one = desk(faces, Plan(controls=0.2, overlap=1))
  line = one.office.line(1, None, Filters())
  arms = {place.arm for place in line.places}
  assert {"exemplar", "control"} <= arms
  keys = set()
  for _ in range(12):
    item = one.judge()
    keys.add(tuple(item))
    assert not {"arm", "rank", "populations", "truth"} & {*item}
  assert len(keys) == 1
  given = {record.arm for record in one.office.ledger.verdicts()}
  assert len(given) > 1


def test_filters_leave_controls_in_the_queue(faces, desk):
  one = desk(faces, Plan(controls=0.2))
  for filters in (Filters(onset=0.99), Filters(exemplar="yes")):
    arms = [p.arm for p in one.office.line(2, None, filters).places]
    assert 0.1 < arms.count("control") / len(arms) < 0.3
    assert arms.count("rest") <= arms.count("exemplar")
  line = one.office.line(2, None, Filters(groups=((0, 1),)))
  rows = [place.row for place in line.places]
  assert one.office.examples.identities[rows, 0].all()
  assert len(rows) > 5


@pytest.mark.parametrize(
  ("filters", "is_blind"),
  [
    ({"cell": "wrong"}, False),
    ({"confidence": "unsure"}, False),
    ({"flipped": "yes"}, False),
    ({"groups": "0:1", "exemplar": "yes"}, True),
    ({"onset": "0.99"}, True),
    ({"text": "1"}, True),
  ],
)
def test_filters_that_tell_what_models_say_are_not_blind(
  faces, desk, filters, is_blind
):
  one = desk(faces)
  query = {"population": "2", **filters}
  assert one.get("/api/queue", reviewer="A", **query)["reveals"] is not is_blind
  one.judge(**query)
  assert one.office.ledger.records[-1].blind is is_blind
  one.judge(reviewer="B", population="2")
  assert one.office.ledger.records[-1].blind is True


def test_a_queue_that_filters_empty_is_told_from_one_that_is_done(faces, desk):
  one = desk(faces)
  none = one.get("/api/queue", reviewer="Ada", text="no such id")
  assert (none["item"], none["total"]) == (None, 0)
  query = {"population": "2", "question": "0", "exemplar": "yes"}
  total = one.get("/api/queue", reviewer="Ada", **query)["total"]
  for _ in range(total):
    one.judge(**query)
  done = one.get("/api/queue", reviewer="Ada", **query)
  assert (done["item"], done["total"], done["done"]) == (None, total, total)
  assert done["history"] == total


def test_controls_are_spread_over_the_queue_by_the_seed(faces, desk):
  one = desk(faces, Plan(controls=0.2))
  line = one.office.line(2, None, Filters())
  arms = [place.arm for place in line.places]
  for start in range(0, 60, 20):
    assert arms[start : start + 20].count("control") == 4
  excess = one.office.cases.of(2).set_index(["row", "question"])["excess"]
  ranked = [
    excess[place.row, place.question]
    for place in line.places
    if place.arm != "control"
  ]
  assert ranked == sorted(ranked, reverse=True)
  plans = {
    seed: make_line(
      one.office.examples, one.office.cases, Plan(seed=seed), 2, None, Filters()
    ).places
    for seed in (0, 0, 1)
  }
  assert plans[0] != plans[1]


def test_many_reviewers_at_once(faces, desk):
  import concurrent.futures

  one = desk(faces, Plan(overlap=1))

  def work(reviewer):
    for number in range(15):
      one.judge(reviewer=reviewer)
      if number % 5 == 4:
        assert one.post(kind="undo", reviewer=reviewer).status_code == 200

  names = [f"reviewer {number}" for number in range(6)]
  with concurrent.futures.ThreadPoolExecutor(6) as threads:
    for done in [threads.submit(work, name) for name in names]:
      done.result()
  counts = {name: 0 for name in names}
  for record in one.office.ledger.verdicts():
    counts[record.reviewer] += 1
  assert set(counts.values()) == {12}


def test_verdicts_stand_after_a_new_start(faces, desk, tmp_path):
  one = desk(faces)
  items = [one.judge("low_quality"), one.judge("wrong_label")]
  one.office.close()
  again = Desk(open_run(one.office.run.path))
  found = again.get("/api/queue", reviewer="Ada")
  assert found["done"] == 2
  assert found["seconds"] == 5
  assert found["item"]["example_id"] not in [
    one["example_id"]
    for one in items
    if one["attribute"] == found["item"]["attribute"]
  ]
  back = again.get("/api/queue", reviewer="Ada", back=1)["item"]
  assert back["mine"]["verdict"] == "wrong_label"
  assert back["example_id"] == items[1]["example_id"]
  again.office.close()


def test_skip_undo_and_back(faces, desk):
  one = desk(faces)
  first = one.get("/api/queue", reviewer="Ada")["item"]
  one.post(kind="skip", row=first["row"], question=first["question"], queue={})
  second = one.judge()
  assert (second["row"], second["question"]) != (
    first["row"],
    first["question"],
  )
  assert one.post(kind="undo").status_code == 200
  found = one.get("/api/queue", reviewer="Ada")
  assert found["item"]["row"] == second["row"]
  assert one.post(kind="undo").status_code == 200
  assert one.get("/api/queue", reviewer="Ada")["item"] == first
  answer = one.post(kind="undo")
  assert answer.status_code == 400
  assert "nothing to undo" in answer.json()["error"]


def test_what_was_skipped_comes_again_in_the_end(faces, desk):
  one = desk(faces, Plan(controls=0))
  query = {"population": "1", "question": "0"}
  first = one.get("/api/queue", reviewer="Ada", **query)
  item = first["item"]
  one.post(kind="skip", row=item["row"], question=item["question"], queue=query)
  for _ in range(first["left"] - 1):
    one.judge(**query)
  last = one.get("/api/queue", reviewer="Ada", **query)
  assert (last["left"], last["item"]["row"]) == (1, item["row"])
  one.judge(**query)
  assert one.get("/api/queue", reviewer="Ada", **query)["item"] is None


def test_reviewers_share_the_work_but_for_the_overlap(faces, desk):
  one = desk(faces, Plan(overlap=0.3, controls=0.1))
  query = {"population": "2"}
  total = one.get("/api/queue", reviewer="Ada", **query)["left"]
  for reviewer in itertools.cycle(("Ada", "Ben")):
    if one.get("/api/queue", reviewer=reviewer, **query)["item"] is None:
      break
    one.judge(reviewer=reviewer, **query)
  while one.get("/api/queue", reviewer="Ben", **query)["item"]:
    one.judge(reviewer="Ben", **query)
  while one.get("/api/queue", reviewer="Ada", **query)["item"]:
    one.judge(reviewer="Ada", **query)
  judged = {}
  for record in one.office.ledger.verdicts():
    judged.setdefault(record.case, set()).add(record.reviewer)
  assert len(judged) == total
  for case, reviewers in judged.items():
    assert (len(reviewers) == 2) == one.office.desk.is_for_everyone(case)
  agreement = one.get("/api/results")["agreement"]
  assert agreement[0]["cases"] == sum(len(r) == 2 for r in judged.values())
  assert 0 < agreement[0]["cases"] < total


def test_two_tabs_do_not_lose_each_others_verdicts(faces, desk):
  one = desk(faces)
  item = one.get("/api/queue", reviewer="Ada")["item"]
  where = {"row": item["row"], "question": item["question"]}
  for verdict in ("atypical", "low_quality"):
    assert one.post(verdict=verdict, **where).status_code == 200
  assert (
    one.post(verdict="atypical", reviewer="Ben", **where).status_code == 200
  )
  records = one.office.ledger.records
  assert [r.verdict for r in records] == ["atypical", "low_quality", "atypical"]
  standing = {r.reviewer: r.verdict for r in one.office.ledger.verdicts()}
  assert standing == {"Ada": "low_quality", "Ben": "atypical"}


def test_a_verdict_after_the_models_were_shown_is_not_blind(faces, desk):
  one = desk(faces)
  item = one.get("/api/queue", reviewer="Ada")["item"]
  where = {"row": item["row"], "question": item["question"]}
  shown = one.get("/api/item", reviewer="Ada", **where)
  assert shown["populations"]
  for reviewer, is_blind in (("Ada", False), ("Ben", True)):
    one.post(verdict="atypical", reviewer=reviewer, queue={}, **where)
    assert one.office.ledger.records[-1].blind is is_blind
  one.post(verdict="atypical", reviewer="Cy", **where)
  assert one.office.ledger.records[-1].blind is False


def test_groups_are_hidden_until_the_verdict_where_so_planned(faces, desk):
  one = desk(faces, Plan(hide_groups=True))
  assert "groups" not in one.get("/api/queue", reviewer="Ada")["item"]
  one.judge()
  back = one.get("/api/queue", reviewer="Ada", back=1)["item"]
  assert [group["name"] for group in back["groups"]] == [
    "Male",
    "Young",
    "Chubby",
    "Pale_Skin",
  ]
  assert "hidden" in one.refuses("/api/queue", reviewer="Ada", groups="0:1")


def test_bad_verdicts_are_refused(faces, desk):
  one = desk(faces)
  for values, message in (
    ({"verdict": "fine"}, "accepted: wrong_label"),
    ({"row": -1}, "row is '-1'"),
    ({"row": 60}, "accepted: 0 to 59"),
    ({"question": "9"}, "question is '9'"),
    ({"reviewer": ""}, "reviewer"),
    ({"reviewer": None}, "needed"),
    ({"key": 3}, "needed"),
    ({"note": "x" * 4001}, "4,001"),
    ({"note": ["x"]}, "note is"),
    ({"queue": "all"}, "queue"),
    ({"queue": {"population": "9"}}, "population"),
  ):
    given = {"row": 0, "question": 0, "verdict": "atypical", **values}
    answer = one.post(**given)
    assert answer.status_code == 400, values
    assert message in answer.json()["error"]
  assert one.office.ledger.records == []


def direct_gallery(run, population, keep):
  """Rows of the valid split that a slow rule keeps."""
  data = run.split("valid")
  chosen = [
    place
    for place in range(data.sizes["member"])
    if float(data["sparsity"][place]) == population
  ]
  votes = (data["logits"].to_numpy()[chosen] > 0).mean(axis=0)
  labels = data["labels"].to_numpy()
  groups = data["identities"].to_numpy()
  return [
    row
    for row in range(len(labels))
    if keep(int(votes[row, 0] > 0.5), int(labels[row, 0]), groups[row])
  ]


@pytest.mark.parametrize(
  ("query", "keep"),
  [
    ({"cell": "fp"}, lambda said, label, _: said == 1 and label == 0),
    ({"cell": "fn"}, lambda said, label, _: said == 0 and label == 1),
    ({"cell": "right"}, lambda said, label, _: said == label),
    ({"groups": "0:1"}, lambda _, __, group: group[0] == 1),
    ({"groups": "0:1,1:0"}, lambda _, __, group: (*group[:2],) == (1, 0)),
    (
      {"cell": "tp", "groups": "1:1"},
      lambda said, label, group: said == label == group[1] == 1,
    ),
  ],
)
def test_filters_let_through_what_they_say(faces, desk, query, keep):
  found = desk(faces).get("/api/gallery", population=2, limit=500, **query)
  rows = direct_gallery(faces, 0.99, keep)
  assert sorted(one["row"] for one in found["items"]) == rows
  assert found["total"] == len(rows)


def test_sorts_are_deterministic_and_pages_join(faces, desk):
  one = desk(faces)
  for sort in [one["key"] for one in one.get("/api/session")["sorts"]]:
    query = {"sort": sort, "population": 2}
    whole = one.get("/api/gallery", limit=500, **query)["items"]
    assert whole == one.get("/api/gallery", limit=500, **query)["items"]
    assert len(whole) == 60
    parts = [
      part
      for offset in range(0, 60, 25)
      for part in one.get("/api/gallery", offset=offset, limit=25, **query)[
        "items"
      ]
    ]
    assert parts == whole
    given = [item["score"] for item in whole if item["score"] is not None]
    down = one.get("/api/gallery", limit=500, direction="down", **query)
    values = [i["score"] for i in down["items"] if i["score"] is not None]
    assert values == sorted(given, reverse=True)
    assert given in (sorted(given), sorted(given, reverse=True))


def test_exemplars_and_flipped_labels_can_be_had(faces, desk):
  one = desk(faces)
  table = one.office.cases.table
  mine = table[(table["population"] == 2) & (table["question"] == 1)]
  found = one.get(
    "/api/gallery", population=2, question=1, exemplar="yes", limit=500
  )
  rows = sorted(mine.loc[mine["is_cie"], "row"].tolist())
  assert sorted(item["row"] for item in found["items"]) == rows
  flipped = one.get("/api/gallery", flipped="yes", question=1, limit=500)
  truth = faces.split("valid")["truth_flipped"].to_numpy()[:, 1]
  expected = np.flatnonzero(truth).tolist()
  assert sorted(item["row"] for item in flipped["items"]) == expected


def test_onset_is_the_first_lasting_flip_at_any_level(faces, desk):
  one = desk(faces)
  found = one.office.cases.onset(one.office.examples, 1, 0)
  modal = [one.office.examples.votes(p, 0).modal for p in range(3)]
  for row, onset in enumerate(found):
    flips = [modal[p][row] != modal[0][row] for p in (1, 2)]
    expected = 0.8 if all(flips) else 0.99 if flips[1] else np.nan
    np.testing.assert_equal(onset, expected)


@pytest.mark.parametrize("threshold", ["0", "-1.5", "calibrated"])
def test_rates_by_group_are_scikit_learns(faces, desk, threshold):
  found = desk(faces).get(
    "/api/compare", population=2, question=0, threshold=threshold
  )
  data = faces.split("valid")
  labels = data["labels"].to_numpy()
  groups = data["identities"].to_numpy()
  for side, sparsity in (("dense", 0.0), ("compressed", 0.99)):
    places = np.flatnonzero(data["sparsity"].to_numpy() == sparsity)
    for number, place in enumerate(places):
      logits = data["logits"].to_numpy()[place]
      at = threshold
      if threshold == "calibrated":
        at = calibrated_thresholds(logits, labels.sum(axis=0)).value[0]
      for group in found["groups"]:
        rows = np.ones(len(labels), bool)
        if group["name"]:
          column = ["Male", "Young", "Chubby", "Pale_Skin"].index(group["name"])
          rows = groups[:, column] == int(group["value"])
        assert group["n"] == rows.sum()
        matrix = confusion_matrix(
          labels[rows, 0], logits[rows, 0] > float(at), labels=[0, 1]
        )
        (tn, fp), (fn, tp) = matrix
        for rate, wrong, total in (
          ("fpr", fp, fp + tn),
          ("fnr", fn, fn + tp),
        ):
          mine = group[side][rate][number]
          if total:
            assert mine == pytest.approx(wrong / total, abs=1e-9)
          else:
            assert mine is None


def test_flips_add_up_over_groups(faces, desk):
  one = desk(faces)
  found = one.get("/api/compare", population=2, question=2)
  everyone, *groups = found["groups"]
  modal = [one.office.examples.votes(p, 2).modal for p in (0, 2)]
  assert everyone["flips"] == np.sum(modal[0] != modal[1])
  assert everyone["lost"] + everyone["won"] == everyone["flips"]
  for name in ("n", "flips", "lost", "won", "positives"):
    pairs = zip(groups[::2], groups[1::2], strict=True)
    assert {a[name] + b[name] for a, b in pairs} == {everyone[name]}


def test_classes_have_flips_but_no_threshold(classes, desk):
  one = desk(classes)
  found = one.get("/api/compare", population=2)
  assert "dense" not in found["groups"][0]
  assert "no threshold" in found["reason"]
  item = one.get("/api/item", row=3)
  for population in item["populations"]:
    assert sum(b["share"] for b in population["histogram"]) == pytest.approx(1)
  assert one.get("/api/gallery", cell="wrong")["total"] > 0
  assert "accepted of classes" in one.refuses("/api/gallery", cell="fp")
  one.judge()


def test_an_item_shows_every_seed(faces, desk):
  item = desk(faces).get("/api/item", row=7, question=1)
  data = faces.split("valid")
  for population, sparsity in zip(
    item["populations"], (0.0, 0.8, 0.99), strict=True
  ):
    places = np.flatnonzero(data["sparsity"].to_numpy() == sparsity)
    logits = data["logits"].to_numpy()[places, 7, 1].astype(float)
    np.testing.assert_allclose(
      population["probabilities"], 1 / (1 + np.exp(-logits)), rtol=1e-9
    )
    assert population["share"] == np.mean(logits > 0)
  assert item["truth"]["flipped"] in (0.0, 1.0)
  labels = {one["name"]: one["label"] for one in item["labels"]}
  assert labels[item["attribute"]] == item["label"]
  for neighbour in item["neighbours"]:
    assert neighbour["row"] != 7


def test_a_missing_label_counts_in_no_rate(hostile, desk):
  one = desk(hostile)
  examples = one.office.examples
  examples.labels[:20, 0] = np.nan
  examples._known.clear()
  found = one.get("/api/compare", population=2, question=0)
  labels = examples.labels[20:, 0]
  assert found["groups"][0]["positives"] == np.sum(labels == 1)
  assert found["groups"][0]["negatives"] == np.sum(labels == 0)
  unlabelled = one.get(
    "/api/gallery", cell="unlabelled", sort="place", limit=500
  )
  assert [item["row"] for item in unlabelled["items"]] == [*range(20)]
  assert unlabelled["items"][0]["label"] == ""
  loss = one.get("/api/gallery", sort="loss", limit=500)
  assert all(item["score"] is None for item in loss["items"][-20:])


def test_hostile_ids_and_notes_come_back_as_they_are(hostile, desk):
  one = desk(hostile)
  found = one.get("/api/gallery", sort="place", limit=6)
  assert [item["example_id"] for item in found["items"]] == [*HOSTILE]
  for row, name in enumerate(HOSTILE):
    one.post(row=row, question=0, verdict="atypical", note=name)
  exported = json.loads(one.client.get("/export/verdicts.json").text)
  assert [v["example_id"] for v in exported["verdicts"]] == [*HOSTILE]
  assert [v["note"] for v in exported["verdicts"]] == [*HOSTILE]
  answer = one.client.get("/export/verdicts.csv")
  assert "attachment" in answer.headers["content-disposition"]
  rows = [*csv.DictReader(io.StringIO(answer.text))]
  safe = [name.replace("=1+1", "'=1+1") for name in HOSTILE]
  assert [row["example_id"] for row in rows] == safe


@pytest.mark.parametrize(
  "note",
  ["a\rb", "a\r\nb\n", "\u2028, \x00", '",\n"', "'", "x" * 4000, "𝄞" * 4000],
)
def test_any_note_is_exported_as_it_was_typed(hostile, desk, note):
  one = desk(hostile)
  one.post(row=0, question=0, verdict="atypical", note=note)
  text = one.client.get("/export/verdicts.csv").content.decode()
  (row,) = csv.DictReader(io.StringIO(text, newline=""))
  assert row["note"] == note
  exported = json.loads(one.client.get("/export/verdicts.json").text)
  assert exported["verdicts"][0]["note"] == note
  one.office.close()
  again = Desk(open_run(one.office.run.path))
  assert again.office.ledger.records[0].note == note
  again.office.close()


def test_pictures_are_those_of_the_data_set(faces, desk):
  from PIL import Image

  from prunebias_jax.data import load

  one = desk(faces)
  answer = one.client.get("/image/7.png")
  assert answer.headers["content-type"] == "image/png"
  picture = np.asarray(Image.open(io.BytesIO(answer.content)))
  images = load(faces.sweep().data).splits["valid"].images
  np.testing.assert_array_equal(picture, images[7])


def test_an_imported_run_works_without_pictures(hostile, desk):
  one = desk(hostile)
  assert one.client.get("/image/0.png").status_code == 404
  session = one.get("/api/session")
  assert session["has_pictures"] is False
  assert "imported without pictures" in " ".join(session["notices"])
  one.judge()


def test_verdicts_on_test_say_that_they_contaminate(faces, desk):
  session = desk(faces, Plan(split="test")).get("/api/session")
  assert any("contaminate" in notice for notice in session["notices"])


def test_a_read_only_run_can_be_browsed(faces, desk, monkeypatch):
  import os

  real = os.open

  def refuse(path, flags, *rest, **more):
    if flags & os.O_CREAT and str(path).endswith(".jsonl"):
      raise OSError(30, "Read-only file system", str(path))
    return real(path, flags, *rest, **more)

  monkeypatch.setattr(os, "open", refuse)
  one = desk(faces)
  assert one.get("/api/session")["can_write"] is False
  assert one.get("/api/queue", reviewer="Ada")["item"]
  answer = one.post(row=0, question=0, verdict="atypical")
  assert answer.status_code == 400
  assert "cannot be written" in answer.json()["error"]


def test_a_full_disk_is_not_called_saved(faces, desk, monkeypatch):
  import os

  one = desk(faces)

  def full(file, data):
    raise OSError(28, "No space left on device")

  with monkeypatch.context() as patch:
    patch.setattr(os, "write", full)
    answer = one.post(row=0, question=0, verdict="atypical")
  assert answer.status_code == 507
  assert "not saved: No space" in answer.json()["error"]
  assert one.get("/api/results")["reviewers"] == []
