"""Kappa, rates and exports, against other libraries and by hand."""

import csv
import io
import json
import math

from audit_runs import IDENTITY
from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score
from statsmodels.stats.proportion import proportion_confint

from prunebias_jax.audit.agreement import (
  agreements,
  cohen_kappa,
  rates,
  share_interval,
)
from prunebias_jax.audit.listing import COLUMNS, as_csv, as_json
from prunebias_jax.audit.log import Plan
from prunebias_jax.audit.records import VERDICTS, Record

VERDICT = st.sampled_from([*VERDICTS])


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(VERDICT, VERDICT), min_size=1, max_size=40))
def test_kappa_is_scikit_learns(pairs):
  first, second = [list(one) for one in zip(*pairs, strict=True)]
  kappa, reason = cohen_kappa(first, second)
  if len({*first, *second}) == 1:
    assert math.isnan(kappa)
    assert "one and the same" in reason
  else:
    assert kappa == pytest.approx(cohen_kappa_score(first, second), abs=1e-9)
  assert kappa == pytest.approx(cohen_kappa(second, first)[0], nan_ok=True)


@pytest.mark.parametrize(("count", "total"), [(0, 1), (3, 10), (50, 50)])
def test_interval_is_statsmodels(count, total):
  expected = proportion_confint(count, total, 0.05, "wilson")
  assert share_interval(count, total) == pytest.approx(expected, abs=1e-9)


def test_intervals_cover_a_share_in_nineteen_of_twenty():
  rng = np.random.default_rng(3)
  counts = rng.binomial(60, 0.2, 2000)
  bounds = {count: share_interval(int(count), 60) for count in {*counts}}
  covered = [bounds[c][0] <= 0.2 <= bounds[c][1] for c in counts]
  assert 0.93 < np.mean(covered) < 0.97


def record(serial, reviewer, example, verdict, **values):
  return Record(
    serial=serial, kind="verdict", key=str(serial), time="2026",
    reviewer=reviewer, example_id=example, attribute="A", verdict=verdict,
    **{"arm": "exemplar", "blind": True, **values},
  )  # fmt: skip


def test_agreement_is_over_cases_that_both_judged():
  given_ = [
    record(1, "Ada", "one", "atypical"),
    record(2, "Ada", "two", "low_quality"),
    record(3, "Ben", "two", "low_quality"),
    record(4, "Ben", "three", "atypical"),
    record(5, "Cy", "four", "atypical"),
  ]
  found = {(one["first"], one["second"]): one for one in agreements(given_)}
  assert found["Ada", "Ben"]["cases"] == found["Ada", "Ben"]["agreed"] == 1
  assert found["Ada", "Cy"]["reason"] == "no case was judged by both"


def test_rates_count_blind_verdicts_by_arm():
  given_ = [
    record(1, "Ada", "one", "wrong_label"),
    record(2, "Ada", "two", "atypical"),
    record(3, "Ada", "three", "wrong_label", blind=False),
    record(4, "Ada", "four", "nothing_unusual", arm="control"),
  ]
  found = {(one["arm"], one["verdict"]): one for one in rates(given_)}
  wrong = found["exemplar", "wrong_label"]
  assert (wrong["count"], wrong["total"], wrong["share"]) == (1, 2, 0.5)
  assert found["control", "wrong_label"]["share"] == 0
  assert math.isnan(found["rest", "atypical"]["share"])


def test_exports_hold_what_was_said_and_no_formula():
  notes = ['a "quoted", note\nof two lines', "=1+1", "<b>ü</b>", "plain"]
  ids = ["../../etc", "<img src=x>", "@SUM(A1)", "x" * 5000]
  given_ = [
    record(place, "Ada", name, "atypical", note=note)
    for place, (name, note) in enumerate(zip(ids, notes, strict=True), 1)
  ]
  rows = [*csv.DictReader(io.StringIO(as_csv(given_)))]
  assert tuple(rows[0]) == COLUMNS
  assert [row["note"] for row in rows] == [notes[0], "'=1+1", *notes[2:]]
  assert rows[2]["example_id"] == "'@SUM(A1)"
  assert rows[0]["sparsity"] == ""
  found = json.loads(as_json(given_, IDENTITY, Plan()))
  assert [one["note"] for one in found["verdicts"]] == notes
  assert [one["example_id"] for one in found["verdicts"]] == ids
