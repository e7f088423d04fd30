"""The sd over seeds against sparsity, with its interval."""

from collections.abc import Sequence
import dataclasses

import numpy as np
import pandas as pd

from prunebias_jax.analysis import sd_interval
from prunebias_jax.analysis.columns import POPULATION
from prunebias_jax.analysis.inference import unlike_normal
from prunebias_jax.report.captions import absent, means_of
from prunebias_jax.report.drawing import plain
from prunebias_jax.report.page import Figure, Panel, draw_panel, slug_of
from prunebias_jax.report.panels import NO_IDENTITIES, Line, lines_of
from prunebias_jax.report.plots import Estimates, estimates, top_of
from prunebias_jax.report.sections.variance.cells import (
  GAP,
  MOST,
  ODDS,
  ONE_SEED,
  Shown,
  amplifications,
  gaps,
  is_crossed,
  overall,
)
from prunebias_jax.report.source import Source
from prunebias_jax.report.vocabulary import METRICS, Metric, count_of, percent

NO_SPREAD = (
  "Not available: no population has two seeds with a value for the same "
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Panel:
  """What a panel is to show: lines, each of one number."""

  slug: str
  title: str
  metric: Metric
  lines: Sequence[tuple[Line, Shown]]


def spread_figures(source: Source) -> list[Figure]:
  """Of the whole, of bias amplification, of the gaps between groups."""
  whole = [
    _Panel(
      slug=slug_of("sd", one.metric.name),
      title=f"{one.metric.title}: sd over seeds",
      metric=one.metric,
      lines=[(line, one) for line in lines_of(source, one.cell)],
    )
    for one in overall(source)
  ]
  bias = _by_series(source, amplifications(source), METRICS[_BIAS])
  gap = [
    *_by_series(source, gaps(source), GAP),
    *_by_series(source, gaps(source, ODDS), ODDS),
  ]
  return [
    _figure(source, "spread", "How far do seeds differ?", whole),
    _figure(
      source,
      "spread-bias",
      "How far does bias amplification differ between seeds?",
      bias,
    ),
    _figure(
      source,
      "spread-gap",
      "How far do gaps between groups differ between seeds?",
      gap,
    ),
  ]


_BIAS = "bias_amplification"


def spread_numbers(source: Source, shown: Shown, line: Line) -> pd.DataFrame:
  """The sd of a number at each population of a line, in the tables' units.

  Of members' means over the outputs that have a value in every member of the
  run: in the table "variance" each population has a mean over its own outputs,
  and such sds cannot be held against each other.

  Returns:
    The populations' key, n_seeds, n_outputs (-1: no mean), sd, sd_low,
    sd_high, doubtful.
  """
  seeds = source.seeds(line.cell)
  used = source.used(line.cell)
  rows = []
  for population in line.populations:
    chosen = np.logical_and.reduce(
      [
        seeds[name] == one
        for name, one in zip(POPULATION, population, strict=True)
      ]
    )
    values = seeds.loc[chosen, "value"].to_numpy(np.float64)
    values = values[np.isfinite(values), None]
    row = {
      "line": line.label,
      "metric": shown.cell.metric,
      "identity": shown.cell.identity,
      "value": shown.cell.value,
      **population._asdict(),
      "n_seeds": len(values),
      "n_outputs": used,
      "sd": np.nan,
      "sd_low": np.nan,
      "sd_high": np.nan,
      "doubtful": False,
    }
    if len(values) > 1:
      sd = sd_interval(values, level=source.level)
      row |= {"sd": sd.estimate[0], "doubtful": bool(unlike_normal(values)[0])}
      if not is_crossed(source, population, shown.cell):
        row |= {"sd_low": sd.low[0], "sd_high": sd.high[0]}
    rows.append(row)
  return pd.DataFrame(rows)


def _by_series(
  source: Source, cells: Sequence[Shown], metric: Metric
) -> list[_Panel]:
  """A panel for each pruner and quantization, a line for each identity."""
  if not cells:
    return []
  lines = [lines_of(source, one.cell) for one in cells[:MOST]]
  several = len(lines[0]) > 1
  panels = []
  for place, first in enumerate(lines[0]):
    title = f"{metric.title}: sd over seeds"
    if several:
      title = f"{metric.title}, {plain(first.label, 14)}: sd"
    panels.append(
      _Panel(
        slug=slug_of("sd", metric.name, str(place + 1)),
        title=title,
        metric=metric,
        lines=[
          (
            dataclasses.replace(of_cell[place], label=_short(source, shown)),
            shown,
          )
          for of_cell, shown in zip(lines, cells, strict=False)
        ],
      )
    )
  return panels


def _short(source: Source, shown: Shown) -> str:
  """The identity, as the name of a line."""
  cell = shown.cell
  if not cell.value:
    return cell.identity
  return source.group_name(cell.identity, cell.value)


def _figure(
  source: Source, slug: str, title: str, asked: Sequence[_Panel]
) -> Figure:
  caption = _caption(source, asked)
  reason = ""
  if source.most_seeds == 1:
    reason = ONE_SEED
  elif not asked:
    reason = NO_IDENTITIES
  if reason:
    return Figure(slug=slug, title=title, caption=caption, reason=reason)
  tables = [
    [spread_numbers(source, shown, line) for line, shown in one.lines]
    for one in asked[:MOST]
  ]
  # Panels of one metric have one vertical axis.
  tops = {
    metric.name: top_of(
      [
        line
        for one, found in zip(asked, tables, strict=False)
        if one.metric == metric
        for line in _lines(source, one, found)
      ]
    )
    for metric in {one.metric for one in asked}
  }
  panels = tuple(
    _panel(source, one, found, tops[one.metric.name])
    for one, found in zip(asked, tables, strict=False)
  )
  return Figure(slug=slug, title=title, caption=caption, panels=panels)


def _lines(
  source: Source, asked: _Panel, tables: Sequence[pd.DataFrame]
) -> list[Estimates]:
  """The lines of a panel that have a point, in the unit that is shown."""
  levels = _levels(source)
  scale = asked.metric.scale
  return [
    Estimates(
      label=line.label,
      place=np.array([levels.index(one) for one in table["sparsity"]], int),
      value=table["sd"].to_numpy() * scale,
      low=table["sd_low"].to_numpy() * scale,
      high=table["sd_high"].to_numpy() * scale,
      doubtful=table["doubtful"].to_numpy(bool),
    )
    for (line, _), table in zip(asked.lines, tables, strict=True)
    if np.isfinite(table["sd"]).any()
  ]


def _levels(source: Source) -> list[float]:
  return sorted({one.sparsity for one in source.populations})


def _panel(
  source: Source, asked: _Panel, tables: Sequence[pd.DataFrame], top: float
) -> Panel:
  data = pd.concat(tables, ignore_index=True)
  lines = _lines(source, asked, tables)
  if not lines:
    reason = f"{NO_SPREAD}{source.output}."
    return Panel(slug=asked.slug, title=asked.title, reason=reason)
  steps = [percent(one) if one else "dense" for one in _levels(source)]
  unit = asked.metric.change_unit
  axis = f"{asked.title}{f' ({unit})' if unit else ''}"
  alt = f"{axis} against the share of weights removed. " + " ".join(
    f"{one.label}: "
    + ", ".join(
      f"{value:.{asked.metric.decimals}f} at {steps[place]}"
      for place, value in zip(one.place, one.value, strict=True)
      if np.isfinite(value)
    )
    + "."
    for one in lines
  )
  return draw_panel(
    lambda: estimates(lines, steps, axis, along="weights removed (%)", top=top),
    slug=asked.slug,
    title=asked.title,
    axis=axis,
    alt=alt,
    data=data,
  )


def _caption(source: Source, asked: Sequence[_Panel]) -> str:
  """What is drawn, over what, and what the interval takes as random."""
  metrics = list(dict.fromkeys(panel.metric for panel in asked))
  meanings = " ".join(f"{one.title}: {one.meaning}." for one in metrics)
  cells = [
    (one.metric.title, shown.cell) for one in asked for _, shown in one.lines
  ]
  text = (
    f"{meanings} Points: standard deviation of a member's number over the "
    f"{count_of(source.most_seeds, 'seed')} of a population, in the number's "
    "own unit. "
    f"Bars: its {percent(source.level)} % chi-square interval, which takes "
    "seeds as random and normal, and all three splits as fixed; an arrow where "
    "it leaves the plot, none where members share seeds by purpose or all "
    "agree. Hollow: the seeds do not look normal, and the interval may cover "
    "far less; with few seeds that mostly goes unseen. Dotted: the first point "
    "of the line, repeated. Panels of one metric have one vertical axis. "
  )
  if cells:
    text += (
      f"{means_of(source, cells)}; the same ones at every level, so that "
      "levels can be compared. In variance.csv every population has the mean "
      "over all that it has itself, and another sd."
      f"{absent(source, cells)} "
    )
  hidden = max(0, len(asked) - MOST)
  if hidden:
    text += f"{hidden} more panels are not drawn. "
  longest = max((len(panel.lines) for panel in asked), default=0)
  if longest == MOST and len(source.pairs) > MOST:
    text += f"The first {MOST} of {len(source.pairs)} identities are drawn. "
  return text + (
    "What it does not tell: how much of it another test set would change; that "
    "is below."
  )
