"""The report's files: whole or not at all, and nothing of others is lost."""

from collections.abc import Callable
import os
from pathlib import Path

import pytest

from prunebias_jax import store
from prunebias_jax.errors import InputError
from prunebias_jax.report import write, write_report
from prunebias_jax.report.page import Section
from prunebias_jax.report.plots.frame import new_plot
from prunebias_jax.report.sections import groups
from prunebias_jax.report.sections.comparison import compare, lines
from prunebias_jax.report.sections.criteria import safety
from prunebias_jax.report.source import open_source

GetRun = Callable[[str], store.Run]
MakeRun = Callable[..., store.Run]


@pytest.fixture
def directory(
  runs: GetRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
  """Where a report of one empty chapter was written."""

  def empty(source: object) -> Section:
    return Section(slug="empty", title="Empty", short="Empty")

  monkeypatch.setattr(write, "SECTIONS", (empty,))
  write_report(runs("one"), directory=tmp_path, formats=("svg",))
  (tmp_path / write.FOLDER / "old.csv").write_text("x\n")
  (tmp_path / write.FOLDER / "old.svg").write_text("<svg/>")
  return tmp_path


def test_old_report_stays_when_a_new_one_fails(
  runs: GetRun, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  (directory / write.PAGE).write_text("the old page")

  def full(*arguments: object) -> None:
    raise OSError(28, "No space left on device")

  monkeypatch.setattr(write.store, "write_atomically", full)
  with pytest.raises(OSError, match="No space"):
    write_report(runs("one"), directory=directory, formats=("svg",))

  assert (directory / write.PAGE).read_text() == "the old page"
  assert sorted(os.listdir(directory)) == [write.FOLDER, write.PAGE]
  assert sorted(os.listdir(directory / write.FOLDER)) == ["old.csv", "old.svg"]


def test_leftovers_of_a_killed_report_go(runs: GetRun, directory: Path) -> None:
  (directory / f".{write.FOLDER}.partial").mkdir()
  (directory / f".{write.FOLDER}.partial" / "half.svg").write_text("<svg")
  write_report(runs("one"), directory=directory, formats=("svg",))

  assert sorted(os.listdir(directory)) == [write.FOLDER, write.PAGE]
  assert not list((directory / write.FOLDER).iterdir())


@pytest.mark.parametrize("name", ["thesis.tex", "photo.png"])
def test_folder_of_something_else_is_left_alone(
  runs: GetRun, directory: Path, name: str
) -> None:
  (directory / write.FOLDER / name).write_text("years of work")
  with pytest.raises(InputError, match=rf"{name} is not of a report.*--output"):
    write_report(runs("one"), directory=directory, formats=("svg",))

  assert (directory / write.FOLDER / name).read_text() == "years of work"


def test_file_in_the_place_of_the_folder(runs: GetRun, tmp_path: Path) -> None:
  (tmp_path / write.FOLDER).write_text("a file")
  with pytest.raises(InputError, match="report is not of a report"):
    write_report(runs("one"), directory=tmp_path, formats=("svg",))


@pytest.mark.parametrize("deeper", [".", "a/b"])
def test_directory_without_the_right_to_write_is_named_at_once(
  runs: GetRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, deeper: str
) -> None:
  monkeypatch.setattr(os, "access", lambda path, mode: False)
  monkeypatch.setattr(write, "open_source", lambda run: pytest.fail("late"))
  with pytest.raises(InputError, match=r"cannot be written to.*--output"):
    write_report(runs("one"), directory=tmp_path / deeper)


def test_directory_in_a_file(runs: GetRun, tmp_path: Path) -> None:
  (tmp_path / "file").write_text("")
  with pytest.raises(InputError, match="file is a file"):
    write_report(runs("one"), directory=tmp_path / "file" / "in")


def test_directory_that_cannot_be_made(
  runs: GetRun, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  def refuse(*_: object, **__: object) -> None:
    raise FileNotFoundError(2, "No such file or directory")

  monkeypatch.setattr(Path, "mkdir", refuse)
  with pytest.raises(InputError, match="cannot be made"):
    write_report(runs("one"), directory=directory / "new", formats=("svg",))


def test_failed_file_leaves_nothing(tmp_path: Path) -> None:
  (tmp_path / "folder").mkdir()
  with pytest.raises(IsADirectoryError):
    store.write_atomically(tmp_path / "folder", "text")

  assert os.listdir(tmp_path) == ["folder"]


def test_title_of_a_drawing_is_one_line_that_ends() -> None:
  figure, _ = new_plot("id\nnew " + "W" * 200, labels=(), along="")
  (title,) = figure.texts

  assert title.get_text().startswith("id new WW")
  assert title.get_text().endswith("W…")
  assert len(title.get_text()) == 70


def test_names_do_not_turn_the_text_around(runs: GetRun) -> None:
  turned = Section(
    slug="a", title="A", short="A", text=("\u202eevil: \u2067 12 of 34",)
  )
  page = write.render(open_source(runs("one")), [turned], ("svg",))

  assert "\ufffdevil: \ufffd 12 of 34" in page
  assert not {"\u202e", "\u2067"} & set(page)


def test_names_that_look_alike_as_files_stay_apart(make_run: MakeRun) -> None:
  long = "G" * 60
  runs = [
    make_run(
      names=("A b", "a-b", long),
      identities=(long,),
      pruners=("p_1", "p-1"),
      seeds=seeds,
      sparsities=(0.0, 0.9),
      examples=60,
      size=8,
    )
    for seeds in ((0, 1), (2, 3))
  ]
  sources = [open_source(run) for run in runs]
  figures = [
    *write.figures_of([groups.section(sources[0])]),
    safety.counts_figure(sources[0], ""),
    safety.map_figure(sources[0], ""),
    lines.groups_figure(compare(*sources)),
  ]
  slugs = [panel.slug for figure in figures for panel in figure.panels]

  assert slugs
  assert len(set(slugs)) == len(slugs)
