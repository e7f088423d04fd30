"""The table "over_indexing": who is over-represented among the exemplars?

Reference: Hooker et al. 2020 compare the share of protected groups among the
exemplars with their share in the data. The form given the label, the test by
member permutation and the adjustment are this project's.
"""

import dataclasses

import numpy as np
import pandas as pd
import xarray as xr

from prunebias_jax.analysis.columns import EVERYONE
from prunebias_jax.analysis.evidence import Evidence
from prunebias_jax.analysis.exemplars.comparison import Comparison, truths
from prunebias_jax.analysis.exemplars.conditional import fisher, wilson
from prunebias_jax.analysis.exemplars.exchange import Exchange
from prunebias_jax.analysis.exemplars.shares import population_columns
from prunebias_jax.analysis.exemplars.tally import adjusted
from prunebias_jax.analysis.facts import Facts
from prunebias_jax.analysis.flags import join_reasons
from prunebias_jax.analysis.rates import divide
from prunebias_jax.analysis.tables import frame


@dataclasses.dataclass(frozen=True, kw_only=True)
class Characteristics:
  """What an example may be, besides the label in question.

  Attributes:
    identity: the identities, then the attributes (or classes).
    value: the identity's value; "1" of an attribute or class.
    columns: float32 [example, column]: the groups, the attributes and, where
      labels are missing, which of these are there. Column 0 is everyone.
    of: int [characteristic], its column.
    known: int [characteristic], the column of the examples of which it is
      known.
    given: the labels of the question that are looked at apart.
  """

  identity: tuple[str, ...]
  value: tuple[str, ...]
  columns: np.ndarray
  of: np.ndarray
  known: np.ndarray
  given: tuple[str, ...]

  @property
  def texts(self) -> tuple[str, ...]:
    """The column `given`: "" for whatever label, then each label."""
    return ("", *self.given)


def characteristics(facts: Facts) -> Characteristics:
  """Groups and labels of the examples; identities count as groups only."""
  groups = facts.groups
  chosen = [
    place
    for place, name in enumerate(facts.names)
    if name not in facts.identity_names
  ]
  number, labels = len(groups.identity), len(chosen)
  parts = [groups.membership, facts.labels[:, chosen]]
  known = np.zeros(number + labels, int)
  if facts.present is not None:
    parts.append(facts.present[:, chosen])
    known[number:] = number + labels + np.arange(labels)
  return Characteristics(
    identity=(*groups.identity, *(facts.names[place] for place in chosen)),
    value=(*groups.value, *["1"] * labels),
    columns=np.concatenate(parts, axis=1).astype(np.float32),
    of=np.arange(number + labels),
    known=known,
    given=facts.names if facts.exclusive else ("0", "1"),
  )


class OverIndexing:
  """Collects the rows of one comparison, question by question.

  Its `columns` and `take` are what `tally.tally` asks for.
  """

  def __init__(self, evidence: Evidence, comparison: Comparison) -> None:
    self.evidence = evidence
    self.comparison = comparison
    self.known = characteristics(evidence.facts)
    self.truth = truths(evidence)
    shape = (
      self.truth.shape[1],
      len(self.known.texts),
      len(self.known.of),
    )
    self.null_mean = np.full(shape, np.nan)
    self.p = np.full(shape, np.nan)

  def columns(self, question: int, examples: np.ndarray) -> np.ndarray:
    """The characteristics of examples by their label: [cell, block, column].

    The blocks are the labels, and where some are missing the rest.
    """
    every = self.known.columns[examples]
    block = self._blocks(question)[examples]
    return every[:, None, :] * block[:, :, None]

  def take(self, question: int, counts: np.ndarray) -> None:
    """Tests the counts of exemplars, [arrangement, block, column]."""
    exchange = self.comparison.sides.exchange
    if exchange is None:
      return
    base = self._totals(question, None)
    ratio = divide(self._shares(self._given(counts)), self._shares(base))
    self.null_mean[question], self.p[question] = null_ratio(ratio, exchange)

  def _blocks(self, question: int) -> np.ndarray:
    """Which label an example has: float32 [example, block]."""
    truth = self.truth[:, question]
    labels = list(range(len(self.known.given)))
    if np.any(truth < 0):
      labels.append(-1)
    return (truth[:, None] == np.array(labels)).astype(np.float32)

  def _given(self, counts: np.ndarray) -> np.ndarray:
    """All, then each label: [..., given, column] from [..., block, column]."""
    every = counts.sum(axis=-2, keepdims=True)
    labels = counts[..., : len(self.known.given), :]
    return np.concatenate([every, labels], axis=-2)

  def _totals(self, question: int, chosen: np.ndarray | None) -> np.ndarray:
    """Examples, or those of a mask: float64 [given, column]."""
    block, every = self._blocks(question), self.known.columns
    if chosen is not None:
      block, every = block[chosen], every[chosen]
    # Counts of examples are exact in float32.
    return self._given((block.T @ every).astype(np.float64))

  def _shares(self, counts: np.ndarray) -> np.ndarray:
    """Shares [..., given, characteristic] of counts [..., given, column]."""
    return divide(counts[..., self.known.of], counts[..., self.known.known])

  def table(self, where: xr.Dataset) -> pd.DataFrame:
    """The rows: attribute, given label, characteristic."""
    facts, known = self.evidence.facts, self.known
    exemplar = self.comparison.exemplar
    questions = exemplar.shape[1]
    shape = (questions, len(known.texts), known.columns.shape[1])
    hits, totals = np.zeros(shape), np.zeros(shape)
    for question in range(questions):
      totals[question] = self._totals(question, None)
      hits[question] = self._totals(question, exemplar[:, question])
    both, first = hits[..., known.of], hits[..., known.known]
    second, total = totals[..., known.of], totals[..., known.known]
    # A label among the examples of one label of the same question is a
    # constant; and everyone is everyone.
    names = ("(all)",) if facts.exclusive else facts.names
    own = np.array(
      [
        [name in (one, *known.given) for name in known.identity]
        for one in names
      ]
    )
    keep = np.ones(both.shape, bool)
    keep[:, :, np.array(known.identity) == EVERYONE] = False
    keep[:, 1:] &= ~own[:, None]
    rows = np.nonzero(keep)
    return self._framed(
      rows,
      [one[rows].astype(int) for one in (both, first, second, total)],
      np.array(names, object),
      where,
    )

  def _framed(
    self,
    rows: tuple[np.ndarray, ...],
    counts: list[np.ndarray],
    names: np.ndarray,
    where: xr.Dataset,
  ) -> pd.DataFrame:
    both, first, second, total = counts
    known = self.known
    low, high = wilson(both, first, self.evidence.options.level)
    share_all = divide(second, total)
    ratio = divide(divide(both, first), share_all)
    exchange = self.comparison.sides.exchange
    there = np.isfinite(ratio)
    # One family: the characteristics of one question and given label.
    p = np.full(self.p.shape, np.nan)
    p[rows] = np.where(there, self.p[rows], np.nan)
    if exchange is None or exchange.reason:
      p[:] = np.nan
    why = self.comparison.reason if exchange is None else exchange.reason
    reason = join_reasons(
      len(both),
      [
        (total == 0, "no example has the label"),
        ((second == 0) & (total > 0), "no example in the group"),
        ((first == 0) & (total > 0), "no exemplar"),
        *([(there, why)] if why else []),
      ],
    )
    some = np.where(there, share_all, np.nan)
    return frame(
      "over_indexing",
      {
        **population_columns(self.comparison, len(both)),
        "attribute": names[rows[0]],
        "given": np.array(known.texts, object)[rows[1]],
        "identity": np.array(known.identity, object)[rows[2]],
        "value": np.array(known.value, object)[rows[2]],
        "n_exemplars": first,
        "n_group": both,
        "share_exemplars": divide(both, first),
        "share_all": share_all,
        "ratio": ratio,
        "low_conditional": low / some,
        "high_conditional": high / some,
        "null_mean": np.where(there, self.null_mean[rows], np.nan),
        "p": p[rows],
        "p_adjusted": adjusted(p, axis=2)[rows],
        "p_conditional": np.where(
          there, fisher(both, first, second, total), np.nan
        ),
        "reason": reason,
      },
      where,
    )


def null_ratio(
  ratio: np.ndarray, exchange: Exchange
) -> tuple[np.ndarray, np.ndarray]:
  """The mean ratio under the null, and the two-sided p of the observed one.

  The statistic is the distance to the mean over all arrangements at hand, the
  observed one included: a mean that does not know which of them is observed.
  An arrangement without exemplars counts as one at the mean.

  Args:
    ratio: float64 [arrangement, ...], row 0 the observed; NaN without
      exemplars.
    exchange: the arrangements.
  """
  there = np.isfinite(ratio)
  total = np.where(there, ratio, 0.0)
  middle = divide(total.sum(axis=0), there.sum(axis=0))
  away = np.where(there, np.abs(ratio - middle), 0.0)
  p = np.where(there[0], exchange.share(away), np.nan)
  rows = slice(0 if exchange.exact else 1, None)
  return divide(total[rows].sum(axis=0), there[rows].sum(axis=0)), p
