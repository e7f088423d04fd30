"""The kinds of drawing; each is made within `drawing.drawing_style`."""

from prunebias_jax.report.plots.bars import Bars, bars
from prunebias_jax.report.plots.curves import Curve, curves
from prunebias_jax.report.plots.effect import effect_against_noise
from prunebias_jax.report.plots.estimates import Estimates, estimates, top_of
from prunebias_jax.report.plots.forest import Points, forest, in_words
from prunebias_jax.report.plots.heat_map import heat_map, nice_limit
from prunebias_jax.report.plots.levels import Means, along_levels
from prunebias_jax.report.plots.matrix import matrix
from prunebias_jax.report.plots.scatter import Cloud, scatter
from prunebias_jax.report.plots.shares import Part, shares
from prunebias_jax.report.plots.steps import Series, along_steps, span_of
from prunebias_jax.report.plots.trade_off import Priced, trade_off
from prunebias_jax.report.plots.verdicts import (
  Block,
  Verdict,
  verdict_bars,
  verdict_map,
)

__all__ = [
  "Bars",
  "Block",
  "Cloud",
  "Curve",
  "Estimates",
  "Means",
  "Part",
  "Points",
  "Priced",
  "Series",
  "Verdict",
  "along_levels",
  "along_steps",
  "bars",
  "curves",
  "effect_against_noise",
  "estimates",
  "forest",
  "heat_map",
  "in_words",
  "matrix",
  "nice_limit",
  "scatter",
  "shares",
  "span_of",
  "top_of",
  "trade_off",
  "verdict_bars",
  "verdict_map",
]
