"""The two-level bootstrap, against data sets that are drawn out in full."""

from collections.abc import Callable

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
import xarray as xr

from prunebias_jax.analysis import Options, analyze
from prunebias_jax.analysis.bias import bias_amplification
from prunebias_jax.analysis.facts import gather
from prunebias_jax.analysis.rates import (
  balanced_accuracy,
  confusion,
  divide,
  group_rates,
  tcb,
)
from prunebias_jax.analysis.variance.bootstrap import Resampled, percentiles
from prunebias_jax.errors import InputError

MakeSplits = Callable[..., dict[str, xr.Dataset]]
DRAWS = 100
SEEDS = 4


def _splits(make_splits: MakeSplits, missing: bool) -> dict[str, xr.Dataset]:
  members = [("dense", 0.0, "none", seed) for seed in range(SEEDS)]
  splits = make_splits(members, examples=120, seed=4)
  rng = np.random.default_rng(0)
  if missing:
    for name, data in splits.items():
      labels = data["labels"].to_numpy().astype(np.float32)
      labels[rng.random(labels.shape) < 0.2] = np.nan
      splits[name] = data.assign(labels=(data["labels"].dims, labels))
  return splits


@pytest.mark.parametrize("missing", [False, True])
def test_intervals_are_those_of_drawn_data_sets(
  make_splits: MakeSplits, missing: bool
) -> None:
  splits = _splits(make_splits, missing)
  table = analyze(splits, options=Options(bootstraps=DRAWS)).tables["variance"]
  facts = gather(splits)
  samples = Resampled(facts, DRAWS)
  times = samples.members(SEEDS).astype(int)
  logits = splits["test"]["logits"].to_numpy()
  draws: dict[tuple[str, str, str, int], list[float]] = {}
  groups = list(zip(facts.groups.identity, facts.groups.value, strict=True))
  pairs = list(zip(facts.pairs.identity, facts.pairs.value, strict=True))
  for draw in range(DRAWS):
    rows = np.repeat(np.arange(120), samples.weights[:, draw].astype(int))
    present = None if facts.present is None else facts.present[rows]
    values: dict[tuple[str, str, str, int], list[float]] = {}
    for member in np.repeat(np.arange(SEEDS), times[:, draw]).tolist():
      z = logits[member, rows]
      counts = confusion(
        z > 0, facts.labels[rows], facts.groups.membership[rows], present
      )
      rates = group_rates(counts)
      ba, _ = bias_amplification(counts, facts.pairs)
      ratio = tcb(
        divide(counts.predicted, counts.total)[0],
        divide(counts.positive, counts.total)[0],
        facts.prevalence,
      )
      for output in range(3):
        there = slice(None) if present is None else present[:, output]
        one = {
          ("tcb", "", ""): ratio[output],
          ("balanced_accuracy", "", ""): balanced_accuracy(rates)[0, output],
          ("uncertainty", "", ""): np.mean(np.abs(z[:, output]) < np.log(9)),
          ("auc", "", ""): roc_auc_score(
            facts.labels[rows][there, output], z[there, output]
          ),
        }
        for place, group in enumerate(groups):
          for name in ("false_positive_rate", "false_negative_rate"):
            one[name, *group] = getattr(rates, name)[place, output]
          accuracy = rates.accuracy[place, output]
          one["accuracy", *group] = accuracy
          one["selection_rate", *group] = rates.selection_rate[place, output]
        for place, pair in enumerate(pairs):
          one["bias_amplification", *pair] = ba[place, output]
        for key, value in one.items():
          values.setdefault((*key, output), []).append(value)
    for key, found in values.items():
      draws.setdefault(key, []).append(float(np.mean(found)))
  table = table[table["threshold_rule"] == "default"]
  keys = ["metric", "identity", "value", "attribute"]
  table = table.set_index(keys)[["bootstrap_low", "bootstrap_high"]]
  compared = 0
  for (*block, output), found in draws.items():
    if np.isfinite(found).all():
      expected = np.percentile(found, [2.5, 97.5])
      row = table.loc[(*block, "ABC"[output])].to_numpy()
      np.testing.assert_allclose(row, expected, rtol=1e-9, atol=1e-12)
      compared += 1
  assert compared > 80


def test_percentiles_leave_out_what_has_no_value() -> None:
  rng = np.random.default_rng(0)
  draws = rng.normal(size=(3, 200))
  draws[1, :10] = np.nan
  draws[2, :11] = np.nan
  low, high = percentiles(draws, 0.05)
  for cell in range(2):
    expected = np.nanpercentile(draws[cell], [5, 95])
    np.testing.assert_allclose((low[cell], high[cell]), expected)
  assert np.isnan(low[2])
  assert np.isnan(high[2])


def test_only_when_asked_for(make_splits: MakeSplits) -> None:
  splits = _splits(make_splits, False)
  table = analyze(splits).tables["variance"]
  assert table[["bootstrap_low", "bootstrap_high"]].isna().all(axis=None)
  assert not table["interval"].str.contains("bootstrap").any()
  asked = analyze(splits, options=Options(bootstraps=100)).tables["variance"]
  there = asked["bootstrap_low"].notna()
  assert set(asked["threshold_rule"][there]) == {"default"}
  marked = asked["interval"].str.contains("again, simulated coverage below 90")
  assert (marked == there).all()


@pytest.mark.parametrize("count", [-1, 1, 99, 2_001])
def test_bad_numbers_of_draws(count: int) -> None:
  with pytest.raises(InputError, match=f"bootstraps {count}; accepted: 0"):
    Options(bootstraps=count)


def test_accuracy_of_exclusive_classes(make_splits: MakeSplits) -> None:
  members = [("dense", 0.0, "none", seed) for seed in range(SEEDS)]
  splits = make_splits(members, examples=90, multiclass=True)
  table = analyze(splits, options=Options(bootstraps=DRAWS)).tables["variance"]
  samples = Resampled(gather(splits), DRAWS)
  test = splits["test"]
  right = test["logits"].to_numpy().argmax(axis=2) == test["labels"].to_numpy()
  inside = test["identities"].to_numpy()[:, 1] == 1
  for identity, value, chosen in (
    ("", "", np.ones(90, bool)),
    ("G", "1", inside),
  ):
    weights = samples.weights[chosen]
    of_member = right[:, chosen] @ weights / weights.sum(axis=0)
    drawn = (samples.members(SEEDS) * of_member).mean(axis=0)
    (low,), (high,) = percentiles(drawn[None], 0.025)
    (row,) = table[
      (table["metric"] == "accuracy")
      & (table["attribute"] == "(all)")
      & (table["identity"] == identity)
      & (table["value"] == value)
    ].to_dict("records")
    np.testing.assert_allclose(row["bootstrap_low"], low, rtol=1e-6)
    np.testing.assert_allclose(row["bootstrap_high"], high, rtol=1e-6)
