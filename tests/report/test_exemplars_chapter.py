"""The chapter on exemplars shows the numbers of the tables."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from prunebias_jax import store
from prunebias_jax.analysis.columns import MAIN
from prunebias_jax.report.page import Figure
from prunebias_jax.report.plots.forest import _log_ticks
from prunebias_jax.report.sections import (
  exemplars,
)
from prunebias_jax.report.sections.exemplars.over_indexing import (
  over_indexing_figure,
  over_indexing_table,
  ranked,
)
from prunebias_jax.report.sections.exemplars.queue import (
  criteria_figure,
  queue_figure,
  queue_finding,
  queue_table,
)
from prunebias_jax.report.sections.exemplars.sets import (
  accuracy_figure,
  onset_figure,
  onsets,
)
from prunebias_jax.report.sections.exemplars.shares import (
  accuracy_table,
  share_figure,
  share_table,
)
from prunebias_jax.report.source import Source, open_source

Runs = Callable[[str], store.Run]


@pytest.fixture(scope="module")
def source(runs: Runs) -> Source:
  """Six seeds, two pruners, eight attributes, one identity."""
  return open_source(runs("two_pruners"))


def _table(source: Source, name: str) -> pd.DataFrame:
  """A table as it was written, of the test split."""
  path = source.run.path / "analysis" / f"{name}.csv"
  table = pd.read_csv(
    path,
    keep_default_na=False,
    na_values=["NaN", "nan"],
    dtype=dict.fromkeys(("identity", "value", "given"), str),
  )
  return table[(table["split"] == "test") & (table["checkpoint"] == "last")]


def _caption(figure: Figure) -> str:
  return " ".join(figure.caption.split())


def test_bars_are_the_share_and_its_null(source: Source) -> None:
  figure = share_figure(source)
  table = _table(source, "exemplar_tests")
  table = table[(table["attribute"] == "(mean)") & (table["identity"] == "")]
  for pruner, panel in zip(("gmp", "random"), figure.panels, strict=False):
    expected = table[table["pruner"] == pruner].sort_values("sparsity")
    assert panel.data is not None
    for name in ("cie_share", "null_mean"):
      np.testing.assert_allclose(panel.data[name], expected[name])
    for value in expected["null_mean"]:
      assert f"seeds alone {100 * value:.2f}" in panel.alt
  groups = figure.panels[2].data
  assert groups is not None
  assert groups["identity"].tolist() == ["", "Night", "Night"]
  assert set(groups["sparsity"]) == {0.99}
  assert set(groups["pruner"]) == {"gmp"}
  assert "6 dense and 6 compressed members" in _caption(figure)
  assert "64 arrangements" in _caption(figure)


def test_one_pair_has_no_null(runs: Runs) -> None:
  one = open_source(runs("one"))
  figure = share_figure(one)
  data = figure.panels[0].data
  assert data is not None
  assert data["cie_share"].notna().all()
  assert data["null_mean"].isna().all()
  assert "is not available" in _caption(figure)
  assert "too near" not in _caption(figure)
  table = share_table(one)
  assert {row[4] for _, rows in table.bands for row in rows} == {"n/a"}
  assert "no null of one member" in table.note


def test_few_arrangements_are_said_to_hold_the_observed_one(
  runs: Runs, source: Source
) -> None:
  assert "too near" in _caption(share_figure(open_source(runs("four"))))
  assert "too near" not in _caption(share_figure(source))


def test_share_table_has_both_tests(source: Source) -> None:
  found = share_table(source)
  table = _table(source, "exemplar_tests")
  row = table[
    (table["attribute"] == "(mean)")
    & (table["identity"] == "Night")
    & (table["value"] == "1")
    & (table["sparsity"] == 0.95)
    & (table["pruner"] == "random")
  ].iloc[0]
  band = dict(found.bands)["95 % (random)"]
  cells = next(one for one in band if one[0] == "Night")
  assert cells[1] == f"{row['n']}"
  assert cells[2] == f"{100 * row['cie_share']:.2f}"
  assert cells[5] == f"{row['p']:.3f}".removeprefix("0")
  assert cells[7] == f"{row['p_accuracy']:.3f}".removeprefix("0")
  assert len(found.bands) == 6
  assert "n/a" not in str(found.bands)


def test_majorities_are_counted_where_they_differ(source: Source) -> None:
  found = accuracy_table(source)
  table = _table(source, "exemplar_tests")
  table = table[
    (table["identity"] == "")
    & (table["attribute"] != "(mean)")
    & (table["sparsity"] == 0.99)
    & (table["pruner"] == "gmp")
  ]
  rows = dict(found.bands)["99 % (gmp)"]
  change = table["accuracy_change"].abs().sort_values(ascending=False)
  expected = table.loc[change.index].iloc[0]
  assert rows[0][0] in set(
    table.loc[change.index[change == change.max()], "attribute"]
  )
  row = next(one for one in rows if one[0] == expected["attribute"])
  assert row[2:4] == (f"{expected['n10']:.0f}", f"{expected['n01']:.0f}")
  conditional = expected["p_conditional"]
  text = "<.001" if conditional < 0.001 else f"{conditional:.3f}"
  assert row[6] == text.removeprefix("0")
  assert "given these models" in found.head[6]
  assert "no sentence of this report rests on it" in found.note


def test_accuracy_on_sets_has_its_sd(source: Source) -> None:
  figure = accuracy_figure(source)
  table = _table(source, "exemplar_accuracy")
  table = table[
    (table["attribute"] == "(mean)") & (table["pruner"] == "gmp")
  ].set_index(["sparsity", "set"])
  assert len(figure.panels) == 3
  for level, panel in zip((0.8, 0.95, 0.99), figure.panels, strict=True):
    assert panel.data is not None
    data = panel.data.set_index("set")
    assert len(data) == 8
    for name in ("dense_accuracy", "compressed_accuracy", "dense_sd"):
      expected = table.loc[level][name].reindex(data.index)
      np.testing.assert_allclose(data[name], expected)
  assert "3 more populations" in _caption(figure)
  assert "no interval of the mean" in _caption(figure)


def test_onsets_add_up_to_the_exemplars(source: Source) -> None:
  table = onsets(source)
  found = source.analysis.examples[MAIN]
  exemplar = found["is_cie"].to_numpy()
  pruner = found["pruner"].to_numpy()
  level = found["sparsity"].to_numpy()
  for one in ("gmp", "random"):
    part = table[table["pruner"] == one]
    where = {s: exemplar[(pruner == one) & (level == s)][0] for s in set(level)}
    top = where[0.99]
    assert part["onset_here"].sum() == top.sum()
    assert part["exemplars"].tolist() == [
      where[s].sum() for s in (0.8, 0.95, 0.99)
    ]
    stays = top & where[0.95] & where[0.8]
    assert part["onset_here"].iloc[0] == stays.sum()
    assert part["gone_at_highest"].iloc[1] == (where[0.95] & ~top).sum()
  assert f"n = {top.sum():,} at 99 %" in _caption(onset_figure(source))


def test_over_indexing_is_that_of_the_table(source: Source) -> None:
  figure = over_indexing_figure(source)
  table = _table(source, "over_indexing")
  table = table[
    (table["given"] == "")
    & (table["identity"] == "Night")
    & (table["value"] == "1")
    & (table["sparsity"] == 0.99)
    & (table["pruner"] == "gmp")
  ].set_index("attribute")
  [panel] = figure.panels
  assert panel.data is not None
  there = table[table["ratio"].notna()]
  assert set(panel.data["attribute"]) == set(there.index)
  for name in ("ratio", "null_mean", "low_conditional", "n_exemplars"):
    expected = there.loc[panel.data["attribute"], name]
    np.testing.assert_allclose(panel.data[name], expected)
  # The bars are of these models only, and the caption says so.
  assert "given these models" in _caption(figure)


def test_strongest_lead_in_the_data_and_over_seeds(source: Source) -> None:
  table = _table(source, "over_indexing").set_index(
    ["sparsity", "pruner", "attribute", "given", "n_exemplars", "n_group"]
  )
  found = over_indexing_table(source)
  [(label, rows)] = found.bands
  assert label == "99 % (gmp)"
  for row in rows:
    assert float(row[4]) > max(1, float(row[6])) - 0.005
    few, many = map(int, row[3].split(" of "))
    assert few >= 10
    given = "" if row[1] == "any" else row[1]
    matches = table.loc[[(0.99, "gmp", row[0], given, many, few)]]
    assert any(f"{ratio:.2f}" == row[4] for ratio in matches["ratio"])


def test_rows_on_few_exemplars_come_last() -> None:
  rows = pd.DataFrame(
    {
      "n_exemplars": [9, 10, 500, 500, 500],
      "p_adjusted": [0.001, 0.2, np.nan, 0.2, 0.01],
      "ratio": [9.0, 2.0, 9.0, 3.0, 1.0],
      "null_mean": [1.0, 1.0, 1.0, 1.0, 1.0],
      "share_all": [0.5, 0.5, 0.5, 0.5, 0.5],
    }
  )
  assert ranked(rows).index.tolist() == [4, 3, 1, 2, 0]


def test_queue_lines_are_recalls_beside_chance(source: Source) -> None:
  figure = queue_figure(source)
  table = _table(source, "queue")
  table = table[
    (table["attribute"] == "(mean)")
    & (table["pruner"] == "gmp")
    & (table["target"] == "errors")
  ]
  assert len(figure.panels) == 3
  for level, panel in zip((0.8, 0.95, 0.99), figure.panels, strict=True):
    assert panel.data is not None
    expected = table[table["sparsity"] == level]
    key = ["ranking", "budget"]
    pd.testing.assert_series_equal(
      panel.data.set_index(key)["recall"].sort_index(),
      expected.set_index(key)["recall"].sort_index(),
    )
    chance = panel.data[panel.data["ranking"] == "random"]
    np.testing.assert_allclose(chance["recall"], chance["budget"])
  assert "does not say which labels are wrong" in _caption(figure)


def test_finding_names_the_levels_where_the_queue_wins(source: Source) -> None:
  table = _table(source, "queue")
  table = table[
    (table["attribute"] == "(mean)")
    & (table["target"] == "errors")
    & (table["budget"] == 0.05)
  ]
  wins, loses = queue_finding(source).partition(", not so at ")[::2]
  for (pruner, level), part in table.groupby(["pruner", "sparsity"]):
    recall = part.set_index("ranking")["recall"]
    free = recall[["dense_margin", "dense_entropy", "dense_variance"]].max()
    label = f"{100 * level:g} % ({pruner})"
    assert (label in wins) == (recall["excess"] > free)
    assert (label in loses) == (recall["excess"] <= free)
  assert queue_finding(source) in queue_table(source).note


def test_dense_models_alone_are_judged_by_the_flips(source: Source) -> None:
  figure = criteria_figure(source)
  table = _table(source, "sample_criteria")
  expected = table[
    (table["attribute"] == "(mean)")
    & (table["identity"] == "")
    & (table["target"] == "flip")
    & (table["pruner"] == "gmp")
    & (table["sparsity"] == 0.99)
  ].set_index("criterion")["recall_5"]
  data = figure.panels[2].data
  assert data is not None
  np.testing.assert_allclose(
    data.set_index("criterion")["recall_5"], expected.loc[data["criterion"]]
  )


@pytest.mark.parametrize("name", ["no_dense", "dense_only"])
def test_without_a_comparison_every_part_says_why(
  runs: Runs, name: str
) -> None:
  for part in exemplars.section(open_source(runs(name))).parts:
    assert "this run does not have both" in part.reason  # type: ignore


def test_one_pair_says_nothing_and_says_so(runs: Runs) -> None:
  source = open_source(runs("evaluated_classes"))
  assert "With one pair of members" in _caption(share_figure(source))
  assert "With one pair of members" in _caption(queue_figure(source))
  assert "needs K >= 6" in share_table(source).note
  assert "no first one" in onset_figure(source).reason
  reasons = [one.reason for one in share_figure(source).panels]
  assert any("no identity attributes" in one for one in reasons)


def test_classes_are_shown_as_such(runs: Runs) -> None:
  source = open_source(runs("classes"))
  groups, classes = over_indexing_figure(source).panels
  assert groups.data is not None
  assert set(groups.data["identity"]) == {"Night", "Indoor"}
  assert classes.data is not None
  assert set(classes.data["identity"]) <= set(source.outputs)
  assert accuracy_table(source).bands[0][1][0][0] == "all classes"


@pytest.mark.parametrize(
  ("low", "high"), [(0.05, 40.0), (0.7, 1.4), (0.9, 2.2), (1e-4, 1e5)]
)
def test_a_logarithmic_axis_has_a_few_round_ticks(
  low: float, high: float
) -> None:
  ticks = _log_ticks(low, high)
  assert 1 <= len(ticks) <= 5
  assert all(low <= one <= high for one in ticks)
  assert ticks == sorted(ticks)
