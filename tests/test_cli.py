"""The command line as a user meets it: whole way, help, and bad input."""

import errno
import json
import logging
import os
from pathlib import Path
import shutil
import subprocess
import sys

from foreign import archive, saved
import pytest

from prunebias_jax import cli, config, config_file, store
from prunebias_jax.cli.counts import counted

ROOT = Path(__file__).parents[1]
TINY = """
  --seeds 0,1 --sparsities 0,.9 --data.size 8 --data.train 200 --data.valid 40
  --data.test 60 --model.name nets:Flat --train.epochs 2 --train.warmup 0
  --pruning.start 1 --pruning.end 2 --execution.devices 1 --execution.mode map
""".split()
DIGITS = str(ROOT / "configs/digits.py")


@pytest.fixture(autouse=True)
def _quiet_start(monkeypatch):
  """The backend of the test process has started: its devices stay."""
  monkeypatch.setattr(cli.train, "prepare_backend", lambda sweep: None)
  yield
  logging.getLogger("prunebias_jax").setLevel(logging.NOTSET)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
  path = tmp_path_factory.mktemp("runs") / "digits"
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(cli.train, "prepare_backend", lambda sweep: None)
    arguments = ["train", DIGITS, "--workdir", str(path), *TINY]
    assert cli.main(arguments) == 0
  return path


def refused(capsys, *arguments):
  """The one line of a refused call."""
  assert cli.main([str(one) for one in arguments]) == cli.BAD_INPUT
  out, err = capsys.readouterr()
  assert out == ""
  lines = err.strip().splitlines()
  assert len(lines) == 1, err
  assert lines[0].startswith("prunebias: ")
  return lines[0]


def test_from_a_config_to_a_report(run, capsys):
  assert cli.main(["analyze", str(run)]) == 0
  out = capsys.readouterr().out
  assert f"next: prunebias report {run}" in out
  assert "not available" in out  # two seeds: the discrete tests
  assert (run / "analysis/attributes.csv").exists()
  assert cli.main(["report", str(run), "--formats", "svg"]) == 0
  assert str(run / "report.html") in capsys.readouterr().out
  assert "<svg" in (run / "report.html").read_text()
  assert cli.main(["inspect", str(run)]) == 0
  out = capsys.readouterr().out
  assert "4 of 4 done" in out
  assert "gmp-ri, sparsity 0.9, quantization none: seeds 0, 1" in out


def test_a_run_is_repeated_from_its_own_record(run, tmp_path, capsys):
  again = tmp_path / "again"
  assert cli.main(["train", f"{run}/sweep.json", "--workdir", str(again)]) == 0
  assert "4 members" in capsys.readouterr().out
  for split in store.EVALUATED:
    one, two = (
      store.open_run(path).split(split)["logits"] for path in (run, again)
    )
    assert (one == two).all()


def test_one_seed_goes_on_and_says_so(tmp_path, capsys):
  path = str(tmp_path / "run")
  options = [*TINY, "--seeds", "5"]
  assert cli.main(["train", DIGITS, "--workdir", path, *options]) == 0
  assert cli.main(["analyze", path]) == 0
  assert "one seed" in capsys.readouterr().out.lower()
  table = (tmp_path / "run/analysis/variance.csv").read_text()
  assert "not available: one seed" in table
  assert cli.main(["report", path, "--formats", "svg"]) == 0
  assert "not available" in (tmp_path / "run/report.html").read_text()


def test_dry_run_writes_nothing(tmp_path, capsys):
  workdir = tmp_path / "run"
  arguments = ["train", DIGITS, "--workdir", str(workdir), "--dry-run", *TINY]
  assert cli.main([*arguments, "--seeds", "5"]) == 0
  out = capsys.readouterr().out
  assert "2 (1 seed x 2 sparsities)" in out
  for word in ("members", "memory", "disk", "time"):
    assert word in out
  assert not workdir.exists()


@pytest.mark.parametrize(
  ("arguments", "message"),
  [
    (["--train.epochs", "x"], "--train.epochs: invalid int value: 'x'"),
    (["--train.flip", "maybe"], "invalid bool value: 'maybe'"),
    (["--seeds", "1,a"], "invalid list of int value"),
    (["--train.epoch", "3"], "unknown argument --train.epoch; did you mean "),
    (["--seeds", "1,1"], "sweep.seeds holds 1 more than once"),
    (["--seeds", ""], "sweep.seeds is empty"),
    (["--sparsities", "0,1"], "sweep.sparsities is 1.0; accepted: [0, 1)"),
    (["--pruning.end", "1"], "pruning.end is 1, not after"),
    (["--pruning.end", "90"], "after the training"),
    (["--train.batch", "5000"], "train.batch is 5000; accepted: up to"),
    (
      ["--data.name", "nope"],
      "unknown data set 'nope'; accepted: celeba, digits",
    ),
    (["--model.name", "vgg"], "model.name is 'vgg'; accepted: cnn, resnet18"),
    (["--data.identities", "Male"], "unknown identity 'Male'"),
    (["--execution.platform", "gpu"], "no such device is here"),
  ],
)
def test_bad_settings(capsys, tmp_path, arguments, message):
  workdir = tmp_path / "runs/run"
  line = refused(
    capsys, "train", DIGITS, "--workdir", workdir, *TINY, *arguments
  )
  assert message in line
  assert not list(tmp_path.iterdir())


def test_train_needs_a_workdir_and_a_config(capsys, tmp_path):
  assert "--workdir" in refused(capsys, "train", DIGITS)
  assert "not found" in refused(
    capsys, "train", tmp_path / "no.py", "--workdir", tmp_path
  )
  assert "CONFIG" in refused(capsys, "train")
  assert "invalid choice: 'trian'" in refused(capsys, "trian")
  assert "VERB" in refused(capsys)


@pytest.mark.parametrize(
  ("workdir", "message"),
  [
    ("", "argument --workdir: '' is no path; accepted: a directory"),
    ("/proc/x", "/proc/x cannot be made (No such file or directory); "),
    ("x" * 300, "File name too long"),
  ],
)
def test_a_workdir_that_cannot_be(capsys, tmp_path, workdir, message):
  file = saved(tmp_path / "logits.npz", archive())
  for command in (["import", file], ["train", DIGITS, *TINY]):
    line = refused(capsys, *command, "--workdir", workdir)
    assert message in line


def test_one_of_a_thing_is_no_plural():
  assert counted(1, "member") == "1 member"
  assert counted(1, "sparsity", "sparsities") == "1 sparsity"
  assert counted(0, "member") == "0 members"
  assert counted(2000, "sparsity", "sparsities") == "2,000 sparsities"


@pytest.mark.parametrize("verb", ["analyze", "report", "inspect"])
def test_a_directory_without_a_run(capsys, tmp_path, verb):
  assert "holds no run" in refused(capsys, verb, tmp_path)


def test_another_run_in_the_workdir(capsys, run):
  line = refused(
    capsys, "train", DIGITS, "--workdir", run, *TINY, "--train.epochs", "3"
  )
  assert "holds a different run: train.epochs is 2 there and 3 here" in line


def test_analyze_names_a_damaged_member_and_keeps_the_tables(
  run, capsys, tmp_path
):
  path = shutil.copytree(run, tmp_path / "run")
  assert cli.main(["analyze", str(path)]) == 0
  before = (path / "analysis/attributes.csv").read_bytes()
  chunk = path / "logits.zarr/test/logits/c/3/0/0"
  chunk.write_bytes(chunk.read_bytes()[:-4])
  capsys.readouterr()
  assert "gmp-ri, sparsity 0.9, seed 1" in refused(capsys, "analyze", path)
  assert (path / "analysis/attributes.csv").read_bytes() == before


def test_a_margin_that_is_none(capsys, run):
  line = refused(capsys, "analyze", run, "--safe-margin", "0")
  assert "safe_margin 0.0; accepted: above 0, finite" in line


def test_report_before_analyze(run, capsys, tmp_path):
  path = shutil.copytree(run, tmp_path / "run")
  shutil.rmtree(path / "analysis", ignore_errors=True)
  assert f"prunebias analyze {path}" in refused(capsys, "report", path)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EACCES, errno.EROFS])
def test_what_the_machine_refuses_is_one_line(capsys, monkeypatch, run, code):
  def full(*_):
    raise OSError(code, os.strerror(code), str(run / "x"))

  monkeypatch.setattr(store.Run, "verify", full)
  line = refused(capsys, "analyze", run)
  assert os.strerror(code) in line
  assert str(run / "x") in line


def test_a_bug_keeps_its_traceback(monkeypatch, run):
  def bug(*_):
    raise ZeroDivisionError

  monkeypatch.setattr(store.Run, "verify", bug)
  with pytest.raises(ZeroDivisionError):
    cli.main(["analyze", str(run)])


def test_help_lists_every_setting(capsys):
  with pytest.raises(SystemExit) as caught:
    cli.main(["train", "--help"])
  assert caught.value.code == 0
  out = capsys.readouterr().out
  for leaf in config.Sweep().leaves():
    assert f"--{leaf.path} " in out


def test_the_module_is_the_command(tmp_path):
  """In a process of its own: one line, status 2, no traceback."""
  done = subprocess.run(
    [sys.executable, "-m", "prunebias_jax", "inspect", str(tmp_path)],
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == cli.BAD_INPUT
  assert done.stderr.count("\n") == 1
  assert "Traceback" not in done.stderr


@pytest.mark.parametrize("path", sorted(ROOT.glob("configs/*.py")), ids=str)
def test_every_config_is_valid(path):
  sweep = config_file.load_config(path)
  assert json.loads(json.dumps(sweep.to_dict())) == sweep.to_dict()


def test_shards_merge_into_the_run_made_at_once(run, tmp_path, capsys):
  path = tmp_path / "sharded"
  for shard in ("0/2", "1/2"):
    arguments = ["train", DIGITS, "--workdir", str(path), *TINY]
    assert cli.main([*arguments, "--shard", shard]) == 0
  assert f"prunebias merge {path}" in capsys.readouterr().out
  assert cli.main(["merge", str(path)]) == 0
  assert "4 members of 2 runs" in capsys.readouterr().out
  whole, merged = store.open_run(run), store.open_run(path)
  merged.verify()
  key = [*store.MEMBER_KEY, "done"]
  assert whole.members()[key].equals(merged.members()[key])
  for split in store.EVALUATED:
    one, two = (x.split(split)["logits"].to_numpy() for x in (whole, merged))
    assert (one == two).all()
  assert len(merged.metrics()) == len(whole.metrics())
  parameters = sorted((path / "parameters").iterdir())
  assert [one.name for one in parameters] == [f"{i:06d}.npz" for i in range(4)]
  assert cli.main(["analyze", str(path)]) == 0
  capsys.readouterr()
  assert "holds a run already" in refused(capsys, "merge", path)
  # The config of the whole sweep finds the merged run complete.
  arguments = ["train", DIGITS, "--workdir", str(path), *TINY]
  assert cli.main(arguments) == 0


def test_merge_refuses_what_does_not_belong_together(run, tmp_path, capsys):
  other = shutil.copytree(run, tmp_path / "other")
  facts = json.loads((other / store.SWEEP).read_text())
  facts["sweep"]["train"]["epochs"] = 3
  (other / store.SWEEP).write_text(json.dumps(facts))
  out = tmp_path / "out"
  line = refused(capsys, "merge", run, other, "--workdir", out)
  assert "another config" in line
  assert "train.epochs is 3 and 2" in line
  assert "is in another of the runs too" in refused(
    capsys, "merge", run, run, "--workdir", out
  )
  assert "needs --workdir" in refused(capsys, "merge", run, other)
  assert not (out / store.SWEEP).exists()


@pytest.mark.parametrize(
  ("shard", "message"),
  [
    ("2", "accepted: i/n"),
    ("2/2", "accepted: 0/2 and up"),
    ("0/3", "up to 2 shards"),
  ],
)
def test_bad_shards(capsys, tmp_path, shard, message):
  line = refused(
    capsys, "train", DIGITS, "--workdir", tmp_path, *TINY, "--shard", shard
  )
  assert message in line
