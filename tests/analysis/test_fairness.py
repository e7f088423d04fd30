from collections.abc import Callable

from fairlearn.metrics import (
  MetricFrame,
  demographic_parity_difference,
  demographic_parity_ratio,
  equal_opportunity_difference,
  equalized_odds_difference,
  equalized_odds_ratio,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score
import xarray as xr

from prunebias_jax.analysis import analyze
from prunebias_jax.analysis.columns import FAIRNESS_METRICS
from prunebias_jax.analysis.fairness import fairness
from prunebias_jax.analysis.rates import Rates

MakeSplits = Callable[..., dict[str, xr.Dataset]]
Edit = Callable[..., dict[str, xr.Dataset]]


def _oracle(
  y: np.ndarray, predicted: np.ndarray, groups: np.ndarray
) -> list[float]:
  data = {"y_true": y, "y_pred": predicted}
  known = {**data, "sensitive_features": groups}
  frame = MetricFrame(metrics=accuracy_score, **known)
  return [
    demographic_parity_difference(**known),
    demographic_parity_ratio(**known),
    equalized_odds_difference(**known),
    equalized_odds_ratio(**known),
    equal_opportunity_difference(**known),
    frame.group_min(),
    frame.difference(),
  ]


def _row(table: pd.DataFrame, **where: object) -> pd.Series:
  for column, value in where.items():
    table = table[table[column] == value]
  assert len(table) == 1
  return table.iloc[0]


@pytest.mark.parametrize("multiclass", [False, True])
def test_equals_fairlearn(make_splits: MakeSplits, multiclass: bool) -> None:
  splits = make_splits(
    examples=300, identities=("G", "H"), multiclass=multiclass
  )
  tables = analyze(splits).tables
  test = splits["test"]
  logits, labels = test["logits"].to_numpy()[0], test["labels"].to_numpy()
  predicted = logits > 0
  if multiclass:
    labels = labels[:, None] == np.arange(3)
    predicted = logits.argmax(1)[:, None] == np.arange(3)
  g, h = test["identities"].to_numpy().T.astype(int)
  for a, name in enumerate("ABC"):
    for identity, groups in (("G", g), ("H", h), ("G*H", 2 * g + h)):
      row = _row(
        tables["fairness"],
        pruner="dense",
        seed=0,
        threshold_rule="default",
        attribute=name,
        identity=identity,
      )
      np.testing.assert_allclose(
        row[[*FAIRNESS_METRICS]].astype(float),
        _oracle(labels[:, a], predicted[:, a], groups),
        atol=1e-12,
      )
      assert row["n_groups"] == len(np.unique(groups))
      positives = np.bincount(groups, weights=labels[:, a])
      assert row["fewest_positive"] == positives.min()
      assert row["reason"] == ""
  if multiclass:
    row = _row(
      tables["fairness"],
      pruner="dense",
      seed=0,
      attribute="(all)",
      identity="G",
    )
    right = np.any(predicted & labels, axis=1)
    shares = [right[g == value].mean() for value in (0, 1)]
    assert row["worst_group_accuracy"] == min(shares)
    np.testing.assert_allclose(row["accuracy_gap"], max(shares) - min(shares))


def test_the_mean_of_seeds_is_in_variance(make_splits: MakeSplits) -> None:
  tables = analyze(make_splits()).tables
  cell = {"threshold_rule": "default", "attribute": "B", "identity": "G"}
  source = tables["fairness"]
  for key, value in {**cell, "pruner": "magnitude"}.items():
    source = source[source[key] == value]
  row = _row(
    tables["variance"],
    pruner="magnitude",
    metric="equalized_odds_difference",
    **cell,
  )
  values = source["equalized_odds_difference"]
  np.testing.assert_allclose(row["mean"], values.mean())
  np.testing.assert_allclose(row["sd"], values.std())
  assert row["n_seeds"] == len(values) == 3


def _rates(**changes: list[float]) -> Rates:
  rates = {name: [0.5] * 3 for name in Rates.__dataclass_fields__} | changes
  return Rates(**{name: np.array(values) for name, values in rates.items()})


def test_groups_without_the_rate_are_left_out() -> None:
  nan = np.nan
  found = fairness(_rates(false_negative_rate=[0.2, nan, 0.5]))
  np.testing.assert_allclose(found["equal_opportunity_difference"], 0.3)
  np.testing.assert_allclose(found["equalized_odds_difference"], 0.3)
  np.testing.assert_allclose(found["equalized_odds_ratio"], 0.5 / 0.8)
  found = fairness(_rates(false_negative_rate=[0.2, nan, nan]))
  assert np.isnan(found["equal_opportunity_difference"])
  assert np.isnan(found["equalized_odds_difference"])
  assert found["demographic_parity_difference"] == 0
  found = fairness(_rates(selection_rate=[0.0, 0.0, 0.0]))
  assert found["demographic_parity_difference"] == 0
  assert np.isnan(found["demographic_parity_ratio"])
  found = fairness(_rates(selection_rate=[0.0, 0.5, 0.0]))
  assert found["demographic_parity_ratio"] == 0


def test_reasons(make_splits: MakeSplits, edit: Edit) -> None:
  table = analyze(make_splits()).tables["fairness"]
  own = table[(table["attribute"] == "A") & (table["identity"] == "G")]
  assert set(own["reason"]) == {""}
  alone = edit(make_splits(), "test", "identities", np.ones_like)
  table = analyze(alone).tables["fairness"]
  assert table[[*FAIRNESS_METRICS]].isna().all(axis=None)
  few = "not available: fewer than two groups have examples"
  assert set(table["reason"]) == {few}

  def itself(labels: np.ndarray) -> np.ndarray:
    labels[:, 0] = splits["test"]["identities"].to_numpy()[:, 0]
    return labels

  splits = make_splits()
  table = analyze(edit(splits, "test", "labels", itself)).tables["fairness"]
  own = table[(table["attribute"] == "A") & (table["identity"] == "A")]
  assert own["reason"].str.contains("fewer than two groups have pos").all()
  assert own["accuracy_gap"].notna().all()
  assert own["equalized_odds_ratio"].isna().all()
  splits["test"]["logits"][:] = -1.0
  table = analyze(splits).tables["fairness"]
  row = table[table["threshold_rule"] == "default"].iloc[0]
  assert "nothing is predicted positive" in row["reason"]
  assert "a rate is 0 in every group" in row["reason"]


def test_no_identity_no_row(make_splits: MakeSplits) -> None:
  splits = {
    name: data.isel(identity=slice(0)) for name, data in make_splits().items()
  }
  result = analyze(splits)
  assert result.tables["fairness"].empty
  assert result.tables["directional"].empty


@settings(max_examples=80, deadline=None)
@given(
  hnp.arrays(
    float,
    (4, 5),
    elements=st.one_of(st.floats(0, 1), st.just(np.nan)),
  )
)
def test_laws(values: np.ndarray) -> None:
  found = fairness(Rates(**dict(zip(Rates.__dataclass_fields__, values))))  # noqa: B905
  for name, value in found.items():
    assert np.isnan(value) or 0 <= value <= 1, name
  order = fairness(
    Rates(**dict(zip(Rates.__dataclass_fields__, values[:, ::-1], strict=True)))
  )
  np.testing.assert_equal(order, found)
  worst, gap = found["worst_group_accuracy"], found["accuracy_gap"]
  if np.isfinite(gap):
    np.testing.assert_allclose(worst + gap, np.nanmax(values[0]))
