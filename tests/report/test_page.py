"""The page: whole, harmless, self-contained, the same every time."""

from collections.abc import Callable
import dataclasses
import functools
from html.parser import HTMLParser
import re
import types
from typing import Any

import numpy as np
import pandas as pd
import pytest

from prunebias_jax import InputError, analysis, store
from prunebias_jax.report import write
from prunebias_jax.report.sections import (
  SECTIONS,
  answers,
  bias,
  dependence,
  methods,
  performance,
)
from prunebias_jax.report.sections.answers import changes
from prunebias_jax.report.sections.groups.table import group_rows
from prunebias_jax.report.sections.methods import facts
from prunebias_jax.report.source import Source, open_source
from prunebias_jax.report.vocabulary import METRICS, group_name, probability
from prunebias_jax.report.write import render

NAMES = (
  "four",
  "one",
  "no_dense",
  "dense_only",
  "no_identities",
  "classes",
  "two_pruners",
  "hostile",
  "evaluated",
  "evaluated_classes",
)
VOID = {"meta", "img", "br", "hr", "input", "link", "wbr"}
Page = Callable[[str], str]
# PDF and PNG have a test of their own, and take their time.
write_report = functools.partial(write.write_report, formats=("svg",))


class _Parsed(HTMLParser):
  """Elements, text and what does not close."""

  def __init__(self, text: str) -> None:
    super().__init__()
    self.elements: list[tuple[str, dict[str, str | None]]] = []
    self.words: list[str] = []
    self.open: list[str] = []
    self.wrong: list[str] = []
    self.feed(text)
    self.close()
    self.wrong += self.open

  def handle_starttag(
    self, tag: str, attrs: list[tuple[str, str | None]]
  ) -> None:
    self.elements.append((tag, dict(attrs)))
    if tag not in VOID:
      self.open.append(tag)

  def handle_startendtag(
    self, tag: str, attrs: list[tuple[str, str | None]]
  ) -> None:
    self.elements.append((tag, dict(attrs)))

  def handle_endtag(self, tag: str) -> None:
    if not self.open or self.open.pop() != tag:
      self.wrong.append(tag)

  def handle_data(self, data: str) -> None:
    self.words.append(data)

  @property
  def text(self) -> str:
    return " ".join(" ".join(self.words).split())


@pytest.fixture
def few_chapters(monkeypatch: pytest.MonkeyPatch) -> None:
  """Reports of a few chapters: all of them take seconds to draw."""
  chapters = (
    answers.section,
    answers.missing_section,
    performance.accuracy_section,
    dependence.section,
    bias.section,
    methods.section,
  )
  monkeypatch.setattr(write, "SECTIONS", chapters)
  monkeypatch.setattr(write, "COMPARED_BEFORE", 0)


@pytest.mark.parametrize("name", NAMES)
def test_every_kind_of_run_renders_well_formed(page: Page, name: str) -> None:
  parsed = _Parsed(page(name))
  assert parsed.wrong == []
  tags = [tag for tag, _ in parsed.elements]
  assert tags.count("h1") == 1
  assert tags.count("section") == tags.count("h2") == len(SECTIONS)
  assert tags.count("figure") == tags.count("figcaption") > 6
  assert len(page(name).encode()) < 10e6


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_loaded_and_nothing_runs(page: Page, name: str) -> None:
  for tag, attributes in _Parsed(page(name)).elements:
    assert tag not in ("script", "link", "iframe", "object", "base", "embed")
    for key, value in attributes.items():
      assert not key.startswith("on")
      if key in ("src", "href", "xlink:href", "srcset", "action"):
        assert value is not None
        assert value.startswith(("#", "data:image/png;base64,"))
  style = page(name).split("</style>")[0]
  assert "url(" not in style
  assert "@import" not in style
  assert "http://" not in page(name)
  assert "https://" not in page(name)


@pytest.mark.parametrize("name", NAMES)
def test_ids_are_distinct_and_references_are_met(page: Page, name: str) -> None:
  elements = _Parsed(page(name)).elements
  ids = [one["id"] for _, one in elements if "id" in one]
  assert len(ids) == len(set(ids))
  wanted = {
    value[1:]
    for _, attributes in elements
    for key, value in attributes.items()
    if key in ("href", "xlink:href") and value
  }
  wanted |= set(re.findall(r"url\(#([^)]+)\)", page(name)))
  assert wanted <= set(ids)


@pytest.mark.parametrize("name", NAMES)
def test_every_drawing_and_image_has_its_words(page: Page, name: str) -> None:
  elements = _Parsed(page(name)).elements
  drawings = [one for tag, one in elements if tag == "svg"]
  assert drawings
  for one in drawings:
    assert one["role"] == "img"
    assert len(one["aria-label"] or "") > 40
  for tag, one in elements:
    if tag == "img":
      assert one["alt"]


@pytest.mark.parametrize("name", ["four", "hostile"])
def test_two_writes_give_the_same_bytes(
  runs: Callable[[str], store.Run], page: Page, name: str
) -> None:
  first = page(name)
  folder = runs(name).path / "report"
  figures = {one.name: one.read_bytes() for one in folder.iterdir()}
  again = write_report(runs(name))
  assert again.read_text(encoding="utf-8") == first
  assert {one.name: one.read_bytes() for one in folder.iterdir()} == figures


def test_hostile_names_are_shown_and_do_nothing(page: Page) -> None:
  parsed = _Parsed(page("hostile"))
  assert "<script>alert(1)</script>" in parsed.text
  assert "<img src=x onerror=\"alert(2)\"> & 'more'" in parsed.text
  assert "</style><script>alert(3)</script>" in parsed.text
  assert "$\\frac{1}{0}$ {{ 7*7 }}" in parsed.text
  assert "Ünïcode 顔" in parsed.text
  assert not [tag for tag, _ in parsed.elements if tag in ("script", "b")]


def test_four_seeds_name_the_tests_that_are_not_available(page: Page) -> None:
  text = _Parsed(page("four")).text
  assert "Sign-flip and Wilcoxon tests are not available" in text
  assert "K >= 6" in text


def test_six_seeds_have_them(page: Page) -> None:
  text = _Parsed(page("two_pruners")).text
  assert "Sign-flip and Wilcoxon tests are not available" not in text
  assert "random" in text


def test_one_seed_says_that_there_is_no_interval(page: Page) -> None:
  text = _Parsed(page("one")).text
  assert "are not available there" in text
  assert "with one seed there is no interval" in text
  assert "nan" not in text.lower().split()


def test_without_dense_the_comparison_says_why_it_is_missing(
  page: Page,
) -> None:
  text = _Parsed(page("no_dense")).text
  assert text.count("Not available: the run has no dense members") >= 3
  assert "not recorded" in text


def test_without_pruned_members_it_says_so(page: Page) -> None:
  text = _Parsed(page("dense_only")).text
  assert "Not available: the run has no pruned members" in text


def test_without_identities_every_place_says_why(page: Page) -> None:
  text = _Parsed(page("no_identities")).text
  assert text.count("Not available: the run has no identity attributes") >= 4


def test_an_unfinished_run_says_what_is_missing(page: Page) -> None:
  text = _Parsed(page("no_identities")).text
  assert "This run is not finished: 11 of 16 members are done" in text
  assert "dense, sparsity 0, seed 3" in text
  assert "not finished" not in _Parsed(page("four")).text


def test_exclusive_classes_have_no_interdependence(page: Page) -> None:
  text = _Parsed(page("classes")).text
  assert "Not available: interdependence is defined between attributes" in text
  assert "10 exclusive classes" in text


def test_a_mean_that_leaves_attributes_out_says_so_in_its_row(
  page: Page,
) -> None:
  text = _Parsed(page("hostile")).text
  assert "points mean over 3 of 4 attributes" in text
  assert "Means over those of the 4 attributes that have a value" in text


def test_facts_and_config_are_told(page: Page) -> None:
  text = _Parsed(page("four")).text
  for words in (
    "16 networks (cnn, 62,184 parameters, 61,000 of them prunable)",
    "1 h 4 min (3,812 s)",
    "4 min (238 s)",
    "60,390 99.000 %",
    "train.learning_rate 0.1",
    "jax 0.10.0",
    "2 × cpu",
  ):
    assert words in text


def test_sample_images_are_shown(page: Page) -> None:
  images = [one for tag, one in _Parsed(page("four")).elements if tag == "img"]
  assert len(images) == store.SAMPLES
  assert (images[0]["alt"] or "").startswith("Test image test-00000: ")


@pytest.mark.usefixtures("few_chapters")
def test_a_newer_member_makes_the_analysis_old(
  make_run: Callable[..., store.Run],
) -> None:
  run = make_run(names=("A", "B"), identities=(), examples=60, finished=15)
  assert "older than the run" not in write_report(run).read_text()
  logits = np.zeros((60, 2), np.float32)
  run.write_member(15, {"valid": logits, "test": logits})
  assert "it covers 15 of 16" in write_report(run).read_text()


def test_a_run_that_was_not_analysed_is_refused(
  make_run: Callable[..., store.Run],
) -> None:
  run = make_run(names=("A",), examples=60, analysed=False)
  with pytest.raises(InputError, match="prunebias analyze"):
    write_report(run)
  assert not (run.path / "report.html").exists()


@pytest.mark.usefixtures("few_chapters")
def test_another_directory_takes_the_report(
  make_run: Callable[..., store.Run], tmp_path
) -> None:
  run = make_run(names=("A", "B"), identities=(), examples=60)
  path = write_report(run, directory=tmp_path / "there")
  assert path == tmp_path / "there" / "report.html"
  assert not (run.path / "report.html").exists()
  assert list((tmp_path / "there" / "report").glob("*.csv"))


def _row_numbers(text: str) -> float:
  return float(text.replace("−", "-").replace(",", ""))


@pytest.mark.parametrize("name", ["four", "no_identities", "classes"])
def test_pruned_minus_dense_is_the_difference(
  runs: Callable[[str], store.Run], name: str
) -> None:
  source = open_source(runs(name))
  shown = [
    (row.dense, row.here, row.difference)
    for rule in ("default", "calibrated")
    for block in changes.blocks(source, rule)
    for row in block.rows
  ]
  shown += [
    (row.dense, row.here, row.difference)
    for population in source.compressed
    for table in changes.movers(source, population)
    for row in (*table.up, *table.down)
  ]
  shown += [rate[:3] for row in group_rows(source) for rate in row.rates]
  shown = [row for row in shown if "n/a" not in row]
  assert len(shown) > 20
  for row in shown:
    dense, here, difference = map(_row_numbers, row)
    decimals = len(row[2].split(".")[-1])
    # Each of the three is rounded.
    assert abs(here - dense - difference) < 1.6 * 10.0**-decimals


@pytest.mark.usefixtures("few_chapters")
def test_a_collapsed_seed_changes_no_sign(
  make_run: Callable[..., store.Run],
) -> None:
  """Dense predicts B in some members only: both sides go without it."""
  run = make_run(names=("A", "B", "C"), identities=("G",), examples=200)
  logits = {split: run.logits_of(1, split) for split in ("valid", "test")}
  for values in logits.values():
    values[:, 1] = -5
  run.write_member(1, logits)
  splits = {split: run.split(split) for split in ("train", "valid", "test")}
  analysis.analyze(splits).write(run.path / "analysis")
  source = open_source(run)
  cell = source.overall("interdependence")
  population = source.compressed[0]
  dense, here = source.sides(cell, population)
  row = source.contrast(cell)[population]
  assert here - dense == pytest.approx(row["difference"])
  assert "mean over 2 of 3 attributes" in row["reason"]
  # The figure has one set of attributes for all levels.
  assert source.used(cell) == 2
  text = _Parsed(write_report(run).read_text()).text
  assert "in every model drawn (Interdependence: 2)" in text


def test_the_error_of_classes_in_groups_is_that_of_the_classifier(
  runs: Callable[[str], store.Run], page: Page
) -> None:
  run = runs("classes")
  test = run.split("test")
  wrong = test["logits"].to_numpy().argmax(axis=2) != test["labels"].to_numpy()
  dense = (test["pruner"] == "dense").to_numpy()
  source = open_source(run)
  for row, (identity, value) in zip(
    group_rows(source), source.groups, strict=True
  ):
    if identity == "Night":
      inside = test["identities"].to_numpy()[:, 0] == int(value)
      expected = 100 * wrong[dense][:, inside].mean()
      assert _row_numbers(row.rates[0][0]) == pytest.approx(expected, abs=5e-3)
  data = pd.read_csv(run.path / "report" / "groups-1-night-error.csv")
  means = data[(data["kind"] == "mean") & (data["sparsity"] == 0)]
  inside = test["identities"].to_numpy()[:, 0] == 1
  night = means[means["line"].str.startswith("Night")]["value"]
  assert night.item() == pytest.approx(wrong[dense][:, inside].mean())
  assert page("classes")


def test_uncertainty_has_one_meaning_in_a_report_on_classes(
  runs: Callable[[str], store.Run],
) -> None:
  source = open_source(runs("classes"))
  for population in source.compressed:
    titles = [table.title for table in changes.movers(source, population)]
    assert "Uncertainty" not in titles
    assert "Recall" in titles


@pytest.mark.usefixtures("few_chapters")
def test_movers_leave_out_what_lacks_a_pair(
  make_run: Callable[..., store.Run],
) -> None:
  run = make_run(
    names=("A", "B", "C"),
    identities=("G",),
    examples=400,
    sparsities=(0.0, 0.8),
  )
  logits = {split: run.logits_of(1, split) for split in ("valid", "test")}
  for values in logits.values():
    values[:, 1] = -5
    values[:, 2] = -5
    values[:4, 2] = 5
  run.write_member(1, logits)
  splits = {split: run.split(split) for split in ("train", "valid", "test")}
  analysis.analyze(splits).write(run.path / "analysis")
  source = open_source(run)
  tables = changes.movers(source, source.compressed[0])
  bias = next(one for one in tables if one.title == "Bias amplification")
  rows = (*bias.up, *bias.down)
  assert {row.name for row in rows} == {"A · G", "C · G*"}
  assert {row.pairs for row in rows} == {"4"}
  write_report(run)
  data = pd.read_csv(
    run.path / "report" / "heat-map-difference.csv", keep_default_na=False
  )
  assert data["mark"].tolist() == ["", "†", "*"]


def test_groups_show_their_positives(page: Page) -> None:
  text = _Parsed(page("four")).text
  assert "examples positives negatives" in text
  assert "An asterisk marks groups with fewer than 10 of either" in text
  assert re.search(r"not Young\* [\d,]+ \d+–\d+ \d+–\d+", text)


@pytest.mark.usefixtures("few_chapters")
def test_diverged_members_are_named(
  make_run: Callable[..., store.Run],
) -> None:
  run = make_run(names=("A", "B"), identities=(), examples=60, analysed=False)
  logits = np.full((60, 2), np.nan, np.float32)
  run.write_member(3, {"valid": logits, "test": logits}, diverged=True)
  splits = {split: run.split(split) for split in ("train", "valid", "test")}
  analysis.analyze(splits).write(run.path / "analysis")
  text = _Parsed(write_report(run).read_text()).text
  assert "Left out of every number: gmp, sparsity 0.99, seed 0" in text
  assert "1 of 16 members are left out" in text
  assert "older than the run" not in text
  assert "not finished" not in text


@pytest.mark.usefixtures("few_chapters")
def test_nothing_is_missing_is_said_only_where_it_holds(
  make_run: Callable[..., store.Run], runs: Callable[[str], store.Run]
) -> None:
  assert not open_source(runs("four")).is_complete
  run = make_run(
    names=("A", "B"),
    identities=("G",),
    examples=2000,
    seeds=range(8),
    sparsities=(0.0, 0.8),
  )
  source = open_source(run)
  assert source.is_complete
  assert not source.analysis.notes
  assert "Nothing is missing" in write_report(run).read_text()
  hidden = source.analysis.tables["contrasts"].copy()
  hidden.loc[3, "t_p"] = np.nan
  tables = {**source.analysis.tables, "contrasts": hidden}
  spoilt = dataclasses.replace(source.analysis, tables=tables)
  assert not Source(source.run, spoilt).is_complete


@pytest.mark.usefixtures("few_chapters")
def test_an_interrupted_write_is_mended_by_the_report(
  make_run: Callable[..., store.Run],
) -> None:
  run = make_run(names=("A", "B"), identities=(), examples=60)
  (run.path / "analysis").rename(run.path / ".analysis.previous")
  assert write_report(run).exists()
  assert (run.path / "analysis").is_dir()


def test_values_of_an_identity_that_are_not_0_and_1_are_written_out() -> None:
  assert group_name("Camera", "1", valued={"Camera"}) == "Camera = 1"
  assert group_name("Male", "1", valued={"Camera"}) == "Male"
  assert group_name("Male*Camera", "0*0", valued={"Camera"}) == (
    "not Male, Camera = 0"
  )


@pytest.mark.usefixtures("few_chapters")
def test_a_figure_without_a_common_attribute_leaves_members_out(
  make_run: Callable[..., store.Run],
) -> None:
  run = make_run(names=("A", "B"), identities=(), examples=60)
  logits = np.full((60, 2), -5, np.float32)
  run.write_member(1, {"valid": logits, "test": logits})
  splits = {split: run.split(split) for split in ("train", "valid", "test")}
  analysis.analyze(splits).write(run.path / "analysis")
  text = _Parsed(write_report(run).read_text()).text
  assert "no attribute of any model has a value" not in text
  assert (
    "Not drawn, having no value: 80 % (gmp), seed 0 (Interdependence)." in text
  )


def test_zeros_that_differ_between_seeds_are_a_range() -> None:
  log = pd.DataFrame(
    {
      "pruner": "gmp-ri channels",
      "sparsity": [0.5, 0.5, 0.9, 0.9],
      "epoch": 3,
      "zeros": [500, 460, 900, 900],
    }
  )
  run = types.SimpleNamespace(
    metrics=lambda: log, facts={"model": {"prunable": 1000}}
  )
  source: Any = types.SimpleNamespace(run=run)
  assert facts.sparsity_rows(source) == [
    ("gmp-ri channels", "50 %", "460 to 500", "46.000 % to 50.000 %"),
    ("gmp-ri channels", "90 %", "900", "90.000 %"),
  ]


@pytest.mark.parametrize(
  ("loss", "words"),
  [
    ({}, ""),
    ({"kind": "plain", "identities": []}, ""),
    ({"kind": "class_reweighted", "identities": []}, "both values of a label"),
    (
      {"kind": "group_reweighted", "identities": ["Male", "Young"]},
      "weighs alike in every group of Male and Young",
    ),
    ({"kind": "learning_from_failure"}, ", by Learning from Failure (a biased"),
  ],
)
def test_a_loss_against_bias_is_told(loss: dict[str, Any], words: str) -> None:
  found = facts._loss(loss)
  assert (words in found) if words else not found


def test_what_does_not_pair_is_compared_without_pairs(
  make_run: Callable[..., store.Run],
) -> None:
  run = make_run(
    names=("A", "B", "C"),
    identities=("G",),
    examples=120,
    sparsities=(0.0, 0.9),
    seeds=range(3),
    analysed=False,
  )
  splits = {split: run.split(split) for split in ("train", "valid", "test")}
  for split in splits.values():
    split.attrs["paired"] = False
  analysis.analyze(splits).write(run.path / "analysis")
  source = open_source(run)
  population = source.compressed[0]
  assert not source.contrast(source.overall("accuracy"))
  (block,) = changes.blocks(source)
  assert not block.paired
  table = source.table("contrasts")
  for name in ("accuracy", "auc"):
    row = table[
      (table["metric"] == name)
      & (table["attribute"] == "(mean)")
      & (table["threshold_rule"] == "default")
      & (table["identity"] == "")
    ].iloc[0]
    shown = next(one for one in block.rows if one.name == METRICS[name].title)
    assert shown.difference == METRICS[name].change(row["difference"])
    assert shown.t_p == probability(row["t_p"])
    assert shown.pairs == "3 and 3"
    dense, here = map(_row_numbers, (shown.dense, shown.here))
    assert here - dense == pytest.approx(
      METRICS[name].shown_change(row["difference"]), abs=0.011
    )
  moved = changes.movers(source, population)
  assert all(row.pairs == "3 and 3" for one in moved for row in one.up)
  text = _Parsed(render(source, [answers.section(source)], ("svg",))).text
  assert "The members do not pair with dense ones" in text
  assert "members do not pair, Welch's t, seeds of dense and compressed" in text
  assert "dense model of the same seed" not in text
