"""Verdicts in the report: rates, counts, agreement, and what is refused."""

from collections.abc import Callable, Iterator
import itertools
import shutil
import subprocess
import sys

import pytest
from scipy.stats import binomtest

from prunebias_jax import store
from prunebias_jax.audit.log import FOLDER, Identity, Plan, VerdictLog, log_path
from prunebias_jax.report.page import Figure, Table
from prunebias_jax.report.sections import (
  verdicts,
)
from prunebias_jax.report.source import open_source

MakeRun = Callable[..., store.Run]


@pytest.fixture(scope="module")
def run(make_run: MakeRun) -> store.Run:
  return make_run(
    seeds=range(2),
    sparsities=(0.0, 0.9),
    names=("A", "B"),
    identities=(),
    examples=60,
  )


@pytest.fixture
def judge(run: store.Run) -> Iterator[Callable[..., None]]:
  """Records a verdict on an example of a split; gone after the test."""
  keys = map(str, itertools.count())
  logs: dict[str, VerdictLog] = {}

  def record(verdict: str, arm: str, example: int, **more: object) -> None:
    split = str(more.pop("split", "valid"))
    if split not in logs:
      labels = run.split(split).attrs["labels_sha256"]
      logs[split] = VerdictLog(
        log_path(run, split), Identity.of(run, labels), Plan(split=split)
      )
    logs[split].append(
      next(keys),
      **{
        "kind": "verdict",
        "reviewer": "Ada",
        "example_id": f"{split}-{example:05d}",
        "attribute": "A",
        "verdict": verdict,
        "blind": True,
        "arm": arm,
        "pruner": "gmp",
        "sparsity": 0.9,
        "quantization": "none",
        **more,
      },
    )

  yield record
  for log in logs.values():
    log.close()
  shutil.rmtree(run.path / FOLDER, ignore_errors=True)


def _parts(run: store.Run) -> dict[str, Figure | Table]:
  parts = verdicts.section(open_source(run)).parts
  return {one.slug: one for one in parts}  # type: ignore[union-attr]


def test_without_verdicts_it_says_how_to_begin(run: store.Run) -> None:
  [part] = _parts(run).values()
  assert "prunebias audit RUN" in part.reason
  assert verdicts.section(open_source(run)).text == ()


def test_rates_have_wilsons_interval_and_their_n(
  run: store.Run, judge: Callable[..., None]
) -> None:
  for example in range(12):
    judge("wrong_label" if example < 4 else "atypical", "exemplar", example)
  for example in range(12, 17):
    judge("nothing_unusual", "control", example)
  judge("wrong_label", "exemplar", 20, blind=False)
  judge("wrong_label", "none", 21)
  parts = _parts(run)
  figure = parts["verdicts-valid"]
  assert isinstance(figure, Figure)
  [panel] = figure.panels
  assert panel.data is not None
  row = panel.data[
    (panel.data["arm"] == "exemplar") & (panel.data["verdict"] == "wrong_label")
  ].iloc[0]
  interval = binomtest(4, 12).proportion_ci(0.95, "wilson")
  assert row["share"] == pytest.approx(4 / 12)
  assert (row["low"], row["high"]) == pytest.approx(tuple(interval))
  assert "exemplars (n = 12)" in panel.alt
  assert "controls* (n = 5)" in panel.alt
  assert "17 blind verdicts of 1 reviewer" in figure.caption
  assert "from the queue of 90 % (gmp) (17)" in figure.caption
  assert "Not counted: 2 verdicts" in figure.caption
  counts = parts["verdicts-valid-counts"]
  assert isinstance(counts, Table)
  bands = dict(counts.bands)
  assert bands["Exemplars, n = 12"][0][:3] == ("Wrong label", "4", "33.33")
  assert bands["Other ranks, n = 0"][0][1:] == ("0", "n/a", "n/a")
  assert parts["verdicts-valid-agreement"].reason.endswith("one reviewer.")


def test_two_reviewers_have_kappa(
  run: store.Run, judge: Callable[..., None]
) -> None:
  for example, (mine, theirs) in enumerate(
    [("atypical", "atypical"), ("low_quality", "atypical")] * 3
  ):
    judge(mine, "exemplar", example)
    judge(theirs, "exemplar", example, reviewer="<b>Bo</b>")
  table = _parts(run)["verdicts-valid-agreement"]
  assert isinstance(table, Table)
  # Half agree; guessing with these rates half would: kappa is 0.
  [(_, [row])] = table.bands
  assert row == ("<b>Bo</b>, Ada", "6", "3", "0.00")


def test_verdicts_on_test_contaminate_it(
  run: store.Run, judge: Callable[..., None]
) -> None:
  judge("atypical", "exemplar", 1, split="test")
  [text] = verdicts.section(open_source(run)).text
  assert text.startswith("The test split was audited (1 verdicts)")
  parts = _parts(run)
  assert "prunebias audit RUN" in parts["verdicts-valid"].reason
  assert not parts["verdicts-test"].reason


def test_another_runs_verdicts_are_refused_in_their_place(
  run: store.Run, judge: Callable[..., None]
) -> None:
  judge("atypical", "exemplar", 1)
  path = log_path(run, "valid")
  text = path.read_text()
  path.write_text(text.replace('"run": "', '"run": "other ', 1))
  [part] = _parts(run).values()
  assert part.reason.startswith(
    "Not available: audit/valid.jsonl holds verdicts on another run"
  )
  assert str(run.path) not in part.reason


def test_the_report_needs_nothing_of_the_audit_page() -> None:
  code = (
    "import sys, prunebias_jax.report.write; "
    "sys.exit([m for m in ('starlette', 'uvicorn', 'anyio') "
    "if m in sys.modules] or 0)"
  )
  done = subprocess.run([sys.executable, "-c", code], capture_output=True)
  assert done.returncode == 0, done.stderr
