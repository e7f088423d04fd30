"""The kinds of drawing; each is made within `drawing.drawing_style`."""

from prunebias_jax.report.plots.bars import Bars, bars
from prunebias_jax.report.plots.curves import Curve, curves
from prunebias_jax.report.plots.forest import Points, forest
from prunebias_jax.report.plots.heat_map import heat_map, matrix, nice_limit
from prunebias_jax.report.plots.levels import Means, along_levels
from prunebias_jax.report.plots.steps import Series, along_steps, span_of
from prunebias_jax.report.plots.verdicts import (
  Block,
  Verdict,
  verdict_bars,
  verdict_map,
)

__all__ = [
  "Bars",
  "Block",
  "Curve",
  "Means",
  "Points",
  "Series",
  "Verdict",
  "along_levels",
  "along_steps",
  "bars",
  "curves",
  "forest",
  "heat_map",
  "matrix",
  "nice_limit",
  "span_of",
  "verdict_bars",
  "verdict_map",
]
