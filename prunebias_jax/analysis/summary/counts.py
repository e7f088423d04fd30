"""Sentences on examples, on safety and on power."""

import math

import numpy as np
import pandas as pd

from prunebias_jax.analysis.columns import ALL, EVERYONE, MEAN, POPULATION
from prunebias_jax.analysis.summary.changes import summarised
from prunebias_jax.analysis.summary.sentence import (
  Sentence,
  Source,
  numbers_of,
  unavailable,
  why_not,
)
from prunebias_jax.analysis.summary.words import (
  POINTS,
  group_text,
  p_text,
  percent,
  units,
)


def exemplars(source: Source) -> Sentence:
  """On how many majority labels compression changes."""
  question = "On how many examples do majority labels change?"
  table = "exemplar_tests"
  rows = summarised(source.rows(table, identity=EVERYONE))
  if rows.empty or math.isnan(rows.iloc[0]["cie_share"]):
    reason = "" if rows.empty else rows.iloc[0]["reason"]
    return unavailable(question, table, source, reason)
  row = rows.iloc[0]
  what = "examples" if row["attribute"] == ALL else "(example, output) pairs"
  text = (
    f"At {source.name}, the majority label of {percent(row['cie_share'])} of "
    f"the {what} is another than that of dense"
  )
  columns = ["n_dense", "n_compressed", "cie_share"]
  if math.isnan(row["null_mean"]):
    text += f"; what seeds alone would do is not available ({row['reason']})."
  elif row["n_dense"] == row["n_compressed"] == 1:
    # To exchange the only two members gives what was observed.
    text += (
      "; what seeds alone would change is not available (one member against "
      "one)."
    )
  else:
    columns += ["null_mean", "excess", "p"]
    text += (
      f"; seeds alone would change {percent(row['null_mean'])}, which leaves "
      f"an excess of {POINTS.change(row['excess'])} ({row['n_compressed']} "
      f"members against {row['n_dense']}; permutation of members, "
      f"{p_text(row['p'])})."
    )
    if math.isnan(row["p"]):
      text += (
        " With so few members the exchanges hold the observed arrangement "
        "itself to a good part, and the excess comes out too small."
      )
  return Sentence(
    question=question, text=text, numbers=numbers_of(row, columns), source=table
  )


def safety(source: Source) -> Sentence:
  """On how many biases are shown not to grow."""
  question = "Where is compression shown to be safe?"
  rows = source.rows("safety", metric="abs_bias_amplification")
  # Means say the same of the pairs again.
  rows = rows[~rows["attribute"].isin([MEAN, ALL])]
  judged = rows[rows["verdict"] != "not available"]
  if judged.empty:
    reason = why_not(rows)
    if (
      rows.empty
      and not source.rows("contrasts", metric="bias_amplification").empty
    ):
      reason = "its members do not pair with dense ones"
    return unavailable(question, "safety", source, reason)
  rows = judged
  sparsity = rows["sparsity"].iloc[0]
  safe = int((rows["safe_up_to"] >= sparsity).sum())
  not_safe = int((rows["verdict"] == "not safe").sum())
  text = (
    f"At {source.name} and every level below, |bias amplification| is shown "
    f"not to grow by more than the margin in {safe} of {len(rows)} (output, "
    f"identity) pairs, and to grow by more in {not_safe}; the other "
    f"{len(rows) - safe - not_safe} are undecided (one-sided "
    f"{source.coverage} bounds, Holm over levels; not adjusted for the number "
    "of pairs)."
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
    numbers=numbers_of(row, ("n_compared", "safe", "not_safe")),
    source="safety",
  )


def power(source: Source) -> Sentence:
  """On the smallest changes that this run can see."""
  question = "How small a change could these seeds show?"
  rows = pd.concat(
    [
      summarised(source.rows("power", metric="accuracy", identity=EVERYONE)),
      source.rows("power", metric="bias_amplification", attribute=MEAN),
    ]
  )
  rows = rows[np.isfinite(rows["detectable_now"].to_numpy(float))]
  # One row for each delta says the same of the present seeds.
  rows = rows.drop_duplicates(["metric", "identity", "value"])
  if rows.empty:
    return unavailable(question, "power", source)
  words = [
    f"{100 * row['detectable_now']:.2f} points of {_cell_name(row)}"
    for _, row in rows.iterrows()
  ]
  over = "" if ALL in rows["attribute"].tolist() else "; means over outputs"
  # What a pair is, contrasts.csv says.
  contrast = source.rows("contrasts", metric="accuracy", identity=EVERYONE)
  text = (
    f"With {units(summarised(contrast).iloc[0])} at {source.name}, changes "
    f"are found four times out of five (paired t, two-sided) from "
    f"{'; '.join(words)}{over}, if the sd of the differences is what it is "
    "here."
  )
  numbers = {
    _cell_name(row): row["detectable_now"] for _, row in rows.iterrows()
  }
  return Sentence(question=question, text=text, numbers=numbers, source="power")


def _cell_name(row: pd.Series) -> str:
  """A metric and its group: "bias amplification by Male = 1"."""
  metric = row["metric"].replace("_", " ")
  return (
    metric if row["identity"] == EVERYONE else f"{metric} by {group_text(row)}"
  )
