"""Writes the report of a run: one HTML file, and its figures beside it."""

import os
from pathlib import Path
import shutil

import jinja2

from prunebias_jax import store
from prunebias_jax.analysis.bias import FEW_POSITIVES
from prunebias_jax.report import (
  changes,
  facts,
  figures,
  heatmap,
  palette,
  robustness,
)
from prunebias_jax.report.group_table import RATES, group_rows
from prunebias_jax.report.panels import Figure
from prunebias_jax.report.samples import samples
from prunebias_jax.report.source import Source, open_source
from prunebias_jax.report.vocabulary import percent

PAGE = "report.html"
FOLDER = "report"


def write_report(run: store.Run, *, directory: Path | None = None) -> Path:
  """Writes report.html, and the figures as SVG with their numbers as CSV.

  The page needs nothing but itself: no network, no script. Writing it twice
  gives the same bytes.

  Args:
    run: analysed, finished or not.
    directory: where to write; the run's own directory unless given.

  Returns:
    The path of report.html; the figures are in the folder report/ beside it.

  Raises:
    InputError: the run has not been analysed.
  """
  directory = run.path if directory is None else directory
  source = open_source(run)
  drawn = make_figures(source)
  page = render(source, drawn)
  directory.mkdir(parents=True, exist_ok=True)
  _write_figures(drawn, directory / FOLDER)
  store.write_atomically(directory / PAGE, page)
  return directory / PAGE


def make_figures(source: Source) -> list[Figure]:
  """Every figure of the report, in reading order."""
  return [
    figures.right_figure(source),
    figures.certain_figure(source),
    figures.linked_figure(source),
    figures.bias_figure(source),
    heatmap.heat_map_figure(source),
    figures.groups_figure(source),
    *robustness.robustness_figures(source),
    *robustness.checkpoint_figures(source),
  ]


def render(source: Source, drawn: list[Figure]) -> str:
  """The page as text."""
  environment = jinja2.Environment(
    loader=jinja2.PackageLoader("prunebias_jax.report", ""),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
  )
  arrays = source.analysis.arrays
  rules = ["default", *(["calibrated"] if source.calibrated else [])]
  return environment.get_template("template.html").render(
    name=source.run.name or source.run.path.name,
    light=palette.variables(palette.LIGHT),
    dark=palette.variables(palette.DARK),
    summary=facts.summary(source),
    progress=facts.progress(source),
    notes=source.analysis.notes,
    complete=source.is_complete,
    unlabelled="n_missing" in arrays and bool(arrays["n_missing"].any()),
    few=FEW_POSITIVES,
    no_changes=changes.missing_reason(source),
    changes={rule: changes.blocks(source, rule) for rule in rules},
    movers=[
      (population.label, changes.movers(source, population))
      for population in reversed(source.compressed)
    ],
    level=percent(source.level),
    output=source.output,
    figures=drawn,
    rates=RATES,
    groups=group_rows(source),
    sparsest=source.sparsest,
    samples=samples(source),
    facts=facts.facts_rows(source),
    versions=facts.version_rows(source),
    config=facts.config_rows(source),
    zeros=facts.sparsity_rows(source),
  )


def _write_figures(drawn: list[Figure], folder: Path) -> None:
  """Replaces the folder of figures as a whole."""
  staging = folder.with_name(f".{folder.name}.partial")
  shutil.rmtree(staging, ignore_errors=True)
  staging.mkdir()
  for figure in drawn:
    for panel in figure.panels:
      if panel.data is None:
        continue
      (staging / f"{panel.slug}.svg").write_text(panel.svg, encoding="utf-8")
      panel.data.to_csv(staging / f"{panel.slug}.csv", index=False)
  shutil.rmtree(folder, ignore_errors=True)
  os.replace(staging, folder)
