from collections.abc import Callable
import json
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
import xarray as xr

from prunebias_jax.analysis import Analysis, analyze, read

MakeSplits = Callable[..., dict[str, xr.Dataset]]
SEEDS = 7
MEMBERS = [
  (pruner, sparsity, "none", seed)
  for seed in range(SEEDS)
  for pruner, sparsity in (("dense", 0.0), ("mag", 0.5), ("mag", 0.9))
]
MOST = {"pruner": "mag", "sparsity": 0.9, "quantization": "none"}


@pytest.fixture
def found(make_splits: MakeSplits) -> Analysis:
  return analyze(make_splits(MEMBERS, examples=200))


def _rows(found: Analysis, table: str, **cell: object):
  rows = found.tables[table]
  wanted = {**MOST, "checkpoint": "last", "split": "test", **cell}
  if "threshold_rule" in rows:
    wanted["threshold_rule"] = "default"
  for column, value in wanted.items():
    rows = rows[rows[column] == value]
  return rows


def test_ten_questions_are_answered(found: Analysis) -> None:
  assert len(found.summary) == 10
  assert len({one.question for one in found.summary}) == 10
  for one in found.summary:
    assert one.numbers, one
    assert "mag, sparsity 0.9" in one.text
    assert "nan" not in one.text.lower()


def test_accuracy_is_the_row_of_the_most_compressed_population(
  found: Analysis,
) -> None:
  (row,) = _rows(
    found, "contrasts", metric="accuracy", attribute="(mean)", identity=""
  ).to_dict("records")
  numbers = found.summary[0].numbers
  for name in ("difference", "low", "high", "t_p", "signflip_p", "n_seeds"):
    assert numbers[name] == row[name]
  assert f"{100 * row['difference']:+.2f} points" in found.summary[0].text


def test_a_number_that_is_the_largest_of_several_has_an_adjusted_p(
  found: Analysis,
) -> None:
  rows = _rows(found, "contrasts", attribute="(mean)")
  rows = rows[
    rows["metric"].isin(("false_positive_rate", "false_negative_rate"))
    & rows["identity"].isin(("A", "G"))
  ]
  (sentence,) = [one for one in found.summary if "group" in one.question]
  numbers = sentence.numbers
  assert numbers["n_compared"] == len(rows)
  largest = rows.iloc[int(np.argmax(np.abs(rows["difference"])))]
  assert numbers["difference"] == largest["difference"]
  assert numbers["p"] == min(1, len(rows) * largest["t_p"])
  assert numbers["p"] >= numbers["t_p"]


def test_its_interval_is_of_all_that_were_compared(found: Analysis) -> None:
  (one,) = [one for one in found.summary if "group" in one.question]
  count, freedom = one.numbers["n_compared"], SEEDS - 1
  wider = scipy.stats.t.ppf([1 - 0.025 / count, 0.975], freedom)
  half = (one.numbers["high"] - one.numbers["low"]) / 2 * wider[0] / wider[1]
  assert one.numbers["low_all"] == pytest.approx(
    one.numbers["difference"] - half
  )
  assert one.numbers["high_all"] == pytest.approx(
    one.numbers["difference"] + half
  )
  assert f"Bonferroni over {count}" in one.text
  assert f"for all {count} at once" in one.text
  assert f"{100 * one.numbers['low_all']:+.2f} to" in one.text
  # Interval and test say the same.
  covers = one.numbers["low_all"] <= 0 <= one.numbers["high_all"]
  assert covers == (one.numbers["p"] > 0.05)


def test_seeds_that_do_not_pair_are_not_called_pairs(
  make_splits: MakeSplits,
) -> None:
  splits = make_splits(MEMBERS, examples=100)
  for name in ("valid", "test"):
    splits[name].attrs["paired"] = False
  texts = [one.text for one in analyze(splits).summary]
  assert not any("paired t" in text for text in texts)
  assert not any("pairs of seeds" in text for text in texts)
  assert not any("Pitman" in text for text in texts)
  assert not any("nan" in text for text in texts)
  assert "7 or more unrelated seeds a side; Welch's t" in texts[0]
  assert "its members do not pair with dense ones" in texts[8]


def test_a_mean_over_some_outputs_says_so(make_splits: MakeSplits) -> None:
  splits = make_splits(MEMBERS, examples=100)
  logits = splits["test"]["logits"].to_numpy().copy()
  logits[0, :, 1] = -5.0  # one member never predicts "B"
  splits["test"]["logits"] = (splits["test"]["logits"].dims, logits)
  text = analyze(splits).summary[2].text
  assert "interdependence" in text
  assert "mean over 2 of 3 attributes" in text


def test_safety_counts_outputs_not_their_mean(found: Analysis) -> None:
  rows = _rows(found, "safety", metric="abs_bias_amplification")
  rows = rows[rows["verdict"] != "not available"]
  assert "(mean)" in set(rows["attribute"])
  counted = found.summary[8].numbers["n_compared"]
  assert counted == (rows["attribute"] != "(mean)").sum()


def test_it_is_written_as_strict_json_and_read_back(
  found: Analysis, tmp_path: Path
) -> None:
  found.write(tmp_path / "analysis")
  text = (tmp_path / "analysis" / "summary.json").read_text()
  stored = json.loads(text, parse_constant=lambda name: pytest.fail(name))
  assert [one["text"] for one in stored] == [one.text for one in found.summary]
  assert [one.text for one in read(tmp_path / "analysis").summary] == [
    one.text for one in found.summary
  ]


def test_without_dense_members_each_sentence_says_so(
  make_splits: MakeSplits,
) -> None:
  members = [("mag", 0.9, "none", seed) for seed in range(3)]
  for one in analyze(make_splits(members)).summary:
    assert "no compressed member pairs with a dense one" in one.text
    assert not one.numbers


def test_one_seed_has_differences_but_no_intervals(
  make_splits: MakeSplits,
) -> None:
  members = [("dense", 0.0, "none", 3), ("mag", 0.9, "none", 3)]
  result = analyze(make_splits(members))
  accuracy = result.summary[0]
  assert "no interval" in accuracy.text
  assert "one pair" in accuracy.text
  assert accuracy.as_json()["numbers"]["low"] is None


def test_one_seed_does_not_tell_what_seeds_alone_change(
  make_splits: MakeSplits,
) -> None:
  members = [("dense", 0.0, "none", 3), ("mag", 0.9, "none", 3)]
  summary = analyze(make_splits(members)).summary
  (one,) = [one for one in summary if "majority" in one.question]
  assert "one member against one" in one.text
  assert "excess" not in one.text
  assert "excess" not in one.numbers
  (one,) = [one for one in summary if "seed to seed" in one.question]
  assert "one pair" in one.text
  assert "no groups" not in one.text


def test_the_only_one_is_not_called_the_largest(
  make_splits: MakeSplits,
) -> None:
  splits = make_splits(MEMBERS, examples=200)
  splits = {name: one.isel(identity=[0]) for name, one in splits.items()}
  summary = analyze(splits).summary
  (one,) = [one for one in summary if "bias amplified" in one.question]
  assert one.numbers["n_compared"] == 1
  assert "largest" not in one.text
  assert "at once" not in one.text


def test_safe_pairs_are_counted_without_the_means(found: Analysis) -> None:
  rows = _rows(found, "safety", metric="abs_bias_amplification")
  rows = rows[(rows["attribute"] != "(mean)")]
  rows = rows[rows["verdict"] != "not available"]
  numbers = found.summary[8].numbers
  assert numbers["n_compared"] == len(rows)
  assert numbers["safe"] == (rows["safe_up_to"] >= 0.9).sum()


def test_without_train_labels_the_reason_is_given(
  make_splits: MakeSplits,
) -> None:
  splits = make_splits(MEMBERS, examples=200)
  del splits["train"]
  texts = [one.text for one in analyze(splits).summary]
  assert all("nan" not in text.lower() for text in texts)
  assert texts[3].startswith("Not available: no attribute has a value")
  assert texts[4].startswith("Not available: no attribute has a value")


def test_without_groups_the_sentences_say_so(make_splits: MakeSplits) -> None:
  splits = make_splits(MEMBERS, identities=())
  texts = [one.text for one in analyze(splits).summary]
  assert texts[4] == "Not available: there are no groups to compare."
  assert texts[4] == texts[5] == texts[6] == texts[8]


def test_exclusive_classes_are_summarised_as_a_whole(
  make_splits: MakeSplits,
) -> None:
  splits = make_splits(MEMBERS, multiclass=True, examples=200)
  result = analyze(splits)
  assert result.summary[0].numbers["attribute"] == "(all)"
  texts = [one.text for one in result.summary]
  assert all("nan" not in text.lower() for text in texts)
  (row,) = _rows(
    result, "exemplar_tests", attribute="(all)", identity=""
  ).to_dict("records")
  assert result.summary[7].numbers["cie_share"] == row["cie_share"]
  (detectable,) = set(
    _rows(result, "power", metric="accuracy", attribute="(all)", identity="")[
      "detectable_now"
    ]
  )
  assert result.summary[9].numbers["accuracy"] == detectable


def test_a_null_of_few_members_is_called_too_large(
  make_splits: MakeSplits, found: Analysis
) -> None:
  few = [one for one in MEMBERS if one[3] < 4]
  text = analyze(make_splits(few, examples=100)).summary[7].text
  assert "p not available" in text
  assert "the excess comes out too small" in text
  assert "too small" not in found.summary[7].text
