"""Layers and costs: the numbers of layers.csv, costs.csv and the tables."""

from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
import pytest

from prunebias_jax import store
from prunebias_jax.report.page import Figure
from prunebias_jax.report.sections import costs
from prunebias_jax.report.sections.costs import layers
from prunebias_jax.report.source import Source, open_source

Runs = Callable[[str], store.Run]
LEVELS = (0.0, 0.8, 0.95, 0.99)


@pytest.fixture
def source(runs: Runs) -> Iterator[Source]:
  """A run of four levels, for once with the two tables of a trained one."""
  run = runs("four")
  paths = [run.path / name for name in (costs.COSTS, layers.LAYERS)]
  pd.DataFrame(map(_cost, LEVELS)).to_csv(paths[0], index=False)
  rows = [_layer(level, name) for level in LEVELS for name in ("conv0", "head")]
  pd.DataFrame(rows).to_csv(paths[1], index=False)
  yield open_source(run)
  for path in paths:
    path.unlink()


def _population(level: float) -> dict[str, object]:
  pruner = "gmp" if level else "dense"
  return {"pruner": pruner, "sparsity": level, "quantization": "none"}


def _cost(level: float) -> dict[str, object]:
  left = round(61_000 * (1 - level))
  sizes = {"bytes_dense": 244_000, "bytes_sparse": 7_625 + 4 * left}
  return {**_population(level), "flops_left": 1e5 + 90 * left, **sizes}


def _layer(level: float, name: str) -> dict[str, object]:
  # The head is emptied at the highest level.
  share = 1.0 if (name, level) == ("head", 0.99) else 0.9 * level
  return {
    **_population(level),
    "layer": f"{name}/kernel",
    "weights": 432,
    "sparsity_mean": share,
    "sparsity_min": share - 0.01 * (0 < share < 1),
    "sparsity_max": share + 0.01 * (0 < share < 1),
    "overlap": 0.3,
    "overlap_by_chance": 0.2,
  }


def test_points_have_the_costs_and_the_means(source: Source) -> None:
  figure = costs.costs_figure(source)
  assert [one.slug for one in figure.panels] == [
    f"costs-{metric}-{cost}"
    for cost in ("flops", "bytes")
    for metric in ("auc", "worst-group-accuracy", "bias-amplification")
  ]
  data = figure.panels[1].data
  assert data is not None
  assert set(data["line"]) == {"Male", "Young", "Chubby", "Pale_Skin"}
  male = data[data["line"] == "Male"].set_index("sparsity")
  table = pd.read_csv(source.run.path / "analysis" / "variance.csv")
  table = table[
    (table["metric"] == "worst_group_accuracy")
    & (table["attribute"] == "(mean)")
    & (table["identity"] == "Male")
    & (table["threshold_rule"] == "default")
  ].set_index("sparsity")
  for level in LEVELS:
    row, cost = male.loc[level], _cost(level)
    assert row["value"] == pytest.approx(1 - table.loc[level, "mean"])
    assert row["low"] == pytest.approx(1 - table.loc[level, "mean_high"])
    assert row["flops_left"] == cost["flops_left"]
    assert row["bytes_stored"] == min(cost["bytes_dense"], cost["bytes_sparse"])
  assert "nothing is faster" in figure.caption


def test_layers_show_what_is_left(source: Source) -> None:
  kept, shared = layers.layers_figure(source).panels
  assert kept.data is not None
  assert sorted(kept.data["sparsity"].unique()) == [0.8, 0.95, 0.99]
  assert ">432, emptied<" in kept.svg
  assert "head n/a" in kept.alt
  assert f"conv0 {100 * (1 - 0.9 * 0.99):.2f}" in kept.alt
  assert "seeds: conv0 30.00" in shared.alt
  assert "by chance: conv0 20.00" in shared.alt


def test_no_more_layers_than_a_page_can_hold(source: Source) -> None:
  rows = [
    _layer(0.8, f"block{place}") | {"weights": place} for place in range(30)
  ]
  path = source.run.path / layers.LAYERS
  pd.DataFrame(rows).to_csv(path, index=False)
  figure = layers.layers_figure(source)
  data = figure.panels[0].data
  assert data is not None
  np.testing.assert_array_equal(np.sort(data["weights"]), np.arange(6, 30))
  assert "6 more are in layers.csv" in figure.caption


@pytest.mark.parametrize(
  ("text", "reason"),
  [
    ("pruner,sparsity\ngmp,0.8\n", "has no column quantization"),
    ("", "cannot be read"),
  ],
)
@pytest.mark.parametrize(
  ("name", "draw"),
  [
    (costs.COSTS, costs.costs_figure),
    (layers.LAYERS, layers.layers_figure),
  ],
)
def test_a_table_that_cannot_be_read_is_said_in_its_place(
  source: Source,
  text: str,
  reason: str,
  name: str,
  draw: Callable[[Source], Figure],
) -> None:
  (source.run.path / name).write_text(text)
  figure = draw(source)
  assert figure.reason.startswith(f"Not available: {name}")
  assert reason in figure.reason
  assert not figure.panels


def test_a_cost_that_is_no_number_is_named(source: Source) -> None:
  cost = {**_cost(0.8), "flops_left": "many"}
  pd.DataFrame([cost]).to_csv(source.run.path / costs.COSTS, index=False)
  assert "costs.csv: a number is expected" in costs.costs_figure(source).reason


def test_a_run_without_the_tables_says_why(runs: Runs) -> None:
  source = open_source(runs("two_pruners"))
  for figure in (costs.costs_figure(source), layers.layers_figure(source)):
    assert "execution.keep_parameters" in figure.reason


def test_without_identities_auc_is_left(runs: Runs) -> None:
  source = open_source(runs("no_identities"))
  path = source.run.path / costs.COSTS
  pd.DataFrame(map(_cost, LEVELS)).to_csv(path, index=False)
  panels = costs.costs_figure(source).panels
  path.unlink()
  assert panels[0].data is not None
  assert "no identity attributes" in panels[1].reason
