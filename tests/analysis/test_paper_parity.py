"""`parity="paper"` against the published formulas, written out once more."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import scipy.special
from sklearn.linear_model import LinearRegression
from sklearn.metrics import roc_auc_score
import xarray as xr

from prunebias_jax.analysis import Options, analyze
from prunebias_jax.analysis.columns import MARKED
from prunebias_jax.data import markers

MakeSplits = Callable[..., dict[str, xr.Dataset]]
MEMBERS = [("dense", 0.0, "none", 0), ("magnitude", 0.9, "none", 0)]
NAMES = ("A", "B", "C", "D")
IDENTITIES = ("A", "G", MARKED)


def _splits(make_splits: MakeSplits) -> dict[str, xr.Dataset]:
  """Ties, a certain example, a constant attribute and a rare one."""
  splits = make_splits(
    MEMBERS, names=NAMES, identities=IDENTITIES, examples=240
  )
  rng = np.random.default_rng(2)
  for name, data in splits.items():
    # B is rare, and C has almost the same rates in both groups.
    labels = data["labels"].to_numpy()
    labels[:, 1] &= rng.random(len(labels)) < 0.3
    labels[:, 2] = rng.permutation(np.arange(len(labels)) % 5 < 3)
    if name != "train":
      data["logits"] = np.round(data["logits"], 1)
      data["logits"][1, :, 3] = -1.0
      data["logits"][0, 0, 0] = 1e30
  return splits


def _at(table: pd.DataFrame, **where: object) -> pd.DataFrame:
  for column, value in where.items():
    table = table[table[column] == value]
  return table


def _ece(p: np.ndarray, y: np.ndarray) -> float:
  bins = np.floor(10 * p) / 10
  return sum(
    (bins == one).mean() * abs(y[bins == one].mean() - p[bins == one].mean())
    for one in np.unique(bins)
  )


def _r2(predicted: np.ndarray, i: int) -> float:
  others = np.delete(predicted, i, axis=1)
  target = predicted[:, i]
  return float(LinearRegression().fit(others, target).score(others, target))


def _bias(
  chosen: np.ndarray,
  y: np.ndarray,
  g: np.ndarray,
  train_y: np.ndarray,
  train_g: np.ndarray,
  marker: bool,
) -> float:
  inside, outside = train_y[train_g].mean(), train_y[~train_g].mean()
  if marker:
    side = g
  else:
    low, high = sorted((inside, outside))
    if min(y[g].sum(), y[~g].sum()) < 10 or (high - low) / low < 0.1:
      return np.nan
    side = g if inside > outside else ~g
  if not chosen.any():
    return np.nan
  return chosen[side].sum() / chosen.sum() - y[side].sum() / y.sum()


@pytest.mark.parametrize("rule", ["default", "calibrated"])
def test_every_number(make_splits: MakeSplits, rule: str) -> None:
  splits = _splits(make_splits)
  tables = analyze(splits, options=Options(parity="paper")).tables
  attributes, bias = (
    _at(tables[name], threshold_rule=rule)
    for name in ("attributes", "bias_amplification")
  )
  z, valid = (splits[one]["logits"].to_numpy() for one in ("test", "valid"))
  y, valid_y, train_y = (
    splits[one]["labels"].to_numpy() for one in ("test", "valid", "train")
  )
  g, train_g = (
    splits[one]["identities"].to_numpy() == 1 for one in ("test", "train")
  )
  seen = []
  for m, (pruner, *_) in enumerate(MEMBERS):
    thresholds = np.zeros(len(NAMES))
    if rule == "calibrated":
      ordered = -np.sort(-valid[m], axis=0)
      positives = valid_y.sum(axis=0)
      thresholds = ordered[positives - 1, np.arange(len(NAMES))]
    predicted = z[m] > thresholds
    for a, name in enumerate(NAMES):
      rows = _at(attributes, pruner=pruner, attribute=name)
      assert len(rows) == 1
      row, p = rows.iloc[0], scipy.special.expit(z[m, :, a].astype(float))
      rate, base = predicted[:, a].mean(), y[:, a].mean()
      common = train_y[:, a].mean() > 0.5
      expected = {
        "accuracy": (predicted[:, a] == y[:, a]).mean(),
        "auc": roc_auc_score(y[:, a], z[m, :, a]),
        "predicted_positive": rate,
        "uncertainty": (np.abs(p - 0.5) < 0.4).mean(),
        "tcb": (1 - rate) / (1 - base) if common else rate / base,
        "ece": _ece(p, y[:, a]),
        "threshold": thresholds[a],
        "interdependence": _r2(predicted.astype(float), a),
      }
      for column, value in expected.items():
        np.testing.assert_allclose(
          row[column], value, rtol=1e-12, atol=1e-12, err_msg=column
        )
      for i, identity in enumerate(IDENTITIES):
        if identity == name:
          continue
        rows = _at(bias, pruner=pruner, attribute=name, identity=identity)
        value = _bias(
          predicted[:, a],
          y[:, a],
          g[:, i],
          train_y[:, a],
          train_g[:, i],
          identity == MARKED,
        )
        assert len(rows) == 1
        found = rows.iloc[0]
        np.testing.assert_allclose(
          found["bias_amplification"], value, rtol=1e-12, atol=1e-15
        )
        assert (found["reason"] == "") == np.isfinite(value)
        seen.append((identity, found["reason"].partition(":")[0]))
  # The case has exclusions of the rules, and markers that would be excluded.
  assert ("G", "excluded") in seen
  assert (MARKED, "excluded") not in seen
  marked = _at(bias, identity=MARKED).dropna(subset="bias_amplification")
  assert marked["flags"].str.contains("low_n|small_gap").any()


def test_markers_need_no_train_labels_under_the_paper(
  make_splits: MakeSplits,
) -> None:
  splits = _splits(make_splits)
  del splits["train"]
  options = Options(parity="paper")
  table = analyze(splits, options=options).tables["bias_amplification"]
  marked = _at(table, identity=MARKED, attribute="B")
  assert marked["bias_amplification"].notna().all()
  assert set(marked["reason"]) == {""}
  others = _at(table, identity="G")
  assert others["bias_amplification"].isna().all()


def test_the_marker_has_the_name_that_the_data_give_it() -> None:
  assert markers.MARKED == MARKED
