"""The chapter on variance: it shows the numbers of the tables, or says why."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from prunebias_jax import analysis, store
from prunebias_jax.analysis.columns import TABLES, TEXT
from prunebias_jax.data.dataset import SPLITS
from prunebias_jax.report.drawing import drawing_style
from prunebias_jax.report.page import Figure, Panel, Section, Table
from prunebias_jax.report.plots import Estimates, Part, shares, top_of
from prunebias_jax.report.sections import performance, variance
from prunebias_jax.report.sections.variance import power, sources, spread
from prunebias_jax.report.sections.variance.cells import (
  amplifications,
  overall,
)
from prunebias_jax.report.source import Source, open_source

Runs = Callable[[str], store.Run]
MakeRun = Callable[..., store.Run]


@pytest.fixture(scope="module")
def source(runs: Runs) -> Source:
  return open_source(runs("two_pruners"))


@pytest.fixture(scope="module")
def chapter(source: Source) -> Section:
  return variance.section(source)


def _table(source: Source, name: str, **where: object) -> pd.DataFrame:
  path = source.run.path / "analysis" / f"{name}.csv"
  texts = {name: str for name in (*TEXT, "class")}
  table = pd.read_csv(
    path,
    dtype=texts,
    keep_default_na=False,
    na_values={name: ["", "NaN"] for name in TABLES[name] if name not in texts},
  )
  table = table[table["threshold_rule"] == "default"]
  for column, value in where.items():
    table = table[table[column] == value]
  return table


def _panel(chapter: Section, slug: str) -> Panel:
  return next(
    panel
    for part in chapter.parts
    if isinstance(part, Figure)
    for panel in part.panels
    if panel.slug == slug
  )


def _data(chapter: Section, slug: str) -> pd.DataFrame:
  data = _panel(chapter, slug).data
  assert data is not None
  return data


def _tables(chapter: Section) -> dict[str, Table]:
  return {one.slug: one for one in chapter.parts if isinstance(one, Table)}


def test_sd_is_that_of_the_table_where_nothing_is_left_out(
  source: Source, chapter: Section
) -> None:
  data = _data(chapter, "sd-accuracy").set_index(["line", "sparsity"])
  table = _table(
    source, "variance", metric="accuracy", attribute="(mean)", identity=""
  )
  assert (table["reason"] == "").all()
  for row in table.itertuples():
    lines = ["gmp", "random"] if row.pruner == "dense" else [row.pruner]
    for line in lines:
      found = data.loc[(line, row.sparsity)]
      for name in ("sd", "sd_low", "sd_high"):
        assert found[name] == pytest.approx(getattr(row, name))


def test_sds_of_all_levels_are_over_the_same_attributes(runs: Runs) -> None:
  """In variance.csv each population has the mean over its own attributes."""
  source = open_source(runs("four"))
  shown = amplifications(source)[0]
  line = spread.lines_of(source, shown.cell)[0]
  found = spread.spread_numbers(source, shown, line).set_index("sparsity")
  table = _table(source, "bias_amplification", identity=shown.cell.identity)
  wide = table.pivot_table(
    index=["sparsity", "seed"], columns="attribute", values=shown.metric.name
  )
  # Those with a value in every member.
  mean = wide.dropna(axis=1).mean(axis=1)
  expected = mean.groupby("sparsity").std(ddof=1)
  pd.testing.assert_series_equal(
    found["sd"], expected, check_names=False, check_index_type=False
  )
  trend = _table(
    source,
    "trends",
    metric=shown.metric.name,
    attribute="(mean)",
    identity=shown.cell.identity,
  )
  ends = found["sd"].iloc[[0, -1]].tolist()
  assert ends == pytest.approx(
    [trend["sd_first"].item(), trend["sd_last"].item()]
  )


def test_ratios_are_those_of_the_contrasts(
  source: Source, chapter: Section
) -> None:
  for slug, pruner in (("ratio-1", "gmp"), ("ratio-2", "random")):
    data = _data(chapter, slug)
    assert set(data["pruner"]) == {pruner}
    table = _table(source, "contrasts", pruner=pruner, attribute="(mean)")
    for row in data.itertuples():
      of_cell = table[
        (table["metric"] == row.metric)
        & (table["identity"] == row.identity)
        & (table["value"] == row.value)
        & (table["sparsity"] == row.sparsity)
      ]
      for name in ("variance_ratio", "ratio_low", "ratio_high"):
        expected = of_cell[name].item()
        assert getattr(row, name) == pytest.approx(expected, nan_ok=True)


def test_parts_are_those_of_the_table_and_negative_ones_are_kept(
  source: Source, chapter: Section
) -> None:
  negative = 0
  for place, shown in enumerate(overall(source), 1):
    data = _data(chapter, f"decomposition-{place}")
    table = _table(
      source,
      "variance",
      metric=shown.metric.name,
      attribute="(mean)",
      identity="",
    )
    assert len(data) == len(table) == 7
    merged = data.merge(table, on=["pruner", "sparsity"])
    for name in ("var_observed", "var_test_set", "var_distribution"):
      np.testing.assert_allclose(merged[f"{name}_x"], merged[f"{name}_y"])
    whole = merged["share_test_set"] + merged["share_distribution"]
    np.testing.assert_allclose(whole, 100)
    negative += (merged["share_distribution"] < 0).sum()
  assert negative


def test_a_part_below_zero_has_room_left_of_zero() -> None:
  with drawing_style():
    figure = shares(
      ["dense"],
      [
        Part(label="luck", share=np.array([140.0])),
        Part(label="models", share=np.array([-40.0])),
      ],
      "AUC",
      along="share",
    )
  low, high = figure.axes[0].get_xlim()
  assert low < -40
  assert high > 140
  bars = [patch.get_bbox() for patch in figure.axes[0].patches]
  assert [(one.x0, one.x1) for one in bars] == [(0, 140), (0, -40)]


def test_curves_go_through_what_the_table_says_of_the_present_seeds(
  source: Source, chapter: Section
) -> None:
  data = _data(chapter, "power-1")
  table = _table(
    source, "power", metric="accuracy", identity="", delta=0.01
  ).set_index(["pruner", "sparsity"])
  now = data[data["pairs"] == data["n_now"]].set_index(["pruner", "sparsity"])
  assert len(now) == 6
  np.testing.assert_allclose(
    now["detectable"].sort_index(), table["detectable_now"].sort_index()
  )
  # Power .8 of the paired t test, by another route.
  row = data[data["pairs"] == 20].iloc[0]
  shift = row["detectable"] / row["sd_difference"] * np.sqrt(20)
  bound = scipy.stats.t.isf(0.025, 19)
  found = scipy.stats.nct.sf(bound, 19, shift)
  found += scipy.stats.nct.cdf(-bound, 19, shift)
  assert found == pytest.approx(0.8, abs=1e-6)


def test_sentences_say_what_the_present_seeds_can_see(source: Source) -> None:
  sentences = power.power_sentences(source, power.power_numbers(source))
  assert len(sentences) == 6
  table = _table(
    source, "power", metric="accuracy", identity="", delta=0.01, sparsity=0.8
  )
  seen = 100 * table[table["pruner"] == "gmp"]["detectable_now"].item()
  assert sentences[0].startswith(
    "At 80 % (gmp), with 6 pairs of seeds you can see a change of "
    f"{seen:.2f} points in accuracy, "
  )


def test_widest_are_the_largest_sds_that_rest_on_enough(
  source: Source, chapter: Section
) -> None:
  table = _table(source, "variance", metric="bias_amplification", sparsity=0.99)
  table = table[(table["attribute"] != "(mean)") & (table["pruner"] == "gmp")]
  rows = _table(source, "bias_amplification")
  few = rows[rows["flags"].str.contains("low_n|few_predicted", regex=True)][
    "attribute"
  ].unique()
  table = table[~table["attribute"].isin(few)].dropna(subset=["sd"])
  expected = table.sort_values("sd", ascending=False)["attribute"].head(6)
  figure = next(one for one in chapter.parts if one.slug == "widest")  # type: ignore[union-attr]
  assert isinstance(figure, Figure)
  assert [one.title.partition(",")[0] for one in figure.panels] == [*expected]
  assert "Chosen:" in figure.caption
  for panel in figure.panels:
    assert panel.data is not None
    seeds = panel.data[panel.data["kind"] == "seed"]
    assert len(seeds) == 6 * 8  # dense stands at the beginning of both lines


def test_effects_are_differences_over_the_dense_sd(
  source: Source, chapter: Section
) -> None:
  data = _data(chapter, "effect-noise-1")
  assert set(data["sparsity"]) == {0.8}
  where = {"metric": "bias_amplification", "attribute": data["attribute"][0]}
  dense = _table(source, "variance", pruner="dense", **where)
  change = _table(source, "contrasts", pruner="gmp", sparsity=0.8, **where)
  effect = abs(change["difference"].item()) / dense["sd"].item()
  assert data["effect"][0] == pytest.approx(effect)
  rows = _tables(chapter)["effect-noise"].bands[0][1]
  assert rows[0][:3] == (
    "80 % (gmp)",
    str(len(data)),
    str((data["effect"] > 1).sum()),
  )


def test_both_intervals_are_those_of_the_table(
  source: Source, chapter: Section
) -> None:
  data = _data(chapter, "crossed-2")
  table = _table(source, "variance", metric="auc", attribute="(mean)")
  merged = data.merge(table, on=["pruner", "sparsity"])
  assert len(merged) == 7
  for name in ("mean_low", "mean_high", "crossed_low", "crossed_high"):
    np.testing.assert_allclose(merged[f"{name}_x"], merged[f"{name}_y"])


@pytest.mark.parametrize(
  ("name", "reason"),
  [
    ("one", "one seed"),
    ("no_dense", "no dense members"),
    ("dense_only", "no pruned members"),
    ("no_identities", "no identity attributes"),
  ],
)
def test_what_a_run_cannot_show_says_why(
  runs: Runs, name: str, reason: str
) -> None:
  chapter = variance.section(open_source(runs(name)))
  reasons = [
    part.reason for part in chapter.parts if isinstance(part, Figure | Table)
  ]
  assert any(reason in one for one in reasons)
  for part in chapter.parts:
    assert isinstance(part, Figure | Table)
    if isinstance(part, Figure) and not part.reason:
      assert part.panels
      assert all(one.svg or one.reason for one in part.panels)
    if isinstance(part, Table) and not part.reason:
      assert any(rows for _, rows in part.bands), part.slug


@pytest.fixture(scope="module")
def crossed(make_run: MakeRun) -> Source:
  """Three initialisations times three orders."""
  run = make_run(
    seeds=range(9),
    sparsities=(0.0, 0.9),
    names=("Smiling", "Bald", "Young"),
    identities=("Night",),
    examples=120,
    analysed=False,
  )
  splits = {}
  for name in SPLITS:
    split = run.split(name)
    if "member" in split.dims:
      init, order = np.divmod(split["seed"].to_numpy(), 3)
      split = split.assign_coords(
        seed_init=("member", init), seed_order=("member", order)
      )
    splits[name] = split
  analysis.analyze(splits).write(run.path / "analysis")
  return open_source(run)


def test_crossed_seeds_have_components_and_no_intervals(
  crossed: Source,
) -> None:
  chapter = variance.section(crossed)
  data = _data(chapter, "sources-1")
  table = crossed.table("sources")
  table = table[
    (table["metric"] == "accuracy")
    & (table["attribute"] == "(mean)")
    & (table["identity"] == "")
    & (table["threshold_rule"] == "default")
  ]
  assert [*data["source"]] == ["init", "order", "init*order"] * 2
  assert data["variance"].tolist() == table["variance"].tolist()
  np.testing.assert_allclose(data.groupby("sparsity")["share"].sum(), 100)
  sd = _data(chapter, "sd-accuracy")
  assert sd["sd"].notna().all()
  assert sd["sd_low"].isna().all()
  interval = _panel(chapter, "crossed-1")
  assert interval.reason == "Not available: crossed seeds, see sources.csv."


def test_means_of_crossed_seeds_have_no_interval(crossed: Source) -> None:
  section = performance.accuracy_section(crossed)
  (figure,) = section.parts
  assert isinstance(figure, Figure)
  assert "Members share seeds of a purpose, so there is no interval" in (
    figure.caption
  )
  data = figure.panels[0].data
  assert data is not None
  means = data[data["kind"] == "mean"]
  assert means["value"].notna().all()
  assert means[["low", "high"]].isna().all(axis=None)


def test_sources_need_a_crossed_design(source: Source) -> None:
  figure = sources.source_figure(source)
  assert "--seed.init 0,1,2" in figure.reason


def test_an_axis_shows_every_estimate_but_not_every_interval() -> None:
  line = Estimates(
    label="two seeds",
    place=np.arange(2),
    value=np.array([1.0, 2.0]),
    low=np.array([0.5, 1.0]),
    high=np.array([30.0, 60.0]),
    doubtful=np.zeros(2, bool),
  )
  assert top_of([line]) == pytest.approx(1.08 * 4)


def test_units_stand_behind_a_change(source: Source) -> None:
  accuracy, auc, _ = overall(source)
  assert accuracy.with_unit(0.0123) == "1.23 points"
  assert auc.with_unit(0.0123) == "0.012"
