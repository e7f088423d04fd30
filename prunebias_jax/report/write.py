"""Writes the report of a run: one HTML file, and its figures beside it."""

from collections.abc import Sequence
import os
from pathlib import Path
import shutil

import jinja2
from markupsafe import Markup

from prunebias_jax import store
from prunebias_jax.report import palette
from prunebias_jax.report.drawing import FORMATS
from prunebias_jax.report.page import Figure, Fragment, Part, Section
from prunebias_jax.report.sections import SECTIONS, facts
from prunebias_jax.report.source import Source, open_source
from prunebias_jax.report.vocabulary import listed

PAGE = "report.html"
FOLDER = "report"


def write_report(
  run: store.Run,
  *,
  directory: Path | None = None,
  formats: Sequence[str] = FORMATS,
) -> Path:
  """Writes report.html, and the figures as files with their numbers as CSV.

  The page needs nothing but itself: no network, no script. Writing it twice
  gives the same bytes.

  Args:
    run: analysed, finished or not.
    directory: where to write; the run's own directory unless given.
    formats: of the figures' files: "svg", "pdf", "png" (300 dots an inch).

  Returns:
    The path of report.html; the figures are in the folder report/ beside it.

  Raises:
    InputError: the run has not been analysed.
  """
  directory = run.path if directory is None else directory
  source = open_source(run)
  sections = [make(source) for make in SECTIONS]
  page = render(source, sections, formats)
  directory.mkdir(parents=True, exist_ok=True)
  _write_figures(figures_of(sections), directory / FOLDER, formats)
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


def _write_figures(
  drawn: Sequence[Figure], folder: Path, formats: Sequence[str]
) -> None:
  """Replaces the folder of figures as a whole."""
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
  shutil.rmtree(folder, ignore_errors=True)
  os.replace(staging, folder)
