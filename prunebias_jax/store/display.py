"""A run as a notebook shows it."""

import html

import pandas as pd

from prunebias_jax.analysis.display import table_html
from prunebias_jax.store.layout import output_dimension
from prunebias_jax.store.run import Run

NAMED = 8


def run_html(run: Run) -> str:
  """What a run holds: its populations, examples, outputs and identities.

  Returns:
    HTML in which all text is escaped.
  """
  members, test = run.members(), run.split("test")
  output = output_dimension(run.task)
  sizes = ", ".join(
    f"{run.split(name).sizes['example']:,} {name}" for name in run.splits
  )
  rows = [
    ("from", _origin(run)),
    ("examples", sizes),
    (output, _shortened(test[output].values.tolist())),
    ("identities", _shortened(test["identity"].values.tolist())),
    ("logits", ", ".join(map(" ".join, run.evaluations()))),
  ]
  keys = ["pruner", "sparsity", "quantization"]
  populations = [
    {
      **dict(zip(keys, key, strict=True)),
      "members": len(part),
      "done": int(part["done"].sum()),
      "seeds": _shortened(part["seed"].astype(str).tolist()),
    }
    for key, part in members.groupby(keys, sort=False)
  ]
  title = f"<b>Run {html.escape(run.name)}</b> ({html.escape(str(run.path))})"
  return (
    title
    + table_html(pd.DataFrame(rows), header=False)
    + table_html(pd.DataFrame(populations))
  )


def _origin(run: Run) -> str:
  """Where the members are from."""
  if run.imported is None:
    return "trained here"
  names = [one["name"] for one in run.imported["files"]]
  return f"imported: {_shortened(names)}"


def _shortened(names: list[str]) -> str:
  """The first names, and how many more there are."""
  more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
  return (", ".join(names[:NAMED]) + more) or "none"
