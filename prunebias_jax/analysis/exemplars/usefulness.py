"""The table "queue": what looking at the first few per cent finds.

A queue of exemplars is worth its trainings if it finds more than rankings that
cost less: the dense population's margin, entropy, variance and loss, and the
compressed population's own margin. All of it is this project's.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import xarray as xr

from prunebias_jax.analysis.columns import MEAN
from prunebias_jax.analysis.evidence import Evidence
from prunebias_jax.analysis.exemplars.comparison import (
  Comparison,
  questions,
  truths,
)
from prunebias_jax.analysis.exemplars.scores import scores
from prunebias_jax.analysis.exemplars.shares import population_columns
from prunebias_jax.analysis.exemplars.votes import Votes
from prunebias_jax.analysis.flags import join_reasons
from prunebias_jax.analysis.rates import divide
from prunebias_jax.analysis.tables import frame

BUDGETS = (0.01, 0.02, 0.05, 0.1, 0.2)
DENSE = ("dense_margin", "dense_entropy", "dense_variance", "dense_loss")
RANDOM = "random"
FLIPPED = "truth_flipped"

# Of one ranking: keys [question, example], the largest first, and its order.
Ranking = tuple[np.ndarray, np.ndarray]


def dense_rankings(votes: Votes, truth: np.ndarray) -> dict[str, Ranking]:
  """The rankings that need dense members only.

  Args:
    votes: the dense population's.
    truth: int16 [example, question]; -1 where there is no label.
  """
  found = scores(votes, truth)
  keys = (-votes.margin, found.entropy, found.variance, found.loss)
  return {name: _ranking(key) for name, key in zip(DENSE, keys, strict=True)}


def _ranking(key: np.ndarray) -> Ranking:
  """Orders examples by a key [example, question], ties by a seeded draw."""
  draw = np.random.default_rng(0).permutation(len(key))
  order = draw[np.argsort(-key[draw].T, axis=1, kind="stable")]
  return key.T, order


def targets(
  evidence: Evidence, comparison: Comparison
) -> dict[str, np.ndarray]:
  """What is looked for, float64 [question, example].

  "errors": the share of the compressed members that are wrong, 0 without a
  label; "label_flips": the labels that a synthetic data set turned, where it
  says so.
  """
  truth = truths(evidence).T
  votes = comparison.sides.compressed
  wrong = (votes.choice != truth[:, None]).mean(axis=1)
  found = {"errors": np.where(truth < 0, 0.0, wrong)}
  if FLIPPED in evidence.data:
    flipped = evidence.data[FLIPPED].to_numpy().astype(np.float64)
    # One flag of an example where the question is one.
    found["label_flips"] = flipped.reshape(len(flipped), -1).T
  return found


def found_by(
  target: np.ndarray, ranking: Ranking | None, looked: np.ndarray
) -> np.ndarray:
  """How much of a target is among the first examples.

  Args:
    target: float64 [question, example].
    ranking: what the examples are sorted by; None: the expected value of a
      random order.
    looked: int [budget], how many examples.

  Returns:
    float64 [budget, question]: the sum of the target over them.
  """
  if ranking is None:
    return target.mean(axis=1) * looked[:, None]
  first = ranking[1][:, : looked.max()]
  taken = np.take_along_axis(target, first, axis=1).cumsum(axis=1)
  return taken[:, looked - 1].T


def tied_at(ranking: Ranking, looked: np.ndarray) -> np.ndarray:
  """Share of examples whose key is that of the last: [budget, question]."""
  key, order = ranking
  last = np.take_along_axis(key, order[:, looked - 1], axis=1)
  return np.stack(
    [np.mean(key == one[:, None], axis=1) for one in last.T], axis=0
  )


def queue_table(
  evidence: Evidence,
  comparison: Comparison,
  dense: Mapping[str, Ranking],
  where: xr.Dataset,
) -> pd.DataFrame:
  """One row for each attribute, and their mean, target, ranking and budget.

  Args:
    evidence: the evaluation.
    comparison: two of its populations.
    dense: the rankings by the dense population.
    where: knows checkpoint and split.
  """
  rankings: dict[str, Ranking | None] = {
    "excess": (comparison.key.T, comparison.order),
    "taxicab": _ranking(comparison.taxicab),
    **dense,
    "compressed_margin": _ranking(-comparison.sides.compressed.margin),
    RANDOM: None,
  }
  if comparison.reason:
    del rankings["excess"]
  names = questions(evidence)
  examples = len(comparison.rank)
  looked = np.array([max(1, round(one * examples)) for one in BUDGETS])
  parts = [
    _rows(names, target, ranking, found, by, looked)
    for target, found in targets(evidence, comparison).items()
    for ranking, by in rankings.items()
  ]
  table = pd.concat(parts, ignore_index=True)
  return frame(
    "queue",
    {
      **population_columns(comparison, len(table)),
      **{str(name): table[name].to_numpy() for name in table},
    },
    where,
  )


def _rows(
  names: tuple[str, ...],
  target: str,
  ranking: str,
  wanted: np.ndarray,
  by: Ranking | None,
  looked: np.ndarray,
) -> pd.DataFrame:
  """The rows of one target and ranking: [budget, question], flattened."""
  found = found_by(wanted, by, looked)
  total = wanted.sum(axis=1)
  numbers = {
    "recall": divide(found, np.broadcast_to(total, found.shape)),
    "precision": found / looked[:, None],
    "tied_mass": np.full(found.shape, np.nan)
    if by is None
    else tied_at(by, looked),
  }
  rate = total / wanted.shape[1]
  numbers["lift"] = divide(
    numbers["precision"], np.broadcast_to(rate, found.shape)
  )
  if len(names) > 1:
    numbers = {name: _with_mean(one) for name, one in numbers.items()}
    names = (*names, MEAN)
  budgets = np.repeat(np.arange(len(looked)), len(names))
  labels = np.tile(np.array(names, object), len(looked))
  nothing = np.isnan(numbers["recall"].ravel())
  averaged = (labels == MEAN) & ~nothing
  return pd.DataFrame(
    {
      "attribute": labels,
      "target": target,
      "ranking": ranking,
      "budget": np.array(BUDGETS)[budgets],
      "n": looked[budgets],
      **{name: values.ravel() for name, values in numbers.items()},
      "reason": join_reasons(
        len(labels),
        [
          (nothing, "nothing to find"),
          (averaged, "mean over the attributes that have a value"),
        ],
      ),
    }
  )


def _with_mean(values: np.ndarray) -> np.ndarray:
  """Adds the mean over the questions that have a value."""
  there = np.isfinite(values)
  total = np.where(there, values, 0.0).sum(axis=1)
  mean = divide(total, there.sum(axis=1))
  return np.concatenate([values, mean[:, None]], axis=1)
