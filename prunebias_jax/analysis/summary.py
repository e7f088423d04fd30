"""The ten sentences that a reader wants first, made from the tables.

Each is about the most compressed population against dense, on the test split
with the last parameters and default thresholds. Where a number is chosen as
the largest of several, its p-value is Holm's over all of them.
"""

from collections.abc import Callable, Mapping, Sequence
import dataclasses
import math
from typing import Any

import numpy as np
import pandas as pd

from prunebias_jax.analysis.checks import population_text
from prunebias_jax.analysis.columns import (
  ALL,
  EVERYONE,
  MAIN,
  MEAN,
  POPULATION,
  RULES,
  TABLES,
  WHERE,
)
from prunebias_jax.analysis.inference import holm
from prunebias_jax.analysis.parents import FEW_PARENTS, ONE_PARENT
from prunebias_jax.analysis.variance.contrasts import UNPAIRED

Tables = Mapping[str, pd.DataFrame]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sentence:
  """An answer in words, with the numbers in it.

  Attributes:
    question: what it answers.
    text: the answer; where there is none, "Not available" and why.
    numbers: what the text says, by the names of the tables' columns; empty
      where there is no answer.
    source: the table that the numbers are from.
  """

  question: str
  text: str
  numbers: Mapping[str, Any]
  source: str

  def as_json(self) -> dict[str, Any]:
    """JSON values: a number that is not there is None."""
    numbers = {
      name: None if isinstance(one, float) and not math.isfinite(one) else one
      for name, one in self.numbers.items()
    }
    return {**dataclasses.asdict(self), "numbers": numbers}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Source:
  """The rows that the sentences are made of.

  Attributes:
    tables: the rows of the test split, last parameters, default thresholds.
    population: the most compressed population that pairs with dense: the
      highest sparsity, and there the first that is not quantized.
    level: coverage of the intervals.
  """

  tables: Tables
  population: tuple[str, float, str] | None
  level: float

  def rows(self, table: str, **cell: Any) -> pd.DataFrame:
    """The population's rows of a table with these values."""
    if self.population is None or table not in self.tables:
      return pd.DataFrame(columns=list(TABLES[table]))
    found = self.tables[table]
    wanted = dict(zip(POPULATION, self.population, strict=True)) | cell
    keep = np.ones(len(found), bool)
    for column, value in wanted.items():
      keep &= (found[column] == value).to_numpy()
    return found[keep]

  @property
  def coverage(self) -> str:
    """The level in words: "95 %"."""
    return f"{100 * self.level:g} %"

  @property
  def name(self) -> str:
    """The population in words."""
    assert self.population is not None
    return population_text(*self.population)


def summarise(tables: Tables, level: float) -> list[Sentence]:
  """The ten sentences, in the order in which a reader asks.

  Args:
    tables: those of an analysis.
    level: coverage of its intervals.
  """
  main = {name: _main_rows(table) for name, table in tables.items()}
  contrasts = main["contrasts"]
  population = None
  if len(contrasts):
    order = contrasts.assign(quantized=contrasts["quantization"] != "none")
    order = order.sort_values(
      ["sparsity", "quantized"], ascending=[False, True], kind="stable"
    )
    first = order.iloc[0]
    population = tuple(first[key] for key in POPULATION)
  source = Source(tables=main, population=population, level=level)
  return [answer(source) for answer in ANSWERS]


def _main_rows(table: pd.DataFrame) -> pd.DataFrame:
  """The rows of the main evaluation under default thresholds."""
  keep = np.ones(len(table), bool)
  for column, value in (
    *zip(WHERE, MAIN, strict=True),
    ("threshold_rule", RULES[0]),
  ):
    if column in table:
      keep &= (table[column] == value).to_numpy()
  return table[keep]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scale:
  """How a metric's numbers are put into words."""

  factor: float
  unit: str

  def change(self, value: float) -> str:
    """A change with its sign: "-1.20 points"."""
    return f"{self._number(value)} {self.unit}".rstrip()

  def interval(self, low: float, high: float) -> str:
    """An interval of a change: "-1.40 to -1.00 points"."""
    return f"{self._number(low)} to {self.change(high)}"

  def _number(self, value: float) -> str:
    shown = self.factor * value
    return f"{shown:+.{2 if abs(shown) >= 0.1 else 3}f}"


POINTS = Scale(factor=100, unit="points")
PLAIN = Scale(factor=1, unit="")
# The columns of contrasts.csv that a sentence states.
CONTRAST = ("n_seeds", "difference", "low", "high", "t_p", "signflip_p")
RATIO = ("n_seeds", "variance_ratio", "ratio_low", "ratio_high")


def _summarised(rows: pd.DataFrame) -> pd.DataFrame:
  """Those of a classifier as a whole; where there are none, of the means."""
  whole = rows[rows["attribute"] == ALL]
  return whole if len(whole) else rows[rows["attribute"] == MEAN]


def _of_metric(
  metric: str, question: str, subject: str, scale: Scale
) -> Callable[[Source], Sentence]:
  """A sentence on a metric's mean change: of a classifier, or of attributes."""

  def answer(source: Source) -> Sentence:
    rows = source.rows("contrasts", metric=metric, identity=EVERYONE)
    rows = _summarised(rows)
    if rows.empty:
      return _unavailable(question, "contrasts", source)
    row = rows.iloc[0]
    if math.isnan(row["difference"]):
      return _unavailable(question, "contrasts", source, row["reason"])
    over = "" if row["attribute"] == ALL else ", mean over outputs"
    return _moved(question, row, f"{subject}{over}", scale, source)

  return answer


def _bias(source: Source) -> Sentence:
  """On the identity whose mean bias amplification changes most."""
  question = "Is bias amplified?"
  rows = source.rows("contrasts", metric="bias_amplification", attribute=MEAN)
  row = _largest(rows, "difference", "t_p")
  if row is None:
    return _unavailable(question, "contrasts", source, _why(rows))
  subject = (
    f"bias amplification by {_group(row)}, mean over outputs and the "
    f"largest change of {len(rows)}"
  )
  return _moved(question, row, subject, POINTS, source)


def _groups(source: Source) -> Sentence:
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
    return _unavailable(question, "contrasts", source, _why(rows))
  subject = (
    f"the {row['metric'].replace('_', ' ')} of {_group(row)}, mean over "
    f"outputs and the largest change of {len(rows)}"
  )
  return _moved(question, row, subject, POINTS, source)


def _variance(source: Source) -> Sentence:
  """On whether bias differs more between seeds than it does for dense."""
  question = "Does bias differ more from seed to seed?"
  rows = source.rows("contrasts", metric="bias_amplification", attribute=MEAN)
  row = _largest(rows, "variance_ratio", "pitman_morgan_p", np.log)
  if row is None:
    return _unavailable(question, "contrasts", source, _why(rows))
  text = (
    f"At {source.name}, the variance over seeds of bias amplification by "
    f"{_group(row)}, the one of {len(rows)} that changes most, is "
    f"{row['variance_ratio']:.2f} times that of dense "
  )
  if math.isnan(row["ratio_low"]):
    text += f"(no interval: {row['reason']})."
  else:
    text += (
      f"({source.coverage} interval {row['ratio_low']:.2f} to "
      f"{row['ratio_high']:.2f}, {_seeds(row)}; Pitman-Morgan, {_p(row['p'])})."
    )
  return Sentence(
    question=question,
    text=text,
    numbers=_numbers(row, (*RATIO, "p", "n_compared")),
    source="contrasts",
  )


def _exemplars(source: Source) -> Sentence:
  """On how many majority labels compression changes."""
  question = "On how many examples do majority labels change?"
  table = "exemplar_tests"
  rows = _summarised(source.rows(table, identity=EVERYONE))
  if rows.empty or math.isnan(rows.iloc[0]["cie_share"]):
    reason = "" if rows.empty else rows.iloc[0]["reason"]
    return _unavailable(question, table, source, reason)
  row = rows.iloc[0]
  what = "examples" if row["attribute"] == ALL else "(example, output) pairs"
  text = (
    f"At {source.name}, the majority label of {_percent(row['cie_share'])} of "
    f"the {what} is another than that of dense"
  )
  if math.isnan(row["null_mean"]):
    text += f"; what seeds alone would do is not available ({row['reason']})."
  else:
    text += (
      f"; seeds alone would change {_percent(row['null_mean'])}, which leaves "
      f"an excess of {POINTS.change(row['excess'])} ({row['n_compressed']} "
      f"members against {row['n_dense']}; permutation of members, "
      f"{_p(row['p'])})."
    )
  columns = ("n_dense", "n_compressed", "cie_share", "null_mean", "excess", "p")
  return Sentence(
    question=question, text=text, numbers=_numbers(row, columns), source=table
  )


def _safety(source: Source) -> Sentence:
  """On how many biases are shown not to grow."""
  question = "Where is compression shown to be safe?"
  rows = source.rows("safety", metric="abs_bias_amplification")
  # Means say the same of the pairs again.
  rows = rows[~rows["attribute"].isin([MEAN, ALL])]
  judged = rows[rows["verdict"] != "not available"]
  if judged.empty:
    return _unavailable(question, "safety", source, _why(rows))
  rows = judged
  sparsity = rows["sparsity"].iloc[0]
  safe = int((rows["safe_up_to"] >= sparsity).sum())
  not_safe = int((rows["verdict"] == "not safe").sum())
  text = (
    f"At {source.name} and every level below, |bias amplification| is shown "
    f"not to grow by more than the margin in {safe} of {len(rows)} (output, "
    f"identity) pairs, and to grow by more in {not_safe}; the other "
    f"{len(rows) - safe - not_safe} are undecided (one-sided "
    f"{source.coverage} bounds, Holm over levels)."
  )
  row = pd.Series(
    {
      **dict(zip(POPULATION, source.population or (), strict=True)),
      "n_compared": len(rows),
      "safe": safe,
      "not_safe": not_safe,
    }
  )
  return Sentence(
    question=question,
    text=text,
    numbers=_numbers(row, ("n_compared", "safe", "not_safe")),
    source="safety",
  )


def _power(source: Source) -> Sentence:
  """On the smallest changes that this run can see."""
  question = "How small a change could these seeds show?"
  rows = pd.concat(
    [
      _summarised(source.rows("power", metric="accuracy", identity=EVERYONE)),
      source.rows("power", metric="bias_amplification", attribute=MEAN),
    ]
  )
  rows = rows[np.isfinite(rows["detectable_now"].to_numpy(float))]
  # One row for each delta says the same of the present seeds.
  rows = rows.drop_duplicates(["metric", "identity", "value"])
  if rows.empty:
    return _unavailable(question, "power", source)
  words = [
    f"{100 * row['detectable_now']:.2f} points of {_cell_name(row)}"
    for _, row in rows.iterrows()
  ]
  over = "" if ALL in rows["attribute"].tolist() else "; means over outputs"
  text = (
    f"With {rows['n_now'].iloc[0]} pairs of seeds at {source.name}, changes "
    f"are found four times out of five (paired t, two-sided) from "
    f"{'; '.join(words)}{over}."
  )
  numbers = {
    _cell_name(row): row["detectable_now"] for _, row in rows.iterrows()
  }
  return Sentence(question=question, text=text, numbers=numbers, source="power")


def _cell_name(row: pd.Series) -> str:
  """A metric and its group: "bias amplification by Male = 1"."""
  metric = row["metric"].replace("_", " ")
  return metric if row["identity"] == EVERYONE else f"{metric} by {_group(row)}"


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
    chosen = "p" in row
    p = _p(row["p"] if chosen else row["t_p"])
    if chosen and row["n_compared"] > 1:
      p += f" by Holm over {row['n_compared']}, the interval as if alone"
    text += (
      f" against dense ({source.coverage} interval "
      f"{scale.interval(row['low'], row['high'])}, {_seeds(row)}; "
      f"{_test(row)}, {p})."
    )
  columns = [*CONTRAST, *(name for name in ("p", "n_compared") if name in row)]
  return Sentence(
    question=question,
    text=text,
    numbers=_numbers(row, columns),
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
    The row with the columns p (Holm's over all rows) and n_compared; None
    where no row has a value.
  """
  rows = rows[np.isfinite(rows[column].to_numpy(float))]
  if rows.empty:
    return None
  rows = rows.assign(p=holm(rows[p].to_numpy(float)), n_compared=len(rows))
  return rows.iloc[int(np.argmax(np.abs(size(rows[column].to_numpy(float)))))]


def _unavailable(
  question: str, table: str, source: Source, reason: str = ""
) -> Sentence:
  """A sentence that says that there is no answer."""
  reason = reason or f"{table}.csv has no such row"
  if source.population is None:
    reason = "no compressed member pairs with a dense one"
  return Sentence(
    question=question,
    text=f"Not available: {reason}.",
    numbers={},
    source=table,
  )


def _why(rows: pd.DataFrame) -> str:
  """Why rows of groups have no value, or that there are no groups."""
  if rows.empty:
    return "there are no groups to compare"
  return next((one for one in rows["reason"].tolist() if one), "")


def _numbers(row: pd.Series, columns: Sequence[str]) -> dict[str, Any]:
  """What a row says, by column, with what it is about."""
  about = [
    name
    for name in (*POPULATION, "metric", "attribute", "identity", "value")
    if name in row
  ]
  return {
    name: row[name].item() if hasattr(row[name], "item") else row[name]
    for name in (*about, *columns)
  }


def _group(row: pd.Series) -> str:
  """A group in words: "Male = 1"."""
  return f"{row['identity']} = {row['value']}"


def _seeds(row: pd.Series) -> str:
  """How many there are of what a row of contrasts.csv goes over."""
  for note, what in (
    (UNPAIRED, "seeds on the smaller side, which do not pair"),
    (ONE_PARENT, "members against one dense one"),
    (FEW_PARENTS, "dense members, each against the mean of its own"),
  ):
    if note in row["reason"]:
      return f"{row['n_seeds']} {what}"
  return f"{row['n_seeds']} pairs of seeds"


def _test(row: pd.Series) -> str:
  return "Welch's t" if UNPAIRED in row["reason"] else "paired t"


def _percent(share: float) -> str:
  return f"{100 * share:.2f} %"


def _p(value: float) -> str:
  """A p-value in words."""
  if math.isnan(value):
    return "p not available"
  return "p < .0001" if value < 1e-4 else f"p = {value:.2g}"


ANSWERS: tuple[Callable[[Source], Sentence], ...] = (
  _of_metric("accuracy", "Does accuracy hold?", "accuracy", POINTS),
  _of_metric(
    "uncertainty",
    "Do outputs become less sure?",
    "the share of unsure outputs",
    POINTS,
  ),
  _of_metric(
    "interdependence",
    "Do outputs depend more on each other?",
    "interdependence (R²)",
    PLAIN,
  ),
  _of_metric(
    "tcb",
    "Are rare values predicted less often?",
    "the predicted share of the rarer value over its true share",
    PLAIN,
  ),
  _bias,
  _groups,
  _variance,
  _exemplars,
  _safety,
  _power,
)
