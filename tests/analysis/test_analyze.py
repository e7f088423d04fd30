from collections.abc import Callable
import concurrent.futures
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from sklearn.metrics import accuracy_score, recall_score, roc_auc_score
import xarray as xr

from prunebias_jax import store
from prunebias_jax.analysis import (
  TABLES,
  Analysis,
  Options,
  analyze,
  calibrated_thresholds,
  read,
)
from prunebias_jax.analysis.columns import OVERALL_METRICS
from prunebias_jax.data.dataset import Dataset, Split
from prunebias_jax.errors import InputError

Splits = dict[str, xr.Dataset]
MakeSplits = Callable[..., Splits]
Edit = Callable[..., Splits]


def _population(
  pruner: str, sparsity: float, seeds: int, quantization: str = "none"
) -> list[tuple[str, float, str, int]]:
  return [(pruner, sparsity, quantization, seed) for seed in range(seeds)]


def _at(table: pd.DataFrame, **where: object) -> pd.DataFrame:
  for column, value in where.items():
    table = table[table[column] == value]
  return table


def _one(table: pd.DataFrame, **where: object) -> pd.Series:
  rows = _at(table, **where)
  assert len(rows) == 1, rows
  return rows.iloc[0]


def test_headers_are_the_contract(make_splits: MakeSplits) -> None:
  result = analyze(make_splits())
  assert list(result.tables) == [name for name in TABLES if name != "classes"]
  for name, table in result.tables.items():
    assert tuple(table.columns) == TABLES[name]
    # Of three levels or more, and of crossed seeds: neither is there.
    assert len(table) or name in ("trends", "sources")
  # 6 members, 2 rules, 3 attributes; 2 pairs; 1 + 2 * 2 + 4 groups.
  assert len(result.tables["attributes"]) == 6 * 2 * 3
  assert len(result.tables["bias_amplification"]) == 6 * 2 * 3 * 2
  assert len(result.tables["groups"]) == 6 * 2 * 3 * 9


@pytest.mark.parametrize("task", ["multilabel", "multiclass"])
def test_from_a_run_on_disk(tmp_path: Path, task: str) -> None:
  rng = np.random.default_rng(0)

  def split(prefix: str) -> Split:
    labels = rng.integers(0, 2, (30, 3)).astype(np.uint8)
    return Split(
      images=np.zeros((30, 2, 2, 1), np.uint8),
      labels=labels if task == "multilabel" else labels.sum(1) % 3,
      identities=labels[:, :1],
      ids=np.array([f"{prefix}{i}" for i in range(30)]),
    )

  dataset = Dataset(
    name="tiny",
    task=task,
    names=("A", "B", "C"),
    identity_names=("A",),
    splits={name: split(name) for name in ("train", "valid", "test")},
  )
  members = pd.DataFrame(
    {
      "pruner": ["dense", "magnitude"],
      "sparsity": [0.0, 0.8],
      "quantization": ["none", "none"],
      "seed": [3, 3],
    }
  )
  run = store.create(tmp_path, facts={}, members=members, dataset=dataset)
  for index in range(2):
    logits = {name: rng.normal(size=(30, 3)) for name in ("valid", "test")}
    run.write_member(index, logits)
  splits = {name: run.split(name) for name in ("train", "valid", "test")}
  result = analyze(splits)
  result.write(tmp_path / "analysis")
  _assert_equal(read(tmp_path / "analysis"), result)
  assert set(result.tables["contrasts"]["sparsity"]) == {0.8}


def test_rows_hold_the_members_own_numbers(make_splits: MakeSplits) -> None:
  splits = make_splits()
  tables = analyze(splits).tables
  test = splits["test"]
  logits = test["logits"].to_numpy()
  labels = test["labels"].to_numpy()
  valid = splits["valid"]
  for m in range(len(logits)):
    thresholds = calibrated_thresholds(
      valid["logits"].to_numpy()[m], valid["labels"].to_numpy().sum(0)
    )
    for a, name in enumerate("ABC"):
      key = {
        "pruner": test["pruner"].to_numpy()[m],
        "seed": test["seed"].to_numpy()[m],
        "attribute": name,
      }
      row = _one(tables["attributes"], threshold_rule="default", **key)
      assert row["accuracy"] == accuracy_score(
        labels[:, a], logits[m, :, a] > 0
      )
      np.testing.assert_allclose(
        row["auc"], roc_auc_score(labels[:, a], logits[m, :, a])
      )
      row = _one(tables["attributes"], threshold_rule="calibrated", **key)
      assert row["threshold"] == thresholds.value[a]
      assert row["predicted_positive"] == np.mean(
        logits[m, :, a] > thresholds.value[a]
      )
      in_group = test["identities"].to_numpy()[:, 1] == 1
      group = _one(
        tables["groups"],
        threshold_rule="default",
        identity="G",
        value="1",
        **key,
      )
      assert group["n_positive"] == labels[in_group, a].sum()
      np.testing.assert_allclose(
        group["selection_rate"], np.mean(logits[m, in_group, a] > 0)
      )


def test_bias_amplification_end_to_end(make_splits: MakeSplits) -> None:
  splits = make_splits(examples=200)
  table = analyze(splits).tables["bias_amplification"]
  train, test = splits["train"], splits["test"]
  g_train, g_test = (
    data["identities"].to_numpy()[:, 1] == 1 for data in (train, test)
  )
  rates = [train["labels"].to_numpy()[g].mean(0) for g in (g_train, ~g_train)]
  predicted = test["logits"].to_numpy()[0] > 0
  labels = test["labels"].to_numpy()
  for a, name in enumerate("ABC"):
    side = g_test if rates[0][a] > rates[1][a] else ~g_test
    expected = (
      predicted[side, a].sum() / predicted[:, a].sum()
      - labels[side, a].sum() / labels[:, a].sum()
    )
    row = _one(
      table,
      threshold_rule="default",
      identity="G",
      attribute=name,
      pruner="dense",
      seed=0,
    )
    np.testing.assert_allclose(row["bias_amplification"], expected)
  assert set(table["value"]) == {"1"}
  same = _at(table, identity="A", attribute="A")
  assert same["bias_amplification"].isna().all()
  assert set(same["reason"]) == {"the attribute is the identity itself"}
  assert set(same["flags"]) == {"same_attribute"}


def test_variance_and_contrasts_equal_scipy(make_splits: MakeSplits) -> None:
  members = _population("dense", 0.0, 7) + _population("magnitude", 0.9, 7)
  tables = analyze(make_splits(members), options=Options(level=0.9)).tables
  source = _at(tables["attributes"], threshold_rule="calibrated", attribute="B")
  cell = {
    "threshold_rule": "calibrated",
    "metric": "entropy",
    "attribute": "B",
    "identity": "",
  }
  dense, pruned = (
    _at(source, pruner=pruner).sort_values("seed")["entropy"].to_numpy()
    for pruner in ("dense", "magnitude")
  )
  row = _one(tables["variance"], pruner="magnitude", **cell)
  interval = scipy.stats.ttest_1samp(pruned, 0).confidence_interval(0.9)
  np.testing.assert_allclose(row["mean"], pruned.mean())
  np.testing.assert_allclose(row["mean_low"], interval.low)
  np.testing.assert_allclose(row["sd"], pruned.std(ddof=1))
  assert row["n_seeds"] == 7
  assert row["interval"].startswith("t for the mean, chi-square for the sd")
  row = _one(tables["contrasts"], **cell)
  oracle = scipy.stats.ttest_rel(pruned, dense)
  np.testing.assert_allclose(row["difference"], np.mean(pruned - dense))
  np.testing.assert_allclose(row["t_p"], oracle.pvalue)
  np.testing.assert_allclose(
    row["wilcoxon_p"], scipy.stats.wilcoxon(pruned, dense).pvalue
  )
  assert row["reason"] == ""


def test_pairs_go_by_seed_not_by_order(make_splits: MakeSplits) -> None:
  members = [
    ("magnitude", 0.9, "none", 5),
    ("dense", 0.0, "none", 2),
    ("magnitude", 0.9, "none", 2),
    ("dense", 0.0, "none", 5),
    ("magnitude", 0.9, "none", 9),
  ]
  result = analyze(make_splits(members))
  source = _at(
    result.tables["attributes"], threshold_rule="default", attribute="A"
  ).set_index(["pruner", "seed"])["auc"]
  row = _one(
    result.tables["contrasts"],
    metric="auc",
    attribute="A",
    threshold_rule="default",
  )
  expected = np.mean(
    [source["magnitude", seed] - source["dense", seed] for seed in (2, 5)]
  )
  np.testing.assert_allclose(row["difference"], expected)
  assert row["n_seeds"] == 2
  assert any("1 of 3 members of magnitude" in note for note in result.notes)


def test_no_shared_seed(make_splits: MakeSplits) -> None:
  members = [("dense", 0.0, "none", 0), ("magnitude", 0.9, "none", 1)]
  result = analyze(make_splits(members))
  contrasts = result.tables["contrasts"]
  assert contrasts["reason"].str.contains("unpaired").any()
  assert contrasts[["low", "high", "t_p", "signflip_p"]].isna().all(axis=None)
  assert any("1 of 1 members of magnitude" in note for note in result.notes)
  assert not any("K >= 6" in note for note in result.notes)


def test_empty_group(make_splits: MakeSplits, edit: Edit) -> None:
  splits = edit(make_splits(), "test", "identities", np.ones_like)
  groups = analyze(splits).tables["groups"]
  empty = _at(groups, identity="A*G", value="0*1")
  assert set(empty["reason"]) == {"empty group"}
  assert empty["accuracy"].isna().all()
  everyone = _at(groups, identity="")
  assert set(everyone["reason"]) == {""}

  def clear(labels: np.ndarray) -> np.ndarray:
    labels[:, 0] = 0
    return labels

  groups = analyze(edit(splits, "test", "labels", clear)).tables["groups"]
  without = _at(groups, identity="", attribute="A")
  assert without["reason"].str.startswith("false_negative_rate not").all()


def test_few_seeds_say_what_is_not_available(make_splits: MakeSplits) -> None:
  result = analyze(make_splits())
  row = result.tables["contrasts"].iloc[0]
  assert np.isnan(row["signflip_p"])
  assert np.isnan(row["wilcoxon_p"])
  assert (
    "sign-flip and Wilcoxon not available: needs 6 non-zero differences, has 3"
    in row["reason"]
  )
  assert any("K >= 6" in note for note in result.notes)


def test_one_seed(make_splits: MakeSplits) -> None:
  members = _population("dense", 0.0, 1) + _population("magnitude", 0.9, 1)
  result = analyze(make_splits(members))
  variance = _at(result.tables["variance"], n_seeds=1)
  assert variance["mean"].notna().all()
  for column in ("mean_low", "mean_high", "sd", "sd_low", "sd_high"):
    assert variance[column].isna().all()
  assert set(variance["interval"]) == {"not available: one seed"}
  contrasts = _at(result.tables["contrasts"], n_seeds=1)
  assert contrasts["difference"].notna().all()
  assert contrasts[["low", "high", "t_p", "correlation"]].isna().all(axis=None)
  assert any(note.startswith("One seed in dense") for note in result.notes)


def test_no_dense(make_splits: MakeSplits) -> None:
  result = analyze(make_splits(_population("magnitude", 0.9, 3)))
  assert result.tables["contrasts"].empty
  assert tuple(result.tables["contrasts"].columns) == TABLES["contrasts"]
  assert any("no dense members" in note for note in result.notes)


def test_quantized_dense_is_compared_with_dense(
  make_splits: MakeSplits,
) -> None:
  members = _population("dense", 0.0, 2, "int8") + _population("dense", 0.0, 2)
  contrasts = analyze(make_splits(members)).tables["contrasts"]
  assert set(contrasts["quantization"]) == {"int8"}


def test_mean_over_attributes(make_splits: MakeSplits, edit: Edit) -> None:
  splits = make_splits()
  where = {
    "threshold_rule": "default",
    "metric": "auc",
    "pruner": "magnitude",
  }
  variance = _at(analyze(splits).tables["variance"], **where)
  means = variance.set_index("attribute")["mean"]
  np.testing.assert_allclose(means["(mean)"], means[["A", "B", "C"]].mean())

  def clear(labels: np.ndarray) -> np.ndarray:
    labels[:, 0] = 0
    return labels

  result = analyze(edit(splits, "test", "labels", clear))
  variance = _at(result.tables["variance"], **where).set_index("attribute")
  means = variance["mean"]
  np.testing.assert_allclose(means["(mean)"], means[["B", "C"]].mean())
  assert variance.loc["(mean)", "reason"] == "mean over 2 of 3 attributes"
  assert variance.loc["A", "n_seeds"] == 0
  assert variance.loc["A", "interval"].startswith("not available")


def test_mean_compares_the_same_attributes_on_both_sides(
  make_splits: MakeSplits, edit: Edit
) -> None:
  def silence(logits: np.ndarray) -> np.ndarray:
    logits[1, :, 2] = -3.0  # the pruned member of the first seed
    return logits

  tables = analyze(edit(make_splits(), "test", "logits", silence)).tables
  where = {
    "threshold_rule": "default",
    "metric": "bias_amplification",
    "identity": "G",
  }
  contrasts = _at(tables["contrasts"], **where).set_index("attribute")
  np.testing.assert_allclose(
    contrasts.loc["(mean)", "difference"],
    contrasts.loc[["A", "B"], "difference"].mean(),
  )
  assert contrasts.loc["C", "n_seeds"] == 2
  assert "2 of 3 pairs have a value" in contrasts.loc["C", "reason"]


def test_attribute_without_positives_and_constant_predictions(
  make_splits: MakeSplits, edit: Edit
) -> None:
  def clear(labels: np.ndarray) -> np.ndarray:
    labels[:, 0] = 0
    return labels

  def silence(logits: np.ndarray) -> np.ndarray:
    logits[:, :, 1] = -np.abs(logits[:, :, 1]) - 1
    return logits

  splits = edit(make_splits(), "test", "labels", clear)
  result = analyze(edit(splits, "test", "logits", silence))
  rows = _at(result.tables["attributes"], threshold_rule="default")
  without = _at(rows, attribute="A")
  assert without[["auc", "tcb"]].isna().all(axis=None)
  assert without["reason"].str.contains("auc not available").all()
  assert without["reason"].str.contains("tcb not available").all()
  constant = _at(rows, attribute="B")
  assert constant["interdependence"].isna().all()
  assert constant["reason"].str.contains("predicted constant").all()
  assert constant["accuracy"].notna().all()
  assert any("No positives in the test labels of A" in n for n in result.notes)
  assert any("6 of 18 (attribute, member) cells" in n for n in result.notes)


@pytest.mark.parametrize("missing", ["train", "valid"])
def test_missing_split(make_splits: MakeSplits, missing: str) -> None:
  splits = make_splits()
  del splits[missing]
  result = analyze(splits)
  table = result.tables["attributes"]
  if missing == "train":
    assert table["tcb"].isna().all()
    assert table["reason"].str.contains("no train labels").all()
    bias = result.tables["bias_amplification"]
    assert bias["bias_amplification"].isna().all()
    assert bias["reason"].str.contains("no train labels").any()
  else:
    assert set(table["threshold_rule"]) == {"default"}
    assert table["tcb"].notna().all()
  words = {"train": "no train labels", "valid": "no validation logits"}
  assert any(words[missing] in note for note in result.notes)


def test_no_identities(make_splits: MakeSplits, tmp_path: Path) -> None:
  result = analyze(make_splits(identities=()))
  assert result.tables["bias_amplification"].empty
  assert set(result.tables["groups"]["identity"]) == {""}
  assert "bias_amplification" not in set(result.tables["variance"]["metric"])
  assert any("no identity attributes" in note for note in result.notes)
  result.write(tmp_path / "analysis")
  _assert_equal(read(tmp_path / "analysis"), result)


def test_one_attribute(make_splits: MakeSplits) -> None:
  result = analyze(make_splits(names=("A",)))
  assert result.tables["attributes"]["interdependence"].isna().all()
  assert len(result.tables["variance"])


def test_identity_of_three_values(make_splits: MakeSplits, edit: Edit) -> None:
  splits = make_splits(identities=("G",), examples=300)
  for split in splits:
    rng = np.random.default_rng(1)
    splits = edit(
      splits,
      split,
      "identities",
      lambda groups, rng=rng: rng.integers(0, 3, groups.shape),
    )
  result = analyze(splits)
  assert set(result.tables["bias_amplification"]["value"]) == {"0", "1", "2"}
  assert result.arrays["bias_amplification"].notnull().all()
  paper = analyze(splits, options=Options(parity="paper"))
  assert paper.arrays["bias_amplification"].isnull().all()
  reasons = paper.tables["bias_amplification"]["reason"]
  assert reasons.str.contains("more than two values").all()


def test_paper_parity_is_recorded_and_changes_the_thresholds(
  make_splits: MakeSplits,
) -> None:
  splits = make_splits()
  default, paper = (
    analyze(splits),
    analyze(splits, options=Options(parity="paper")),
  )
  assert default.arrays.attrs["parity"] == "default"
  assert paper.arrays.attrs["parity"] == "paper"
  positives = splits["valid"]["labels"].to_numpy().sum(axis=0)
  logits = splits["valid"]["logits"].to_numpy()
  for result, missing in ((default, 0), (paper, 1)):
    thresholds = result.arrays["threshold"].to_numpy()[:, 1]
    counts = np.sum(logits > thresholds[:, None], axis=1)
    np.testing.assert_array_equal(
      counts, positives[None] - missing + 0 * counts
    )


def test_not_finite_logits_name_their_members(
  make_splits: MakeSplits, edit: Edit
) -> None:
  def spoil(logits: np.ndarray) -> np.ndarray:
    logits[1, 3, 0], logits[4, 0, 2] = np.nan, np.inf
    return logits

  with pytest.raises(InputError) as caught:
    analyze(edit(make_splits(), "test", "logits", spoil))
  message = str(caught.value)
  assert "magnitude, sparsity 0.9, seed 0; dense, sparsity 0, seed 2" in message
  assert "\n" not in message
  with pytest.raises(InputError, match="seed 0"):
    analyze(edit(make_splits(), "valid", "logits", spoil))


def test_extreme_logits(make_splits: MakeSplits, edit: Edit) -> None:
  splits = make_splits()
  for split in ("valid", "test"):
    splits = edit(splits, split, "logits", lambda z: 1e4 * np.sign(z))
  table = analyze(splits).tables["attributes"]
  assert (table["uncertainty"] == 0).all()
  assert (table["entropy"] == 0).all()
  assert table["reason"].str.contains("tied validation logits").any()


@pytest.mark.parametrize(
  ("arguments", "message"),
  [
    ({"parity": "papper"}, "unknown parity 'papper'"),
    ({"level": 95}, "level 95"),
  ],
)
def test_bad_options(arguments: dict, message: str) -> None:
  with pytest.raises(InputError, match=message):
    Options(**arguments)


def test_no_members_and_no_logits(make_splits: MakeSplits) -> None:
  splits = make_splits()
  empty = {**splits, "test": splits["test"].isel(member=[])}
  with pytest.raises(InputError, match="no finished member"):
    analyze(empty)
  with pytest.raises(InputError, match="no logits of the test split"):
    analyze({"train": splits["train"]})


def test_exclusive_classes(make_splits: MakeSplits) -> None:
  splits = make_splits(
    names=("cat", "dog", "owl"), identities=("G",), multiclass=True
  )
  result = analyze(splits)
  assert "attributes" not in result.tables
  for name, table in result.tables.items():
    assert tuple(table.columns) == TABLES[name]
    # Of three levels or more, and of crossed seeds: neither is there.
    assert len(table) or name in ("trends", "sources")
  logits = splits["test"]["logits"].to_numpy()[0]
  labels = splits["test"]["labels"].to_numpy()
  predicted = logits.argmax(axis=1)
  member = {"pruner": "dense", "seed": 0}
  rows = result.tables["classes"]
  whole = _one(rows, **{"class": "(all)"}, **member)
  assert whole["accuracy"] == accuracy_score(labels, predicted)
  assert np.isnan(whole["recall"])
  recalls = recall_score(labels, predicted, average=None)
  for c, name in enumerate(("cat", "dog", "owl")):
    row = _one(rows, **{"class": name}, **member)
    np.testing.assert_allclose(row["recall"], recalls[c])
    log_p = logits - scipy.special.logsumexp(logits, axis=1, keepdims=True)
    np.testing.assert_allclose(
      row["auc"], roc_auc_score(labels == c, log_p[:, c])
    )
    group = _one(result.tables["groups"], attribute=name, identity="", **member)
    np.testing.assert_allclose(
      group["false_positive_rate"], row["false_positive_rate"]
    )
  variance = result.tables["variance"]
  assert {"(all)", "(mean)"} < set(variance["attribute"])
  for table in (variance, result.tables["contrasts"]):
    rows = _at(table, attribute="(all)", pruner=table["pruner"].iloc[0])
    assert set(_at(rows, identity="")["metric"]) == {
      *OVERALL_METRICS,
      "balanced_accuracy",
    }
    assert len(_at(rows, identity="G", metric="accuracy")) == 2


def test_every_cell_of_a_population_is_one_row(
  make_splits: MakeSplits,
) -> None:
  for multiclass in (False, True):
    tables = analyze(make_splits(multiclass=multiclass)).tables
    for name in ("variance", "contrasts"):
      cell = ["pruner", *TABLES[name][5:10]]
      assert not tables[name].duplicated(cell).any()


def test_members_are_read_one_at_a_time(
  make_splits: MakeSplits, tmp_path: Path
) -> None:
  splits = make_splits()
  expected = analyze(splits)
  reads = []

  class Recorder(xr.backends.BackendArray):
    def __init__(self, values: np.ndarray) -> None:
      self.values, self.shape, self.dtype = values, values.shape, values.dtype

    def __getitem__(self, key: xr.core.indexing.ExplicitIndexer) -> np.ndarray:
      part = self.values[key.tuple]
      reads.append(part.shape)
      return part

  for name in ("valid", "test"):
    logits = splits[name]["logits"]
    lazy = xr.core.indexing.LazilyIndexedArray(Recorder(logits.to_numpy()))
    splits[name] = splits[name].assign(
      logits=xr.Variable(logits.dims, lazy, fastpath=True)
    )
  result = analyze(splits)
  assert set(reads) == {(60, 3)}
  xr.testing.assert_identical(result.arrays, expected.arrays)


def _assert_equal(found: Analysis, expected: Analysis) -> None:
  assert found.notes == expected.notes
  assert list(found.tables) == list(expected.tables)
  for name, table in expected.tables.items():
    pd.testing.assert_frame_equal(
      found.tables[name], table, check_dtype=False, rtol=0, atol=0
    )
  xr.testing.assert_equal(found.arrays, expected.arrays)
  assert dict(found.arrays.attrs) == dict(expected.arrays.attrs)
  assert list(found.examples) == list(expected.examples)
  for where, examples in expected.examples.items():
    xr.testing.assert_equal(found.examples[where], examples)


@pytest.mark.parametrize("multiclass", [False, True])
def test_written_and_read_back(
  make_splits: MakeSplits, tmp_path: Path, multiclass: bool
) -> None:
  result = analyze(make_splits(multiclass=multiclass))
  result.write(tmp_path / "run" / "analysis")
  _assert_equal(read(tmp_path / "run" / "analysis"), result)
  assert [path.name for path in (tmp_path / "run").iterdir()] == ["analysis"]


def test_missing_labels_are_written_and_read_back(
  make_splits: MakeSplits, tmp_path: Path
) -> None:
  splits = make_splits()
  labels = splits["test"]["labels"].astype(np.float32)
  labels[::4, 1] = np.nan
  splits["test"] = splits["test"].assign(labels=labels)
  result = analyze(splits)
  result.write(tmp_path / "analysis")
  _assert_equal(read(tmp_path / "analysis"), result)
  rows = result.tables["sample_criteria"]
  rows = rows[(rows["attribute"] == "(mean)") & (rows["identity"] == "")]
  assert rows[rows["target"] == "error"]["n"].isna().all()
  assert (rows[rows["target"] == "flip"]["n"] == 60).all()


def test_a_failing_write_leaves_the_previous_analysis(
  make_splits: MakeSplits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  first = analyze(make_splits())
  second = analyze(make_splits(seed=1))
  path = tmp_path / "analysis"
  first.write(path)

  def fail(*_: object, **__: object) -> None:
    raise OSError("no space left on device")

  with monkeypatch.context() as patch:
    patch.setattr(xr.Dataset, "to_zarr", fail)
    with pytest.raises(OSError, match="no space"):
      second.write(path)
  _assert_equal(read(path), first)

  rename = Path.rename

  def fail_on_swap(self: Path, target: Path) -> Path:
    if self.name.endswith(".partial"):
      fail()
    return rename(self, target)

  with monkeypatch.context() as patch:
    patch.setattr(Path, "rename", fail_on_swap)
    with pytest.raises(OSError, match="no space"):
      second.write(path)
  _assert_equal(read(path), first)
  assert [entry.name for entry in tmp_path.iterdir()] == ["analysis"]
  second.write(path)
  _assert_equal(read(path), second)
  assert [entry.name for entry in tmp_path.iterdir()] == ["analysis"]


def test_two_that_write_at_once(
  make_splits: MakeSplits, tmp_path: Path
) -> None:
  both = [analyze(make_splits(seed=seed)) for seed in (0, 1)]
  path = tmp_path / "analysis"
  with concurrent.futures.ThreadPoolExecutor(4) as pool:
    list(pool.map(lambda place: both[place % 2].write(path), range(4)))
  found = read(path)
  first = found.tables["attributes"].equals(both[0].tables["attributes"])
  _assert_equal(found, both[0] if first else both[1])
  assert [entry.name for entry in tmp_path.iterdir()] == ["analysis"]


def test_a_kill_between_the_renames_loses_nothing(
  make_splits: MakeSplits, tmp_path: Path
) -> None:
  first = analyze(make_splits())
  path = tmp_path / "analysis"
  for again in (False, True):
    first.write(path)
    path.rename(tmp_path / ".analysis.previous")
    if again:
      first.write(path)
    _assert_equal(read(path), first)
    assert [entry.name for entry in tmp_path.iterdir()] == ["analysis"]


def test_reading_what_is_not_there(tmp_path: Path) -> None:
  with pytest.raises(InputError, match="holds no analysis"):
    read(tmp_path / "analysis")


def test_reading_another_layout_is_refused(
  make_splits: MakeSplits, tmp_path: Path
) -> None:
  path = tmp_path / "analysis"
  result = analyze(make_splits())
  result.write(path)
  (path / "summary.json").write_text('[{"sentence": "of another layout"}]')
  with pytest.raises(InputError, match="holds no analysis that can be read"):
    read(path)
  result.write(path)
  contrasts = pd.read_csv(path / "contrasts.csv")
  contrasts.drop(columns="p_adjusted").to_csv(path / "contrasts.csv")
  with pytest.raises(InputError, match=r"contrasts\.csv lacks p_adjusted"):
    read(path)
  result.write(path)
  (path / "safety.csv").unlink()
  with pytest.raises(InputError, match=r"safety\.csv'; `prunebias analyze`"):
    read(path)


def test_what_is_gone_is_said(make_splits: MakeSplits, tmp_path: Path) -> None:
  path = tmp_path / "analysis"
  analyze(make_splits(names=("A",))).write(path)
  header = (path / "groups.csv").read_text().partition("\n")[0]
  for name, text, message in (
    ("summary.json", "[]", r"summary\.json does not hold"),
    ("summary.json", "null", "no analysis that can be read"),
    ("notes.json", "[[]]", r"notes\.json does not hold"),
    ("groups.csv", header + "\n", r"groups\.csv has 0 of \d+ rows; "),
    ("groups.csv", "", r"groups\.csv lacks pruner"),
  ):
    before = (path / name).read_bytes()
    (path / name).write_text(text)
    with pytest.raises(InputError, match=message):
      read(path).tables["groups"]
    (path / name).write_bytes(before)
  assert len(read(path).tables["groups"])
  for name in ("auc", "group_identity"):
    (path / "analysis.zarr" / name).rename(tmp_path / name)
    with pytest.raises(InputError, match=rf"analysis\.zarr lacks {name}; "):
      read(path)
    (tmp_path / name).rename(path / "analysis.zarr" / name)
  assert read(path).arrays.attrs["versions"]["numpy"] == np.__version__


def test_a_table_is_read_when_it_is_asked_for(
  make_splits: MakeSplits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  path = tmp_path / "analysis"
  expected = analyze(make_splits())
  expected.write(path)
  asked = []
  read_csv = pd.read_csv

  def noted(file: Path, **options: Any) -> pd.DataFrame:
    asked.append(file.name)
    return read_csv(file, **options)

  monkeypatch.setattr(pd, "read_csv", noted)
  found = read(path)
  assert "exemplars" in found.tables
  assert "beauty" not in found.tables
  with pytest.raises(KeyError):
    found.tables["beauty"]
  main = found.at("last", "test")
  assert list(main.tables) == list(expected.tables)
  assert asked == []
  for _ in range(2):
    assert len(main.tables["variance"]) == len(expected.tables["variance"])
  assert asked == ["variance.csv"]


def test_tables_of_two_analyses_do_not_mix(
  make_splits: MakeSplits, tmp_path: Path
) -> None:
  path = tmp_path / "analysis"
  first = analyze(make_splits())
  first.write(path)
  found = read(path)
  variance = found.tables["variance"]
  analyze(make_splits(seed=1)).write(path)
  assert found.tables["variance"] is variance
  with pytest.raises(InputError, match="analysed anew since it was read"):
    found.tables["contrasts"]
  with pytest.raises(InputError, match="analysed anew since it was read"):
    found.examples["last", "test"]


def test_a_damaged_table_is_refused_when_it_is_asked_for(
  make_splits: MakeSplits, tmp_path: Path
) -> None:
  path = tmp_path / "analysis"
  analyze(make_splits()).write(path)
  header = (path / "groups.csv").read_text().partition("\n")[0]
  (path / "groups.csv").write_text(header + '\n"no end')
  found = read(path)
  with pytest.raises(InputError, match="no analysis that can be read"):
    found.tables["groups"]


def test_error_of_exclusive_classes_in_a_group_is_not_one_against_the_rest(
  make_splits: MakeSplits,
) -> None:
  splits = make_splits(
    names=tuple("abcdef"), identities=("G",), multiclass=True, examples=90
  )
  tables = analyze(splits).tables
  test = splits["test"]
  inside = test["identities"].to_numpy()[:, 0] == 1
  right = (
    test["logits"].to_numpy().argmax(axis=2) == test["labels"].to_numpy()
  )[:, inside].mean(axis=1)
  groups = _at(tables["groups"], attribute="(all)", identity="G", value="1")
  np.testing.assert_allclose(groups["accuracy"], right)
  assert groups[["n_positive", "n_negative"]].isna().all(axis=None)
  assert groups["false_positive_rate"].isna().all()
  assert set(groups["reason"]) == {
    "the other columns are defined for single classes"
  }
  where = {
    "metric": "accuracy",
    "attribute": "(all)",
    "identity": "G",
    "value": "1",
  }
  dense = (test["pruner"] == "dense").to_numpy()
  row = _one(tables["variance"], pruner="dense", **where)
  np.testing.assert_allclose(row["mean"], right[dense].mean())
  row = _one(tables["contrasts"], **where)
  np.testing.assert_allclose(
    row["difference"], right[~dense].mean() - right[dense].mean()
  )


def test_balanced_accuracy_of_exclusive_classes_is_the_mean_recall(
  make_splits: MakeSplits, edit: Edit
) -> None:
  def merge(labels: np.ndarray) -> np.ndarray:
    return np.where(labels == 3, 1, labels)  # a class without examples

  splits = make_splits(names=tuple("abcd"), multiclass=True)
  for data in (splits, edit(splits, "test", "labels", merge)):
    labels = data["test"]["labels"].to_numpy()
    logits = data["test"]["logits"].to_numpy()
    variance = _at(
      analyze(data).tables["variance"],
      metric="balanced_accuracy",
      pruner="dense",
    )
    row = _one(variance, attribute="(all)")
    recalls = [
      recall_score(
        labels,
        logits[m].argmax(axis=1),
        labels=np.unique(labels),
        average="macro",
      )
      for m in (0, 2, 4)
    ]
    np.testing.assert_allclose(row["mean"], np.mean(recalls))
    assert len(variance) == 1


def test_groups_of_an_identity_are_averaged_over_the_same_attributes(
  make_splits: MakeSplits, edit: Edit
) -> None:
  # A is an identity too: where it is 0 it has no positives, and no FNR.
  members = _population("dense", 0.0, 3) + _population("magnitude", 0.9, 3)
  splits = make_splits(members, examples=300)
  own = splits["test"]["labels"].to_numpy()[:, 0]

  def own_label(identities: np.ndarray) -> np.ndarray:
    identities[:, 0] = own
    return identities

  tables = analyze(edit(splits, "test", "identities", own_label)).tables
  for name, column in (("variance", "mean"), ("contrasts", "difference")):
    for metric in ("false_negative_rate", "false_positive_rate"):
      for identity, values in (
        ("A", ("0", "1")),
        ("A*G", ("0*0", "0*1", "1*0", "1*1")),
      ):
        for value in values:
          rows = _at(
            tables[name],
            threshold_rule="default",
            metric=metric,
            identity=identity,
            value=value,
            pruner="magnitude",
          ).set_index("attribute")
          np.testing.assert_allclose(
            rows.loc["(mean)", column], rows.loc[["B", "C"], column].mean()
          )
          assert "mean over 2 of 3 attributes" in rows.loc["(mean)", "reason"]


def test_an_empty_group_does_not_empty_the_means_of_the_others(
  make_splits: MakeSplits, edit: Edit
) -> None:
  def one_value(identities: np.ndarray) -> np.ndarray:
    identities[:, 1] = 1
    return identities

  splits = edit(make_splits(), "test", "identities", one_value)
  rows = _at(
    analyze(splits).tables["variance"],
    threshold_rule="default",
    metric="accuracy",
    identity="G",
    attribute="(mean)",
    pruner="dense",
  ).set_index("value")
  assert np.isfinite(rows.loc["1", "mean"])
  assert np.isnan(rows.loc["0", "mean"])
  assert rows.loc["0", "reason"] == (
    "no attribute has a value in every seed and group"
  )


def test_a_mean_over_no_attribute_says_so(
  make_splits: MakeSplits, edit: Edit
) -> None:
  def collapse(logits: np.ndarray) -> np.ndarray:
    logits[0] = -3.0
    return logits

  splits = edit(make_splits(), "test", "logits", collapse)
  row = _one(
    analyze(splits).tables["variance"],
    threshold_rule="default",
    metric="interdependence",
    attribute="(mean)",
    pruner="dense",
  )
  assert row["n_seeds"] == 0
  assert row["reason"] == "no attribute has a value in every seed"


def test_seeds_that_agree_give_no_interval(
  make_splits: MakeSplits, edit: Edit
) -> None:
  def repeat(logits: np.ndarray) -> np.ndarray:
    return logits[[0, 1, 0, 1, 0, 1]]

  splits = edit(make_splits(), "test", "logits", repeat)
  tables = analyze(splits).tables
  cell = {"metric": "auc", "attribute": "B", "threshold_rule": "default"}
  row = _one(tables["variance"], pruner="dense", **cell)
  assert row["sd"] == 0
  ends = ["mean_low", "mean_high", "sd_low", "sd_high"]
  assert row[ends].isna().all()
  assert row["interval"] == "not available: the same in every seed"
  assert "the same in every seed: no interval" in row["reason"]
  row = _one(tables["contrasts"], **cell)
  assert row[["low", "high", "t_p"]].isna().all()
  assert "interval and t not available" in row["reason"]


def test_validation_logits_go_by_member_not_by_place(
  make_splits: MakeSplits,
) -> None:
  splits = make_splits()
  expected = analyze(splits)
  valid = splits["valid"].isel(member=[3, 0, 5, 1, 4, 2])
  found = analyze({**splits, "valid": valid})
  xr.testing.assert_identical(found.arrays, expected.arrays)
  without = splits["valid"].isel(member=[0, 2, 3, 4, 5])
  with pytest.raises(
    InputError, match=r"no validation logits of magnitude.*0\.9, seed 0"
  ):
    analyze({**splits, "valid": without})


def test_a_member_twice_is_refused(make_splits: MakeSplits) -> None:
  members = [("dense", 0.0, "none", 0), ("dense", 0.0, "none", 0)]
  with pytest.raises(InputError, match="dense, sparsity 0, seed 0 is there"):
    analyze(make_splits(members))


def test_without_a_pruner_named_dense(make_splits: MakeSplits) -> None:
  members = [
    (pruner, sparsity, "none", seed)
    for seed in range(2)
    for pruner in ("first", "second")
    for sparsity in (0.0, 0.9)
    if (pruner, sparsity) != ("second", 0.9) or seed == 0
  ] + [("third", 0.9, "none", seed) for seed in range(2)]
  splits = make_splits(members)
  tables = analyze(splits).tables
  cell = {"metric": "auc", "attribute": "B", "threshold_rule": "default"}
  rows = _at(tables["contrasts"], **cell).set_index("pruner")
  assert sorted(rows.index) == ["first", "second", "third"]
  source = _at(
    tables["attributes"], attribute="B", threshold_rule="default"
  ).set_index(["pruner", "sparsity", "seed"])["auc"]
  for pruner, own, seeds in (
    ("first", "first", (0, 1)),
    ("second", "second", (0,)),
    ("third", "first", (0, 1)),
  ):
    expected = np.mean(
      [source[pruner, 0.9, s] - source[own, 0.0, s] for s in seeds]
    )
    np.testing.assert_allclose(rows.loc[pruner, "difference"], expected)


@pytest.mark.parametrize("split", ["train", "valid", "test"])
@pytest.mark.parametrize(
  ("multiclass", "value"),
  [
    *[(False, value) for value in (-1, 7, np.inf, 0.5)],
    *[(True, value) for value in (-1, 7, np.nan, 0.5)],
  ],
)
def test_labels_that_are_none_are_refused(
  make_splits: MakeSplits,
  edit: Edit,
  split: str,
  multiclass: bool,
  value: float,
) -> None:
  def spoil(labels: np.ndarray) -> np.ndarray:
    labels = labels.astype(np.float64)
    labels.flat[5] = value
    return labels

  splits = edit(make_splits(multiclass=multiclass), split, "labels", spoil)
  with pytest.raises(InputError, match=f"labels of the {split} split hold"):
    analyze(splits)


@pytest.mark.parametrize("split", ["train", "valid", "test"])
def test_an_empty_split_is_refused(make_splits: MakeSplits, split: str) -> None:
  splits = make_splits()
  with pytest.raises(InputError, match=f"the {split} split is empty"):
    analyze({**splits, split: splits[split].isel(example=[])})


@pytest.mark.parametrize("name", ["(mean)", "(all)"])
def test_names_that_the_tables_use_are_refused(
  make_splits: MakeSplits, name: str
) -> None:
  with pytest.raises(InputError, match="rename it"):
    analyze(make_splits(names=("A", name), identities=("A",)))


def test_logits_as_large_as_float32_holds(
  make_splits: MakeSplits, edit: Edit
) -> None:
  for multiclass in (False, True):
    splits = make_splits(multiclass=multiclass)
    for split in ("valid", "test"):
      splits = edit(
        splits,
        split,
        "logits",
        lambda z: np.where(z > 0, 3e38, -3e38).astype(np.float32),
      )
    arrays = analyze(splits).arrays
    for name in ("entropy", "uncertainty", "ece", "accuracy"):
      assert np.isfinite(arrays[name]).all()
  assert np.isfinite(arrays["overall_entropy"]).all()


def test_paper_parity_of_an_absent_class_says_what_was_divided(
  make_splits: MakeSplits, edit: Edit
) -> None:
  splits = make_splits(multiclass=True)
  splits = edit(splits, "test", "labels", lambda y: np.where(y == 2, 1, y))
  rows = _at(
    analyze(splits, options=Options(parity="paper")).tables["classes"],
    **{"class": "C"},
  )
  assert np.isinf(rows["tcb"]).all()
  assert rows["reason"].str.contains("tcb divided by 0").all()
  assert not rows["reason"].str.contains("tcb not available").any()


def _ones(values: np.ndarray) -> np.ndarray:
  values[:, 1] = 1
  return values


@pytest.mark.parametrize(
  ("split", "note"),
  [
    ("test", "No test example has G = 0"),
    ("train", "All train examples have one value of G"),
  ],
)
def test_notes_name_an_identity_of_one_value(
  make_splits: MakeSplits, edit: Edit, split: str, note: str
) -> None:
  splits = edit(make_splits(), split, "identities", _ones)
  assert any(note in one for one in analyze(splits).notes)
  assert not any("G" in one for one in analyze(make_splits()).notes)


def test_notes_name_one_attribute_and_equal_train_rates(
  make_splits: MakeSplits, edit: Edit
) -> None:
  splits = make_splits(names=("B",), identities=("G",))
  notes = analyze(splits).notes
  assert any("There is one attribute" in note for note in notes)
  assert not any("rates of a group and its rest" in note for note in notes)
  splits = edit(splits, "train", "labels", np.zeros_like)
  notes = analyze(splits).notes
  assert any("rates of a group and its rest are equal" in one for one in notes)


def test_notes_name_empty_crossings(
  make_splits: MakeSplits, edit: Edit
) -> None:
  def cross(identities: np.ndarray) -> np.ndarray:
    identities[:, 0] = identities[:, 1]
    return identities

  splits = edit(make_splits(), "test", "identities", cross)
  notes = analyze(splits).notes
  assert any("2 of 4 crossings" in note for note in notes)


def test_the_note_on_few_positives_counts_values_only(
  make_splits: MakeSplits, edit: Edit
) -> None:
  # Without positives there is no bias amplification to warn of.
  splits = edit(make_splits(examples=400), "test", "labels", np.zeros_like)
  assert not any("low_n" in note for note in analyze(splits).notes)


def test_few_predicted_positives_are_a_flag_and_a_note(
  make_splits: MakeSplits, edit: Edit
) -> None:
  def silence(logits: np.ndarray) -> np.ndarray:
    logits[:, 5:, 1] = -3
    logits[:, :5, 1] = 3
    return logits

  result = analyze(edit(make_splits(), "test", "logits", silence))
  rows = _at(
    result.tables["bias_amplification"],
    attribute="B",
    identity="G",
    threshold_rule="default",
  )
  assert rows["flags"].str.split().map(lambda f: "few_predicted" in f).all()
  assert rows["bias_amplification"].notna().all()
  assert any("few_predicted" in note for note in result.notes)
