"""Bias and variance of a population's loss over its seeds.

Reference: Yang et al. 2020, "Rethinking Bias-Variance Trade-off for
Generalization of Neural Networks", for both decompositions; the unbiased
variance is theirs too, for one training set it is the variance over *seeds*.
Groups, classes and the streaming form are this project's.
"""

from collections.abc import Iterable
import dataclasses

import numpy as np
import pandas as pd
import xarray as xr

from prunebias_jax.analysis.columns import ALL, LOSSES
from prunebias_jax.analysis.evidence import Evidence
from prunebias_jax.analysis.facts import Facts
from prunebias_jax.analysis.flags import join_reasons
from prunebias_jax.analysis.rates import divide
from prunebias_jax.analysis.tables import frame, population_columns
from prunebias_jax.analysis.uncertainty import log_softmax


@dataclasses.dataclass(frozen=True, kw_only=True)
class Parts:
  """One loss of every example, over seeds: float64 [example, output] each.

  Attributes:
    expected: mean loss over the seeds.
    bias: the part that the seeds have in common; NaN with one seed.
    variance: the rest, from their disagreement; NaN with one seed.
  """

  expected: np.ndarray
  bias: np.ndarray
  variance: np.ndarray


def outcome_logs(logits: np.ndarray, exclusive: bool) -> np.ndarray:
  """Log probabilities of every outcome, without forming a probability.

  Args:
    logits: [example, output], finite.
    exclusive: the outputs are the outcomes of one question (classes); else
      each is a question of its own, with the outcomes no and yes.

  Returns:
    float64 [example, question, outcome].
  """
  if exclusive:
    return log_softmax(logits)[:, None, :]
  exact = logits.astype(np.float64)
  small = np.log1p(np.exp(-np.abs(exact)))
  no, yes = -(np.maximum(exact, 0) + small), -(np.maximum(-exact, 0) + small)
  return np.stack([no, yes], axis=-1)


def decompose_losses(
  logs: Iterable[np.ndarray], truth: np.ndarray
) -> tuple[dict[str, Parts], int]:
  """Splits the expected losses into bias and variance over seeds.

  Squared error, |p - y|^2 with p and y vectors over the outcomes, halved for
  two outcomes (so that it is (p - y)^2 of the positive one): variance is
  M / (M - 1) mean |p_j - mean p|^2, bias is expected loss - variance; both are
  unbiased in the number M of seeds, and bias may come out negative.

  Cross-entropy: with the geometric mean q of the members' probabilities, Z its
  sum over the outcomes, bias is -log(q_y / Z) and variance -log Z; the sum is
  the mean cross-entropy exactly. With few seeds the variance is too small.

  Args:
    logs: for each seed, float64 [example, question, outcome], see
      `outcome_logs`; taken one at a time.
    truth: int [example, question], the right outcome.

  Returns:
    The parts by the names of `columns.LOSSES`, and the number of seeds.
  """
  seeds = 0
  for log_p in logs:
    p = np.exp(log_p)
    if not seeds:
      mean_log, mean_p = np.zeros_like(log_p), np.zeros_like(p)
      squares = np.zeros(truth.shape)
    seeds += 1
    mean_log += (log_p - mean_log) / seeds
    away = p - mean_p
    mean_p += away / seeds
    # Welford: the sum of squares around the mean so far, never negative.
    squares += np.sum(away * (p - mean_p), axis=-1)
  weight = 0.5 if mean_p.shape[-1] == 2 else 1.0
  right = np.take_along_axis(mean_p, truth[..., None], axis=-1)[..., 0]
  # |p - y|^2 = |p|^2 - 2 p_y + 1, kept as a sum of squares.
  off = np.sum(mean_p**2, axis=-1) - right**2 + (1 - right) ** 2
  squared = weight * (squares / seeds + off)
  entropy = -np.take_along_axis(mean_log, truth[..., None], axis=-1)[..., 0]
  missing = np.full(truth.shape, np.nan)
  spread = weight * squares / (seeds - 1) if seeds > 1 else missing
  # By Hoelder's inequality at least 0, up to rounding.
  normaliser = np.maximum(-np.logaddexp.reduce(mean_log, axis=-1), 0.0)
  doubt = normaliser if seeds > 1 else missing
  return {
    "squared_error": Parts(
      expected=squared, bias=squared - spread, variance=spread
    ),
    "cross_entropy": Parts(
      expected=entropy, bias=entropy - doubt, variance=doubt
    ),
  }, seeds


def bias_variance_table(evidence: Evidence, arrays: xr.Dataset) -> pd.DataFrame:
  """The table "bias_variance": populations, attributes, groups, two losses.

  Exclusive classes: the classifier as a whole, and the examples of each class.
  """
  facts = evidence.facts
  truth = facts.labels.astype(np.int64)
  if facts.exclusive:
    truth = np.argmax(truth, axis=1)[:, None]
  counts = _sums(np.ones(truth.shape), facts)
  key = _key(facts, counts)
  parts = []
  for population, places in evidence.populations().items():
    losses, seeds = decompose_losses(
      (outcome_logs(evidence.logits(i), facts.exclusive) for i in places),
      truth,
    )
    columns = {
      **population_columns(population, len(key)),
      **{str(name): key[name].to_numpy() for name in key},
      "n_seeds": np.full(len(key), seeds),
      **{
        column: np.concatenate(
          [
            divide(_sums(getattr(losses[loss], part), facts), counts).ravel()
            for loss in LOSSES
          ]
        )
        for column, part in (
          ("expected_loss", "expected"),
          ("bias", "bias"),
          ("variance", "variance"),
        )
      },
      "reason": join_reasons(
        len(key),
        [
          (key["n_examples"].to_numpy() == 0, "no labels in the group"),
          (
            np.full(len(key), seeds == 1),
            "bias and variance not available: one seed",
          ),
        ],
      ),
    }
    parts.append(frame("bias_variance", columns, arrays))
  return pd.concat(parts, ignore_index=True)


def _sums(values: np.ndarray, facts: Facts) -> np.ndarray:
  """Sums over the labelled examples of each group: float64 [row, group].

  The rows are the attributes, or the whole and then the classes.
  """
  membership = facts.groups.membership
  if facts.exclusive:
    inside = np.concatenate([np.ones_like(values), facts.labels], axis=1)
    return (inside * values).T @ membership
  if facts.present is not None:
    values = np.where(facts.present, values, 0.0)
  return values.T @ membership


def _key(facts: Facts, counts: np.ndarray) -> pd.DataFrame:
  """What the rows of one population are of; losses go slowest."""
  names = [ALL, *facts.names] if facts.exclusive else [*facts.names]
  groups = len(facts.groups.identity)
  rows = pd.DataFrame(
    {
      "attribute": np.repeat(np.array(names, object), groups),
      "identity": np.tile(np.array(facts.groups.identity, object), len(names)),
      "value": np.tile(np.array(facts.groups.value, object), len(names)),
      "n_examples": counts.ravel().astype(np.int64),
    }
  )
  return pd.concat([rows.assign(loss=loss) for loss in LOSSES])
