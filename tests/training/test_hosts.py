"""Several processes train one run: the same bits, and no way to hang."""

import dataclasses
import json
import os
from pathlib import Path
import signal
import socket
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from prunebias_jax import cli, store
from prunebias_jax.config import (
  Data,
  Execution,
  Model,
  Pruning,
  Sweep,
  Train,
)
from prunebias_jax.errors import InputError
from prunebias_jax.training import rendezvous, shares
from prunebias_jax.training import sweep as training
from prunebias_jax.training.hosts import Hosts, connect

# One program for all: a level, and chunks of one seed.
TINY = Sweep(
  name="tiny",
  seeds=(0, 7),
  sparsities=(0.9,),
  data=Data(name="digits", size=8, train=200, valid=30, test=50),
  model=Model(name="cnn", width=0.25),
  train=Train(epochs=3, batch=32, flip=False, crop=0),
  pruning=Pruning(start=1, every=1, end=3),
  execution=Execution(
    devices=1,
    mode="map",
    chunk=1,
    checkpoint_minutes=0,
    steps_per_dispatch=4,
  ),
)
ROOT = Path(__file__).parents[2]
# The command, with a short time until a silent process counts as lost.
COMMAND = """
import sys
from prunebias_jax import cli
from prunebias_jax.training import hosts
hosts.HEARTBEAT_SECONDS = 5
sys.exit(cli.main(sys.argv[1:]))
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
  """For processes that compile each program once, all of them together."""
  return {
    **os.environ,
    "XLA_FLAGS": "",
    "JAX_COMPILATION_CACHE_DIR": str(tmp_path_factory.mktemp("compiled")),
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.1",
  }


@pytest.fixture(scope="module")
def spawn(environment):
  """Starts the command in a process of its own; ends it if need be."""
  begun = []

  def spawn(run, *options, sweep=TINY):
    config = run.with_suffix(".json")
    config.write_text(json.dumps({"sweep": sweep.to_dict()}))
    command = [sys.executable, "-c", COMMAND, "train", str(config)]
    begun.append(
      subprocess.Popen(
        [*command, "--workdir", str(run), *options],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
      )
    )
    return begun[-1]

  yield spawn
  for process in begun:
    process.kill()
    process.communicate()


@pytest.fixture(scope="module")
def alone(spawn):
  """Trains, or goes on, with one process; gives the run."""

  def alone(run, sweep=TINY):
    ((status, _, errors),) = ends([spawn(run, sweep=sweep)])
    assert status == 0, errors
    return store.open_run(run)

  return alone


@pytest.fixture(scope="module")
def expected(alone, tmp_path_factory):
  return alone(tmp_path_factory.mktemp("alone") / "run")


@pytest.fixture
def port():
  with socket.create_server(("localhost", 0)) as free:
    return free.getsockname()[1]


@pytest.fixture
def start(spawn, port, tmp_path):
  """Starts a job of two processes in tmp_path/run."""

  def start(sweep=TINY):
    options = ["--coordinator", f"localhost:{port}", "--processes", "2"]
    return [
      spawn(tmp_path / "run", *options, "--process", str(index), sweep=sweep)
      for index in range(2)
    ]

  return start


def ends(processes):
  """Exit status, output and errors of each process."""
  said = [process.communicate(timeout=240) for process in processes]
  return [
    (process.returncode, *texts)
    for process, texts in zip(processes, said, strict=True)
  ]


def wait_for(path, processes):
  """Waits until a file is there, unless a process ends first."""
  while not path.exists():
    assert all(one.poll() is None for one in processes), ends(processes)
    time.sleep(0.02)


def own_lines(text):
  """What the command itself says, without what libraries do."""
  return [line for line in text.splitlines() if line.startswith("prunebias: ")]


def assert_same_bits(one, other):
  for name in store.EVALUATED:
    np.testing.assert_array_equal(
      *(run.split(name)["logits"].to_numpy() for run in (one, other))
    )


def test_two_processes_give_the_bits_of_one(start, expected, tmp_path):
  (first, out, errors), (second, silent, more) = ends(start())
  assert (first, second) == (0, 0), errors + more
  assert "2 members in" in out
  assert silent == ""
  run = store.open_run(tmp_path / "run")
  run.verify()
  assert_same_bits(run, expected)
  # Each trained one seed, and wrote a log of its own.
  logs = [
    tmp_path / "run" / name for name in ("metrics.jsonl", "metrics-1.jsonl")
  ]
  seeds = [
    {json.loads(line)["seed"] for line in log.read_text().splitlines()}
    for log in logs
  ]
  assert seeds == [{0}, {7}]
  columns = ["seed", "sparsity", "epoch", "loss", "accuracy", "zeros"]
  tables = [
    one.metrics()[columns].sort_values(columns, ignore_index=True)
    for one in (run, expected)
  ]
  assert tables[0].equals(tables[1])
  assert list((tmp_path / "run/tensorboard/process-1").glob("events*"))
  assert (tmp_path / "run" / training.LAYERS).exists()
  assert run.facts["device"]["processes"] == 2


def test_sigterm_to_one_stops_all_with_checkpoints(
  start, alone, expected, tmp_path
):
  processes = start()
  wait_for(tmp_path / "run/metrics-1.jsonl", processes)
  processes[1].send_signal(signal.SIGTERM)
  for status, _, errors in ends(processes):
    assert status == cli.PREEMPTED, errors
    assert "stopped by SIGTERM" in own_lines(errors)[-1]
    assert "goes on" in own_lines(errors)[-1]
  run = tmp_path / "run"
  saved = {path.parent.name for path in run.glob("checkpoints/*/[0-9]*")}
  assert any(name.startswith("seed-7") for name in saved)
  # On with one process.
  assert_same_bits(alone(run), expected)


def test_when_one_is_killed_the_others_finish_their_own(
  start, alone, expected, tmp_path
):
  processes = start()
  wait_for(tmp_path / "run/metrics-1.jsonl", processes)
  processes[1].kill()
  (status, _, errors), _ = ends(processes)
  assert status == cli.PREEMPTED, errors
  assert "of 2 processes these are lost: 1" in own_lines(errors)[-1]
  run = store.open_run(tmp_path / "run")
  assert run.members()["done"].tolist() == [True, False]
  assert_same_bits(alone(run.path), expected)


@pytest.mark.slow
def test_when_process_0_is_killed_the_others_end(
  start, alone, expected, tmp_path
):
  processes = start()
  wait_for(tmp_path / "run/metrics-1.jsonl", processes)
  processes[0].kill()
  _, (status, _, errors) = ends(processes)
  # JAX ends the process itself when the service is gone.
  assert status == -signal.SIGABRT
  assert "Terminating process" in errors
  assert_same_bits(alone(tmp_path / "run"), expected)


def test_what_process_0_refuses_all_refuse(start, tmp_path):
  with store.locked(tmp_path / "run"):
    found = ends(start())
  for index, (status, _, errors) in enumerate(found):
    assert status == cli.BAD_INPUT, errors
    (line,) = own_lines(errors)
    assert "is in use by another process" in line
    assert line.startswith("prunebias: process 0: ") == (index == 1)


@pytest.mark.slow
def test_a_shared_parent_is_waited_for(start, alone, tmp_path):
  sweep = TINY.override(
    {
      "sparsities": [0.0, 0.9],
      "pruning.regime": "one-shot",
      "pruning.shared_dense_parent": True,
      "finetune": {**TINY.train.to_dict(), "epochs": 2},
    }
  )
  assert [status for status, *_ in ends(start(sweep))] == [0, 0]
  once = alone(tmp_path / "once", sweep)
  assert_same_bits(store.open_run(tmp_path / "run"), once)


def refused(capsys, tmp_path, *arguments):
  """The one line of a refused call."""
  config = tmp_path / "config.json"
  config.write_text(json.dumps({"sweep": TINY.to_dict()}))
  command = ["train", str(config), "--workdir", str(tmp_path / "run")]
  assert cli.main([*command, *arguments]) == cli.BAD_INPUT
  assert not (tmp_path / "run").exists()
  (line,) = capsys.readouterr().err.splitlines()
  return line


@pytest.fixture
def _no_new_devices(monkeypatch):
  monkeypatch.setattr(cli.train, "prepare_backend", lambda sweep: None)


HERE = ["--coordinator", "localhost:9999"]


@pytest.mark.usefixtures("_no_new_devices")
@pytest.mark.parametrize(
  ("arguments", "message"),
  [
    (["--processes", "2"], "--processes needs --coordinator"),
    (["--process", "0"], "--process needs --coordinator"),
    (HERE, "needs --processes N and --process I"),
    ([*HERE, "--processes", "2"], "needs --processes N and --process I"),
    ([*HERE, "--processes", "0", "--process", "0"], "--processes is 0; accep"),
    ([*HERE, "--processes", "2", "--process", "2"], "accepted: 0 to 1"),
    ([*HERE, "--processes", "2", "--process", "-1"], "accepted: 0 to 1"),
    ([*HERE, "--processes", "two"], "invalid int value: 'two'"),
    ([*HERE, "--shard", "0/2"], "--shard is for jobs without a coordinator"),
    ([*HERE, "--coordinator-timeout", "0"], "accepted: seconds above 0"),
    (["--coordinator", "localhost"], "'localhost'; accepted: HOST:PORT"),
    (["--coordinator", "localhost:x"], "accepted: HOST:PORT"),
    (["--coordinator", "localhost:65536"], "a port from 1 to 65535"),
    (["--coordinator", "auto"], "auto found no cluster; accepted: inside"),
    (["--coordinator", "auto", "--process", "0"], "finds --processes and"),
  ],
)
def test_bad_arguments(capsys, tmp_path, arguments, message):
  assert message in refused(capsys, tmp_path, *arguments)


@pytest.mark.usefixtures("_no_new_devices")
@pytest.mark.parametrize(
  ("index", "message"),
  [
    ("0", "process 1 did not reach the coordinator localhost:{} within 0.5 s"),
    (
      "1",
      "the coordinator localhost:{} was not reached within 0.5 s (connection "
      "refused)",
    ),
  ],
)
def test_who_does_not_come_is_named_in_time(
  capsys, tmp_path, port, index, message
):
  line = refused(
    capsys, tmp_path, "--coordinator", f"localhost:{port}",
    "--processes", "2", "--process", index, "--coordinator-timeout", "0.5",
  )  # fmt: skip
  assert line == f"prunebias: {message.format(port)}"


@pytest.mark.usefixtures("_no_new_devices")
def test_a_coordinator_that_is_none(capsys, tmp_path):
  """Another program holds the port: for process 0, and for the others."""
  with socket.create_server(("", 0)) as other:
    address = f"localhost:{other.getsockname()[1]}"
    options = ["--coordinator", address, "--processes", "2", "--process"]
    line = refused(capsys, tmp_path, *options, "0")
    assert f"the coordinator {address} cannot open its port: " in line

    def answer():
      with other.accept()[0] as peer:
        peer.sendall(b"HTTP/1.1 400 Bad Request\n")

    thread = threading.Thread(target=answer)
    thread.start()
    line = refused(
      capsys, tmp_path, *options, "1", "--coordinator-timeout", "0.1"
    )
    assert "what answers there is no coordinator" in line
    thread.join()


def meeting(port, *calls):
  """What each of several processes gets from the rendezvous, as threads."""
  found = {}

  def call(place, index, count):
    try:
      rendezvous.meet(f"localhost:{port}", index, count, 20)
    except InputError as error:
      found[place] = str(error)
    else:
      found[place] = "met"

  threads = [
    threading.Thread(target=call, args=(place, *one))
    for place, one in enumerate(calls)
  ]
  for thread in threads:
    thread.start()
  for thread in threads:
    thread.join()
  return [found[place] for place in range(len(calls))]


def test_processes_meet_in_any_order(port):
  assert meeting(port, (2, 3), (1, 3), (0, 3)) == ["met"] * 3


def test_processes_of_different_jobs_are_refused(port):
  found = meeting(port, (0, 2), (1, 3))
  assert (
    found
    == [
      "process 1 was started as one of 3, process 0 as one of 2; give all the "
      "same --processes"
    ]
    * 2
  )


def job(port, *acts):
  """What each act returns or raises, as a process of one job, in threads."""
  found = {}

  def process(index, act):
    try:
      with connect(
        f"localhost:{port}", count=len(acts), index=index, seconds=20
      ) as hosts:
        found[index] = act(hosts)
    except InputError as error:
      found[index] = str(error)

  threads = [
    threading.Thread(target=process, args=one) for one in enumerate(acts)
  ]
  for thread in threads:
    thread.start()
  for thread in threads:
    thread.join()
  return [found[index] for index in range(len(acts))]


def test_what_one_cannot_do_nobody_does(port):
  def fail():
    raise InputError("no images on\nthis machine")

  found = job(
    port,
    lambda hosts: hosts.together(lambda: "loaded"),
    lambda hosts: hosts.together(fail),
  )
  line = "no images on this machine"
  assert found == [f"process 1: {line}", line.replace("on this", "on\nthis")]


def test_what_process_0_makes_all_get(port):
  def act(hosts):
    first = hosts.by_first(lambda: {"made by": hosts.index})
    return first, hosts.together(lambda: hosts.index)

  assert job(port, act, act, act) == [({"made by": 0}, i) for i in range(3)]


def test_who_leaves_early_is_missed_and_says_why(port):
  def leave(hosts):
    raise InputError("disk full")

  def stay(hosts):
    return hosts.meet("here"), hosts.reason_to_stop(now=True)

  expected = {0: "here"}, "process 1 failed (disk full)"
  assert job(port, stay, leave) == [expected, "disk full"]
  assert job(port, leave, stay)[1] == (
    {1: "here"},
    expected[1].replace("1", "0"),
  )


@pytest.fixture
def planned(tmp_path):
  """An engine and a new run of five seeds."""
  sweep = TINY.override({"seeds": [5, 6, 7, 8, 9], "execution.chunk": 0})
  dataset = training.data.load(sweep.data)
  engine = training.Engine.build(sweep, dataset)
  run = store.create(
    tmp_path / "run",
    facts={"sweep": sweep.to_dict()},
    members=training.member_table(sweep),
    dataset=dataset,
  )
  return engine, run


def seeds_of(run, names):
  return [
    [list(plan.seeds) for plan in share.plans]
    for share in shares.read_shares(run, names)
  ]


def test_chunks_are_dealt_once_and_kept(planned):
  engine, run = planned
  first, second = shares.deal(engine, run, 2)
  assert seeds_of(run, first) == [[[5, 6, 7]]]
  assert seeds_of(run, second) == [[[8, 9]]]
  # One process, or four, keep the chunks of two.
  assert shares.deal(engine, run, 1) == [[*first, *second]]
  assert shares.deal(engine, run, 4) == [first, second, [], []]


def test_halves_stay_with_their_share(planned):
  engine, run = planned
  ((name,),) = shares.deal(engine, run, 1)
  (share,) = shares.read_shares(run, [name])
  (plan,) = share.plans
  share.without(plan, *plan.halves()).write()
  assert shares.deal(engine, run, 2) == [[name], []]
  assert seeds_of(run, [name]) == [[[5, 6, 7], [8, 9]]]


def test_what_is_done_is_not_dealt(planned, monkeypatch):
  engine, run = planned
  first, second = shares.deal(engine, run, 2)
  table = run.members()
  table.loc[table["seed"] < 8, "done"] = True
  monkeypatch.setattr(store.Run, "members", lambda self: table)
  assert shares.deal(engine, run, 2) == [second, []]
  assert first != second


def test_a_process_with_another_config_is_refused(planned):
  engine, run = planned
  other = engine.sweep.override({"train.epochs": 9})
  engine = dataclasses.replace(engine, sweep=other)
  with pytest.raises(InputError, match=r"train.epochs is 3 there and 9 here"):
    training._open(engine, run.path, Hosts(index=1))
