"""Writes the report of a run: one HTML file, and its figures beside it."""

from collections.abc import Mapping, Sequence
import os
from pathlib import Path
import shutil

import jinja2
from markupsafe import Markup
import pandas as pd

from prunebias_jax import store
from prunebias_jax.analysis.csv_files import write_csv
from prunebias_jax.analysis.results import alone_in, swap
from prunebias_jax.errors import InputError
from prunebias_jax.report import palette
from prunebias_jax.report.drawing import FORMATS
from prunebias_jax.report.page import Figure, Fragment, Part, Section
from prunebias_jax.report.sections import (
  COMPARED_BEFORE,
  SECTIONS,
  comparison,
)
from prunebias_jax.report.sections.methods import facts
from prunebias_jax.report.source import Source, open_source
from prunebias_jax.report.vocabulary import listed

PAGE = "report.html"
FOLDER = "report"
# Characters that turn the direction of all text after them: in the name of an
# attribute they would reverse the numbers of the sentence that it is in.
_TURNS = dict.fromkeys(
  (*range(0x202A, 0x202F), *range(0x2066, 0x206A)), "\ufffd"
)


def write_report(
  run: store.Run,
  *,
  directory: Path | None = None,
  formats: Sequence[str] = FORMATS,
  compare: store.Run | None = None,
) -> Path:
  """Writes report.html, and the figures as files with their numbers as CSV.

  The page needs nothing but itself: no network, no script. Writing it twice
  gives the same bytes. What was written before stays unless all of the new
  report could be written; of two processes the second waits.

  Args:
    run: analysed, finished or not.
    directory: where to write; the run's own directory unless given.
    formats: of the figures' files: "svg", "pdf", "png" (300 dots an inch).
    compare: another analysed run, to compare this one with in a chapter of
      its own; all its numbers are then in report/comparison.csv.

  Returns:
    The path of report.html; the figures are in the folder report/ beside it.

  Raises:
    InputError: a run has not been analysed, its analysis cannot be read, the
      runs cannot be compared, an unknown format, a directory that is a file,
      or a folder report/ in it that holds what is no report's.
    OSError: the report cannot be written, for want of space or of rights.
  """
  directory = run.path if directory is None else directory
  _check_formats(formats)
  _check_place(directory)
  source = open_source(run)
  compared = None
  if compare is not None:
    compared = comparison.compare(source, open_source(compare))
  sections = [make(source) for make in SECTIONS]
  tables = {}
  if compared is not None:
    sections.insert(COMPARED_BEFORE, comparison.section(compared))
    tables["comparison"] = compared.table
  page = render(source, sections, formats)
  try:
    directory.mkdir(parents=True, exist_ok=True)
  except FileNotFoundError as error:
    # Some file systems hold no directories of ours: /proc, for one.
    raise InputError(
      f"{directory} cannot be made ({error.strerror}); accepted: a directory "
      "that can be written to"
    ) from error
  with alone_in(directory):
    staging = directory / f".{FOLDER}.partial"
    shutil.rmtree(staging, ignore_errors=True)
    try:
      staging.mkdir()
      _write_figures(figures_of(sections), tables, staging, formats)
      store.write_atomically(staging / PAGE, page)
      os.replace(staging / PAGE, directory / PAGE)
      swap(staging, directory / FOLDER)
    finally:
      shutil.rmtree(staging, ignore_errors=True)
  return directory / PAGE


def figures_of(sections: Sequence[Section]) -> list[Figure]:
  """Every figure of the report, in reading order."""
  parts = [part for section in sections for part in section.parts]
  return [part for part in parts if isinstance(part, Figure)]


def render(
  source: Source, sections: Sequence[Section], formats: Sequence[str]
) -> str:
  """The page as text."""
  environment = jinja2.Environment(
    loader=jinja2.PackageLoader("prunebias_jax.report", "templates"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
  )
  numbers = {
    figure.slug: place for place, figure in enumerate(figures_of(sections), 1)
  }

  def rendered(part: Part) -> Markup:
    values: dict[str, object] = {"part": part}
    if isinstance(part, Fragment):
      values = part.values
    elif isinstance(part, Figure):
      values["number"] = numbers[part.slug]
    return Markup(environment.get_template(part.template).render(values))

  page = environment.get_template("page.html").render(
    name=source.run.name or source.run.path.name,
    light=palette.variables(palette.LIGHT),
    dark=palette.variables(palette.DARK),
    summary=facts.summary(source),
    progress=facts.progress(source),
    formats=listed([one.upper() for one in formats]),
    sections=[
      {
        "slug": section.slug,
        "title": section.title,
        "short": section.short,
        "text": section.text,
        "parts": [rendered(part) for part in section.parts],
      }
      for section in sections
    ],
  )
  return page.translate(_TURNS)


def _check_formats(formats: Sequence[str]) -> None:
  """Refuses what no figure can be saved as."""
  unknown = [one for one in formats if one not in FORMATS]
  if unknown or not formats:
    raise InputError(
      f"formats {','.join(formats)!r}; accepted: one or more of "
      f"{', '.join(FORMATS)}"
    )


def _check_place(directory: Path) -> None:
  """Refuses a place where nothing can be written, or something is lost."""
  # Making the report takes a minute: what cannot be kept is not made.
  there = next(one for one in (directory, *directory.parents) if one.exists())
  if not there.is_dir():
    raise InputError(f"{there} is a file; accepted: a directory")
  if not os.access(there, os.W_OK):
    raise InputError(
      f"{there} cannot be written to; accepted: --output with a directory that "
      "can"
    )
  if (directory / PAGE).is_dir():
    raise InputError(f"{directory / PAGE} is a directory; accepted: a file")
  folder = directory / FOLDER
  foreign = _foreign(folder)
  if foreign is not None:
    raise InputError(
      f"{foreign} is not of a report, and {folder} would be replaced as a "
      "whole; accepted: --output with another directory"
    )


def _foreign(folder: Path) -> Path | None:
  """What is in the way of a folder of figures and is not one of them."""
  if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
    return folder
  # Every figure has its numbers beside it.
  files = sorted(folder.iterdir()) if folder.exists() else []
  for one in files:
    known = one.suffix[1:] in (*FORMATS, "csv")
    if not known or one.with_suffix(".csv") not in files:
      return one
  return None


def _write_figures(
  drawn: Sequence[Figure],
  tables: Mapping[str, pd.DataFrame],
  folder: Path,
  formats: Sequence[str],
) -> None:
  """Fills a folder with figures and tables."""
  for figure in drawn:
    for panel in figure.panels:
      if panel.data is None:
        continue
      for suffix, content in panel.files(formats).items():
        (folder / f"{panel.slug}.{suffix}").write_bytes(content)
      panel.data.to_csv(folder / f"{panel.slug}.csv", index=False)
  for name, table in tables.items():
    write_csv(table, folder / f"{name}.csv")
