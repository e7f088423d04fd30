"""How far is compression safe? The verdicts of every level."""

from collections.abc import Sequence
import dataclasses

import numpy as np
import pandas as pd

from prunebias_jax.analysis.bias import FEW_POSITIVES
from prunebias_jax.analysis.columns import MEAN
from prunebias_jax.analysis.criteria import safety as verdicts
from prunebias_jax.report.page import (
  Figure,
  Panel,
  draw_panel,
  slug_of,
)
from prunebias_jax.report.palette import LIGHT
from prunebias_jax.report.plots import (
  Block,
  Verdict,
  verdict_bars,
  verdict_map,
)
from prunebias_jax.report.sections.families import Family, families
from prunebias_jax.report.source import Source
from prunebias_jax.report.vocabulary import (
  count_of,
  listed,
  percent,
)

BIAS = "abs_bias_amplification"
VERDICTS = (
  Verdict(
    name=verdicts.SAFE,
    colour=LIGHT["series-0"],
    fill=LIGHT["series-0"],
    text=LIGHT["page"],
    mark="square",
  ),
  Verdict(
    name=verdicts.UNDECIDED,
    colour=LIGHT["muted"],
    fill="none",
    text=LIGHT["ink"],
    mark="open",
  ),
  Verdict(
    name=verdicts.NOT_SAFE,
    colour=LIGHT["series-1"],
    fill=LIGHT["series-1"],
    text=LIGHT["page"],
    mark="cross",
  ),
  Verdict(
    name=verdicts.NOT_AVAILABLE,
    colour=LIGHT["muted"],
    fill=LIGHT["grid"],
    text=LIGHT["ink"],
    mark="dash",
  ),
)
NAMES = tuple(one.name for one in VERDICTS)
# What one drawing holds; all of it is in safety.csv.
FAMILIES = 3
MEASURES = 6
_ROWS = 60
NO_GROUPS = (
  "The run has no identity attributes: bias amplification is not judged."
)
_NO_PAIRS = "Not available: no member of these pairs with a dense one."


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measure:
  """A kind of bias that is judged, as the columns of the table name it."""

  metric: str
  identity: str
  value: str
  name: str

  def rows(self, table: pd.DataFrame) -> pd.DataFrame:
    """Its rows of the table "safety"."""
    return table[
      (table["metric"] == self.metric)
      & (table["identity"] == self.identity)
      & (table["value"] == self.value)
    ]


def margin_text(source: Source) -> str:
  """The margin and what it is measured in."""
  margin = float(source.analysis.arrays.attrs["safe_margin"])
  return (
    f"{margin:g} (in points of |bias amplification|: {percent(margin)}; of "
    "|log TCB|, where a small number is a relative change: about "
    f"{percent(margin)} %)"
  )


def measures(source: Source) -> list[Measure]:
  """The kinds of bias: |log TCB|, then the identities."""
  table = source.table("safety")
  keys = table[["metric", "identity", "value"]].drop_duplicates()
  keys = keys.sort_values("metric", ascending=False, kind="stable")
  return [
    Measure(
      metric=metric,
      identity=identity,
      value=value,
      name=f"|BA| {source.group_name(identity, value)}"
      if metric == BIAS
      else "|log TCB|",
    )
    for metric, identity, value in keys.itertuples(index=False, name=None)
  ]


def counts_figure(source: Source, missing: str) -> Figure:
  """How many outputs have which verdict, at each level."""
  title = "How many are shown to be safe?"
  caption = (
    f"Verdicts on every {source.output} at each level: how many are safe, "
    "undecided, not safe, or have no value, for |bias amplification| (|BA|) "
    "of every identity and for |log TCB|. All bars are of equal length; a "
    "number that does not fit is in the CSV file. Safe: with the seeds at "
    f"hand it is shown that the bias grew by less than {margin_text(source)}, "
    "at this level and at every lower one. Undecided: neither that nor the "
    "opposite is shown; with few seeds most are, and it must not be read as "
    f"safe. One-sided paired t tests at {percent(source.level)} % with Holm's "
    "correction over the levels take seeds as random and their changes as "
    f"normal, the examples as fixed. For one {source.output} and kind of bias "
    "the chance that a level is called safe that is not is at most "
    f"{percent(1 - source.level)} %; over the {plural_of(source)} nothing is "
    f"corrected, so that some of many may be.{not_drawn(source)}"
  )
  figure = Figure(slug="safe-counts", title=title, caption=caption)
  if missing:
    return dataclasses.replace(figure, reason=missing)
  rules = source.analysis.arrays["threshold_rule"].to_numpy().tolist()
  panels = [
    _counts_panel(source, family, str(rule), number)
    for number, family in enumerate(families(source)[:FAMILIES], 1)
    for rule in rules
  ]
  return dataclasses.replace(figure, panels=tuple(panels))


def _counts_panel(
  source: Source, family: Family, rule: str, number: int
) -> Panel:
  title = f"{family.label}, {rule} thresholds"
  slug = slug_of("safe-counts", str(number), rule, family.label)
  table = family.rows(source.table("safety"))
  is_shown = (table["threshold_rule"] == rule) & (table["attribute"] != MEAN)
  table = table[is_shown]
  if table.empty:
    return Panel(slug=slug, title=title, reason=_NO_PAIRS)
  rows = []
  blocks = []
  for measure in measures(source)[:MEASURES]:
    found = measure.rows(table)
    counts = np.array(
      [
        [
          int(
            (
              (found["sparsity"] == one.sparsity) & (found["verdict"] == name)
            ).sum()
          )
          for name in NAMES
        ]
        for one in family.populations
      ]
    )
    blocks.append(Block(title=measure.name, rows=family.levels, counts=counts))
    rows += [
      {
        "metric": measure.metric,
        "identity": measure.identity,
        "value": measure.value,
        "sparsity": one.sparsity,
        "verdict": name,
        "count": int(counts[level, place]),
      }
      for level, one in enumerate(family.populations)
      for place, name in enumerate(NAMES)
    ]
  alt = f"{title}. " + " ".join(
    f"{block.title}: "
    + "; ".join(
      f"{level}: "
      + ", ".join(
        f"{count} {name}"
        for count, name in zip(counts, NAMES, strict=True)
        if count
      )
      for level, counts in zip(block.rows, block.counts.tolist(), strict=True)
    )
    + "."
    for block in blocks
  )
  return draw_panel(
    lambda: verdict_bars(blocks, VERDICTS, title),
    slug=slug,
    title=title,
    alt=alt,
    data=pd.DataFrame(rows),
  )


def map_figure(source: Source, missing: str) -> Figure:
  """The verdict of every output, kind of bias and level."""
  names, note = shown_rows(source)
  caption = (
    f"The verdict on every {source.output} at every level, default thresholds: "
    "a filled square is safe, a cross is not safe, an open diamond is "
    "undecided: not shown either way, and not to be read as safe; a dash has "
    "no value (an attribute by itself, or nothing predicted positive). The "
    "last filled square is the highest level shown to be safe: squares begin "
    "at the lowest level and leave none out. An asterisk marks fewer than "
    f"{FEW_POSITIVES} test positives in a group, or fewer than "
    f"{FEW_POSITIVES} predicted positives, in some dense or most compressed "
    f"model. The mean goes over the {plural_of(source)} that have a value in "
    "every dense model; where compression leaves one of these without, there "
    f"is none.{note}{not_drawn(source)}"
  )
  title = f"Up to which level is it shown, {source.output} by {source.output}?"
  figure = Figure(slug="safe-map", title=title, caption=caption)
  if missing:
    return dataclasses.replace(figure, reason=missing)
  panels = [
    _map_panel(source, family, names, number)
    for number, family in enumerate(families(source)[:FAMILIES], 1)
  ]
  return dataclasses.replace(figure, panels=tuple(panels))


def _map_panel(
  source: Source, family: Family, names: Sequence[str], number: int
) -> Panel:
  title = f"Safe or not: {family.label}"
  slug = slug_of("safe-map", str(number), family.label)
  table = family.rows(default_rows(source.table("safety")))
  if table.empty:
    return Panel(slug=slug, title=title, reason=_NO_PAIRS)
  shown = measures(source)[:MEASURES]
  place = {name: place for place, name in enumerate(NAMES)}
  columns = ["attribute", "metric", "identity", "value", "sparsity"]
  found = {
    tuple(row[name] for name in columns): row
    for row in table.to_dict("records")
  }
  keys = [
    (name, one.metric, one.identity, one.value, level.sparsity)
    for name in names
    for one in shown
    for level in family.populations
  ]
  marks = np.array([place[found[key]["verdict"]] for key in keys])
  data = pd.DataFrame(keys, columns=columns).assign(
    **{
      name: [found[key][name] for key in keys]
      for name in ("n_seeds", "change", "lower", "upper", "verdict", "reason")
    }
  )
  counts = [int((marks == one).sum()) for one in range(len(NAMES))]
  alt = (
    f"{title}: a mark for each of {count_of(len(names), 'row')}, "
    f"{count_of(len(shown), 'kind')} of bias and "
    f"{count_of(len(family.levels), 'level')}; "
    + ", ".join(
      f"{count} {name}" for count, name in zip(counts, NAMES, strict=True)
    )
    + ". The table below has the same in words."
  )
  return draw_panel(
    lambda: verdict_map(
      marks.reshape(len(names), len(shown), len(family.levels)),
      [row_name(source, name) for name in names],
      [one.name for one in shown],
      VERDICTS,
      title,
      levels=family.levels,
      stars=few_cells(source, family, names, shown),
    ),
    slug=slug,
    title=title,
    alt=alt,
    data=data,
  )


def few_cells(
  source: Source,
  family: Family,
  names: Sequence[str],
  shown: Sequence[Measure],
) -> np.ndarray:
  """Which cells of the map rest on few positives: bool [row, column]."""
  bits = source.few(source.dense_of(family.sparsest), family.sparsest)
  pairs, outputs = source.pairs, source.outputs
  return np.array(
    [
      [
        name != MEAN
        and one.metric == BIAS
        and bool(
          bits[outputs.index(name), pairs.index((one.identity, one.value))]
        )
        for one in shown
      ]
      for name in names
    ]
  )


def default_rows(table: pd.DataFrame) -> pd.DataFrame:
  """The rows under default thresholds."""
  return table[table["threshold_rule"] == "default"]


def plural_of(source: Source) -> str:
  """The word for several outputs."""
  return "attributes" if source.output == "attribute" else "classes"


def row_name(source: Source, name: str) -> str:
  """A row's name."""
  return f"mean over {plural_of(source)}" if name == MEAN else name


def shown_rows(source: Source) -> tuple[list[str], str]:
  """The rows of the map: the mean, then the outputs; and what is left out."""
  outputs = list(source.outputs)
  rows = [MEAN, *outputs[:_ROWS]]
  if len(outputs) <= _ROWS:
    return rows, ""
  return rows, (
    f" The first {_ROWS} of {len(outputs):,} {plural_of(source)}; all are in "
    "analysis/safety.csv."
  )


def not_drawn(source: Source) -> str:
  """Says which kinds of bias and pruners the drawings leave out."""
  names = [one.name for one in measures(source)[MEASURES:]]
  names += [one.label for one in families(source)[FAMILIES:]]
  note = "" if source.pairs else f" {NO_GROUPS}"
  if not names:
    return note
  return f"{note} Only in analysis/safety.csv: {listed(names)}."
