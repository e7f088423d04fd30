"""The columns of RUN/analysis: documented, and those that readers rely on."""

from collections.abc import Callable
from pathlib import Path
import re

import pytest
import xarray as xr

from prunebias_jax.analysis import analyze
from prunebias_jax.analysis.columns import (
  KEY,
  POPULATION_KEY,
  TABLES,
)

DOCUMENT = Path(__file__).parents[2] / "docs" / "statistics.md"
ROWS = "## Columns that say which row it is"
# What others' scripts may count on, whatever else a table holds.
PROMISED = {
  "attributes": "threshold_rule attribute accuracy auc predicted_positive "
  "uncertainty high_uncertainty entropy interdependence tcb ece ece_sweep "
  "threshold reason",
  "bias_amplification": "threshold_rule identity value attribute "
  "bias_amplification flags reason",
  "directional": "threshold_rule identity attribute_to_task "
  "task_to_attribute reason",
  "groups": "threshold_rule attribute identity value n_positive n_negative "
  "accuracy false_positive_rate false_negative_rate selection_rate",
  "exemplars": "example_id attribute dense_share compressed_share modal_dense "
  "modal_compressed is_cie taxicab excess onset rank",
  "exemplar_tests": "attribute identity value n cie_share null_mean excess p "
  "n10 n01 p_conditional tie_rate tied_mass n_permutations",
  "variance": "metric attribute identity value n_seeds mean mean_low mean_high "
  "sd sd_low sd_high var_observed var_test_set var_distribution interval",
  "contrasts": "metric attribute identity value n_seeds difference low high "
  "sd_difference t_p signflip_p wilcoxon_p correlation variance_ratio "
  "ratio_low ratio_high pitman_morgan_p p_adjusted",
  "power": "metric delta n_seeds n_low n_high detectable_now",
  "criteria": "criterion spearman low high decision_accuracy",
  "countermeasures": "countermeasure reason",
  "classes": "class recall reason",
  "bias_variance": "attribute reason",
  "correlations": "reason",
}


@pytest.fixture(scope="module")
def sections() -> dict[str, str]:
  """The text below each heading of the document, by the heading."""
  parts = re.split(r"(?m)^(#{2,4} .*)$", DOCUMENT.read_text())[1:]
  return dict(zip(parts[::2], parts[1::2], strict=True))


@pytest.mark.parametrize("table", TABLES)
def test_every_column_is_documented(
  table: str, sections: dict[str, str]
) -> None:
  (text,) = [
    text
    for heading, text in sections.items()
    if re.fullmatch(rf"#+ {table}\.csv", heading)
  ]
  words = set(re.findall(r"`([^`]+)`", text + sections[ROWS]))
  named = {part for word in words for part in re.split(r"[,\s]+", word)}
  assert set(TABLES[table]) - named - {"reason"} == set()


@pytest.mark.parametrize("table", PROMISED)
def test_promised_columns_are_there(table: str) -> None:
  assert set(PROMISED[table].split()) <= set(TABLES[table])


@pytest.mark.parametrize("table", sorted({*TABLES} - {"trends", "sources"}))
def test_a_table_begins_with_its_key(table: str) -> None:
  columns = TABLES[table]
  assert columns[: len(KEY)] == KEY or (
    columns[: len(POPULATION_KEY)] == POPULATION_KEY
  )


def test_counts_are_whole_even_where_some_are_missing(
  make_splits: Callable[..., dict[str, xr.Dataset]],
) -> None:
  tables = analyze(make_splits()).tables
  assert tables["power"]["n_high"].isna().any()
  for name, table in tables.items():
    for column in table:
      # "null" is text.
      if re.fullmatch("n(_.*|[0-9]*)", str(column)):
        assert table[column].dtype.kind in "iuO", (name, column)
  assert str(tables["power"]["n_seeds"].iloc[0]).isdecimal()
