"""How the numbers were made, by the options of the analysis; whom to cite."""

from collections.abc import Callable
import dataclasses

import numpy as np
import pytest
import scipy

from prunebias_jax import cli, store
from prunebias_jax.report.page import Table
from prunebias_jax.report.sections.methods import facts
from prunebias_jax.report.sections.methods.citing import citing_table
from prunebias_jax.report.sections.methods.making import making_table
from prunebias_jax.report.source import Source, open_source

GetRun = Callable[[str], store.Run]


def _rows(table: Table) -> dict[str, str]:
  return {name: text for _, rows in table.bands for name, text in rows}


def _with(source: Source, **attrs: object) -> Source:
  arrays = source.analysis.arrays.assign_attrs(attrs)
  analysis = dataclasses.replace(source.analysis, arrays=arrays)
  return dataclasses.replace(source, analysis=analysis)


def test_the_options_of_the_analysis_are_told(runs: GetRun) -> None:
  source = open_source(runs("four"))
  told = _rows(making_table(source))
  assert "midway between two logits" in told["Calibrated thresholds"]
  assert told["Bootstrap"].startswith("none asked for")
  assert "1,999 drawn from a fixed seed" in told["Their null"]
  assert "grew by 0.01 or more" in told["Safe up to"]
  assert "95 % t intervals" in told["Means and differences"]
  other = _rows(
    making_table(
      _with(
        source,
        parity="paper",
        level=0.9,
        bootstraps=500,
        permutations=99,
        safe_margin=0.05,
      )
    )
  )
  assert "K-th largest" in other["Calibrated thresholds"]
  assert other["Bootstrap"].startswith("500 draws")
  assert "99 drawn" in other["Their null"]
  assert "grew by 0.05 or more" in other["Safe up to"]
  assert "90 % t intervals" in other["Means and differences"]
  assert all(other[name] != told[name] for name in ("Rules", "TCB"))


def test_classes_are_told_their_own_methods(runs: GetRun) -> None:
  told = _rows(making_table(open_source(runs("classes"))))
  assert "Interdependence" not in told
  assert "no thresholds" in told["Calibrated thresholds"]


def test_versions_of_the_analysis_are_those_of_here(runs: GetRun) -> None:
  source = open_source(runs("four"))
  versions = dict(facts.analysis_version_rows(source))
  assert versions["numpy"] == np.__version__
  assert versions["scipy"] == scipy.__version__
  assert not facts.analysis_version_rows(_with(source, versions={}))
  cited = _rows(citing_table(source))
  assert f"version {versions['prunebias_jax']}" in cited["the software"]
  run = source.run.facts["data"]["fingerprint"]
  assert run[:16] in cited["this run"]
  assert "arXiv:2010.03058" in cited["exemplars, error rates of groups"]


def test_a_damaged_analysis_leaves_the_report(
  make_run: Callable[..., store.Run], capsys: pytest.CaptureFixture[str]
) -> None:
  run = make_run(
    names=("A", "B"), identities=("G",), examples=60, sparsities=(0.0, 0.9)
  )
  (run.path / "report.html").write_text("the report before")
  table = run.path / "analysis" / "variance.csv"
  for text in (table.read_text().partition("\n")[0] + "\n", "", "a\nb"):
    table.write_text(text)
    assert cli.main(["report", str(run.path)]) == 2
    said = capsys.readouterr().err
    assert "`prunebias analyze` makes it anew" in said
    assert said.count("\n") == 1
  assert (run.path / "report.html").read_text() == "the report before"
  assert not (run.path / "report").exists()
