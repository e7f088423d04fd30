"""What the criteria of the dense models are worth, in words and numbers."""

from collections.abc import Hashable, Mapping
import dataclasses

import numpy as np
import pandas as pd

from prunebias_jax.report.page import Row, Table
from prunebias_jax.report.sections.criteria.safety import (
  FAMILIES,
  default_rows,
  plural_of,
)
from prunebias_jax.report.sections.families import families
from prunebias_jax.report.source import Source
from prunebias_jax.report.vocabulary import (
  NOT_AVAILABLE,
  count_of,
  listed,
  number,
  percent,
)

_NAMES = {
  "abs_log_tcb": "|log TCB|",
  "train_rate_gap": "gap of train rates",
}
Target = tuple[str, str, str]


def in_words(criterion: str) -> str:
  """A criterion as a reader names it."""
  return _NAMES.get(criterion, criterion.replace("_", " "))


def by_target(rows: pd.DataFrame) -> list[tuple[Target, pd.DataFrame]]:
  """The rows of each target, identity and value; TCB first."""
  ordered = rows.sort_values("target", ascending=False, kind="stable")
  groups = ordered.groupby(["target", "identity", "value"], sort=False)
  return [
    ((str(target), str(identity), str(value)), group)
    for (target, identity, value), group in groups
  ]


def verdict(source: Source) -> tuple[str, ...]:
  """A paragraph: is any criterion better than guessing the majority?"""
  rows = default_rows(source.table("criteria"))
  rows = rows[np.isfinite(rows["decision_accuracy"])]
  if rows.empty:
    return (
      "Whether the dense models foretell which "
      f"{plural_of(source)} become unsafe cannot be judged here: nowhere are "
      "enough of them decided, with both verdicts among them.",
    )
  gain = rows["decision_accuracy"] - rows["majority_accuracy"]
  better, worse = gain > 1e-9, gain < -1e-9
  text = (
    "A rule on one property of the dense models was tried in "
    f"{count_of(len(rows), 'case')} (property, pruner, level and kind of "
    f"bias): it decides more {plural_of(source)} right than always guessing "
    f"the more frequent verdict in {int(better.sum())}, as many in "
    f"{int((~better & ~worse).sum())} and fewer in {int(worse.sum())}."
  )
  never = [
    in_words(name)
    for name, group in gain.groupby(rows["criterion"], sort=False)
    if not (group > 1e-9).any()
  ]
  if never:
    text += f" Nowhere better than guessing the majority: {listed(never)}."
  if better.any():
    place = gain.idxmax()
    best = rows.loc[place]
    right = gain[place] * best["n_decided"]
    text += (
      f" The largest gain, {in_words(best['criterion'])} at "
      f"{percent(best['sparsity'])} % ({best['pruner']}), is "
      f"{number(100 * gain[place], 1, sign=True)} points, that is "
      f"{right:.0f} of {int(best['n_decided'])} decided {plural_of(source)}: "
      "the best of that many tries overstates itself."
    )
  return (text,)


def table(source: Source, missing: str) -> Table:
  """Every criterion, level and kind of bias."""
  found = Table(
    slug="criteria",
    title="Every criterion, level and kind of bias",
    reason=missing,
    folded=True,
  )
  if missing:
    return found
  bands = []
  for family in families(source)[:FAMILIES]:
    rows = family.rows(default_rows(source.table("criteria")))
    for (target, identity, value), group in by_target(rows):
      name = "TCB"
      if target != "tcb":
        name = f"Bias amplification, {source.group_name(identity, value)}"
      bands.append(
        (
          f"{name}: {family.label}",
          tuple(_row(row) for row in group.to_dict("records")),
        )
      )
  return dataclasses.replace(
    found,
    head=(
      "property of the dense models",
      "level",
      "Spearman",
      "interval",
      plural_of(source),
      "decided",
      "of these not safe",
      "rule right (%)",
      "majority right (%)",
      "more right than the majority",
      "why not, or care",
    ),
    bands=tuple(bands),
    note=(
      "Default thresholds; those under calibrated thresholds and all other "
      "rows are in analysis/criteria.csv."
    ),
  )


def _row(row: Mapping[Hashable, object]) -> Row:
  """One line of the table."""
  values = {
    name: float(str(row[name]))
    for name in (
      "sparsity",
      "spearman",
      "low",
      "high",
      "n_attributes",
      "n_decided",
      "n_not_safe",
      "decision_accuracy",
      "majority_accuracy",
    )
  }
  interval = NOT_AVAILABLE
  if np.isfinite(values["low"]):
    low, high = (number(values[k], 2, sign=True) for k in ("low", "high"))
    interval = f"[{low}, {high}]"
  right, usual = values["decision_accuracy"], values["majority_accuracy"]
  gain = NOT_AVAILABLE
  if np.isfinite(right):
    more = round((right - usual) * values["n_decided"])
    gain = f"{number(more, 0, sign=True)} of {values['n_decided']:.0f}"
    gain += "" if more > 0 else ": no better"
  return (
    in_words(str(row["criterion"])),
    f"{percent(values['sparsity'])} %",
    number(values["spearman"], 2, sign=True),
    interval,
    f"{values['n_attributes']:.0f}",
    f"{values['n_decided']:.0f}",
    f"{values['n_not_safe']:.0f}",
    number(100 * right, 1),
    number(100 * usual, 1),
    gain,
    str(row["reason"]),
  )
