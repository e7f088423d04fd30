"""Safe levels, criteria, countermeasures: the tables' numbers, or why not."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from prunebias_jax import store
from prunebias_jax.report.page import Figure, Panel, Section, Table
from prunebias_jax.report.sections import (
  countermeasures,
  criteria,
)
from prunebias_jax.report.sections.countermeasures.rows import unavailable
from prunebias_jax.report.sections.families import families, level_names
from prunebias_jax.report.source import Source, open_source

Runs = Callable[[str], store.Run]


@pytest.fixture(scope="module")
def source(runs: Runs) -> Source:
  return open_source(runs("four"))


@pytest.fixture(scope="module")
def chapter(source: Source) -> Section:
  return criteria.section(source)


@pytest.fixture(scope="module")
def measures(source: Source) -> Section:
  return countermeasures.section(source)


def _panels(section: Section) -> dict[str, Panel]:
  return {
    panel.slug: panel
    for part in section.parts
    if isinstance(part, Figure)
    for panel in part.panels
  }


def _data(section: Section, slug: str) -> pd.DataFrame:
  data = _panels(section)[slug].data
  assert data is not None
  return data


def _table(section: Section, slug: str) -> Table:
  return next(
    part
    for part in section.parts
    if isinstance(part, Table) and part.slug == slug
  )


def _csv(runs: Runs, name: str) -> pd.DataFrame:
  path = runs("four").path / "analysis" / f"{name}.csv"
  return pd.read_csv(path, keep_default_na=False)


def test_verdicts_are_counted_without_the_mean(
  runs: Runs, chapter: Section
) -> None:
  table = _csv(runs, "safety")
  for rule in ("default", "calibrated"):
    data = _data(chapter, f"safe-counts-1-{rule}-gmp")
    total = data.groupby(["metric", "identity", "sparsity"])["count"].sum()
    assert (total == 40).all()
    for row in data.to_dict("records"):
      expected = (
        (table["threshold_rule"] == rule)
        & (table["attribute"] != "(mean)")
        & (table["metric"] == row["metric"])
        & (table["identity"] == row["identity"])
        & (table["sparsity"] == row["sparsity"])
        & (table["verdict"] == row["verdict"])
      )
      assert row["count"] == expected.sum()


def test_the_map_and_its_words_are_the_verdicts(
  runs: Runs, chapter: Section
) -> None:
  table = _csv(runs, "safety")
  table = table[table["threshold_rule"] == "default"]
  key = ["attribute", "metric", "identity", "sparsity"]
  expected = table.set_index(key)["verdict"].sort_index()
  data = _data(chapter, "safe-map-1-gmp").set_index(key)["verdict"].sort_index()
  pd.testing.assert_series_equal(data, expected, check_dtype=False)
  words = _table(chapter, "safe-levels")
  assert words.head[:3] == ("attribute", "|log TCB|", "|BA| Male")
  rows = {row[0]: row[2] for _, band in words.bands for row in band}
  of_male = table[table["identity"] == "Male"]
  for name, found in of_male.groupby("attribute"):
    text = rows["mean over attributes" if name == "(mean)" else str(name)]
    text = text.removesuffix("*")
    highest = {str(one) for one in found["safe_up_to"]}
    assert len(highest) == 1
    unsafe = found[found["verdict"] == "not safe"]["sparsity"]
    assert ("not safe" in text) == bool(len(unsafe))
    if (found["verdict"] == "not available").all():
      assert text == "n/a"
    elif highest == {"NaN"}:
      assert text.startswith("none")
    else:
      assert text.startswith(f"{100 * float(highest.pop()):g} %")


def test_sentences_are_of_the_mean_and_of_what_is_not_safe(
  runs: Runs, chapter: Section
) -> None:
  table = _csv(runs, "safety")
  said = _table(chapter, "safe-sentences")
  sentences = set(table["sentence"])
  unsafe = set(table[table["verdict"] == "not safe"]["attribute"])
  for _, band in said.bands:
    assert band[0][0] == "mean over attributes"
    assert {row[1] for row in band} <= sentences
    assert {row[0] for row in band[1:]} <= unsafe
    assert len(band) <= 9


def test_criteria_are_those_of_the_table(runs: Runs, chapter: Section) -> None:
  table = _csv(runs, "criteria")
  table = table[
    (table["threshold_rule"] == "default") & (table["identity"] == "Young")
  ]
  data = _data(chapter, "criteria-3-bias-amplification-young")
  np.testing.assert_allclose(
    data.sort_values(["criterion", "sparsity"])["spearman"],
    table.sort_values(["criterion", "sparsity"])["spearman"].astype(float),
  )
  assert "no better" in str(_table(chapter, "criteria").bands)


def test_the_paragraph_counts_what_is_no_better_than_the_majority(
  runs: Runs, chapter: Section
) -> None:
  table = _csv(runs, "criteria")
  table = table[table["threshold_rule"] == "default"]
  right = table["decision_accuracy"].astype(float)
  usual = table["majority_accuracy"].astype(float)
  known = right.notna()
  text = chapter.text[0]
  assert f"was tried in {known.sum()} cases" in text
  assert f"in {(right > usual + 1e-9).sum()}, as many in" in text
  assert f"fewer in {(right < usual - 1e-9).sum()}." in text


def test_thresholds_and_overrides_are_those_of_the_table(
  runs: Runs, measures: Section
) -> None:
  table = _csv(runs, "countermeasures")
  table = table[table["attribute"] == "(mean)"]
  data = _data(measures, "thresholds-1-abs-bias-amplification-male")
  assert set(data["fitted_on"]) >= {"", "Male"}
  assert set(data["sparsity"]) == {0, 0.8, 0.95, 0.99}
  key = ["sparsity", "countermeasure", "fitted_on"]
  expected = table[
    (table["metric"] == "abs_bias_amplification")
    & (table["identity"] == "Male")
    & (table["override"] == "")
  ]
  np.testing.assert_allclose(
    data.sort_values(key)["change_low"],
    expected.sort_values(key)["change_low"].astype(float),
  )
  data = _data(measures, "overrides-1-accuracy")
  assert set(data["selection"]) == {"uncertain", "random"}
  found = data[
    (data["override"] == "human")
    & (data["selection"] == "random")
    & (data["budget"] == 0.1)
  ]
  expected = table[
    (table["metric"] == "accuracy")
    & (table["countermeasure"] == "override")
    & (table["override"] == "human")
    & (table["selection"] == "random")
    & (table["budget"].astype(float) == 0.1)
    & (table["sparsity"] == 0.99)
  ]
  assert found["change"].item() == float(expected["change"].item())
  words = _table(measures, "countermeasures")
  assert [row[-1] for row in words.bands[0][1]] == ["shown"] * 5


def test_levels_of_different_attributes_are_named_and_not_joined() -> None:
  rows = pd.DataFrame(
    {
      "sparsity": [0.0, 0.8, 0.8],
      "reason": ["", "", "doubtful: skewed; mean over 14 of 40 attributes"],
    }
  )
  assert level_names(rows, [0.0, 0.8]) == (["dense", "80 %\n14 of 40"], False)
  assert level_names(rows[:1], [0.0]) == (["dense"], True)


@pytest.mark.parametrize(
  ("name", "words"),
  [
    ("no_dense", "Not available: the run has no dense members"),
    ("dense_only", "Not available: the run has no pruned members"),
  ],
)
def test_what_a_run_cannot_support_says_why(
  runs: Runs, name: str, words: str
) -> None:
  source = open_source(runs(name))
  for part in criteria.section(source).parts:
    assert isinstance(part, Figure | Table)
    assert part.reason.startswith(words)
  section = countermeasures.section(source)
  assert any(slug.startswith("thresholds") for slug in _panels(section))
  for part in section.parts:
    if isinstance(part, Figure) and part.slug.startswith("overrides"):
      assert part.reason.startswith("Not available: ")


def test_exclusive_classes_have_no_thresholds(runs: Runs) -> None:
  source = open_source(runs("classes"))
  assert source.sparsest is not None
  reason = unavailable(source, "thresholds", source.sparsest)
  assert reason == "Not available: exclusive classes have no thresholds."
  section = countermeasures.section(source)
  for part in section.parts:
    if isinstance(part, Figure):
      assert (part.reason == reason) == part.slug.startswith("thresholds")


def test_without_identities_only_tcb_is_judged(runs: Runs) -> None:
  source = open_source(runs("no_identities"))
  section = criteria.section(source)
  counts = section.parts[0]
  assert isinstance(counts, Figure)
  assert "no identity attributes" in counts.caption
  assert _table(section, "safe-levels").head == ("attribute", "|log TCB|")


def test_families_begin_with_the_sparsest(runs: Runs) -> None:
  found = families(open_source(runs("two_pruners")))
  assert [one.label for one in found] == ["gmp", "random"]
  assert found[0].levels == ("80 %", "95 %", "99 %")
