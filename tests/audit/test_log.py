"""The verdict log: durable, torn lines, one writer, bound to its run."""

import errno
import json
import os

from audit_runs import IDENTITY
import pytest

from prunebias_jax.audit.log import Identity, Plan, VerdictLog, read_log
from prunebias_jax.audit.records import LONGEST_NOTE
from prunebias_jax.errors import InputError


def test_a_verdict_is_synced_before_append_returns(
  open_log, say, monkeypatch, tmp_path
):
  log = open_log()
  synced = []
  sync = os.fsync

  def fsync(file):
    sync(file)
    synced.append((tmp_path / "audit" / "valid.jsonl").read_text())

  monkeypatch.setattr(os, "fsync", fsync)
  record = say(log, "one", note="a\nb \u2028 ü")
  assert json.loads(synced[-1].split("\n")[-2])["serial"] == record.serial
  plan, ledger = read_log(tmp_path / "audit" / "valid.jsonl", IDENTITY)
  assert plan == Plan()
  assert [one.to_dict() for one in ledger.verdicts()] == [record.to_dict()]


def test_a_torn_last_line_is_cut_off_and_the_rest_kept(open_log, say, tmp_path):
  log = open_log()
  for example in ("one", "two"):
    say(log, example)
  log.close()
  path = tmp_path / "audit" / "valid.jsonl"
  whole = path.read_bytes()
  ends = [at + 1 for at, byte in enumerate(whole) if byte == ord("\n")]
  lengths = {near for end in ends for near in (end - 1, end, end + 1)}
  for length in sorted(
    {*range(1, len(whole), 23), *lengths} - {len(whole) + 1}
  ):
    path.write_bytes(whole[:length])
    again = VerdictLog(path, IDENTITY, Plan())
    kept = whole[:length].count(b"\n") - 1
    assert len(again.ledger.records) == max(kept, 0)
    again.close()
    assert path.read_bytes() == whole[: whole.rfind(b"\n", 0, length) + 1]


def test_a_torn_header_is_written_again(open_log, say, tmp_path):
  path = tmp_path / "audit" / "valid.jsonl"
  path.parent.mkdir()
  path.write_text('{"format": 1, "ru')
  say(open_log(), "one")
  assert len(read_log(path, IDENTITY)[1].records) == 1


@pytest.mark.parametrize(
  ("spoil", "message"),
  [
    (lambda text: text.replace('"serial": 1', '"serial": 7'), "serial 7"),
    (lambda text: text.replace('"reviewer"', '"reviwer"'), "reviwer"),
    (lambda text: text.replace('"Ada"', "3"), "reviewer is 3"),
    (lambda text: text.replace("atypical", "fine"), "'fine'; accepted: wrong"),
    (lambda text: text.replace('{"serial": 1', "[1"), "line 2"),
  ],
)
def test_damage_before_the_end_is_refused(
  open_log, say, tmp_path, spoil, message
):
  log = open_log()
  for example in ("one", "two"):
    say(log, example)
  log.close()
  path = tmp_path / "audit" / "valid.jsonl"
  path.write_text(spoil(path.read_text()))
  with pytest.raises(InputError, match=message):
    open_log()


def test_verdicts_on_another_run_are_refused(open_log, say):
  log = open_log()
  say(log, "one")
  log.close()
  with pytest.raises(InputError, match="another run \\('tiny'\\)"):
    open_log(Identity(name="other", digest="2027 abc"))


def test_a_log_keeps_the_plan_it_was_begun_with(open_log, say):
  log = open_log(plan=Plan(controls=0.1))
  say(log, "one")
  log.close()
  assert open_log(plan=Plan(controls=0.2)).plan.controls == 0.1


def test_there_is_one_writer(open_log, say):
  say(open_log(), "one")
  with pytest.raises(InputError, match="another audit page"):
    open_log()


def test_asking_twice_records_once(open_log, say):
  log = open_log()
  first = say(log, "one", key="same")
  assert say(log, "one", "low_quality", key="same") is first
  assert len(log.ledger.records) == 1


def test_what_cannot_be_saved_is_not_there(
  open_log, say, monkeypatch, tmp_path
):
  log = open_log()
  say(log, "one")
  write = os.write

  def full(file, data):
    if len(data) > 40:
      return write(file, data[:40])
    raise OSError(errno.ENOSPC, "full")

  with monkeypatch.context() as patch:
    patch.setattr(os, "write", full)
    with pytest.raises(OSError, match="full"):
      say(log, "two", note="x" * 100)
  assert [one.example_id for one in log.ledger.records] == ["one"]
  say(log, "three")
  _, ledger = read_log(tmp_path / "audit" / "valid.jsonl", IDENTITY)
  assert [one.example_id for one in ledger.records] == ["one", "three"]


def test_later_verdicts_supersede_and_undo_brings_back(open_log, say):
  log = open_log()
  say(log, "one", "atypical")
  say(log, "two", kind="skip")
  say(log, "one", "low_quality")
  ledger = log.ledger
  assert ledger.current("Ada", ("one", "A")).verdict == "low_quality"
  assert [r.kind for r in ledger.history("Ada")] == ["skip", "verdict"]
  undo = say(log, "", kind="undo")
  assert (undo.example_id, undo.undoes) == ("one", 3)
  assert ledger.current("Ada", ("one", "A")).verdict == "atypical"
  say(log, "", kind="undo")
  assert ledger.current("Ada", ("two", "A")) is None
  say(log, "", kind="undo")
  assert ledger.verdicts() == []
  with pytest.raises(InputError, match="nothing to undo"):
    say(log, "", kind="undo")


def test_reviewers_do_not_touch_each_other(open_log, say):
  log = open_log()
  say(log, "one", "atypical", "Ada")
  say(log, "one", "low_quality", "Ben")
  say(log, "", kind="undo", reviewer="Ada")
  assert [r.reviewer for r in log.ledger.verdicts()] == ["Ben"]
  assert log.ledger.reviewers() == ["Ben"]


@pytest.mark.parametrize(
  ("values", "message"),
  [
    ({"reviewer": ""}, "reviewer is ''"),
    ({"reviewer": " Ada"}, "no space"),
    ({"reviewer": "a\nb"}, "printable"),
    ({"reviewer": "a" * 101}, "1 to 100"),
    ({"note": "x" * (LONGEST_NOTE + 1)}, "4,001 characters"),
    ({"note": "\ud800"}, "no Unicode"),
    ({"kind": "praise"}, "accepted: verdict"),
    ({"verdict": "fine"}, "'fine'"),
    ({"arm": "left"}, "accepted: exemplar"),
    ({"seconds": "3"}, "seconds is '3'"),
    ({"blind": 1}, "blind is 1"),
    ({"rank": True}, "rank is True"),
    ({"key": ""}, "1 to 64"),
  ],
)
def test_what_is_not_accepted_is_not_written(
  open_log, say, tmp_path, values, message
):
  with pytest.raises(InputError, match=message):
    say(open_log(), "one", **values)
  assert (tmp_path / "audit" / "valid.jsonl").read_bytes() == b""
