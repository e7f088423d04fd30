"""Every table of members on input that breaks careless formulas."""

from collections.abc import Callable
import itertools
import math

import numpy as np
import pytest
import xarray as xr

from prunebias_jax.analysis import analyze
from prunebias_jax.analysis.facts import gather
from prunebias_jax.analysis.measure import Arrays, measure

MakeSplits = Callable[..., dict[str, xr.Dataset]]
Splits = dict[str, xr.Dataset]
# Numbers of each table that are missing for a reason only.
NUMBERS = {
  "attributes": ("accuracy", "auc", "ece", "ece_sweep", "tcb", "entropy"),
  "classes": ("recall", "auc", "ece_sweep", "tcb"),
  "bias_amplification": ("bias_amplification",),
  "directional": ("attribute_to_task", "task_to_attribute", "mals"),
  "groups": ("accuracy", "false_positive_rate", "selection_rate"),
  "fairness": ("equalized_odds_ratio", "accuracy_gap"),
  "group_changes": ("dense", "change", "relative", "low", "relative_high"),
  "class_tests": ("shift_dense", "p"),
  "bias_variance": ("expected_loss", "bias", "variance"),
  "agreement": ("disagreement", "error_correlation"),
  "correlations": ("correlation",),
}
CASES = (
  "ties",
  "constant",
  "extreme",
  "huge",
  "denormal",
  "float16",
  "float64",
  "one example",
  "one class",
  "empty group",
  "no label",
  "same twice",
)


def _hostile(make_splits: MakeSplits, case: str, multiclass: bool) -> Splits:
  count = 1 if case == "one example" else 40
  splits = make_splits(examples=count, multiclass=multiclass)
  for name in ("valid", "test"):
    data = splits[name]
    z = data["logits"].to_numpy()
    match case:
      case "ties":
        z = np.round(z)
      case "constant":
        z = np.full_like(z, -0.5)
      case "extreme":
        z = np.where(z > 0, np.float32(1e30), np.float32(-1e30))
      case "huge":
        z = z.astype(np.float64) * 1e60
      case "denormal":
        z = z.astype(np.float64) * 1e-310
      case "float16" | "float64":
        z = z.astype(case)
      case "same twice":
        z[...] = z[:1]
        z[..., 1] = z[..., 0]
    splits[name] = data.assign(logits=(data["logits"].dims, z))
  for data in splits.values():
    labels = data["labels"].to_numpy()
    match case:
      case "one class":
        labels[...] = 0
      case "empty group":
        data["identities"].to_numpy()[:] = 1
      case "no label" if not multiclass:
        holes = np.where(np.arange(3) == 1, np.nan, labels)
        data["labels"] = (data["labels"].dims, holes)
  return splits


@pytest.fixture(params=["attributes", "classes"])
def multiclass(request: pytest.FixtureRequest) -> bool:
  return bool(request.param == "classes")


@pytest.mark.parametrize("case", sorted({*CASES} - {"float16", "float64"}))
def test_nothing_is_missing_without_a_reason(
  make_splits: MakeSplits, case: str, multiclass: bool
) -> None:
  splits = _hostile(make_splits, case, multiclass)
  tables = analyze(splits).tables
  for name, columns in NUMBERS.items():
    if name not in tables:
      continue
    table = tables[name]
    for column in columns:
      values = table[column].to_numpy(float)
      unexplained = table[np.isnan(values) & (table["reason"] == "")]
      assert unexplained.empty, (name, column, unexplained.iloc[0])
  for name in NUMBERS.keys() & tables.keys():
    numbers = tables[name].select_dtypes("number").to_numpy(float, na_value=0)
    assert not np.isinf(numbers).any(), name


def _sigmoid(z: float) -> float:
  return 1 / (1 + math.exp(-z)) if z > -700 else 0.0


def _loop(z: list[float], y: list[float], base: float) -> dict[str, float]:
  """The metrics of one attribute, from the definitions, example by example."""
  both = [(a, b == 1) for a, b in zip(z, y, strict=True) if not math.isnan(b)]
  nan = math.nan
  pairs = [
    (0.5 if a == b else float(a > b))
    for (a, yes), (b, other) in itertools.product(both, both)
    if yes and not other
  ]
  bins: dict[int, list[tuple[float, bool]]] = {}
  for a, yes in both:
    p = _sigmoid(a)
    bins.setdefault(min(int(10 * p), 9), []).append((p, yes))
  rate, share = (
    (sum(a > 0 for a, _ in both), sum(yes for _, yes in both))
    if not base > 0.5
    else (sum(a <= 0 for a, _ in both), sum(not yes for _, yes in both))
  )
  return {
    "accuracy": np.mean([(a > 0) == yes for a, yes in both]) if both else nan,
    "auc": np.mean(pairs) if pairs else nan,
    "predicted_positive": np.mean([a > 0 for a in z]),
    "uncertainty": np.mean([abs(a) < math.log(9) for a in z]),
    "high_uncertainty": np.mean([abs(a) < math.log(1.5) for a in z]),
    "entropy": np.mean([_entropy(a) for a in z]),
    "ece": (
      sum(abs(sum(yes - p for p, yes in one)) for one in bins.values())
      / len(both)
      if both
      else nan
    ),
    "tcb": rate / share if share and not math.isnan(base) else nan,
  }


def _entropy(z: float) -> float:
  p = _sigmoid(-abs(z))
  return -sum(q * math.log2(q) for q in (p, 1 - p) if q > 0)


def _measured(splits: Splits, parity: str = "default") -> list[list[Arrays]]:
  """The arrays of every member under both rules, without any table."""
  facts = gather(splits)
  valid = splits["valid"]
  return [
    measure(
      logits,
      facts,
      valid_logits=valid_logits,
      valid_facts=gather({**splits, "test": valid}),
      parity=parity,
    )
    for logits, valid_logits in zip(
      splits["test"]["logits"].to_numpy(),
      valid["logits"].to_numpy(),
      strict=True,
    )
  ]


@pytest.mark.parametrize("case", CASES)
def test_attributes_equal_a_loop(make_splits: MakeSplits, case: str) -> None:
  splits = _hostile(make_splits, case, multiclass=False)
  test = splits["test"]
  labels = test["labels"].to_numpy().astype(float)
  train = splits["train"]["labels"].to_numpy().astype(float)
  for logits, (found, _) in zip(
    test["logits"].to_numpy().astype(np.float64),
    _measured(splits),
    strict=True,
  ):
    for a, name in enumerate("ABC"):
      there = train[~np.isnan(train[:, a]), a]
      base = float(there.mean()) if there.size else math.nan
      expected = _loop(logits[:, a].tolist(), labels[:, a].tolist(), base)
      for column, value in expected.items():
        np.testing.assert_allclose(
          found[column][a], value, atol=1e-9, err_msg=f"{column} of {name}"
        )


@pytest.mark.parametrize("parity", ["default", "paper"])
def test_precision_changes_nothing_that_the_numbers_do_not(
  make_splits: MakeSplits, parity: str
) -> None:
  # Numbers that all of the types hold, some of them at a band's edge.
  splits = make_splits()
  for name in ("valid", "test"):
    z = splits[name]["logits"].to_numpy().astype(np.float16)
    z[:, :8, 0] = np.float16(math.log(9)) + np.arange(-4, 4) * np.float16(2**-9)
    z[:, 8:16, 1] = np.float16(math.log(1.5))
    splits[name] = splits[name].assign(logits=(splits[name]["logits"].dims, z))
  first, *others = (
    _measured(
      {
        name: data.assign(logits=data["logits"].astype(dtype))
        if "logits" in data
        else data
        for name, data in splits.items()
      },
      parity,
    )
    for dtype in (np.float16, np.float32, np.float64)
  )
  for other in others:
    for one, same in zip(first, other, strict=True):
      for arrays, expected in zip(one, same, strict=True):
        assert arrays.keys() == expected.keys()
        for name, values in arrays.items():
          np.testing.assert_array_equal(values, expected[name], err_msg=name)
