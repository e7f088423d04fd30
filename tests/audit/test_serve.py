"""The command: a port, a link, bad input, and kill -9 while it saves."""

import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import urllib.request

import pytest
import zarr

pytest.importorskip("uvicorn", reason="needs the extra audit")

from prunebias_jax.audit.log import Identity, Plan, read_log
from prunebias_jax.audit.office import Office
from prunebias_jax.audit.selection import Filters
from prunebias_jax.audit.serve import listen
from prunebias_jax.cli import main
from prunebias_jax.errors import InputError
from prunebias_jax.store import open_run


@pytest.fixture
def run(hostile, tmp_path):
  path = tmp_path / "run"
  shutil.copytree(hostile.path, path)
  return open_run(path)


class Server:
  """`prunebias audit` in a process of its own."""

  def __init__(self, path, *options):
    self.process = subprocess.Popen(
      [sys.executable, "-m", "prunebias_jax", "audit", path, *options],
      stdout=subprocess.PIPE,
      text=True,
      env={k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"},
    )
    self.said = []
    for line in self.process.stdout:
      self.said.append(line)
      if line.startswith("audit: "):
        break
    found = re.search(r"(http://\S+)/\?token=(\S+)", self.said[-1])
    self.url, self.token = found.groups()

  def post(self, **values):
    request = urllib.request.Request(
      f"{self.url}/api/verdicts",
      json.dumps(values).encode(),
      {"content-type": "application/json", "x-audit-token": self.token},
    )
    with urllib.request.urlopen(request, timeout=20) as answer:
      return json.load(answer)

  def stop(self, number=signal.SIGINT):
    self.process.send_signal(number)
    self.process.wait(20)
    self.process.stdout.close()


@pytest.fixture
def serve():
  started = []

  def start(path, *options):
    started.append(Server(path, *options))
    return started[-1]

  yield start
  for server in started:
    if server.process.poll() is None:
      server.stop(signal.SIGKILL)


def test_kill_in_the_middle_of_verdicts_loses_none_that_was_confirmed(
  run, serve
):
  server = serve(run.path, "--port", "8801")
  confirmed, total = {}, 200
  enough = threading.Event()

  def judge(reviewer):
    for number in range(total // 4):
      key = f"{reviewer} {number}"
      try:
        answer = server.post(
          key=key, kind="verdict", verdict="atypical", reviewer=reviewer,
          row=number % 46, question=number % 3, note="n" * (7 * number),
        )  # fmt: skip
      except (OSError, http.client.HTTPException):  # it was killed
        return
      confirmed[key] = answer["saved"]
      if len(confirmed) == total // 2:
        enough.set()

  threads = [
    threading.Thread(target=judge, args=(name,))
    for name in ("A", "B", "C", "D")
  ]
  for thread in threads:
    thread.start()
  assert enough.wait(60)
  server.stop(signal.SIGKILL)
  for thread in threads:
    thread.join()
  assert total // 2 <= len(confirmed) < total
  sha = run.split("valid").attrs["labels_sha256"]
  log = run.path / "audit" / "valid.jsonl"
  _, ledger = read_log(log, Identity.of(run, sha))
  kept = {record.key: record.serial for record in ledger.records}
  assert confirmed.items() <= kept.items()
  assert len(kept) <= len(confirmed) + len(threads)
  # The next start goes on with them; the first held no lock beyond its life.
  again = serve(run.path, "--port", "8801")
  answer = again.post(
    key="A 0", kind="verdict", verdict="atypical", reviewer="A", row=0,
    question=0,
  )  # fmt: skip
  assert answer["saved"] == confirmed["A 0"]
  again.stop()
  assert again.process.returncode in (0, 130)


def test_a_port_in_use_is_passed_over(run, serve):
  with socket.socket() as other:
    other.bind(("127.0.0.1", 0))
    other.listen()
    port = other.getsockname()[1]
    server = serve(run.path, "--port", str(port))
  assert f"port {port} is in use" in server.said[0]
  assert not server.url.endswith(f":{port}")


def test_it_listens_on_the_loopback_alone_unless_told():
  listener, _ = listen("127.0.0.1", 8901)
  with listener:
    assert listener.getsockname()[0] == "127.0.0.1"
  with pytest.raises(InputError, match=r"--host 203\.0"):
    listen("203.0.113.9", 8901)


def test_another_host_is_warned_of(run, monkeypatch, caplog):
  from prunebias_jax.audit import serve as module

  monkeypatch.setattr(module.uvicorn.Server, "run", lambda *a, **k: None)
  said = []
  module.serve(
    Office(run, Plan()), host="0.0.0.0", port=8950, announce=said.append
  )
  assert "listens on 0.0.0.0" in caplog.text
  assert len({line.partition("token=")[2] for line in said if "token=" in line})
  caplog.clear()
  module.serve(Office(run, Plan()), port=8950, announce=said.append)
  assert "listens" not in caplog.text
  tokens = [line.partition("token=")[2] for line in said if "token=" in line]
  assert len({*tokens}) == 2


@pytest.mark.parametrize(
  ("spoil", "options", "message"),
  [
    (lambda path: shutil.rmtree(path / "analysis"), (), "prunebias analyze"),
    (
      lambda path: (path / "analysis" / "exemplars.csv").unlink(),
      (),
      "older than the audit",
    ),
    (
      lambda path: (path / "analysis" / "exemplars.csv").write_text("a,b\n1,2"),
      (),
      "cannot be read",
    ),
    (lambda path: (path / "sweep.json").unlink(), (), "holds no run"),
    (lambda path: None, ("--reviewer", " "), "reviewer is ' '"),
    (lambda path: None, ("--port", "0"), "1 to 65535"),
    (lambda path: None, ("--host", ""), "--host is empty; accepted"),
    (
      lambda path: (path / "audit").write_text(""),
      (),
      "audit is a file; accepted: a folder",
    ),
    (lambda path: None, ("--controls", "2"), "controls 2.0; accepted"),
    (lambda path: None, ("--overlap", "-1"), "overlap -1.0; accepted"),
  ],
)
def test_bad_input_is_one_line(run, capsys, spoil, options, message):
  spoil(run.path)
  assert main(["audit", str(run.path), *options]) == 2
  error = capsys.readouterr().err
  assert message in error
  assert error.count("\n") == 1
  assert not (run.path / "audit").exists() or "accepted" in message


def test_exemplars_of_another_analysis_are_refused(run, capsys):
  table = run.path / "analysis" / "exemplars.csv"
  table.write_text(table.read_text().replace("plain 3", "plain 333"))
  assert main(["audit", str(run.path)]) == 2
  assert "which the run does not have" in capsys.readouterr().err


def test_no_exemplars_leave_the_gallery(run):
  table = run.path / "analysis" / "exemplars.csv"
  table.write_text(table.read_text().partition("\n")[0] + "\n")
  office = Office(run, Plan())
  assert "no exemplars" in office.cases.reason
  assert office.line(1, None, Filters()).places == ()
  office.close()


def test_an_unfinished_run_is_audited_as_far_as_it_is(run, monkeypatch, capsys):
  from prunebias_jax.audit import serve as module

  monkeypatch.setattr(module.uvicorn.Server, "run", lambda *a, **k: None)
  done = zarr.open_group(run.path / "logits.zarr", mode="r+")["members/done"]
  done[2] = False
  assert main(["audit", str(run.path), "--port", "8960"]) == 0
  assert "1 of 9 members of" in capsys.readouterr().out
  office = Office(open_run(run.path), Plan(), writes=False)
  assert len(office.examples.members) == 8
  done[:] = False
  assert main(["audit", str(run.path)]) == 2
  assert "has no finished member" in capsys.readouterr().err


def test_a_plan_is_not_changed_in_the_middle(run, capsys):
  office = Office(run, Plan(controls=0.1))
  office.record(
    {"kind": "verdict", "key": "1", "reviewer": "Ada", "row": 0, "question": 0,
     "verdict": "atypical"},
    None,
  )  # fmt: skip
  office.close()
  assert main(["audit", str(run.path), "--controls", ".2"]) == 2
  assert "begun with controls 0.1, not 0.2" in capsys.readouterr().err


def test_two_audits_of_one_run_do_not_write_at_once(run, capsys):
  office = Office(run, Plan())
  assert main(["audit", str(run.path)]) == 2
  assert "another audit page" in capsys.readouterr().err
  office.close()


def test_verdicts_of_another_run_are_refused(run, hostile, tmp_path, capsys):
  office = Office(run, Plan())
  office.record(
    {"kind": "skip", "key": "1", "reviewer": "Ada", "row": 0, "question": 0},
    None,
  )
  office.close()
  other = run.update_facts(created="2027-01-01T00:00:00+00:00")
  assert main(["audit", str(other.path)]) == 2
  assert "verdicts on another run" in capsys.readouterr().err


def test_an_analysis_is_offered_where_somebody_sits(run, monkeypatch):
  from prunebias_jax.cli import audit
  from prunebias_jax.store import Run

  shutil.rmtree(run.path / "analysis")
  done = []
  monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
  monkeypatch.setattr(Run, "analyze", lambda run: done.append(run.path))
  monkeypatch.setattr("builtins.input", lambda question: "n")
  with pytest.raises(InputError):
    audit.offer_analysis(run)
  assert not done
  monkeypatch.setattr("builtins.input", lambda question: "y")
  audit.offer_analysis(run)
  assert done == [run.path]


def test_a_missing_extra_is_named(run, monkeypatch, capsys):
  monkeypatch.delitem(sys.modules, "prunebias_jax.audit.serve")
  monkeypatch.setitem(sys.modules, "uvicorn", None)
  assert main(["audit", str(run.path)]) == 2
  error = capsys.readouterr().err
  assert "uvicorn: pip install 'prunebias_jax[audit]'" in error
