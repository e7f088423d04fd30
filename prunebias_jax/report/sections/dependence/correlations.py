"""Correlations of the predictions beside those of the labels."""

from collections.abc import Mapping
import dataclasses
import functools

import numpy as np
import pandas as pd
from scipy.cluster import hierarchy
from scipy.spatial import distance

from prunebias_jax.analysis.columns import POPULATION, RULES
from prunebias_jax.report.captions import (
  NO_COMPRESSED,
  NO_DENSE,
  no_difference,
)
from prunebias_jax.report.keys import Population, rows_of
from prunebias_jax.report.page import Figure, Panel, draw_panel
from prunebias_jax.report.plots import Cloud, matrix, nice_limit, scatter
from prunebias_jax.report.source import Source
from prunebias_jax.report.vocabulary import count_of, number

PREDICTIONS, ERRORS = "predictions", "errors"
ONLY_ATTRIBUTES = (
  "Not available: exclusive classes have no correlations; which class is "
  "predicted already says which are not."
)
ONE_ATTRIBUTE = "Not available: the run predicts one attribute: no pairs."
NO_VALUE = (
  "Not available: in every pair one of the two is constant in every seed."
)
_MEANING = (
  "Pearson correlation over the test examples of two attributes, both 0 or 1"
)


@dataclasses.dataclass(frozen=True)
class Pairs:
  """The table `correlations` under default thresholds, by population.

  Attributes:
    source: the run's numbers.
  """

  source: Source

  @property
  def reason(self) -> str:
    """Why there are none; "" where there are some."""
    if self.source.output != "attribute":
      return ONLY_ATTRIBUTES
    return ONE_ATTRIBUTE if len(self.source.outputs) == 1 else ""

  @functools.cached_property
  def _tables(self) -> Mapping[tuple[str, Population], pd.DataFrame]:
    table = self.source.table("correlations")
    table = table[table["threshold_rule"] == RULES[0]]
    return {
      (what, one): rows_of(table[table["of"] == what], one).reset_index(
        drop=True
      )
      for what in (PREDICTIONS, ERRORS)
      for one in self.source.populations
    }

  def of(self, what: str, population: Population) -> pd.DataFrame:
    """The rows of `PREDICTIONS` or `ERRORS`, a pair each, in one order."""
    return self._tables[what, population]

  def square(self, rows: pd.DataFrame, column: str) -> np.ndarray:
    """A column as float64 [attribute, other], in the order of `order`.

    The diagonal is NaN: an attribute's correlation with itself says nothing.
    """
    place = {self.source.outputs[one]: at for at, one in enumerate(self.order)}
    values = np.full((len(place), len(place)), np.nan)
    first = rows["attribute"].map(place).to_numpy(int)
    other = rows["other"].map(place).to_numpy(int)
    values[first, other] = values[other, first] = rows[column]
    return values

  @functools.cached_property
  def order(self) -> list[int]:
    """Places of the attributes, alike ones side by side.

    By average linkage of 1 - r of the labels, the leaves in the order that
    has the least distance between neighbours (`scipy.cluster.hierarchy`); of
    the two directions the one that begins nearer to the run's first. A
    correlation that does not exist counts as 0.
    """
    names = list(self.source.outputs)
    rows = self.of(PREDICTIONS, self.source.populations[0])
    apart = np.ones((len(names), len(names)))
    first = rows["attribute"].map(names.index).to_numpy(int)
    other = rows["other"].map(names.index).to_numpy(int)
    apart[first, other] = apart[other, first] = 1 - rows["labels"].fillna(0)
    np.fill_diagonal(apart, 0)
    between = distance.squareform(apart)
    tree = hierarchy.linkage(between, "average", optimal_ordering=True)
    found = hierarchy.leaves_list(tree).tolist()
    return found if found.index(0) <= len(found) / 2 else found[::-1]


def exaggeration_figure(pairs: Pairs) -> Figure:
  """The predictions' correlations by the labels'; the errors' by dense's."""
  source = pairs.source
  title = "Are the labels' correlations exaggerated?"
  slug = "exaggerated"
  if pairs.reason:
    return Figure(
      slug=slug, title=title, caption=f"{_MEANING}.", reason=pairs.reason
    )
  caption = (
    f"A point is a pair of attributes. First: {_MEANING}, in the predictions "
    "(mean over seeds) by that in the labels. On the line both are alike; "
    "further from 0 than the line the predictions exaggerate it. Second: the "
    "correlation of being wrong, by that of dense: above the line the same "
    "examples are wrong in both attributes more often. Means go over the seeds "
    "that have a value; no interval is drawn, and the points share attributes, "
    "so they are not independent."
  )
  shown = [one for one in (source.dense, source.sparsest) if one is not None]
  counts = " ".join(_counted(pairs, one) for one in shown)
  return Figure(
    slug=slug,
    title=title,
    caption=f"{caption} {_sizes(source)} {counts}",
    panels=(_by_labels(pairs, shown), _errors_by_dense(pairs)),
  )


def _sizes(source: Source) -> str:
  """How many examples and seeds there are, for the captions."""
  examples = source.run.split("test").sizes["example"]
  shown = [one for one in (source.dense, source.sparsest) if one is not None]
  seeds = ", ".join(
    f"{one.label} {count_of(source.size(one), 'seed')}" for one in shown
  )
  return f"{count_of(examples, 'test example')}; {seeds}."


def _counted(pairs: Pairs, population: Population) -> str:
  """How many pairs are further from 0 than those of the labels."""
  rows = pairs.of(PREDICTIONS, population)
  known = rows[rows["correlation"].notna() & rows["labels"].notna()]
  alike = known["correlation"] * np.sign(known["labels"])
  further = int((alike > known["labels"].abs()).sum())
  missing = len(rows) - len(known)
  without = (
    f"; {missing:,} of {len(rows):,} have no value, one of the two being "
    "constant in every seed"
    if missing
    else ""
  )
  return (
    f"Further from 0 than in the labels, with the same sign, {population.label}"
    f": {further:,} of {count_of(len(known), 'pair')}{without}."
  )


def _by_labels(pairs: Pairs, shown: list[Population]) -> Panel:
  slug, title = "exaggerated-predictions", "Predictions by labels"
  parts = [pairs.of(PREDICTIONS, one) for one in shown]
  data = pd.concat(parts, ignore_index=True)
  if data["correlation"].isna().all():
    return Panel(slug=slug, title=title, reason=NO_VALUE)
  clouds = [
    Cloud(
      label=one.label,
      x=rows["labels"].to_numpy(np.float64),
      y=rows["correlation"].to_numpy(np.float64),
    )
    for one, rows in zip(shown, parts, strict=True)
  ]
  return draw_panel(
    lambda: scatter(
      clouds,
      "Correlation of the predictions",
      along="correlation of the labels",
      diagonal=True,
    ),
    slug=slug,
    title=title,
    alt="Correlation of two attributes' predictions against that of their "
    "labels, a point for each pair, and the line on which both are alike. "
    + " ".join(_counted(pairs, one) for one in shown),
    data=data[[*POPULATION, "attribute", "other", "labels", "n_seeds"]].assign(
      correlation=data["correlation"], reason=data["reason"]
    ),
  )


def _errors_by_dense(pairs: Pairs) -> Panel:
  source = pairs.source
  slug, title = "exaggerated-errors", "Errors by dense"
  dense, sparsest = source.dense, source.sparsest
  if dense is None or sparsest is None:
    return Panel(
      slug=slug,
      title=title,
      reason=NO_DENSE if dense is None else NO_COMPRESSED,
    )
  columns = ["attribute", "other"]
  before = pairs.of(ERRORS, dense)[[*columns, "correlation"]]
  after = pairs.of(ERRORS, sparsest)[[*columns, "correlation"]]
  data = before.merge(
    after, on=columns, suffixes=("_dense", "_compressed"), validate="1:1"
  ).assign(**sparsest._asdict())
  x, y = data["correlation_dense"], data["correlation_compressed"]
  both = x.notna() & y.notna()
  if not both.any():
    return Panel(slug=slug, title=title, reason=NO_VALUE)
  above = int((y > x).sum())
  return draw_panel(
    lambda: scatter(
      [Cloud(label="pairs", x=x.to_numpy(float), y=y.to_numpy(float))],
      f"Correlation of the errors, {sparsest.label}",
      along="correlation of the errors, dense",
      diagonal=True,
    ),
    slug=slug,
    title=title,
    alt=f"Correlation of being wrong in two attributes, {sparsest.label} "
    f"against dense: {above:,} of {count_of(int(both.sum()), 'pair')} are "
    "above the line on which both are alike.",
    data=data,
  )


def matrices_figure(pairs: Pairs) -> Figure:
  """Labels, dense, the highest sparsity, and its difference from dense."""
  source = pairs.source
  title = "Which attributes are predicted together?"
  slug = "correlations"
  if pairs.reason:
    return Figure(
      slug=slug, title=title, caption=f"{_MEANING}.", reason=pairs.reason
    )
  caption = (
    f"{_MEANING}: of the labels, and of the predictions (mean over the seeds "
    "in which neither of the two is constant); last, the mean of the paired "
    "differences. Orange: together more often than independent ones would be "
    "(difference: more so than dense); blue: less often. The first three share "
    "one scale, the difference has its own; colours end at the figures of the "
    "key. A small square, or a frame where there are numbers: only some of the "
    "seeds or pairs have a value, and these differ from the others. A slash: "
    "none has. The attributes stand in one order, alike ones "
    "side by side: hierarchical clustering of the labels' correlations r (1 − "
    "r, average linkage, optimal leaf order). No interval is drawn: the CSV of "
    f"the difference has them. {_sizes(source)}"
  )
  dense, sparsest = source.dense, source.sparsest
  label = "Highest sparsity" if sparsest is None else sparsest.label
  missing = no_difference(source)
  plans = (
    _Plan("labels", "Labels", source.populations[0], "labels", ""),
    _Plan("dense", "Dense", dense, "correlation", NO_DENSE),
    _Plan("sparsest", label, sparsest, "correlation", NO_COMPRESSED),
    _Plan(
      "difference", f"Difference, {label} − dense", sparsest, "change", missing
    ),
  )
  shown = [
    pairs.of(PREDICTIONS, one.population)[one.column]
    for one in plans[:3]
    if one.population is not None
  ]
  limit = nice_limit(np.concatenate(shown))
  return Figure(
    slug=slug,
    title=title,
    caption=caption,
    panels=tuple(_matrix_panel(pairs, one, limit) for one in plans),
  )


@dataclasses.dataclass(frozen=True)
class _Plan:
  """A matrix: what it shows of whom, or why it cannot."""

  key: str
  title: str
  population: Population | None
  column: str
  reason: str


def _matrix_panel(pairs: Pairs, plan: _Plan, limit: float) -> Panel:
  slug = f"correlations-{plan.key}"
  if plan.population is None or (plan.column == "change" and plan.reason):
    return Panel(slug=slug, title=plan.title, reason=plan.reason)
  rows = pairs.of(PREDICTIONS, plan.population)
  if rows[plan.column].isna().all():
    return Panel(slug=slug, title=plan.title, reason=NO_VALUE)
  values = pairs.square(rows, plan.column)
  source = pairs.source
  partial = np.zeros(values.shape, bool)
  own = ["attribute", "other", "labels"]
  if plan.column != "labels":
    counted = "n_pairs" if plan.column == "change" else "n_seeds"
    most = (
      source.pairs_with(plan.population)
      if plan.column == "change"
      else source.size(plan.population)
    )
    partial = (pairs.square(rows, counted) < most) & np.isfinite(values)
    own += [counted, plan.column, "reason"]
  if plan.column == "change":
    own[-1:-1] = ["low", "high"]
    limit = nice_limit(rows["change"].to_numpy(np.float64))
  names = [source.outputs[one] for one in pairs.order]
  return draw_panel(
    lambda: matrix(
      values, names, plan.title, limit=limit, unit="r", partial=partial
    ),
    slug=slug,
    title=plan.title,
    alt=_alt(plan, rows, int(np.triu(partial).sum())),
    data=rows[own],
  )


def _alt(plan: _Plan, rows: pd.DataFrame, partial: int) -> str:
  """The ends of a matrix in words, and what it lacks."""
  values = rows[plan.column].to_numpy(np.float64)
  ends = [
    f"{word} {rows['attribute'].iloc[place]} and {rows['other'].iloc[place]}, "
    f"{number(values[place], 2, sign=True)}"
    for word, place in (
      ("highest", int(np.nanargmax(values))),
      ("lowest", int(np.nanargmin(values))),
    )
  ]
  return (
    f"{plan.title}: correlations of {len(rows):,} pairs of attributes; "
    f"{'; '.join(ends)}. {int(np.isnan(values).sum()):,} have no value, "
    f"{partial:,} only in some of the seeds."
  )
