"""Several evaluations: each as if it were alone, told apart by its columns."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from prunebias_jax.analysis import TABLES, Analysis, analyze, read
from prunebias_jax.errors import InputError

Splits = dict[str, xr.Dataset]
MakeSplits = Callable[..., Splits]
NOISE, BEST = ("last", "test:noise:3"), ("best", "test")
WHERE = ["checkpoint", "split"]


def _other(data: xr.Dataset, seed: int) -> xr.Dataset:
  """The same examples with other logits."""
  rng = np.random.default_rng(seed)
  noise = rng.normal(size=data["logits"].shape).astype(np.float32)
  return data.assign(logits=data["logits"] * 0.7 + noise)


@pytest.fixture
def evaluations(make_splits: MakeSplits) -> dict[tuple[str, str], xr.Dataset]:
  splits = make_splits()
  return {
    NOISE: _other(splits["test"], 1),
    ("last", "valid:blur:2"): _other(splits["valid"], 2),
    BEST: _other(splits["test"], 3),
    ("best", "valid"): _other(splits["valid"], 4),
  }


def _assert_alone(
  found: Analysis, where: tuple[str, str], alone: Analysis
) -> None:
  """An evaluation's numbers are those of an analysis of nothing else."""
  one = found.at(*where)
  # Without the exemplars of the validation split.
  alone = alone.at("last", "test")
  assert one.others == {}
  for name, table in one.tables.items():
    assert tuple(table.columns) == TABLES[name]
    # Some have no rows here: no seeds are crossed, say.
    assert set(map(tuple, table[WHERE].to_numpy())) <= {where}
    pd.testing.assert_frame_equal(
      table.drop(columns=WHERE), alone.tables[name].drop(columns=WHERE)
    )
  xr.testing.assert_equal(one.arrays, alone.arrays)
  xr.testing.assert_equal(one.examples[where], alone.examples["last", "test"])
  assert (one.arrays.attrs["checkpoint"], one.arrays.attrs["split"]) == where


def test_each_evaluation_is_as_if_alone(
  make_splits: MakeSplits, evaluations: dict[tuple[str, str], xr.Dataset]
) -> None:
  splits = make_splits()
  found = analyze(splits, evaluations=evaluations)
  assert list(found.others) == [NOISE, ("last", "valid:blur:2"), BEST]
  _assert_alone(found, ("last", "test"), analyze(splits))
  _assert_alone(found, NOISE, analyze({**splits, "test": evaluations[NOISE]}))
  # Rates and groups are those of the validation examples.
  blur = ("last", "valid:blur:2")
  _assert_alone(found, blur, analyze({**splits, "test": evaluations[blur]}))
  # Thresholds are calibrated on the clean split of the same checkpoint.
  best = {"test": evaluations[BEST], "valid": evaluations["best", "valid"]}
  _assert_alone(found, BEST, analyze({**splits, **best}))
  first = found.tables["attributes"].iloc[0]
  assert (first["checkpoint"], first["split"]) == ("last", "test")


def test_written_and_read_back(
  tmp_path: Path,
  make_splits: MakeSplits,
  evaluations: dict[tuple[str, str], xr.Dataset],
) -> None:
  found = analyze(make_splits(), evaluations=evaluations)
  found.write(tmp_path / "analysis")
  again = read(tmp_path / "analysis")
  assert {*again.others} == {*found.others}
  for where in found.others:
    xr.testing.assert_identical(
      again.others[where].astype(object), found.others[where].astype(object)
    )
  for name, table in found.tables.items():
    pd.testing.assert_frame_equal(
      again.tables[name], table, check_dtype=False, check_exact=False
    )
  alone = analyze(make_splits())
  alone.write(tmp_path / "analysis")
  assert read(tmp_path / "analysis").others == {}


def test_without_validation_logits_of_the_checkpoint(
  make_splits: MakeSplits, evaluations: dict[tuple[str, str], xr.Dataset]
) -> None:
  def rules(where: tuple[str, str]) -> set[str]:
    return set(found.at(*where).tables["attributes"]["threshold_rule"])

  splits = make_splits()
  partly = evaluations["best", "valid"].isel(member=slice(2))
  for valid in ({}, {("best", "valid"): partly}):
    given = {NOISE: evaluations[NOISE], BEST: evaluations[BEST], **valid}
    found = analyze(splits, evaluations=given)
    assert rules(NOISE) == {"default", "calibrated"}
    assert rules(BEST) == {"default"}
    (note,) = [one for one in found.notes if "--checkpoint best" in one]
    assert "no calibrated thresholds" in note


def test_members_that_were_not_evaluated(
  make_splits: MakeSplits, evaluations: dict[tuple[str, str], xr.Dataset]
) -> None:
  splits = make_splits()
  some = evaluations[NOISE].isel(member=[0, 1, 2])
  none = evaluations[BEST].isel(member=[])
  found = analyze(splits, evaluations={NOISE: some, BEST: none})
  assert list(found.others) == [NOISE]
  assert found.others[NOISE].sizes["member"] == 3
  (note,) = [one for one in found.notes if "Not all members have" in one]
  assert "test:noise:3, last parameters (3 of 6)" in note
  assert "test, best parameters (0 of 6)" in note


def test_exclusive_classes(make_splits: MakeSplits) -> None:
  splits = make_splits(multiclass=True)
  other = _other(splits["test"], 1)
  found = analyze(splits, evaluations={NOISE: other})
  _assert_alone(found, NOISE, analyze({**splits, "test": other}))


def test_no_dense_members_in_an_evaluation(
  make_splits: MakeSplits, evaluations: dict[tuple[str, str], xr.Dataset]
) -> None:
  pruned = evaluations[NOISE].isel(member=[1, 3, 5])
  found = analyze(make_splits(), evaluations={NOISE: pruned})
  contrasts = found.tables["contrasts"]
  assert set(contrasts["split"]) == {"test"}
  assert not len(found.at(*NOISE).tables["contrasts"])


def test_what_cannot_be_analysed_names_the_evaluation(
  make_splits: MakeSplits, evaluations: dict[tuple[str, str], xr.Dataset]
) -> None:
  logits = evaluations[NOISE]["logits"].copy()
  logits[1, 0, 0] = np.inf
  broken = evaluations[NOISE].assign(logits=logits)
  with pytest.raises(
    InputError, match=r"magnitude, .*, seed 0 \(test:noise:3, last parameters"
  ):
    analyze(make_splits(), evaluations={NOISE: broken})
  with pytest.raises(InputError, match=r"there are: test \(last\)"):
    analyze(make_splits()).at("best", "test")
