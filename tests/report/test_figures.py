"""The figures: their files, and that they show the numbers of the tables."""

from collections.abc import Callable
import io
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
from PIL import Image
import pytest

from prunebias_jax import store
from prunebias_jax.report import write, write_report
from prunebias_jax.report.drawing import plain
from prunebias_jax.report.palette import DARK, LIGHT, step_of
from prunebias_jax.report.plots import Series, nice_limit, span_of
from prunebias_jax.report.sections import (
  performance,
)
from prunebias_jax.report.source import Cell, open_source

Runs = Callable[[str], store.Run]


@pytest.fixture(scope="module")
def folder(runs: Runs, page: Callable[[str], str]) -> Path:
  page("four")
  return runs("four").path / "report"


def test_every_drawing_is_a_document_with_its_data(folder: Path) -> None:
  drawings = sorted(folder.glob("*.svg"))
  assert len(drawings) > 20
  for path in drawings:
    root = ElementTree.parse(path).getroot()
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    title, words = root[0], root[1]
    assert title.text
    assert words.text
    assert "var(" not in path.read_text()
    assert not pd.read_csv(path.with_suffix(".csv")).empty


def test_drawings_are_saved_for_a_paper(
  runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  monkeypatch.setattr(write, "SECTIONS", (performance.accuracy_section,))
  monkeypatch.setattr(write, "COMPARED_BEFORE", 0)
  for directory in ("first", "again"):
    write_report(runs("dense_only"), directory=tmp_path / directory)
  drawn = [path.name for path in (tmp_path / "first" / "report").iterdir()]
  names = {Path(one).stem for one in drawn}
  assert "performance-auc" in names
  for name in names:
    files = {
      suffix: [
        (tmp_path / directory / "report" / f"{name}.{suffix}").read_bytes()
        for directory in ("first", "again")
      ]
      for suffix in ("pdf", "png", "svg", "csv")
    }
    for one, again in files.values():
      assert one == again
    assert files["pdf"][0].startswith(b"%PDF-")
    # TrueType: journals refuse what matplotlib embeds by itself.
    assert b"/Type3" not in files["pdf"][0]
    with Image.open(io.BytesIO(files["png"][0])) as picture:
      assert picture.width > 1000
      assert picture.getpixel((0, 0))[:3] == (255, 255, 255)


def test_data_hold_every_seed_and_the_mean_of_the_tables(
  runs: Runs, folder: Path
) -> None:
  data = pd.read_csv(folder / "performance-accuracy.csv")
  seeds = data[data["kind"] == "seed"]
  assert sorted(seeds["seed"].astype(int).unique()) == [0, 1, 2, 3]
  assert len(seeds) == 16
  attributes = pd.read_csv(runs("four").path / "analysis" / "attributes.csv")
  attributes = attributes[attributes["threshold_rule"] == "default"]
  expected = attributes.groupby(["sparsity", "seed"])["accuracy"].mean()
  found = seeds.set_index(["sparsity", "seed"])["value"]
  pd.testing.assert_series_equal(
    found.sort_index(),
    expected.sort_index(),
    check_names=False,
    check_index_type=False,
  )
  means = data[data["kind"] == "mean"].set_index("sparsity")["value"]
  np.testing.assert_allclose(
    means.sort_index(), expected.groupby("sparsity").mean()
  )


def test_seeds_average_to_the_mean_of_the_variance_table(runs: Runs) -> None:
  source = open_source(runs("four"))
  for cell in (
    source.overall("tcb"),
    Cell("bias_amplification", identity="Young", value="1"),
    Cell("false_negative_rate", identity="Male", value="0"),
    Cell("auc", "Smiling"),
  ):
    seeds = source.seeds(cell).groupby("sparsity")["value"].mean()
    for population, row in source.summary(cell).items():
      assert row["mean"] == pytest.approx(seeds[population.sparsity])


def test_error_is_one_minus_accuracy_with_its_interval(
  runs: Runs, folder: Path
) -> None:
  data = pd.read_csv(folder / "groups-1-male-error.csv")
  source = open_source(runs("four"))
  table = source.summary(Cell("accuracy", identity="Male", value="1"))
  # The group has few positives of some attribute.
  means = data[(data["kind"] == "mean") & (data["line"] == "Male*")]
  for population, row in table.items():
    found = means[means["sparsity"] == population.sparsity].iloc[0]
    assert found["value"] == pytest.approx(1 - row["mean"])
    assert found["low"] == pytest.approx(1 - row["mean_high"])
    assert found["high"] == pytest.approx(1 - row["mean_low"])


def test_heat_map_data_are_the_contrasts(runs: Runs, folder: Path) -> None:
  data = pd.read_csv(folder / "heat-map-difference.csv")
  assert len(data) == 40 * 4
  table = pd.read_csv(runs("four").path / "analysis" / "contrasts.csv")
  row = table[
    (table["metric"] == "bias_amplification")
    & (table["attribute"] == "Smiling")
    & (table["identity"] == "Young")
    & (table["threshold_rule"] == "default")
    & (table["sparsity"] == 0.99)
  ].iloc[0]
  found = data[(data["attribute"] == "Smiling") & (data["identity"] == "Young")]
  assert found["points"].item() == pytest.approx(100 * row["difference"])
  itself = data[(data["attribute"] == "Male") & (data["identity"] == "Male")]
  assert np.isnan(itself["points"].item())


@pytest.mark.parametrize(
  ("text", "shown"),
  [("short", "short"), ("abcdefgh", "abcdef…"), ("顔顔顔顔顔", "顔顔顔…")],
)
def test_names_are_cut_by_their_width(text: str, shown: str) -> None:
  assert plain(text, 7) == shown


def test_light_colours_are_distinct_and_have_a_dark_twin() -> None:
  assert len(set(LIGHT.values())) == len(LIGHT)
  assert set(LIGHT) == set(DARK)


@pytest.mark.parametrize(
  ("value", "step"), [(-99, 0), (-1, 0), (0, 5), (0.5, 8), (1, 10), (99, 10)]
)
def test_scale_is_symmetric_and_ends(value: float, step: int) -> None:
  assert step_of(value, 1.0) == step


def test_numbers_in_cells_can_be_read() -> None:
  """Contrast by the formula of WCAG 2: 4.5 to 1 and more."""
  for colours in (LIGHT, DARK):
    for step in range(11):
      pair = (colours[f"scale-{step}"], colours[f"on-{step}"])
      assert _contrast(*pair) >= 4.5, (step, pair)
    for name in ("ink", "muted", *(f"series-{i}" for i in range(6))):
      assert _contrast(colours[name], colours["page"]) >= 4.5, name


def test_a_long_interval_does_not_squash_the_seeds() -> None:
  series = Series(
    label="two seeds",
    place=np.array([0]),
    seeds=np.array([[1.0], [2.0]]),
    mean=np.array([1.5]),
    low=np.array([-4.9]),
    high=np.array([7.9]),
  )
  low, high = span_of([series])
  assert low == pytest.approx(-0.18)
  assert high == pytest.approx(3.18)


def test_limit_of_nothing_is_one() -> None:
  assert nice_limit(np.array([np.nan])) == 1
  assert nice_limit(np.zeros(3)) == 1
  assert nice_limit(np.array([-2.6, 0.1])) == 3


def _contrast(first: str, second: str) -> float:
  lights = sorted((_luminance(first), _luminance(second)))
  return (lights[1] + 0.05) / (lights[0] + 0.05)


def _luminance(colour: str) -> float:
  parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
  linear = [
    part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
    for part in parts
  ]
  return sum(
    k * part for k, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True)
  )
