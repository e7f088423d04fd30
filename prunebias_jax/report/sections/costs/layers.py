"""What each layer kept, and whether seeds kept the same weights."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from prunebias_jax.analysis.columns import POPULATION
from prunebias_jax.errors import InputError
from prunebias_jax.report.page import Figure, Panel, draw_panel
from prunebias_jax.report.plots import Points, forest
from prunebias_jax.report.sections.groups.changes import MARKS
from prunebias_jax.report.sections.run_tables import populations_of, read_table
from prunebias_jax.report.source import Population, Source
from prunebias_jax.report.vocabulary import number

LAYERS = "layers.csv"
COLUMNS = (
  *POPULATION,
  "layer",
  "weights",
  "sparsity_mean",
  "sparsity_min",
  "sparsity_max",
  "overlap",
  "overlap_by_chance",
)
# A panel has no more rows than this.
MOST = 24


def layers_figure(source: Source) -> Figure:
  """The weights that each layer kept, and the overlap of masks."""
  slug, title = "layers", "Which layers lost their weights?"
  reason = missing_layers(source)
  if reason:
    return Figure(slug=slug, title=title, caption="", reason=reason)
  table = read_table(source.run.path / LAYERS, COLUMNS)
  table = table[table["sparsity"] > 0]
  largest = table.drop_duplicates("layer").nlargest(MOST, "weights")["layer"]
  layers = [one for one in dict.fromkeys(table["layer"]) if one in set(largest)]
  left_out = table["layer"].nunique() - len(layers)
  shown = _drawn(table)
  caption = (
    "First panel: weights of each layer's kernel that are not removed, in % of "
    "them, mean over seeds; bars go from the seed with the fewest to the one "
    "with the most, and are no intervals. At the right: how many weights the "
    "layer has. One without any weight left has no mark and says so. Second "
    f"panel: of {shown[-1].label}, the weights that two seeds both keep, in % "
    "of those that either keeps, mean over pairs of seeds, beside what masks "
    "of that sparsity drawn at random would give."
  )
  if left_out:
    caption += (
      f" Drawn are the {MOST} layers with the most weights; {left_out} more "
      f"are in {LAYERS}."
    )
  panels = (
    _kept_panel(table, layers, shown),
    _overlap_panel(table, layers, shown[-1]),
  )
  return Figure(slug=slug, title=title, caption=caption, panels=panels)


def missing_layers(source: Source) -> str:
  """Why nothing is known of the layers; "" where something is."""
  if source.run.imported is not None:
    return (
      "Not available: the run was imported, without the masks that would tell "
      "what each layer lost."
    )
  path = source.run.path / LAYERS
  if not path.exists():
    return (
      f"Not available: the run has no {LAYERS}, which is written where "
      "parameters are kept (`execution.keep_parameters`)."
    )
  try:
    table = read_table(path, COLUMNS)
  except InputError as error:
    return f"Not available: {error}."
  if not (table["sparsity"] > 0).any():
    return "Not available: the run has no pruned members."
  return ""


def _drawn(table: pd.DataFrame) -> list[Population]:
  """At most `MARKS` populations, as `drawn_populations` chooses them."""
  found = list(dict.fromkeys(populations_of(table)))
  found.sort(key=lambda one: one.sparsity)
  if len({one.series for one in found}) > 1:
    found = list({one.series: one for one in found}.values())
  places = np.linspace(0, len(found) - 1, min(MARKS, len(found)))
  return [found[place] for place in places.round().astype(int)]


def _of(
  table: pd.DataFrame, population: Population, layers: Sequence[str]
) -> pd.DataFrame:
  """A population's rows, a row for each layer."""
  keep = [one == population for one in populations_of(table)]
  return table[keep].set_index("layer").reindex(list(layers))


def _kept_panel(
  table: pd.DataFrame, layers: Sequence[str], shown: Sequence[Population]
) -> Panel:
  """Weights left of each layer."""
  title = "Weights left in each layer"
  points = []
  for population in shown:
    part = 100 * (1 - _of(table, population, layers).filter(like="sparsity_"))
    mean = part["sparsity_mean"].to_numpy()
    points.append(
      Points(
        label=population.label,
        # A logarithmic axis has no place for nothing.
        value=np.where(mean > 0, mean, np.nan),
        low=part["sparsity_max"].to_numpy(),
        high=part["sparsity_min"].to_numpy(),
      )
    )
  weights = _of(table, shown[-1], layers)["weights"]
  emptied = np.any([np.isnan(one.value) for one in points], axis=0)
  notes = [
    f"{count:,.0f}{', emptied' * bool(empty)}"
    for count, empty in zip(weights, emptied, strict=True)
  ]
  rows = pd.MultiIndex.from_frame(table[list(POPULATION)])
  data = table[rows.isin([tuple(one) for one in shown])]
  return draw_panel(
    lambda: forest(
      [_short(one) for one in layers],
      points,
      f"{title} (%)",
      along="weights left (%), logarithmic",
      log=True,
      notes=notes,
      noted="weights",
      above=_is_long(layers),
    ),
    slug="layers-left",
    title=title,
    alt=f"{title} in %. {_in_words(layers, points[-1])}",
    data=data[data["layer"].isin(layers)],
  )


def _overlap_panel(
  table: pd.DataFrame, layers: Sequence[str], population: Population
) -> Panel:
  """How much of their masks seeds share."""
  title = f"Weights that two seeds share, {population.label}"
  part = _of(table, population, layers)
  names = {"overlap": "seeds", "overlap_by_chance": "by chance"}
  if not part["overlap"].notna().any():
    reason = "Not available: two seeds are needed."
    return Panel(slug="layers-shared", title=title, reason=reason)
  nothing = np.full(len(layers), np.nan)
  points = [
    Points(
      label=label,
      value=100 * part[name].to_numpy(np.float64),
      low=nothing,
      high=nothing,
    )
    for name, label in names.items()
  ]
  return draw_panel(
    lambda: forest(
      [_short(one) for one in layers],
      points,
      f"{title} (%)",
      along="of the weights that either keeps (%)",
      above=_is_long(layers),
    ),
    slug="layers-shared",
    title=title,
    alt=f"{title}, in %. "
    + " ".join(f"{one.label}: {_in_words(layers, one)}" for one in points),
    data=part.reset_index(),
  )


def _short(layer: str) -> str:
  """A layer's name without what all of them end in."""
  return layer.removesuffix("/kernel")


def _is_long(layers: Sequence[str]) -> bool:
  return max(len(_short(one)) for one in layers) > 20


def _in_words(layers: Sequence[str], points: Points) -> str:
  """The values, layer by layer."""
  values = [
    f"{_short(layer)} {number(float(value), 2)}"
    for layer, value in zip(layers, points.value, strict=True)
  ]
  return f"{points.label}: {', '.join(values)}."
