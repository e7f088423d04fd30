"""Other evaluations: corrupted pictures, and the best epoch beside the last."""

from collections.abc import Mapping, Sequence
import dataclasses

import numpy as np
import pandas as pd
import xarray as xr

from prunebias_jax.analysis.cells import members_of
from prunebias_jax.analysis.columns import MAIN, POPULATION
from prunebias_jax.report.captions import dots
from prunebias_jax.report.keys import Population
from prunebias_jax.report.page import (
  Figure,
  Panel,
  Section,
  draw_panel,
  slug_of,
)
from prunebias_jax.report.panels import NO_IDENTITIES
from prunebias_jax.report.plots import Series, along_steps, span_of
from prunebias_jax.report.source import Source
from prunebias_jax.report.vocabulary import METRICS, Metric, percent

_METRICS = ("accuracy", "auc", "uncertainty", "bias_amplification")
# More lines than this are hard to tell apart in a panel.
LINES = 5
BEST = ("best", MAIN[1])
_KINDS = {
  "contrast": "less contrast",
  "brightness": "more light",
  "jpeg": "JPEG compression",
  "pixelate": "coarse pixels",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Steps:
  """What the horizontal axis of a panel shows.

  Attributes:
    column: the tables' column.
    names: its values in order, each with its name on the axis.
    along: what they are.
  """

  column: str
  names: Mapping[float, str]
  along: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Drawing:
  """A panel before it is drawn.

  Attributes:
    metric: how its numbers are written.
    slug: see `Panel`.
    axis: what is drawn, without its unit.
    steps: the horizontal axis.
    table: a row for each seed and mean of each line and step.
  """

  metric: Metric
  slug: str
  axis: str
  steps: Steps
  table: pd.DataFrame


def section(source: Source) -> Section:
  """Corruptions of the test split, and the best epoch, where evaluated."""
  figures = (*robustness_figures(source), *checkpoint_figures(source))
  text = (
    "Not available: no corrupted test split and no other epoch was evaluated. "
    "`prunebias evaluate RUN --split test:noise:3` adds one.",
  )
  return Section(
    slug="robust",
    title="Do corrupted pictures, or another epoch, change the answer?",
    short="Robustness",
    text=() if figures else text,
    parts=figures,
  )


def robustness_figures(source: Source) -> list[Figure]:
  """A figure for each corruption of the test split that was evaluated."""
  severities: dict[str, dict[float, xr.Dataset]] = {}
  for (checkpoint, split), arrays in source.others.items():
    base, *corrupted = split.split(":")
    if (checkpoint, base) == MAIN and corrupted:
      kind, severity = corrupted
      clean: dict[float, xr.Dataset] = {0: source.analysis.arrays}
      severities.setdefault(kind, clean)[int(severity)] = arrays
  shown = _shown(source)
  drawings = {
    kind: [
      _severity_drawing(source, kind, arrays, METRICS[name], shown)
      for name in _METRICS
    ]
    for kind, arrays in severities.items()
  }
  caption = (
    "Last parameters on the test split, as it is (clean) and corrupted. "
    f"{_caption(source)} A metric has one vertical axis for all corruptions."
  )
  left_out = len(source.populations) - len(shown)
  if left_out:
    caption += f" {left_out} populations in between are not drawn."
  return [
    Figure(
      slug=f"robustness-{kind}",
      title=f"Are they robust to {_KINDS.get(kind, kind)}?",
      caption=caption,
      panels=tuple(
        _panel(one, [other[place] for other in drawings.values()])
        for place, one in enumerate(of_kind)
      ),
    )
    for kind, of_kind in drawings.items()
  ]


def checkpoint_figures(source: Source) -> list[Figure]:
  """The best epoch beside the last, where both were evaluated on test."""
  if BEST not in source.others:
    return []
  both = {MAIN[0]: source.analysis.arrays, BEST[0]: source.others[BEST]}
  levels = sorted({one.sparsity for one in source.populations})
  steps = Steps(
    column="sparsity",
    names={one: percent(one) if one else "dense" for one in levels},
    along="weights removed (%)",
  )
  several = len({one.series for one in source.compressed}) > 1
  drawings = []
  for metric in (METRICS[name] for name in _METRICS):
    table = _numbers(both, metric.name).rename(columns={"step": "checkpoint"})
    line = table["checkpoint"] + " epoch"
    if several:
      kind = table["quantization"].map(
        lambda one: "" if one == "none" else f", {one}"
      )
      line = line + ", " + table["pruner"] + kind
    drawings.append(
      Drawing(
        metric=metric,
        slug=slug_of("checkpoints", metric.name),
        axis=metric.title,
        steps=steps,
        table=_with_means(source, table.assign(line=line), "sparsity"),
      )
    )
  return [
    Figure(
      slug="checkpoints",
      title="Does it matter which epoch is kept?",
      caption="Best: after the epoch of the lowest validation loss among those "
      f"at the final sparsity. {_caption(source)}",
      panels=tuple(_panel(one, [one]) for one in drawings),
    )
  ]


def _shown(source: Source) -> list[Population]:
  """The populations that are drawn: all, or some from dense to sparsest."""
  found = source.populations
  if len(found) <= LINES:
    return [*found]
  places = np.linspace(0, len(found) - 1, LINES).round().astype(int)
  return [found[place] for place in places]


def _severity_drawing(
  source: Source,
  kind: str,
  arrays: Mapping[float, xr.Dataset],
  metric: Metric,
  shown: Sequence[Population],
) -> Drawing:
  """A metric against the severity of a corruption."""
  table = _numbers(arrays, metric.name).rename(columns={"step": "severity"})
  names = list(POPULATION)
  rows = pd.MultiIndex.from_frame(table[names])
  table = pd.concat(
    [
      table[rows == tuple(population)].assign(line=population.label)
      for population in shown
    ],
    ignore_index=True,
  )
  return Drawing(
    metric=metric,
    slug=slug_of("robustness", kind, metric.name),
    axis=f"{metric.title}: {kind}",
    steps=Steps(
      column="severity",
      names={one: f"{one}" if one else "clean" for one in sorted(arrays)},
      along=f"severity of {kind}",
    ),
    table=_with_means(source, table, "severity"),
  )


def _numbers(
  arrays: Mapping[float, xr.Dataset] | Mapping[str, xr.Dataset], metric: str
) -> pd.DataFrame:
  """Each member's number under the default rule, over all outputs.

  Args:
    arrays: those of each step.
    metric: its name. A classifier's as a whole where there is one, else the
      mean over the outputs (and groups) that have a value in every member of
      every step.

  Returns:
    The columns of the members' key, step and value.
  """
  blocks = {}
  for step, data in arrays.items():
    whole = f"overall_{metric}"
    values = data[whole if whole in data else metric].to_numpy()[:, 0]
    blocks[step] = values.reshape(len(values), -1)
  complete = np.all(
    [np.isfinite(block).all(axis=0) for block in blocks.values()], axis=0
  )
  parts = []
  for step, block in blocks.items():
    mean = np.full(len(block), np.nan)
    if complete.any():
      mean = block[:, complete].mean(axis=1)
    members = members_of(arrays[step])  # type: ignore[index]
    parts.append(members.assign(step=step, value=mean))
  return pd.concat(parts, ignore_index=True)


def _with_means(source: Source, table: pd.DataFrame, step: str) -> pd.DataFrame:
  """The seeds' rows, then the mean of each line and step with its interval."""
  rows = []
  for _, group in table.groupby(["line", step], sort=False):
    values = group["value"].to_numpy()
    if np.isfinite(values).any():
      mean = source.mean_of(values)
      row = group.iloc[0].to_dict()
      row |= {"seed": pd.NA, "value": mean.estimate[0]}
      rows.append(row | {"low": mean.low[0], "high": mean.high[0]})
  names = ["line", "kind", *table.columns.drop("line"), "low", "high"]
  parts = [
    part.reindex(columns=names).assign(kind=kind).astype(object)
    for part, kind in (
      (table, "seed"),
      (pd.DataFrame(rows, columns=names), "mean"),
    )
  ]
  found = pd.concat(parts, ignore_index=True)
  numbers = ["value", "low", "high"]
  return found.astype(dict.fromkeys(numbers, np.float64))


def _panel(drawing: Drawing, together: Sequence[Drawing]) -> Panel:
  """Draws a panel whose vertical axis reaches over several."""
  title = drawing.axis
  lines = _series(drawing)
  if not lines:
    reason = "Not available: no member has a value."
    if drawing.metric.name == "bias_amplification":
      reason = NO_IDENTITIES
    return Panel(slug=drawing.slug, title=title, reason=reason)
  unit = drawing.metric.unit
  axis = f"{title} ({unit})" if unit else title
  alt = f"{axis} against {drawing.steps.along}. " + " ".join(
    _described(one, drawing) for one in lines
  )
  common = [series for one in together for series in _series(one)]
  reference = 0.0 if drawing.metric.name == "bias_amplification" else None
  return draw_panel(
    lambda: along_steps(
      lines,
      [*drawing.steps.names.values()],
      axis,
      along=drawing.steps.along,
      span=span_of(common, reference),
      reference=reference,
    ),
    slug=drawing.slug,
    title=title,
    axis=axis,
    alt=alt,
    data=drawing.table,
  )


def _series(drawing: Drawing) -> list[Series]:
  """The lines of a panel that have a value, in the unit that is shown."""
  steps, scale = [*drawing.steps.names], drawing.metric.scale
  found = []
  for line, rows in drawing.table.groupby("line", sort=False):
    means = rows[rows["kind"] == "mean"].sort_values(drawing.steps.column)
    here = means[drawing.steps.column].tolist()
    if not here:
      continue
    seeds = rows[rows["kind"] == "seed"].pivot_table(
      index="seed", columns=drawing.steps.column, values="value", dropna=False
    )
    values = {
      name: means[name].to_numpy() * scale for name in ("value", "low", "high")
    }
    found.append(
      Series(
        label=str(line),
        place=np.array([steps.index(one) for one in here], int),
        seeds=seeds.reindex(columns=here).to_numpy(np.float64) * scale,
        mean=values["value"],
        low=values["low"],
        high=values["high"],
      )
    )
  return found


def _described(series: Series, drawing: Drawing) -> str:
  """A line in words."""
  names = [*drawing.steps.names.values()]
  points = [
    f"{mean:.{drawing.metric.decimals}f} at {names[place]}"
    for place, mean in zip(series.place, series.mean, strict=True)
  ]
  return f"Mean for {series.label}: {', '.join(points)}."


def _caption(source: Source) -> str:
  """What is drawn, and what is averaged over."""
  plural = "attributes" if source.output == "attribute" else "classes"
  return (
    f"Metrics are those of the figures above. Means over the {plural} (bias "
    "amplification: and over the identities) that have a value in every model "
    f"and at every step of the panel. {dots(source)}"
  )
