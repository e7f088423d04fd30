"""Seeds and test examples drawn at random: the tables against a known truth."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from prunebias_jax.analysis import analyze
from prunebias_jax.analysis.inference import power_of
from prunebias_jax.analysis.pipeline import _measured
from prunebias_jax.analysis.variance import (
  contrasts_table,
  power_table,
  trends_table,
  variance_table,
)
from prunebias_jax.analysis.variance.simulated import (
  EXAMPLES,
  NOISE,
  Seeds,
  draw_evaluation,
  draw_shifts,
  truths,
)


def _single(table: pd.DataFrame, metric: str) -> pd.DataFrame:
  rows = table[(table["metric"] == metric) & (table["attribute"] != "(mean)")]
  of_group = metric in ("false_negative_rate", "bias_amplification")
  value = "1" if of_group else ""
  return rows[rows["value"] == value]


@pytest.fixture(scope="module")
def spread() -> pd.DataFrame:
  rng = np.random.default_rng(1)
  tables = []
  for _ in range(5):
    evidence = draw_evaluation(rng, {0.0: Seeds()}, members=10, attributes=40)
    tables.append(variance_table(evidence, _measured(evidence)))
  return pd.concat(tables)


METRICS = (
  "accuracy",
  "false_negative_rate",
  "tcb",
  "bias_amplification",
  "auc",
  "balanced_accuracy",
)


@pytest.mark.parametrize("metric", METRICS)
def test_crossed_intervals_cover_with_members_and_examples_random(
  spread: pd.DataFrame, metric: str
) -> None:
  rows = _single(spread, metric)
  truth, _ = truths(Seeds())[metric]
  inside = (rows["crossed_low"] <= truth) & (truth <= rows["crossed_high"])
  assert len(rows) == 200
  # .95 +- .02, and three binomial standard errors.
  assert 0.93 - 0.046 <= inside.mean() <= 0.97 + 0.03
  # Those of seeds alone say nothing of other test examples.
  fixed = (rows["mean_low"] <= truth) & (truth <= rows["mean_high"])
  assert fixed.mean() < inside.mean()


@pytest.mark.parametrize("metric", METRICS)
def test_distribution_wise_variance_is_unbiased(
  spread: pd.DataFrame, metric: str
) -> None:
  rows = _single(spread, metric)
  _, truth = truths(Seeds())[metric]
  found = rows["var_distribution"]
  error = found.std() / np.sqrt(len(found))
  assert abs(found.mean() - truth) < 3.5 * error
  assert error < 0.1 * truth
  # The observed variance has the test set's share on top.
  np.testing.assert_allclose(
    rows["var_observed"], rows["var_test_set"] + found, rtol=1e-9
  )
  assert rows["var_test_set"].mean() > 0


def test_without_variance_the_estimate_is_negative_half_the_time() -> None:
  rng = np.random.default_rng(2)
  evidence = draw_evaluation(
    rng, {0.0: Seeds(0.0, 0.0)}, members=5, attributes=60
  )
  table = variance_table(evidence, _measured(evidence))
  for metric in ("accuracy", "bias_amplification", "auc"):
    found = _single(table, metric)["var_distribution"]
    assert abs((found < 0).mean() - 0.55) < 0.25
    assert abs(found.mean()) < 3.5 * found.std() / np.sqrt(len(found))


def _tables(
  seed: int, levels: Mapping[float, Seeds]
) -> dict[str, pd.DataFrame]:
  rng = np.random.default_rng(seed)
  evidence = draw_evaluation(rng, levels, members=12, attributes=40)
  arrays = _measured(evidence)
  return {
    "contrasts": contrasts_table(evidence, arrays),
    "trends": trends_table(evidence, arrays),
  }


def _rejected(rows: pd.DataFrame, column: str) -> float:
  assert len(rows) == 40
  return float((rows[column] <= 0.05).mean())


def test_a_growing_group_effect_is_found_and_none_is_not() -> None:
  grown = _tables(
    3, {0.0: Seeds(), 0.5: Seeds(0.3, 0.8, 0.4), 0.9: Seeds(0.3, 2.5, 1.5)}
  )
  none = _tables(4, {0.0: Seeds(), 0.5: Seeds(), 0.9: Seeds()})
  # Three binomial standard errors above .05, of 40 attributes.
  size = 0.05 + 3 * np.sqrt(0.05 * 0.95 / 40)
  for column in ("t_p", "signflip_p", "wilcoxon_p", "pitman_morgan_p"):
    for tables, found in ((grown, True), (none, False)):
      rows = _single(tables["contrasts"], "false_negative_rate")
      rows = rows[rows["sparsity"] == 0.9]
      share = _rejected(rows, column)
      assert share > 0.5 if found else share <= size, (column, share)
      # Outside the group nothing was planted.
      outside = tables["contrasts"]
      outside = outside[
        (outside["metric"] == "false_negative_rate")
        & (outside["value"] == "0")
        & (outside["attribute"] != "(mean)")
        & (outside["sparsity"] == 0.9)
      ]
      assert _rejected(outside, column) <= size


def test_a_growing_spread_is_found_as_a_trend() -> None:
  grown = {0.0: Seeds(), 0.5: Seeds(0.9), 0.9: Seeds(2.5)}
  none = dict.fromkeys(grown, Seeds())
  size = 0.05 + 3 * np.sqrt(0.05 * 0.95 / 40)
  for levels, found in ((grown, True), (none, False)):
    trends = _tables(7, levels)["trends"]
    share = _rejected(_single(trends, "predicted_positive"), "p")
    assert share > 0.5 if found else share <= size


def test_the_whole_analysis_finds_a_planted_effect() -> None:
  rng = np.random.default_rng(5)
  evidence = draw_evaluation(
    rng, {0.0: Seeds(), 0.9: Seeds(0.3, 2.5, 1.5)}, members=8, attributes=4
  )
  tables = analyze({"test": evidence.data}).tables
  row = tables["contrasts"]
  row = row[
    (row["metric"] == "false_negative_rate")
    & (row["value"] == "1")
    & (row["attribute"] == "(mean)")
  ].iloc[0]
  assert row["low"] > 0
  assert row["p_adjusted"] <= 0.05
  assert row["ratio_low"] > 1


def test_predicted_power_is_the_power_simulated() -> None:
  rng = np.random.default_rng(6)
  evidence = draw_evaluation(
    rng, {0.0: Seeds(), 0.9: Seeds()}, members=80, attributes=3
  )
  arrays = _measured(evidence)
  table = power_table(evidence, arrays, contrasts_table(evidence, arrays))
  delta = 0.02
  row = table[
    (table["metric"] == "accuracy")
    & (table["identity"] == "")
    & (table["delta"] == delta)
  ].iloc[0]
  pairs = int(row["n_seeds"])
  # New members on the same test set, from the law of their predictions.
  labels = evidence.facts.labels
  group = evidence.facts.groups.membership[:, 2]
  logits = np.stack([evidence.logits(k) for k in range(80)])
  hard = logits.mean(axis=0)
  assert evidence.facts.groups.value[2] == "1"
  runs = 1_000
  accuracy = np.empty((2, runs, pairs))
  for side in range(2):
    for run in range(runs):
      shift, inside = draw_shifts(rng, (pairs, 1, 3), Seeds())
      noise = rng.normal(scale=NOISE, size=(pairs, EXAMPLES, 3))
      z = hard + shift + inside * group[:, None] + noise
      accuracy[side, run] = ((z > 0) == labels).mean(axis=(1, 2))
  differences = accuracy[1] - accuracy[0] + delta
  p = scipy.stats.ttest_1samp(differences, 0, axis=1).pvalue
  predicted = power_of(np.array([row["sd_difference"]]), delta, pairs)[0]
  assert predicted >= 0.8
  assert np.mean(p <= 0.05) == pytest.approx(predicted, abs=0.08)
