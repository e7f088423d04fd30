"""Quantized members beside pruned ones: the numbers of the tables."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from prunebias_jax import store
from prunebias_jax.report.sections import (
  quantization,
)
from prunebias_jax.report.source import Source, open_source

Runs = Callable[[str], store.Run]
KINDS = ["not quantized", "int8_static", "float16"]


@pytest.fixture(scope="module")
def source(make_run: Callable[..., store.Run]) -> Source:
  run = make_run(
    names=("A", "B", "C"),
    identities=("Night",),
    seeds=(0, 1, 2),
    sparsities=(0.0, 0.9),
    quantizations=("none", "int8_static", "float16"),
    examples=120,
  )
  return open_source(run)


def _table(source: Source, name: str) -> pd.DataFrame:
  path = source.run.path / "analysis" / f"{name}.csv"
  return pd.read_csv(path, keep_default_na=False, na_values=["NaN", "nan"])


def test_marks_are_the_contrasts(source: Source) -> None:
  panels = quantization.quality_figure(source).panels
  assert [one.slug for one in panels] == [
    "quantized-accuracy",
    "quantized-auc",
    "quantized-uncertainty",
    "quantized-flipped-predictions",
    "quantized-flipped-beyond-chance",
  ]
  table = _table(source, "contrasts")
  table = table[
    (table["metric"] == "accuracy")
    & (table["attribute"] == "(mean)")
    & (table["identity"] == "")
    & (table["threshold_rule"] == "default")
  ]
  data = panels[0].data
  assert data is not None
  key = ["sparsity", "quantization"]
  found = data.set_index(key)
  # Dense, not quantized, is what all are compared with: five marks of six.
  assert len(found) == 5
  assert set(data["kind"]) == set(KINDS)
  for row in table.to_dict("records"):
    drawn = found.loc[(row["sparsity"], row["quantization"])]
    for name, column in (
      ("change", "difference"),
      ("low", "low"),
      ("high", "high"),
    ):
      assert drawn[name] == pytest.approx(100 * row[column], nan_ok=True)


def test_flips_are_those_of_the_exemplars(source: Source) -> None:
  figure = quantization.quality_figure(source)
  table = _table(source, "exemplar_tests")
  table = table[
    (table["attribute"] == "(mean)")
    & (table["identity"] == "")
    & (table["split"] == "test")
  ]
  key = ["sparsity", "quantization"]
  for panel, column in zip(
    figure.panels[3:], ("cie_share", "excess"), strict=True
  ):
    assert panel.data is not None
    found = panel.data.set_index(key)["change"].sort_index()
    expected = 100 * table.set_index(key)[column].sort_index()
    np.testing.assert_allclose(found, expected, atol=1e-12)
    assert panel.data["low"].isna().all()
  assert "have no interval" in figure.caption


def test_groups_errors_are_those_of_the_kinds(source: Source) -> None:
  alone, pruned = quantization.group_figure(source).panels
  assert alone.data is not None
  assert pruned.data is not None
  assert set(alone.data["kind"]) == set(KINDS[1:])
  assert set(pruned.data["kind"]) == set(KINDS)
  table = _table(source, "contrasts")
  row = table[
    (table["metric"] == "accuracy")
    & (table["attribute"] == "(mean)")
    & (table["identity"] == "Night")
    & (table["value"].astype(str) == "1")
    & (table["threshold_rule"] == "default")
    & (table["sparsity"] == 0.9)
    & (table["quantization"] == "int8_static")
  ].iloc[0]
  data = pruned.data
  found = data[
    (data["quantization"] == "int8_static")
    & (data["identity"] == "Night")
    & (data["value"] == "1")
  ]
  assert found["change"].item() == pytest.approx(-100 * row["difference"])


def test_bias_has_a_panel_for_each_identity(source: Source) -> None:
  (panel,) = quantization.bias_figure(source).panels
  assert panel.title == "Change of bias amplification: Night"
  assert panel.data is not None
  assert len(panel.data) == 5


def test_every_population_stands_in_the_table(source: Source) -> None:
  table = quantization.values_table(source)
  assert [title for title, _ in table.bands] == ["dense", "90 % (gmp)"]
  assert [row[0] for row in table.bands[1][1]] == KINDS
  assert "Bytes not available: the run has no costs.csv" in table.note


def test_a_run_without_quantized_members_says_how_to_add_them(
  runs: Runs,
) -> None:
  section = quantization.section(open_source(runs("four")))
  assert not section.parts
  assert "prunebias quantize RUN --kind int8_static" in section.text[0]
