"""Sums over members and examples, against loops over one example at a time."""

from collections.abc import Callable
import functools

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
import xarray as xr

from prunebias_jax.analysis import Options
from prunebias_jax.analysis.cells import make_cells
from prunebias_jax.analysis.evidence import Evidence, gather_evidence
from prunebias_jax.analysis.facts import gather
from prunebias_jax.analysis.pipeline import _measured
from prunebias_jax.analysis.variance.influence import Truth
from prunebias_jax.analysis.variance.shown import Shown
from prunebias_jax.analysis.variance.sums import PopulationSums, Source

MakeSplits = Callable[..., dict[str, xr.Dataset]]
SEEDS = 4
STEP = 1e-6


@pytest.fixture(params=["plain", "missing", "tied"])
def evidence(
  request: pytest.FixtureRequest, make_splits: MakeSplits
) -> Evidence:
  members = [("dense", 0.0, "none", seed) for seed in range(SEEDS)]
  splits = make_splits(members, examples=80, seed=3)
  rng = np.random.default_rng(5)
  for name, data in splits.items():
    labels = data["labels"].to_numpy().astype(np.float32)
    if request.param == "missing":
      labels[rng.random(labels.shape) < 0.2] = np.nan
    data = data.assign(labels=(data["labels"].dims, labels))
    if request.param == "tied" and name != "train":
      logits = np.round(data["logits"].to_numpy())
      data = data.assign(logits=(data["logits"].dims, logits))
    splits[name] = data
  facts = gather(splits)
  valid = gather({**splits, "test": splits["valid"]})
  return gather_evidence(
    ("last", "test"),
    splits["test"],
    facts,
    Options(),
    valid=splits["valid"],
    valid_facts=valid,
  )


def _moments(evidence: Evidence) -> tuple[Source, dict[tuple, np.ndarray]]:
  """n, squares and mean_squares by cell, with the arrays they are from."""
  arrays = _measured(evidence)
  places = np.arange(len(evidence.members))
  source = Source(
    evidence=evidence,
    arrays=arrays,
    cells=make_cells(arrays),
    places=places,
    truth=Truth.of(evidence.facts),
  )
  sums = PopulationSums(source)
  thresholds = source.thresholds()
  for member, place in enumerate(places.tolist()):
    sums.add(member, Shown(evidence, place, thresholds[member]))
  found = sums.moments()
  keys = source.cells.key.itertuples(index=False, name=None)
  numbers = np.stack(
    [found.examples, found.squares, found.mean_squares], axis=1
  )
  return source, dict(zip(keys, numbers, strict=True))


def _metric(
  metric: str,
  weights: np.ndarray,
  predicted: np.ndarray,
  logits: np.ndarray,
  labels: np.ndarray,
  group: np.ndarray,
  prevalence: float,
  lean: bool,
) -> float:
  """Any metric of weighted examples, by its definition."""
  there = np.isfinite(labels)
  positive = labels == 1
  if metric == "selection_rate":
    chosen = group
    return np.average(predicted[chosen], weights=weights[chosen])
  if metric == "uncertainty":
    return np.average(np.abs(logits) < np.log(9), weights=weights)
  if metric == "entropy":
    p = 1 / (1 + np.exp(-logits.astype(float)))
    bits = -p * np.log2(p) - (1 - p) * np.log2(1 - p)
    return np.average(bits, weights=weights)
  if metric == "auc":
    return roc_auc_score(
      positive[there], logits[there], sample_weight=weights[there]
    )

  def rate(values: np.ndarray, of: np.ndarray) -> float:
    return np.average(values[of], weights=weights[of])

  if metric == "accuracy":
    return rate(predicted == positive, there & group)
  if metric == "false_positive_rate":
    return rate(predicted, there & ~positive & group)
  if metric == "false_negative_rate":
    return rate(~predicted, positive & group)
  if metric == "balanced_accuracy":
    return (rate(predicted, positive) + rate(~predicted, there & ~positive)) / 2
  if metric == "tcb":
    own, other = predicted, positive
    if prevalence > 0.5:
      own, other = ~predicted, ~positive
    return rate(own, there) / rate(other, there)
  assert metric == "bias_amplification"
  side = group if lean else ~group
  return rate(side, there & predicted) - rate(side, positive)


METRICS = (
  "accuracy",
  "selection_rate",
  "false_positive_rate",
  "false_negative_rate",
  "uncertainty",
  "entropy",
  "auc",
  "balanced_accuracy",
  "tcb",
  "bias_amplification",
)


@pytest.mark.parametrize("metric", METRICS)
def test_influences_are_derivatives_of_the_metric(
  evidence: Evidence, metric: str
) -> None:
  """Squares of n times the change per unit of an example's weight."""
  source, moments = _moments(evidence)
  facts = evidence.facts
  labels = evidence.data["labels"].to_numpy()
  of_group = metric in (*METRICS[:4], "bias_amplification")
  identity, value = ("G", "1") if of_group else ("", "")
  groups = list(zip(facts.groups.identity, facts.groups.value, strict=True))
  group = facts.groups.membership[:, groups.index((identity, value))] > 0
  pairs = list(zip(facts.pairs.identity, facts.pairs.value, strict=True))
  influences = []
  for output, name in enumerate(facts.names):
    lean = True
    if metric == "bias_amplification":
      pair = pairs.index((identity, value))
      lean = (
        facts.pairs.inside[pair, output] > facts.pairs.outside[pair, output]
      )
    rows = []
    for place in range(SEEDS):
      logits = evidence.logits(place)[:, output]
      threshold = float(source.thresholds()[place, 1, output])
      if metric in ("uncertainty", "entropy", "auc"):
        threshold = 0.0

      at = functools.partial(
        _metric,
        metric,
        predicted=logits > threshold,
        logits=logits,
        labels=labels[:, output],
        group=group,
        prevalence=facts.prevalence[output],
        lean=lean,
      )
      nudges = STEP * np.eye(len(labels))
      rows.append([(at(1 + one) - at(1 - one)) / (2 * STEP) for one in nudges])
    influences.append(rows)
    rows = np.array(rows)
    n, squares, mean_squares = moments[
      "calibrated", metric, name, identity, value
    ]
    if metric in ("auc", "balanced_accuracy"):
      # As many as there are in a class less one: see `_of_class`.
      positive = labels[:, output] == 1
      negative = np.isfinite(labels[:, output]) & ~positive
      for one in (positive, negative):
        rows[:, one] *= np.sqrt(one.sum() / (one.sum() - 1))
      influences[-1] = rows
    inside = rows != 0
    if metric in METRICS[:4]:
      assert n >= inside.any(axis=0).sum()
    np.testing.assert_allclose((n**2 * rows**2).sum(), squares, rtol=1e-6)
    np.testing.assert_allclose(
      (n**2 * rows.mean(axis=0) ** 2).sum(), mean_squares, rtol=1e-6
    )
  # The mean over outputs has the mean of the influences.
  key = "calibrated", metric, "(mean)", identity, value
  used = dict(
    zip(
      source.cells.key.itertuples(index=False, name=None),
      range(len(source.cells.key)),
      strict=True,
    )
  )
  outputs = source.cells.averaged(source.places)[
    used[key] // (len(facts.names) + 1)
  ]
  rows = np.array(influences)[outputs].mean(axis=0)
  n, squares, mean_squares = moments[key]
  np.testing.assert_allclose((n**2 * rows**2).sum(), squares, rtol=1e-6)
  np.testing.assert_allclose(
    (n**2 * rows.mean(axis=0) ** 2).sum(), mean_squares, rtol=1e-6
  )
