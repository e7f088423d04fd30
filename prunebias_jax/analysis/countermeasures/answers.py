"""Answers counted by group, label and what was answered; metrics from counts.

A countermeasure changes answers, so that all of them come down to one count:
how many examples of a group and label have which answer.
"""

from collections.abc import Sequence
import dataclasses

import numpy as np

from prunebias_jax.analysis.bias import bias_amplification
from prunebias_jax.analysis.facts import Facts
from prunebias_jax.analysis.parity import Parity
from prunebias_jax.analysis.rates import (
  Confusion,
  balanced_accuracy,
  divide,
  group_rates,
  tcb,
)

# The states of a label: 0, 1, and not there.
LABELS = 3
Row = tuple[str, str, str]  # metric, identity, value


@dataclasses.dataclass(frozen=True, kw_only=True)
class Partition:
  """The examples by the values of one identity.

  Attributes:
    identity: its name.
    values: its values, as text.
    rows: int [value], of these groups in `Facts.groups`.
    value: int [example], the place of its value in `values`.
  """

  identity: str
  values: tuple[str, ...]
  rows: np.ndarray
  value: np.ndarray


def partitions(facts: Facts) -> list[Partition]:
  """The identities; in `Facts.groups` their values follow on everyone."""
  groups = facts.groups
  result = []
  for name in facts.identity_names:
    rows = np.flatnonzero(np.array(groups.identity, object) == name)
    result.append(
      Partition(
        identity=name,
        values=tuple(groups.value[row] for row in rows),
        rows=rows,
        value=np.argmax(groups.membership[:, rows], axis=1),
      )
    )
  return result


def label_states(facts: Facts) -> np.ndarray:
  """0, 1, or 2 where the label is missing: int64 [example, output]."""
  states = facts.labels.astype(np.int64)
  return states if facts.present is None else np.where(facts.present, states, 2)


def tally(
  codes: np.ndarray, states: int, parts: Sequence[Partition]
) -> np.ndarray:
  """Counts codes by group: everyone, then the values of each identity.

  Args:
    codes: int64 [example, output], from 0 to states - 1.
    states: how many codes there are.
    parts: the identities.

  Returns:
    float64 [group, output, state], groups as the first ones of `Facts.groups`.
  """
  outputs = codes.shape[1]
  bins = outputs * states
  places = codes + states * np.arange(outputs)
  counts = [
    np.bincount(
      (places + bins * part.value[:, None]).ravel(),
      minlength=bins * len(part.values),
    ).reshape(len(part.values), outputs, states)
    for part in parts
  ]
  everyone = (
    counts[0].sum(axis=0)
    if counts
    else np.bincount(places.ravel(), minlength=bins).reshape(outputs, states)
  )
  return np.concatenate([everyone[None], *counts]).astype(np.float64)


def metric_rows(facts: Facts) -> list[Row]:
  """The rows of what `measured` returns."""
  bias = [
    ("abs_bias_amplification", identity, value)
    for identity, value in zip(
      facts.pairs.identity, facts.pairs.value, strict=True
    )
  ]
  gaps = [
    (metric, identity, "")
    for metric in ("false_positive_rate_gap", "false_negative_rate_gap")
    for identity in facts.identity_names
  ]
  singles = ("accuracy", "balanced_accuracy", "abs_log_tcb")
  return [*((name, "", "") for name in singles), *bias, *gaps]


def measured(
  answers: np.ndarray,
  facts: Facts,
  parts: Sequence[Partition],
  parity: Parity,
) -> np.ndarray:
  """Metrics of counted answers.

  Args:
    answers: float64 [group, output, label, answer]; what is not answered is
      left out.
    facts: the ground truth.
    parts: the identities.
    parity: see `bias_amplification` and `tcb`.

  Returns:
    float64 [row, output], rows as in `metric_rows`; NaN where there is no
    value or it is infinite.
  """
  known = answers[:, :, :2]
  counts = Confusion(
    true_positive=known[..., 1, 1],
    predicted=known[..., 1].sum(axis=-1),
    positive=known[..., 1, :].sum(axis=-1),
    total=known.sum(axis=(-2, -1)),
    selected=answers[..., 1].sum(axis=-1),
    size=answers.sum(axis=(-2, -1)),
  )
  rates = group_rates(counts)
  ratio = tcb(
    divide(counts.predicted, counts.total)[0],
    divide(counts.positive, counts.total)[0],
    facts.prevalence,
    parity=parity,
  )
  with np.errstate(divide="ignore"):
    shift = np.abs(np.log(ratio))
  bias, _ = bias_amplification(counts, facts.pairs, parity=parity)
  rows = [
    rates.accuracy[:1],
    balanced_accuracy(rates)[:1],
    shift[None],
    np.abs(bias),
    *(
      _gap(rate[part.rows])[None]
      for rate in (rates.false_positive_rate, rates.false_negative_rate)
      for part in parts
    ),
  ]
  values = np.concatenate(rows)
  return np.where(np.isfinite(values), values, np.nan)


def _gap(rates: np.ndarray) -> np.ndarray:
  """Largest minus smallest rate of the groups that have one: float64 [output].

  NaN with fewer than two such groups.
  """
  finite = np.isfinite(rates)
  largest = np.where(finite, rates, -np.inf).max(axis=0)
  smallest = np.where(finite, rates, np.inf).min(axis=0)
  enough = finite.sum(axis=0) > 1
  return np.subtract(
    largest, smallest, out=np.full(enough.shape, np.nan), where=enough
  )
