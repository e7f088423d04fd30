"""The chapter about another run, and the command line that asks for it."""

from collections.abc import Callable
import pathlib
import re
from typing import Any

import numpy as np
import pandas as pd
import pytest

from prunebias_jax import cli, store
from prunebias_jax.errors import InputError
from prunebias_jax.report import write
from prunebias_jax.report.page import Figure, Section, Table
from prunebias_jax.report.sections import (
  methods,
)
from prunebias_jax.report.sections.comparison import compare, section
from prunebias_jax.report.sections.comparison.settings import pairing
from prunebias_jax.report.source import open_source

CLASSES = (
  "airplane",
  "automobile",
  "bird",
  "cat",
  "deer",
  "dog",
  "frog",
  "horse",
  "ship",
  "truck",
)
MakeRun = Callable[..., store.Run]
Two = tuple[store.Run, store.Run]
SMALL: dict[str, Any] = {
  "names": ("A", "B", "G"),
  "identities": ("G",),
  "examples": 150,
  "sparsities": (0.0, 0.9),
  "size": 8,
}


@pytest.fixture(scope="module")
def two(make_run: MakeRun) -> Two:
  """Two runs of one test set: three seeds, and four others."""
  return (
    make_run(name="plain", seeds=range(3), **SMALL),
    make_run(name="<i>other</i>", seeds=range(3, 7), **SMALL),
  )


@pytest.fixture(scope="module")
def folder(two: Two, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
  """The first run's report about the second, in a directory of its own.

  Without the chapters that are about one run: they take long to draw.
  """
  path = tmp_path_factory.mktemp("compared") / "there"
  run, other = (str(one.path) for one in two)
  options = ["--compare", other, "--formats", "svg", "--output", str(path)]
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(write, "SECTIONS", (methods.samples_section,))
    patch.setattr(write, "COMPARED_BEFORE", 0)
    assert cli.main(["report", run, *options]) == 0
  return path


def _words(folder: pathlib.Path) -> str:
  page = (folder / "report.html").read_text(encoding="utf-8")
  chapter = page.split('<section id="comparison">')[1].split("</section>")[0]
  return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", chapter))


def _accuracy(run: store.Run) -> pd.Series:
  """Mean accuracy over the attributes, by sparsity and seed."""
  table = pd.read_csv(run.path / "analysis" / "attributes.csv")
  table = table[table["threshold_rule"] == "default"]
  return table.groupby(["sparsity", "seed"])["accuracy"].mean()


def test_the_lines_are_the_members_of_both_runs(
  two: Two, folder: pathlib.Path
) -> None:
  data = pd.read_csv(folder / "report" / "comparison-accuracy.csv")
  for run in two:
    part = data[(data["run"] == run.name) & (data["kind"] == "seed")]
    shown = part.set_index(["sparsity", "seed"])["value"].sort_index()
    np.testing.assert_allclose(shown, _accuracy(run).sort_index())
  table = pd.read_csv(folder / "report" / "comparison.csv")
  row = table[
    (table["metric"] == "accuracy")
    & (table["attribute"] == "(mean)")
    & (table["quantity"] == "change against dense")
    & table["identity"].isna()
  ]
  changes = [_accuracy(run)[0.9] - _accuracy(run)[0.0] for run in two]
  assert row["difference"].item() == pytest.approx(
    changes[1].mean() - changes[0].mean()
  )
  assert (row["n_first"].item(), row["n_second"].item()) == (3, 4)
  assert row["method"].item() == "unpaired"


def test_the_chapter_says_what_differs_and_how_it_is_compared(
  two: Two, folder: pathlib.Path
) -> None:
  words = _words(folder)
  assert "seeds 0, 1, 2 3, 4, 5, 6" in words
  assert "without pairs (Welch), because their seeds are not the same" in words
  assert "depends on the number of members (3 against 3 in the first" in words
  assert "Compared: dense and 90 % (gmp)." in words
  assert "&lt;i&gt;other&lt;/i&gt; minus plain" in words
  assert {one.suffix for one in (folder / "report").iterdir()} == {
    ".svg",
    ".csv",
  }
  assert not (two[0].path / "report.html").exists()


def _chapter(first: store.Run, second: store.Run) -> Section:
  return section(compare(open_source(first), open_source(second)))


def _reasons(chapter: Section) -> dict[str, str]:
  return {
    part.slug: part.reason
    for part in chapter.parts
    if isinstance(part, Figure | Table)
  }


def test_other_test_sets_are_drawn_and_not_subtracted(
  two: Two, make_run: MakeRun
) -> None:
  other = make_run(seeds=(5,), bare=True, **SMALL | {"examples": 90})
  found = _chapter(other, two[0])
  assert "differences between the runs would be those of" in found.text[1]
  reasons = _reasons(found)
  for slug in ("exemplars", "difference", "value", "change"):
    assert "test sets are not the same" in reasons[f"comparison-{slug}"]
  assert reasons["comparison"] == reasons["comparison-bias"] == ""


def test_classes_are_compared_where_one_run_has_no_dense(
  runs: Callable[[str], store.Run], make_run: MakeRun
) -> None:
  other = make_run(
    names=CLASSES,
    identities=("Night", "Indoor"),
    multiclass=True,
    examples=300,
    sparsities=(0.8,),
    seeds=(0, 1),
  )
  found = _chapter(runs("classes"), other)
  assert "Compared: 80 % (gmp); only in " in found.text[1]
  reasons = _reasons(found)
  assert reasons["comparison-value"] == ""
  assert "has dense members beside it in both" in reasons["comparison-change"]
  assert "has exemplars in both" in reasons["comparison-exemplars"]


FACTS: dict[str, Any] = {
  "sweep": {
    "name": "a",
    "seeds": [0, 1],
    "loss": {"kind": "plain"},
    "train": {"epochs": 3, "learning_rate": 0.1},
  },
  "data": {"fingerprint": "abc"},
  "versions": {"jax": "1", "flax": "2"},
}


def _facts(**sweep: Any) -> dict[str, Any]:
  return {**FACTS, "sweep": {**FACTS["sweep"], **sweep}}


@pytest.mark.parametrize(
  ("other", "paired", "words"),
  [
    (_facts(name="b"), True, "the configs are one"),
    (_facts(loss={"kind": "class_reweighted"}), True, "only in loss.kind"),
    (
      _facts(train={"epochs": 3, "learning_rate": 0.2}),
      True,
      "only in train.learning_rate",
    ),
    (_facts(train={"epochs": 4, "learning_rate": 0.1}), False, "train.epochs"),
    (
      _facts(seeds=[0, 1, 2]),
      False,
      "seeds are not the same (2 occur in both)",
    ),
    ({**FACTS, "data": {"fingerprint": "abd"}}, False, "data are not the same"),
    ({**FACTS, "data": {}}, False, "not recorded"),
    (
      {**FACTS, "versions": {"jax": "2", "flax": "2"}},
      False,
      "versions of jax",
    ),
    ({"imported": {}}, False, "an imported run does not say"),
  ],
)
def test_seeds_pair_only_where_they_mean_the_same(
  other: dict[str, Any], paired: bool, words: str
) -> None:
  found, why = pairing(FACTS, other)
  assert found is paired
  assert words in why


def test_a_run_is_not_compared_with_itself(two: Two) -> None:
  with pytest.raises(InputError, match="cannot be compared with itself"):
    compare(open_source(two[0]), open_source(two[0]))


def test_other_rules_are_refused(two: Two) -> None:
  first, second = (open_source(one) for one in two)
  second.analysis.arrays.attrs["parity"] = "paper"
  with pytest.raises(InputError, match="analyze both alike"):
    compare(first, second)


def test_wrong_choices_are_one_line_and_leave_the_report(
  two: Two,
  runs: Callable[[str], store.Run],
  folder: pathlib.Path,
  capsys: pytest.CaptureFixture[str],
) -> None:
  before = (folder / "report.html").read_bytes()
  report = ["report", str(two[0].path), "--output", str(folder)]
  for wrong, message in (
    (["--formats", "svg,jpg"], "formats 'svg,jpg'; accepted: one or more of"),
    (["--formats", ""], "accepted: one or more of svg, pdf, png"),
    (["--compare", str(runs("classes").path)], "different tasks"),
    (["--compare", str(folder)], "holds no run"),
    (["--output", str(folder / "report.html")], "accepted: a directory"),
  ):
    assert cli.main([*report, *wrong]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
  assert (folder / "report.html").read_bytes() == before
