"""The figures of other evaluations show the numbers of the tables."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from prunebias_jax import store
from prunebias_jax.report.sections.robustness import LINES, robustness_figures
from prunebias_jax.report.source import open_source

Runs = Callable[[str], store.Run]


@pytest.fixture(scope="module")
def run(runs: Runs, page: Callable[[str], str]) -> store.Run:
  page("evaluated")
  return runs("evaluated")


def _table(run: store.Run, name: str) -> pd.DataFrame:
  table = pd.read_csv(run.path / "analysis" / f"{name}.csv")
  table = table[table["threshold_rule"] == "default"]
  keep = table["checkpoint"] == "last"
  keep &= table["split"].str.match("test(:noise:.)?$")
  parts = table["split"].str.removeprefix("test:noise:").replace("test", "0")
  return table[keep].assign(severity=parts[keep].astype(int))


def _figure(run: store.Run, name: str) -> pd.DataFrame:
  return pd.read_csv(run.path / "report" / f"{name}.csv")


@pytest.mark.parametrize("metric", ["accuracy", "auc", "uncertainty"])
def test_a_panel_holds_the_tables_numbers(run: store.Run, metric: str) -> None:
  data = _figure(run, f"robustness-noise-{metric}")
  assert set(data["severity"]) == {0, 1, 3, 5}
  key = ["sparsity", "severity"]
  expected = _table(run, "attributes").groupby([*key, "seed"])[metric].mean()
  seeds = data[data["kind"] == "seed"].set_index([*key, "seed"])["value"]
  assert len(seeds) == 3 * 3 * 4
  pd.testing.assert_series_equal(
    seeds.sort_index(),
    expected.sort_index(),
    check_names=False,
    check_index_type=False,
  )
  means = data[data["kind"] == "mean"].set_index(key)["value"]
  np.testing.assert_allclose(
    means.sort_index(), expected.groupby(key).mean().sort_index()
  )
  assert data["line"].drop_duplicates().tolist()[0] == "dense"


def test_bias_is_averaged_over_what_all_models_have(run: store.Run) -> None:
  data = _figure(run, "robustness-noise-bias-amplification")
  table = _table(run, "bias_amplification")
  cell = ["identity", "attribute"]
  whole = table.groupby(cell)["bias_amplification"].apply(
    lambda values: values.notna().all()
  )
  assert not whole["Bald", "Bald"]
  table = table[whole.loc[pd.MultiIndex.from_frame(table[cell])].to_numpy()]
  key = ["sparsity", "severity", "seed"]
  expected = table.groupby(key)["bias_amplification"].mean()
  seeds = data[data["kind"] == "seed"].astype({"seed": int})
  np.testing.assert_allclose(
    seeds.set_index(key)["value"].sort_index(), expected.sort_index()
  )


def test_best_beside_last(run: store.Run) -> None:
  data = _figure(run, "checkpoints-accuracy")
  assert set(data["line"]) == {"last epoch", "best epoch"}
  table = pd.read_csv(run.path / "analysis" / "attributes.csv")
  table = table[
    (table["threshold_rule"] == "default") & (table["split"] == "test")
  ]
  key = ["checkpoint", "sparsity"]
  means = data[data["kind"] == "mean"].set_index(key)["value"]
  expected = table.groupby(key)["accuracy"].mean()
  np.testing.assert_allclose(means.sort_index(), expected.sort_index())


def test_every_panel_says_in_words_what_it_draws(run: store.Run) -> None:
  source = open_source(run)
  figures = robustness_figures(source)
  slugs = [one.slug for one in figures]
  assert slugs == ["robustness-blur", "robustness-noise"]
  for figure in figures:
    assert len(figure.panels) == 4
    for panel in figure.panels:
      kind = figure.slug.removeprefix("robustness-")
      assert f"against severity of {kind}" in panel.alt
      assert "Mean for dense: " in panel.alt
      assert " at clean, " in panel.alt


def test_no_more_lines_than_can_be_told_apart(
  make_run: Callable[..., store.Run],
) -> None:
  run = make_run(
    sparsities=(0.0, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99),
    seeds=(0, 1),
    names=("A", "B"),
    identities=("Night",),
    examples=60,
    evaluations=(("last", "test:noise:2"),),
  )
  (figure,) = robustness_figures(open_source(run))
  data = figure.panels[0].data
  assert data is not None
  lines = data["line"].drop_duplicates().tolist()
  assert len(lines) == LINES
  assert lines[0] == "dense"
  assert lines[-1] == "99 % (gmp)"
  assert "2 populations in between are not drawn" in figure.caption


def test_a_report_without_other_evaluations_is_as_it_was(
  runs: Runs, page: Callable[[str], str]
) -> None:
  text = page("four")
  assert "robustness" not in text
  assert "checkpoints" not in text
  folder: Path = runs("four").path / "report"
  assert not list(folder.glob("robustness*"))
