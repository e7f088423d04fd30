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


def write_report(
  run: store.Run,
  *,
  directory: Path | None = None,
  formats: Sequence[str] = FORMATS,
  compare: store.Run | None = None,
) -> Path:
  """Writes report.html, and the figures as files with their numbers as CSV.

  The page needs nothing but itself: no network, no script. Writing it twice
  gives the same bytes.

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
      runs cannot be compared, an unknown format, or a directory that is a
      file. What was written before stays.
  """
  directory = run.path if directory is None else directory
  _check(directory, formats)
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
  directory.mkdir(parents=True, exist_ok=True)
  _write_figures(figures_of(sections), tables, directory / FOLDER, formats)
  store.write_atomically(directory / PAGE, page)
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

  return environment.get_template("page.html").render(
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


def _check(directory: Path, formats: Sequence[str]) -> None:
  """Refuses what cannot be written, before anything is read."""
  unknown = [one for one in formats if one not in FORMATS]
  if unknown or not formats:
    raise InputError(
      f"formats {','.join(formats)!r}; accepted: one or more of "
      f"{', '.join(FORMATS)}"
    )
  if directory.exists() and not directory.is_dir():
    raise InputError(f"{directory} is a file; accepted: a directory")


def _write_figures(
  drawn: Sequence[Figure],
  tables: Mapping[str, pd.DataFrame],
  folder: Path,
  formats: Sequence[str],
) -> None:
  """Replaces the folder of figures and tables as a whole."""
  staging = folder.with_name(f".{folder.name}.partial")
  shutil.rmtree(staging, ignore_errors=True)
  staging.mkdir()
  for figure in drawn:
    for panel in figure.panels:
      if panel.data is None:
        continue
      for suffix, content in panel.files(formats).items():
        (staging / f"{panel.slug}.{suffix}").write_bytes(content)
      panel.data.to_csv(staging / f"{panel.slug}.csv", index=False)
  for name, table in tables.items():
    write_csv(table, staging / f"{name}.csv")
  shutil.rmtree(folder, ignore_errors=True)
  os.replace(staging, folder)
