"""The verdicts as CSV and JSON, for people and other programs."""

from collections.abc import Sequence
import csv
import io
import json
import math
from typing import Any

from prunebias_jax.audit.agreement import agreements, rates
from prunebias_jax.audit.log import Identity, Plan
from prunebias_jax.audit.records import Record

COLUMNS = (
  "example_id",
  "attribute",
  "label",
  "reviewer",
  "verdict",
  "note",
  "time",
  "seconds",
  "arm",
  "blind",
  "pruner",
  "sparsity",
  "quantization",
  "rank",
)
# A spreadsheet takes text that begins so for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def as_csv(verdicts: Sequence[Record]) -> str:
  """The verdicts that stand, one a line.

  Text that a spreadsheet would run as a formula begins with an apostrophe
  here; the JSON has it as it is.
  """
  buffer = io.StringIO()
  # All text is quoted: that of a lone carriage return would not be.
  writer = csv.writer(buffer, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
  writer.writerow(COLUMNS)
  for record in verdicts:
    values = record.to_dict()
    writer.writerow([_cell(values[name]) for name in COLUMNS])
  return buffer.getvalue()


def as_json(verdicts: Sequence[Record], identity: Identity, plan: Plan) -> str:
  """The verdicts that stand, with whose they are, rates and agreement."""
  found = {
    "run": identity.name,
    "split": plan.split,
    "verdicts": [
      {name: record.to_dict()[name] for name in COLUMNS} for record in verdicts
    ],
    "rates": rates(verdicts),
    "agreement": agreements(verdicts),
  }
  return json.dumps(without_nan(found), indent=1, ensure_ascii=False) + "\n"


def without_nan(value: Any) -> Any:
  """JSON values with None for numbers that are not there."""
  if isinstance(value, dict):
    return {name: without_nan(one) for name, one in value.items()}
  if isinstance(value, list | tuple):
    return [without_nan(one) for one in value]
  if isinstance(value, float) and not math.isfinite(value):
    return None
  return value


def _cell(value: Any) -> Any:
  if value is None:
    return ""
  if isinstance(value, bool):
    return int(value)
  if isinstance(value, str) and value.startswith(_FORMULA):
    return f"'{value}"
  return value
