"""Metrics of weighted examples and halves, against resampled data sets."""

from collections.abc import Callable
import itertools

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, roc_auc_score
import xarray as xr

from prunebias_jax.analysis import bias_amplification, confusion, tcb
from prunebias_jax.analysis.facts import Facts, gather, make_groups
from prunebias_jax.analysis.rates import divide
from prunebias_jax.analysis.variance.halves import draw_halves
from prunebias_jax.analysis.variance.placements import Ranking
from prunebias_jax.analysis.variance.weighted import (
  Basis,
  Weighted,
  balanced_accuracy_of,
  bias_amplification_of,
  tcb_of,
)

MakeSplits = Callable[..., dict[str, xr.Dataset]]


@settings(max_examples=60, deadline=None)
@given(
  st.integers(1, 40),
  st.integers(1, 12),
  st.booleans(),
  st.integers(0, 2**32 - 1),
)
def test_weighted_auc_is_that_of_repeated_examples(
  size: int, distinct: int, missing: bool, seed: int
) -> None:
  rng = np.random.default_rng(seed)
  scores = rng.integers(0, distinct, size).astype(np.float32)
  labels = rng.random(size) < rng.random()
  present = rng.random(size) < 0.7 if missing else np.ones(size, bool)
  weights = rng.poisson(1.0, (size, 5)).astype(np.float32)
  ranking = Ranking.of(scores, labels, present if missing else None)
  found = ranking.weighted_auc(weights)
  for column in range(5):
    repeated = np.repeat(np.arange(size), weights[:, column].astype(int))
    repeated = repeated[present[repeated]]
    if len(np.unique(labels[repeated])) < 2:
      assert np.isnan(found[column])
    else:
      expected = roc_auc_score(labels[repeated], scores[repeated])
      assert found[column] == pytest.approx(expected, abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 40), st.integers(1, 12), st.integers(0, 2**32 - 1))
def test_placements_average_to_the_auc(
  size: int, distinct: int, seed: int
) -> None:
  rng = np.random.default_rng(seed)
  scores = rng.integers(0, distinct, size).astype(np.float64)
  labels = rng.random(size) < 0.5
  labels[:2] = True, False
  placed = Ranking.of(scores, labels).placements()
  expected = roc_auc_score(labels, scores)
  assert placed[labels].mean() == pytest.approx(expected, abs=1e-12)
  assert placed[~labels].mean() == pytest.approx(expected, abs=1e-12)


def _facts(make_splits: MakeSplits, missing: bool) -> tuple[Facts, np.ndarray]:
  splits = make_splits(examples=60, identities=("A", "G"), seed=2)
  rng = np.random.default_rng(0)
  if missing:
    for name, data in splits.items():
      labels = data["labels"].to_numpy().astype(np.float32)
      labels[rng.random(labels.shape) < 0.2] = np.nan
      splits[name] = data.assign(labels=(data["labels"].dims, labels))
  return gather(splits), splits["test"]["logits"].to_numpy()[0] > 0


@pytest.mark.parametrize("missing", [False, True])
def test_weighted_metrics_are_those_of_repeated_examples(
  make_splits: MakeSplits, missing: bool
) -> None:
  facts, predicted = _facts(make_splits, missing)
  rng = np.random.default_rng(1)
  weights = rng.poisson(1.0, (60, 6)).astype(np.float32)
  groups = [0, *facts.pairs.group.tolist()]
  counts = Weighted(facts, weights, groups).member(predicted)
  found_tcb = tcb_of(counts, facts.prevalence)
  found_balanced = balanced_accuracy_of(counts)
  lean = facts.pairs.outside > facts.pairs.inside
  for column in range(6):
    again = np.repeat(np.arange(60), weights[:, column].astype(int))
    present = None if facts.present is None else facts.present[again]
    confused = confusion(
      predicted[again],
      facts.labels[again],
      facts.groups.membership[again],
      present,
    )
    expected, _ = bias_amplification(confused, facts.pairs)
    for pair in range(len(facts.pairs.group)):
      found = bias_amplification_of(counts, pair + 1, lean[pair])
      valid = ~facts.pairs.same[pair]
      np.testing.assert_allclose(found[valid, column], expected[pair, valid])
    np.testing.assert_allclose(
      found_tcb[:, column],
      tcb(
        divide(confused.predicted, confused.total)[0],
        divide(confused.positive, confused.total)[0],
        facts.prevalence,
      ),
    )
    for output in range(len(facts.names)):
      rows = again if present is None else again[present[:, output]]
      np.testing.assert_allclose(
        found_balanced[output, column],
        balanced_accuracy_score(
          facts.labels[rows, output], predicted[rows, output]
        ),
      )


@settings(max_examples=30, deadline=None)
@given(
  st.lists(st.integers(1, 4), min_size=0, max_size=3),
  st.integers(0, 2**32 - 1),
)
def test_all_groups_follow_from_the_basis(values: list[int], seed: int) -> None:
  rng = np.random.default_rng(seed)
  identities = np.stack(
    [np.zeros(50, int), *(rng.integers(0, count, 50) for count in values)],
    axis=1,
  )[:, 1:]
  names = [f"I{i}" for i in range(len(values))]
  groups = make_groups(identities, names, [list(range(v)) for v in values])
  basis = Basis(groups, len(values))
  weights = rng.integers(0, 5, 50)
  counts = groups.membership.T @ weights
  np.testing.assert_array_equal(basis.complete(counts[basis.kept]), counts)
  # No group is counted that follows from others.
  kept = groups.membership[:, basis.kept]
  others = [count - 1 for count in values]
  crossings = sum(a * b for a, b in itertools.combinations(others, 2))
  assert kept.shape[1] == 1 + sum(others) + crossings


@pytest.mark.parametrize("multiclass", [False, True])
def test_halves_are_alike_in_groups_and_labels(
  make_splits: MakeSplits, multiclass: bool
) -> None:
  splits = make_splits(
    examples=401, identities=("G",), multiclass=multiclass, seed=1
  )
  facts = gather(splits)
  halves = draw_halves(facts, splits=20)
  np.testing.assert_array_equal(halves, draw_halves(facts, splits=20))
  assert set(halves.sum(axis=0).tolist()) <= {200, 201}
  cells = facts.labels[:, :, None] * facts.groups.membership[:, None, :]
  first = np.einsum("ns,nag->sag", halves, cells)
  difference = 2 * first - cells.sum(axis=0)
  # With a coin for each example they differ by some sqrt(n).
  assert np.abs(difference).max() <= (4 if multiclass else 6)
  # A split is not like another.
  assert np.abs(np.corrcoef(halves.T) - np.eye(20)).max() < 0.3
