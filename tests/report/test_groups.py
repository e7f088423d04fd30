"""The chapter on groups shows the numbers of the tables."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from prunebias_jax import store
from prunebias_jax.report.sections.groups.changes import (
  drawn_populations,
  mean_changes,
  worst_changes,
)
from prunebias_jax.report.sections.groups.fairness import threshold_figure
from prunebias_jax.report.sections.groups.forests import (
  changes_figure,
  crossings_table,
  worst_figure,
)
from prunebias_jax.report.sections.groups.table import RATES
from prunebias_jax.report.source import open_source

Runs = Callable[[str], store.Run]


@pytest.fixture(scope="module")
def run(runs: Runs, page: Callable[[str], str]) -> store.Run:
  page("four")
  return runs("four")


def _analysis(run: store.Run, name: str) -> pd.DataFrame:
  path = run.path / "analysis" / f"{name}.csv"
  return pd.read_csv(path, keep_default_na=False, na_values=["NaN", "nan"])


def _drawn(run: store.Run, name: str) -> pd.DataFrame:
  path: Path = run.path / "report" / f"{name}.csv"
  return pd.read_csv(path, keep_default_na=False, na_values=["NaN", "nan", ""])


@pytest.mark.parametrize("rate", RATES[1:])
def test_mean_changes_are_the_contrasts(run: store.Run, rate: object) -> None:
  name = rate.name  # type: ignore[attr-defined]
  table = _analysis(run, "contrasts")
  table = table[
    (table["metric"] == name)
    & (table["attribute"] == "(mean)")
    & (table["threshold_rule"] == "default")
    & (table["identity"] == "Young")
    & (table["value"].astype(str) == "1")
  ]
  found = _drawn(run, f"group-changes-{name.replace('_', '-')}-absolute")
  assert sorted(found["sparsity"].unique()) == [0.8, 0.95, 0.99]
  found = found[(found["identity"] == "Young") & (found["value"] == 1)]
  for drawn, column in (
    ("change", "difference"),
    ("low", "low"),
    ("high", "high"),
  ):
    np.testing.assert_allclose(found[drawn], 100 * table[column])
  np.testing.assert_allclose(
    found["change"], 100 * (found["compressed"] - found["dense"]), atol=1e-9
  )
  np.testing.assert_allclose(
    found["relative"], found["change"] / found["dense"], atol=1e-9
  )


def test_relative_intervals_are_those_of_the_table(runs: Runs) -> None:
  """Of the classifier's error in a group: a row of "group_changes"."""
  run = runs("classes")
  source = open_source(run)
  population = source.sparsest
  assert population is not None
  found = mean_changes(source, RATES[0], (population,))
  table = _analysis(run, "group_changes")
  table = table[
    (table["attribute"] == "(all)")
    & (table["threshold_rule"] == "default")
    & (table["sparsity"] == population.sparsity)
  ]
  key = ["identity", "value"]
  assert found[key].to_numpy().tolist() == table[key].to_numpy().tolist()
  for name in ("dense", "change", "low", "relative", "relative_high"):
    np.testing.assert_allclose(
      found[name].astype(float), table[name].astype(float), atol=1e-9
    )


def test_the_worst_are_the_largest_rises_of_the_table(run: store.Run) -> None:
  table = _analysis(run, "group_changes")
  table = table[
    (table["rate"] == "false_negative_rate")
    & (table["threshold_rule"] == "default")
    & (table["sparsity"] == 0.99)
    & (table["identity"] != "")
    & ~table["identity"].str.contains("*", regex=False)
    & (table["n_seeds"] == 4)
  ]
  few = table["change"].notna() & (table["n_positive"].astype(float) < 10)
  assert few.any()
  kept = table[(table["n_positive"].astype(float) >= 10)]
  expected = kept.dropna(subset="change").nlargest(10, "change")
  found = _drawn(run, "group-worst-false-negative-rate-absolute")
  assert found["change"].tolist() == pytest.approx(expected["change"].tolist())
  assert (found["n_positive"] >= 10).all()
  source = open_source(run)
  population = source.sparsest
  assert population is not None
  _, counts = worst_changes(source, RATES[2], population)
  assert counts["few"] == few.sum()
  assert sum(counts[one] for one in ("ranked", "few", "empty")) == len(table)
  text = worst_figure(source).caption
  assert f"{few.sum()} with fewer than 10" in text
  assert "overstate themselves" in text


def test_crossings_are_folded_and_not_drawn(run: store.Run) -> None:
  source = open_source(run)
  drawn = _drawn(run, "group-changes-error-relative")
  assert not drawn["identity"].fillna("").str.contains(r"\*").any()
  table = crossings_table(source)
  assert table.folded
  assert {len(rows) for _, rows in table.bands} == {24}
  names = [row[0].rstrip("*") for row in table.bands[0][1]]
  assert "not Male, not Young" in names


def test_one_population_of_each_pruner_is_compared(runs: Runs) -> None:
  found = drawn_populations(open_source(runs("two_pruners")))
  assert [one.label for one in found] == ["99 % (gmp)", "99 % (random)"]


def test_fairness_panels_hold_the_means_over_attributes(run: store.Run) -> None:
  drawn = _drawn(run, "fairness-accuracy-gap")
  assert set(drawn["line"]) == {"Male", "Young", "Chubby", "Pale_Skin"}
  table = _analysis(run, "fairness")
  table = table[
    (table["threshold_rule"] == "default") & (table["identity"] == "Chubby")
  ]
  expected = table.groupby(["sparsity", "seed"])["accuracy_gap"].mean()
  seeds = drawn[(drawn["kind"] == "seed") & (drawn["line"] == "Chubby")]
  found = seeds.set_index(["sparsity", "seed"])["value"].sort_index()
  np.testing.assert_allclose(found, expected.sort_index())


def test_both_rules_are_in_one_panel_and_named(run: store.Run) -> None:
  drawn = _drawn(run, "group-thresholds-1-male")
  table = _analysis(run, "variance")
  table = table[
    (table["metric"] == "equalized_odds_difference")
    & (table["attribute"] == "(mean)")
    & (table["identity"] == "Male")
    & (table["sparsity"] == 0.0)
  ].set_index("threshold_rule")
  means = drawn[(drawn["kind"] == "mean") & (drawn["sparsity"] == 0)]
  values = means.set_index("line")["value"]
  assert set(values.index) == {"default", "calibrated"}
  assert "calibrated" in table.index
  # The figure has one set of attributes for all levels; here it is the same.
  rows = _analysis(run, "fairness")
  rows = rows[rows["identity"] == "Male"]
  cell = "equalized_odds_difference"
  for rule, value in values.items():
    part = rows[rows["threshold_rule"] == rule]
    whole = part.groupby("attribute")[cell].apply(lambda one: one.notna().all())
    part = part[part["attribute"].isin(whole.index[whole])]
    dense = part[part["sparsity"] == 0]
    assert value == pytest.approx(dense[cell].mean())


@pytest.mark.parametrize(
  ("name", "reason"),
  [
    ("no_identities", "no identity attributes"),
    ("dense_only", "no pruned member"),
    ("no_dense", "no dense members"),
  ],
)
def test_what_cannot_be_compared_says_why(
  runs: Runs, name: str, reason: str
) -> None:
  source = open_source(runs(name))
  for part in (changes_figure(source), worst_figure(source)):
    assert part.reason.startswith("Not available: ")
    assert reason in part.reason
  assert crossings_table(source).reason


def test_one_pair_has_points_without_intervals(runs: Runs) -> None:
  source = open_source(runs("one"))
  for figure in (changes_figure(source), worst_figure(source)):
    assert "1 pair of members: no intervals" in figure.caption
    for panel in figure.panels:
      assert panel.data is not None
      assert panel.data["change"].notna().any()
      assert panel.data["low"].isna().all()


def test_classes_have_no_calibrated_thresholds(runs: Runs) -> None:
  assert (
    "no numbers under calibrated"
    in threshold_figure(open_source(runs("classes"))).reason
  )
