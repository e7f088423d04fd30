"""Sentences on changes against dense, from contrasts.csv."""

from collections.abc import Callable
import math

import numpy as np
import pandas as pd
import scipy.stats

from prunebias_jax.analysis.columns import ALL, EVERYONE, MEAN
from prunebias_jax.analysis.summary.sentence import (
  Sentence,
  Source,
  numbers_of,
  unavailable,
  why_not,
)
from prunebias_jax.analysis.summary.words import (
  POINTS,
  Scale,
  chosen,
  conditions,
  group_text,
  p_text,
  units,
  unpaired,
)

# The columns of contrasts.csv that a sentence states.
CONTRAST = ("n_seeds", "difference", "low", "high", "t_p", "signflip_p")

RATIO = ("n_seeds", "variance_ratio", "ratio_low", "ratio_high")


def summarised(rows: pd.DataFrame) -> pd.DataFrame:
  """Those of a classifier as a whole; where there are none, of the means."""
  whole = rows[rows["attribute"] == ALL]
  return whole if len(whole) else rows[rows["attribute"] == MEAN]


def of_metric(
  metric: str, question: str, subject: str, scale: Scale
) -> Callable[[Source], Sentence]:
  """A sentence on a metric's mean change: of a classifier, or of attributes."""

  def answer(source: Source) -> Sentence:
    rows = source.rows("contrasts", metric=metric, identity=EVERYONE)
    rows = summarised(rows)
    if rows.empty:
      return unavailable(question, "contrasts", source)
    row = rows.iloc[0]
    if math.isnan(row["difference"]):
      return unavailable(question, "contrasts", source, row["reason"])
    over = "" if row["attribute"] == ALL else ", mean over outputs"
    return _moved(question, row, f"{subject}{over}", scale, source)

  return answer


def bias(source: Source) -> Sentence:
  """On the identity whose mean bias amplification changes most."""
  question = "Is bias amplified?"
  rows = source.rows("contrasts", metric="bias_amplification", attribute=MEAN)
  row = _largest(rows, "difference", "t_p")
  if row is None:
    return unavailable(question, "contrasts", source, why_not(rows))
  subject = f"bias amplification by {group_text(row)}, {_averaged(row)}"
  return _moved(question, row, subject, POINTS, source)


def groups(source: Source) -> Sentence:
  """On the group and error rate with the largest change."""
  question = "Which group's errors change most?"
  rows = source.rows("contrasts", attribute=MEAN)
  errors = rows["metric"].isin(("false_positive_rate", "false_negative_rate"))
  single = (rows["identity"] != EVERYONE) & ~rows["identity"].str.contains(
    "*", regex=False
  )
  rows = rows[errors & single]
  row = _largest(rows, "difference", "t_p")
  if row is None:
    return unavailable(question, "contrasts", source, why_not(rows))
  subject = (
    f"the {row['metric'].replace('_', ' ')} of {group_text(row)}, "
    f"{_averaged(row)}"
  )
  return _moved(question, row, subject, POINTS, source)


def variance(source: Source) -> Sentence:
  """On whether bias differs more between seeds than it does for dense."""
  question = "Does bias differ more from seed to seed?"
  every = source.rows("contrasts", metric="bias_amplification", attribute=MEAN)
  # Of a population whose seeds all agree the ratio is 0: nothing is larger.
  rows = every[every["variance_ratio"] > 0]
  row = _largest(rows, "variance_ratio", "pitman_morgan_p", np.log)
  if row is None:
    return unavailable(question, "contrasts", source, why_not(every))
  most = ""
  if len(rows) > 1:
    most = f" the one of {len(rows)} that changes most,"
  text = (
    f"At {source.name}, the variance over seeds of bias amplification by "
    f"{group_text(row)},{most} is {row['variance_ratio']:.2f} times that of "
    "dense"
  )
  test = "Brown-Forsythe" if unpaired(row) else "Pitman-Morgan"
  if math.isnan(row["ratio_low"]):
    text += (
      f" ({units(row)}; no interval; {test}, {p_text(row['p'])}{chosen(row)})"
    )
  else:
    text += (
      f" ({source.coverage} interval of this one alone "
      f"{row['ratio_low']:.2f} to {row['ratio_high']:.2f}, {units(row)}; "
      f"{test}, {p_text(row['p'])}{chosen(row)})"
    )
  text += f"{conditions(row)}."
  return Sentence(
    question=question,
    text=text,
    numbers=numbers_of(row, (*RATIO, "p", "n_compared")),
    source="contrasts",
  )


def _averaged(row: pd.Series) -> str:
  """What a chosen row is, among those that were compared."""
  text = "mean over outputs"
  if row["n_compared"] > 1:
    text += f" and the largest change of {row['n_compared']}"
  return text


def _moved(
  question: str, row: pd.Series, subject: str, scale: Scale, source: Source
) -> Sentence:
  """A sentence on one row of contrasts.csv."""
  text = (
    f"At {source.name}, {subject}, changes by {scale.change(row['difference'])}"
  )
  if math.isnan(row["low"]):
    text += f" against dense; no interval ({row['reason']})."
  else:
    low, high, kind = row["low"], row["high"], "interval over seeds"
    if "p" in row and row["n_compared"] > 1:
      low, high = _simultaneous(row, source.level)
      kind = f"interval over seeds, for all {row['n_compared']} at once,"
    p = row["p"] if "p" in row else row["t_p"]
    test = "Welch's t" if unpaired(row) else "paired t"
    text += (
      f" against dense ({source.coverage} {kind} "
      f"{scale.interval(low, high)}, {units(row)}; {test}, "
      f"{p_text(p)}{chosen(row)}){conditions(row)}."
    )
  columns = [*CONTRAST, *(name for name in ("p", "n_compared") if name in row)]
  if "p" in row:
    low, high = _simultaneous(row, source.level)
    row = pd.concat([row, pd.Series({"low_all": low, "high_all": high})])
    columns += ["low_all", "high_all"]
  return Sentence(
    question=question,
    text=text,
    numbers=numbers_of(row, columns),
    source="contrasts",
  )


def _largest(
  rows: pd.DataFrame,
  column: str,
  p: str,
  size: Callable[[np.ndarray], np.ndarray] = np.asarray,
) -> pd.Series | None:
  """The row that is furthest from no change, with its p adjusted for choice.

  Returns:
    The row with the columns p (Bonferroni's over all rows, as the interval
    is) and n_compared; None where no row has a value.
  """
  rows = rows[np.isfinite(rows[column].to_numpy(float))]
  if rows.empty:
    return None
  adjusted = np.minimum(len(rows) * rows[p].to_numpy(float), 1)
  rows = rows.assign(p=adjusted, n_compared=len(rows))
  return rows.iloc[int(np.argmax(np.abs(size(rows[column].to_numpy(float)))))]


def _simultaneous(row: pd.Series, level: float) -> tuple[float, float]:
  """The t interval of a chosen row, Bonferroni's over all that were compared.

  Of unrelated seeds the degrees of freedom are taken as those of the smaller
  side, which is wider than Welch's.
  """
  middle, freedom = row["difference"], row["n_seeds"] - 1
  tail = (1 - level) / 2
  one = scipy.stats.t.isf(tail, freedom)
  every = scipy.stats.t.isf(tail / row["n_compared"], freedom)
  half = (row["high"] - row["low"]) / 2 * float(every / one)
  return middle - half, middle + half
