"""The static gallery: whole, harmless, never over somebody's files."""

import html
import re
import shutil

from audit_runs import HOSTILE
import pytest

pytest.importorskip("jinja2", reason="needs the extra audit")

from prunebias_jax.audit.log import Plan
from prunebias_jax.audit.office import Office
from prunebias_jax.audit.showcase import write_gallery
from prunebias_jax.cli import main
from prunebias_jax.errors import InputError
from prunebias_jax.store import open_run


@pytest.fixture
def office(tmp_path):
  opened = []

  def get(run):
    path = tmp_path / f"run {len(opened)}"
    shutil.copytree(run.path, path)
    opened.append(Office(open_run(path), Plan()))
    return opened[-1]

  yield get
  for one in opened:
    one.close()


def test_the_head_of_the_queue_with_its_pictures(faces, office, tmp_path):
  one = office(faces)
  count = write_gallery(one, tmp_path / "out", 5)
  text = (tmp_path / "out" / "index.html").read_text()
  assert count == 10  # five of each of two levels
  links = re.findall(r'src="(images/\d+\.png)"', text)
  assert len(links) == count
  assert all((tmp_path / "out" / link).read_bytes()[:4] for link in links)
  assert "<script" not in text
  assert "http" not in re.sub("http-equiv", "", text)
  assert write_gallery(one, tmp_path / "out", 1) == 2
  assert not list(tmp_path.glob(".*partial"))


def test_hostile_ids_are_text(hostile, office, tmp_path):
  one = office(hostile)
  table = one.cases.table
  table["is_cie"] = table["row"] < len(HOSTILE)
  table["control"] = False
  write_gallery(one, tmp_path / "out", 100)
  text = (tmp_path / "out" / "index.html").read_text()
  assert "<img src=x" not in text
  assert html.escape(HOSTILE[1], quote=False) in text
  assert "No pictures" in text
  assert {path.name for path in (tmp_path / "out").iterdir()} == {
    "index.html",
    "audit.css",
    "images",
  }


def test_other_folders_are_left_alone(hostile, office, tmp_path):
  (tmp_path / "mine").mkdir()
  (tmp_path / "mine" / "thesis.tex").write_text("x")
  with pytest.raises(InputError, match="thesis"):
    write_gallery(office(hostile), tmp_path / "mine", 5)
  with pytest.raises(InputError, match="--top 0"):
    write_gallery(office(hostile), tmp_path / "new", 0)
  with pytest.raises(InputError, match="is a file; accepted: a folder"):
    write_gallery(office(hostile), tmp_path / "mine" / "thesis.tex", 5)
  assert (tmp_path / "mine" / "thesis.tex").read_text() == "x"


def test_the_command_writes_it_and_ends(hostile, tmp_path, capsys):
  path = tmp_path / "run"
  shutil.copytree(hostile.path, path)
  out = tmp_path / "out"
  assert main(["audit", str(path), "--export", str(out), "--top", "3"]) == 0
  assert "index.html" in capsys.readouterr().out
  assert (out / "index.html").exists()
  # Nothing is begun, and an audit that is open does not stand in the way.
  assert not (path / "audit").exists()
