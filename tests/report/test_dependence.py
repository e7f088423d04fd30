"""Correlations, agreement, bias amplification and TCB in the report."""

from collections.abc import Callable
import html
from pathlib import Path
import re
from typing import Any

import numpy as np
import pandas as pd
import pytest

from prunebias_jax import analysis, store
from prunebias_jax.report.means import most_members
from prunebias_jax.report.page import Figure, Table
from prunebias_jax.report.plots import Cloud, matrix, scatter
from prunebias_jax.report.sections import (
  bias,
  dependence,
  rarity,
)
from prunebias_jax.report.sections.bias import directional
from prunebias_jax.report.sections.dependence.agreement import agreement_table
from prunebias_jax.report.sections.dependence.correlations import (
  ERRORS,
  PREDICTIONS,
  Pairs,
)
from prunebias_jax.report.sections.dependence.table import correlation_table
from prunebias_jax.report.source import Source, open_source

Runs = Callable[[str], store.Run]
MakeRun = Callable[..., store.Run]
Page = Callable[[str], str]


@pytest.fixture(scope="module")
def folder(runs: Runs, page: Page) -> Path:
  page("four")
  return runs("four").path / "report"


def _table(run: store.Run, name: str) -> pd.DataFrame:
  table = pd.read_csv(run.path / "analysis" / f"{name}.csv")
  return table[table["threshold_rule"] == "default"]


def _text(path: Path) -> str:
  plain = re.sub(r"<[^>]+>", " ", path.read_text())
  return " ".join(html.unescape(plain).split())


def test_matrices_are_the_table(runs: Runs, folder: Path) -> None:
  table = _table(runs("four"), "correlations")
  table = table[table["of"] == "predictions"].set_index(["attribute", "other"])
  sparsest = table[table["sparsity"] == 0.99]
  dense = table[table["sparsity"] == 0]
  for name, expected in (
    ("labels", dense["labels"]),
    ("dense", dense["correlation"]),
    ("sparsest", sparsest["correlation"]),
    ("difference", sparsest["change"]),
  ):
    data = pd.read_csv(folder / f"correlations-{name}.csv")
    data = data.set_index(["attribute", "other"])
    assert len(data) == 40 * 39 / 2
    pd.testing.assert_series_equal(data[expected.name], expected)
  pd.testing.assert_frame_equal(
    data[["n_pairs", "low", "high"]], sparsest[["n_pairs", "low", "high"]]
  )


def test_a_square_is_symmetric_in_its_own_order(runs: Runs) -> None:
  source = open_source(runs("four"))
  pairs = Pairs(source)
  assert sorted(pairs.order) == list(range(40))
  assert pairs.order == Pairs(open_source(runs("four"))).order
  assert source.dense is not None
  rows = pairs.of(PREDICTIONS, source.dense)
  square = pairs.square(rows, "labels")
  np.testing.assert_array_equal(square, square.T)
  assert np.isnan(np.diag(square)).all()
  labels = runs("four").split("test")["labels"].to_numpy().astype(float)
  expected = np.corrcoef(labels[:, pairs.order].T)
  np.fill_diagonal(expected, np.nan)
  np.testing.assert_allclose(square, expected, atol=1e-9)
  # Neighbours are more alike than they were in the run's own order.
  before = np.corrcoef(labels.T)
  assert np.diag(expected, 1).mean() > np.diag(before, 1).mean() + 0.1


def test_the_table_holds_the_largest_changes(runs: Runs) -> None:
  pairs = Pairs(open_source(runs("four")))
  table = _table(runs("four"), "correlations")
  for of in (PREDICTIONS, ERRORS):
    part = correlation_table(pairs, of)
    assert part.folded == (of == ERRORS)
    assert [title.partition(" (")[0] for title, _ in part.bands] == [
      "99 %",
      "95 %",
      "80 %",
    ]
    rows = table[(table["of"] == of) & (table["sparsity"] == 0.95)]
    rows = rows[rows["n_pairs"] == 4].sort_values("change", ascending=False)
    expected = [*rows["change"][:5], *rows["change"][-5:]]
    change = part.head.index("Change")
    found = [float(row[change].replace("−", "-")) for row in part.bands[1][1]]
    np.testing.assert_allclose(found, expected, atol=0.0051)
    top = part.bands[1][1][0]
    first = rows.iloc[0]
    assert top[0] == f"{first['attribute']} · {first['other']}"
    dense = table[
      (table["of"] == of)
      & (table["sparsity"] == 0)
      & (table["attribute"] == first["attribute"])
      & (table["other"] == first["other"])
    ]["correlation"].item()
    shown = float(top[part.head.index("Dense")].replace("−", "-"))
    assert shown == pytest.approx(dense, abs=0.0051)
  assert "chosen extremes overstate themselves" in part.note


def test_exaggeration_counts_pairs_of_the_table(
  runs: Runs, folder: Path
) -> None:
  table = _table(runs("four"), "correlations")
  rows = table[(table["of"] == "predictions") & (table["sparsity"] == 0)]
  further = 0
  for label, value in zip(rows["labels"], rows["correlation"], strict=True):
    further += label * value > 0 and abs(value) > abs(label)
  text = _text(folder.parent / "report.html")
  assert f"dense: {further} of 780 pairs" in text


def _reasons(source: Source) -> list[str]:
  parts = dependence.section(source).parts
  return [part.reason for part in parts if isinstance(part, Figure | Table)]


def test_classes_have_no_correlations(runs: Runs) -> None:
  source = open_source(runs("classes"))
  words = "exclusive classes have no correlations"
  assert sum(words in reason for reason in _reasons(source)) == 4
  assert len(agreement_table(source).bands[0][1]) == 4


def test_agreement_is_the_mean_of_its_table(runs: Runs) -> None:
  table = _table(runs("four"), "agreement")
  rows = agreement_table(open_source(runs("four"))).bands[0][1]
  means = table.groupby("sparsity")[["disagreement", "disagreement_dense"]]
  for row, (_, mean) in zip(rows, means.mean().iterrows(), strict=True):
    assert float(row[2]) == pytest.approx(100 * mean.iloc[0], abs=0.0051)
    if row[0] != "dense":
      assert float(row[3]) == pytest.approx(100 * mean.iloc[1], abs=0.0051)
  assert rows[0][3] == "n/a"


def test_decisions_that_differ_are_ranked_beyond_seeds(
  runs: Runs, folder: Path
) -> None:
  table = _table(runs("four"), "agreement").set_index("attribute")
  beyond = (
    table[table["sparsity"] == 0.99]["disagreement_dense"]
    - table[table["sparsity"] == 0]["disagreement"]
  ).sort_values(ascending=False)
  data = pd.read_csv(folder / "agreement-changed.csv")
  assert len(data) == 12
  found = data["disagreement_dense"] - data["disagreement_of_dense"]
  np.testing.assert_allclose(found, beyond[:12])


def test_dense_is_marked_in_every_panel_of_bias(
  runs: Runs, folder: Path
) -> None:
  assert len(list(folder.glob("bias-*.svg"))) == 4
  for path in folder.glob("bias-*.svg"):
    assert ">dense</text>" in path.read_text().replace("\n", "")
    assert path.read_text().count("dense</text>") == 2
  figure = bias.bias_figure(open_source(runs("dense_only")))
  assert [panel.svg.count("dense</text>") for panel in figure.panels] == [1] * 4


def test_directional_is_its_table(runs: Runs, folder: Path) -> None:
  table = _table(runs("four"), "directional")
  for name in ("attribute_to_task", "task_to_attribute", "mals"):
    slug = f"directional-{name.replace('_', '-')}"
    data = pd.read_csv(folder / f"{slug}.csv")
    assert list(dict.fromkeys(data["line"])) == [
      "Male",
      "Young",
      "Chubby",
      "Pale_Skin",
    ]
    seeds = data[data["kind"] == "seed"].set_index(["line", "sparsity", "seed"])
    expected = table.set_index(["identity", "sparsity", "seed"])[name]
    np.testing.assert_allclose(
      seeds["value"].sort_index(), expected.sort_index()
    )


def test_an_identity_that_is_not_predicted_has_no_direction(
  runs: Runs,
) -> None:
  figure = directional.directional_figure(open_source(runs("classes")))
  reasons = [panel.reason for panel in figure.panels]
  assert reasons[0] == reasons[2] == ""
  assert "identities that the models predict themselves" in reasons[1]


def test_rare_values_are_the_tables(runs: Runs, folder: Path) -> None:
  data = pd.read_csv(folder / "rare-values-rate.csv").set_index("attribute")
  run = runs("four")
  train = run.split("train")["labels"].to_numpy().mean(axis=0)
  test = run.split("test")["labels"].to_numpy().mean(axis=0)
  expected = np.where(train > 0.5, 1 - test, test)
  np.testing.assert_allclose(data["label_rate"], expected)
  attributes = _table(run, "attributes")
  means = attributes.groupby(["sparsity", "attribute"])["tcb"].mean()
  np.testing.assert_allclose(data["dense_mean"], means[0][data.index])
  np.testing.assert_allclose(data["compressed_mean"], means[0.99][data.index])
  contrasts = _table(run, "contrasts")
  contrasts = contrasts[
    (contrasts["metric"] == "tcb")
    & (contrasts["sparsity"] == 0.99)
    & contrasts["attribute"].isin(data.index)
  ].set_index("attribute")
  change = pd.read_csv(folder / "rare-values-change.csv")
  change = change.set_index("attribute")
  largest = contrasts["difference"].abs().sort_values(ascending=False)[:16]
  assert set(change.index) == set(largest.index)
  pd.testing.assert_frame_equal(
    change[["difference", "low", "high"]],
    contrasts.loc[change.index, ["difference", "low", "high"]],
  )


@pytest.mark.parametrize(
  ("name", "words"),
  [
    ("no_dense", "the run has no dense members"),
    ("dense_only", "the run has no pruned members"),
  ],
)
def test_changes_of_rare_values_say_what_is_missing(
  runs: Runs, name: str, words: str
) -> None:
  rate, change = rarity.outputs_figure(open_source(runs(name))).panels
  assert not rate.reason
  assert words in change.reason


def _collapsed(make_run: MakeRun, members: list[int], **options: Any) -> Source:
  """A run some of whose members predict nothing."""
  run = make_run(identities=("Night",), examples=80, analysed=False, **options)
  for member in members:
    logits = np.full((80, len(options["names"])), -5, np.float32)
    run.write_member(member, {"valid": logits, "test": logits})
  splits = {split: run.split(split) for split in ("train", "valid", "test")}
  analysis.analyze(splits).write(run.path / "analysis")
  return open_source(run)


def test_a_member_without_a_value_takes_nothing_from_the_others(
  make_run: MakeRun,
) -> None:
  source = _collapsed(make_run, [3, 5], names=("A",), sparsities=(0, 0.9))
  figure = bias.bias_figure(source)
  panel = figure.panels[0]
  assert panel.reason == ""
  assert panel.data is not None
  assert "Not drawn, having no value: 90 % (gmp), seeds 1 and 2 (Night)" in (
    figure.caption
  )
  table = _table(source.run, "variance")
  table = table[
    (table["metric"] == "bias_amplification") & (table["attribute"] == "A")
  ].set_index("sparsity")
  means = panel.data[panel.data["kind"] == "mean"].set_index("sparsity")
  assert table.loc[0.9, "n_seeds"] == 2
  for ours, theirs in (("value", "mean"), ("low", "mean_low")):
    np.testing.assert_allclose(means[ours], table[theirs].loc[means.index])
  words = "predicts one attribute: no pairs"
  assert sum(words in reason for reason in _reasons(source)) == 4


def test_where_nobody_has_a_value_it_says_so(make_run: MakeRun) -> None:
  source = _collapsed(
    make_run,
    [0, 1, 2, 3],
    names=("A", "B"),
    seeds=(0, 1),
    sparsities=(0, 0.9),
  )
  panel = bias.bias_figure(source).panels[0]
  assert panel.reason == (
    "Not available: no attribute of any model has a value in all groups."
  )
  interdependence, exaggerated, matrices = dependence.section(source).parts[:3]
  for part, words in (
    (interdependence, "no attribute of any model has a value."),
    (exaggerated, "constant in every seed"),
    (matrices, "constant in every seed"),
  ):
    assert isinstance(part, Figure)
    assert words in part.panels[0 if part is exaggerated else -1].reason


def test_as_few_members_as_will_do_are_left_out() -> None:
  found = np.array([[1, 1, 0], [0, 1, 0], [1, 1, 1], [0, 0, 0]], bool)
  members, outputs = most_members(found)
  assert members.tolist() == [0, 1, 2]
  assert outputs.tolist() == [1]
  # Two outputs with two members each: those with more in common.
  found = np.array([[1, 0, 0], [1, 0, 0], [0, 1, 1], [0, 1, 1]], bool)
  members, outputs = most_members(found)
  assert members.tolist() == [2, 3]
  assert outputs.tolist() == [1, 2]
  assert most_members(np.zeros((2, 2), bool))[0].size == 0


def test_small_matrices_have_numbers_and_large_ones_do_not() -> None:
  for count, expected in ((12, 12 * 12), (13, 0)):
    values = np.full((count, count), -0.25)
    partial = np.zeros(values.shape, bool)
    partial[0, 1] = True
    drawing = matrix(
      values,
      [f"name {one}" for one in range(count)],
      "title",
      limit=1,
      unit="r",
      partial=partial,
    )
    texts = [one.get_text() for one in drawing.axes[0].texts]
    assert texts.count("−.25") == expected


def test_a_diagonal_has_equal_axes() -> None:
  cloud = Cloud(label="a", x=np.array([0.0, 2.0]), y=np.array([5.0, np.nan]))
  axes = scatter([cloud], "title", along="x", diagonal=True).axes[0]
  assert axes.get_xlim() == axes.get_ylim()
