"""The chapter about another run."""

import numpy as np

from prunebias_jax.report.page import Section, Table
from prunebias_jax.report.sections.comparison import (
  differences,
  exemplars,
  lines,
  settings,
)
from prunebias_jax.report.sections.comparison.runs import Comparison
from prunebias_jax.report.vocabulary import listed

ALIKE = "Not available: nothing that the runs record of themselves differs."


def section(comparison: Comparison) -> Section:
  """What differs, both runs' lines, and the differences."""
  return Section(
    slug="comparison",
    title=f"Against {_full_names(comparison)[1]}",
    short=f"Against {comparison.names[1]}",
    text=tuple(_text(comparison)),
    parts=(
      _settings(comparison),
      lines.metrics_figure(comparison),
      lines.bias_figure(comparison),
      lines.groups_figure(comparison),
      exemplars.figure(comparison),
      differences.figure(comparison),
      *differences.tables(comparison),
    ),
  )


def _text(comparison: Comparison) -> list[str]:
  """What is compared, and what not."""
  names = [
    f"“{full}”" + (f" (below: {short})" if short != full else "")
    for full, short in zip(
      _full_names(comparison), comparison.names, strict=True
    )
  ]
  found = [
    f"This run, {names[0]}, is compared with {names[1]}. What differs between "
    "them need not be the reason of a difference: every setting of the table "
    "may have its part in it.",
    *(
      [" ".join(comparison.ground.reasons)] if comparison.ground.reasons else []
    ),
    _populations(comparison),
    comparison.why,
  ]
  rates = _train_rates(comparison)
  return [*found, rates] if rates else found


def _full_names(comparison: Comparison) -> list[str]:
  """The runs' names as they are, which may be the same."""
  runs = [source.run for source in comparison.sources]
  return [run.name or run.path.name for run in runs]


def _populations(comparison: Comparison) -> str:
  """Which populations are compared, and which have none to compare with."""
  if not comparison.matches:
    return differences.NO_MATCH
  text = "Compared: " + listed(
    [comparison.label(one) for one in comparison.matches]
  )
  for run, name in enumerate(comparison.names):
    matched = [(one.first, one.second)[run] for one in comparison.matches]
    alone = [
      one.label
      for one in comparison.sources[run].populations
      if tuple(one) not in matched
    ]
    if alone:
      text += f"; only in {name}: {listed(alone)}"
  return f"{text}."


def _train_rates(comparison: Comparison) -> str:
  """Said where the train labels differ, which some metrics go by."""
  outputs = list(comparison.ground.outputs)
  rates = [
    source.analysis.arrays["prevalence"]
    .sel({source.output: outputs})
    .to_numpy()
    for source in comparison.sources
  ]
  apart = np.abs(rates[1] - rates[0])
  if not (apart > 0).any():
    return ""
  worst = int(np.nanargmax(apart))
  return (
    "The train labels of the runs are not the same (rates differ most for "
    f"{outputs[worst]}: {100 * rates[0][worst]:.2f} and "
    f"{100 * rates[1][worst]:.2f} %). TCB counts the value that is rarer in "
    "training, bias amplification the group with the higher train rate: where "
    "these are not the same in both runs, a difference compares two things."
  )


def _settings(comparison: Comparison) -> Table:
  """The table of what differs."""
  bands = settings.differing(*comparison.sources)
  return Table(
    slug="comparison-settings",
    title="What differs between the runs",
    head=("Setting", *comparison.names),
    bands=bands,
    texts=3,
    reason="" if bands else ALIKE,
  )
