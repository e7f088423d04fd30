"""Everything about exemplars against slow loops over all arrangements."""

from collections.abc import Callable, Iterator
import itertools

import numpy as np
import pandas as pd
import pytest
import scipy.special
import scipy.stats
import xarray as xr

from prunebias_jax.analysis.exemplars import Exemplars

Splits = dict[str, xr.Dataset]
MakeSplits = Callable[..., Splits]
Examined = Callable[..., Exemplars]
KEY = ["attribute", "identity", "value"]


def _members(dense: int, compressed: int) -> list[tuple[str, float, str, int]]:
  return [
    *(("dense", 0.0, "none", seed) for seed in range(dense)),
    *(("magnitude", 0.9, "none", seed) for seed in range(compressed)),
  ]


def _few_values(splits: Splits, paired: bool) -> Splits:
  """Logits of few values, so that votes and mean probabilities tie."""
  result = {}
  for name, data in splits.items():
    if "logits" in data:
      values = np.clip(np.rint(data["logits"].to_numpy() * 0.8), -2, 2)
      data = data.assign(logits=(data["logits"].dims, values))
      data.attrs["paired"] = paired
    result[name] = data
  return result


def _modal(votes: np.ndarray, p: np.ndarray, parity: str) -> tuple[int, bool]:
  """The modal label of one example; p [member, label]."""
  counts = np.bincount(votes, minlength=p.shape[1])
  top = np.flatnonzero(counts == counts.max()).tolist()
  if parity == "paper":
    return top[-1], len(top) > 1
  # Rounding would break ties among the sums.
  lean = np.round(p.sum(axis=0), 6)
  return max(top, key=lambda label: (lean[label], -label)), len(top) > 1


class Slow:
  """One question of two populations, in loops."""

  def __init__(
    self, logits: np.ndarray, sizes: tuple[int, int], paired: bool, parity: str
  ) -> None:
    """Logits [member, example, label]; those of the dense side come first."""
    self.votes = logits.argmax(axis=2)
    self.p = scipy.special.softmax(logits, axis=2)
    self.sizes, self.paired, self.parity = sizes, paired, parity

  def sides(self) -> Iterator[tuple[list[int], list[int]]]:
    """Who is on which side, in every arrangement; the observed one first."""
    first, both = self.sizes[0], sum(self.sizes)
    if self.paired:
      for swapped in itertools.product([False, True], repeat=first):
        one = [k + first * s for k, s in enumerate(swapped)]
        yield one, [k for k in range(both) if k not in one]
    else:
      for chosen in itertools.combinations(range(both), first):
        yield list(chosen), [k for k in range(both) if k not in chosen]

  def labels(self, side: list[int]) -> tuple[np.ndarray, np.ndarray]:
    pairs = [
      _modal(self.votes[side, i], self.p[side, i], self.parity)
      for i in range(self.votes.shape[1])
    ]
    return np.array([a for a, _ in pairs]), np.array([b for _, b in pairs])

  def distance(self, one: list[int], other: list[int]) -> np.ndarray:
    answers = range(self.p.shape[2])
    shares = [
      np.stack([(self.votes[side] == c).mean(axis=0) for c in answers])
      for side in (one, other)
    ]
    return np.abs(shares[0] - shares[1]).sum(axis=0)

  def accuracy(self, side: list[int], y: np.ndarray, at: np.ndarray) -> list:
    return [(self.votes[k] == y)[at].mean() for k in side]


CASES = [
  ((5, 5), True, "default", False),
  ((6, 6), True, "default", False),
  ((4, 4), True, "paper", False),
  ((3, 4), False, "default", False),
  ((4, 4), False, "default", False),
  ((6, 6), True, "default", True),
  ((3, 3), True, "paper", True),
  ((4, 3), False, "default", True),
]


@pytest.mark.parametrize(("sizes", "paired", "parity", "multiclass"), CASES)
def test_tables_are_what_loops_give(
  make_splits: MakeSplits,
  examined: Examined,
  sizes: tuple[int, int],
  paired: bool,
  parity: str,
  multiclass: bool,
) -> None:
  names = ("A", "B", "C")[: 3 if multiclass else 2]
  splits = _few_values(
    make_splits(
      _members(*sizes), names=names, examples=30, multiclass=multiclass
    ),
    paired,
  )
  result = examined(splits, parity=parity)
  logits = splits["test"]["logits"].to_numpy()
  labels = splits["test"]["labels"].to_numpy()
  groups = splits["test"]["identities"].to_numpy()
  if multiclass:
    questions = {"(all)": (logits, labels)}
    classes = {name: labels == i for i, name in enumerate(names)}
  else:
    questions = {
      name: (
        # Two labels of softmax differences z: the same probabilities.
        np.stack([np.zeros_like(logits[..., i]), logits[..., i]], axis=2),
        labels[:, i],
      )
      for i, name in enumerate(names)
    }
    classes = {"B": labels[:, 1] == 1}
  for name, (values, y) in questions.items():
    slow = Slow(values, sizes, paired, parity)
    _check_question(result, name, slow, y, groups, classes)


def _check_question(result, name, slow, y, groups, classes) -> None:
  everyone = np.ones(len(y), bool)
  masks = {("", ""): everyone}
  for i, identity in enumerate(("A", "G")):
    for value in (0, 1):
      masks[identity, str(value)] = groups[:, i] == value
  for a, b in itertools.product((0, 1), repeat=2):
    masks["A*G", f"{a}*{b}"] = (groups[:, 0] == a) & (groups[:, 1] == b)
  arrangements = []
  for one, other in slow.sides():
    first, first_tied = slow.labels(one)
    second, second_tied = slow.labels(other)
    arrangements.append(
      {
        "cie": first != second,
        "gain": (second == y).astype(int) - (first == y),
        "tied": first_tied | second_tied,
        "distance": slow.distance(one, other),
        "right": (first == y, second == y),
        "labels": (first, second),
        "accuracy": (
          slow.accuracy(one, y, first != second),
          slow.accuracy(other, y, first != second),
        )
        if np.any(first != second)
        else None,
      }
    )
  _check_shares(result, name, slow, arrangements, masks)
  _check_examples(result, name, arrangements)
  _check_over_indexing(result, name, slow, arrangements, masks, classes, y)
  _check_null_set(result, name, slow, arrangements)


def _enough(slow: Slow) -> bool:
  count = sum(1 for _ in slow.sides())
  return (2 if slow.sizes[0] == slow.sizes[1] else 1) / count <= 0.05


def _p(values: np.ndarray) -> float:
  return float(np.mean(values >= values[0] - 1e-9))


def _check_shares(result, name, slow, arrangements, masks) -> None:
  table = result.tables["exemplar_tests"]
  table = table[table["attribute"] == name].set_index(["identity", "value"])
  assert set(table.index) == set(masks)
  for key, mask in masks.items():
    row = table.loc[key]
    share = np.array([one["cie"][mask].mean() for one in arrangements])
    gain = np.array([one["gain"][mask].sum() for one in arrangements])
    observed = arrangements[0]
    assert row["n"] == mask.sum()
    assert row["n_permutations"] == len(arrangements)
    right, right_too = (one[mask] for one in observed["right"])
    n10, n01 = (right & ~right_too).sum(), (right_too & ~right).sum()
    assert (row["n10"], row["n01"]) == (n10, n01)
    middle = 0 if slow.sizes[0] == slow.sizes[1] else gain.mean()
    expected = {
      "cie_share": share[0],
      "null_mean": share.mean(),
      "excess": share[0] - share.mean(),
      "p": _p(share) if _enough(slow) else np.nan,
      "accuracy_change": gain[0] / mask.sum(),
      "p_accuracy": _p(np.abs(gain - middle)) if _enough(slow) else np.nan,
      "p_conditional": scipy.stats.binomtest(n10, n10 + n01).pvalue
      if n10 + n01
      else 1.0,
      "tie_rate": observed["tied"][mask].mean(),
    }
    for column, value in expected.items():
      np.testing.assert_allclose(row[column], value, atol=1e-9, err_msg=column)
    assert ("p not available" in row["reason"]) == (not _enough(slow))


def _check_examples(result, name, arrangements) -> None:
  data = result.examples.sel(attribute=name).isel(population=0)
  observed = arrangements[0]
  expected = np.mean([one["distance"] for one in arrangements], axis=0)
  found = {key: data[key].to_numpy() for key in data.data_vars}
  np.testing.assert_allclose(found["taxicab"], observed["distance"], atol=1e-6)
  np.testing.assert_allclose(
    found["excess"], observed["distance"] - expected, atol=1e-6
  )
  np.testing.assert_array_equal(found["modal_dense"], observed["labels"][0])
  np.testing.assert_array_equal(
    found["modal_compressed"], observed["labels"][1]
  )
  np.testing.assert_array_equal(found["is_cie"], observed["cie"])
  np.testing.assert_array_equal(np.sort(found["rank"]), np.arange(1, 31))
  by_rank = found["excess"][np.argsort(found["rank"])]
  assert np.all(np.diff(by_rank) <= 1e-6)


def _check_over_indexing(
  result, name, slow, arrangements, masks, classes, y
) -> None:
  table = result.tables["over_indexing"]
  table = table[table["attribute"] == name]
  own = {*classes} if name == "(all)" else {name}
  texts = {"": np.ones(len(y), bool)}
  labels = list(classes) if name == "(all)" else ["0", "1"]
  texts |= {label: y == i for i, label in enumerate(labels)}
  kinds = {key: mask for key, mask in masks.items() if key != ("", "")}
  kinds |= {(key, "1"): mask for key, mask in classes.items() if key != "A"}
  seen = 0
  for (given, within), (kind, mask) in itertools.product(
    texts.items(), kinds.items()
  ):
    rows = table[
      (table["given"] == given)
      & (table["identity"] == kind[0])
      & (table["value"] == kind[1])
    ]
    if given and kind[0] in own:
      assert rows.empty
      continue
    seen += 1
    row = rows.iloc[0]
    base = mask[within].mean() if within.any() else np.nan
    ratios = np.array(
      [
        mask[within & one["cie"]].mean() / base
        if np.any(within & one["cie"]) and base > 0
        else np.nan
        for one in arrangements
      ]
    )
    np.testing.assert_allclose(row["ratio"], ratios[0], atol=1e-9)
    assert row["n_exemplars"] == np.sum(within & arrangements[0]["cie"])
    assert row["n_group"] == np.sum(within & mask & arrangements[0]["cie"])
    if np.isnan(ratios[0]):
      assert row["reason"]
      assert np.isnan(row["p"])
      continue
    middle = np.nanmean(ratios)
    np.testing.assert_allclose(row["null_mean"], middle, atol=1e-9)
    away = np.nan_to_num(np.abs(ratios - middle))
    expected = _p(away) if _enough(slow) else np.nan
    np.testing.assert_allclose(row["p"], expected, atol=1e-9)
    cross = [
      [row["n_group"], row["n_exemplars"] - row["n_group"]],
      [
        np.sum(within & mask) - row["n_group"],
        np.sum(within & ~mask) - row["n_exemplars"] + row["n_group"],
      ],
    ]
    np.testing.assert_allclose(
      row["p_conditional"], scipy.stats.fisher_exact(cross).pvalue, rtol=1e-9
    )
  assert len(table) == seen


def _check_null_set(result, name, slow, arrangements) -> None:
  table = result.tables["exemplar_accuracy"]
  row = table[(table["attribute"] == name) & (table["set"] == "null_cie")]
  # The observed arrangement and its mirror image are none of the null's.
  rest = (
    arrangements[1:-1] if slow.sizes[0] == slow.sizes[1] else (arrangements[1:])
  )
  if len(rest) > 2 * 50:
    return
  given = [one["accuracy"] for one in rest if one["accuracy"]]
  for side, column in enumerate(("dense", "compressed")):
    means = [np.mean(one[side]) for one in given]
    sds = [np.std(one[side], ddof=1) for one in given]
    np.testing.assert_allclose(
      row[f"{column}_accuracy"], np.mean(means), atol=1e-9
    )
    np.testing.assert_allclose(row[f"{column}_sd"], np.mean(sds), atol=1e-9)


def test_mean_over_attributes_under_the_same_arrangements(
  make_splits: MakeSplits,
  examined: Examined,
) -> None:
  splits = make_splits(_members(6, 6), examples=50)
  tables = examined(splits).tables
  logits = splits["test"]["logits"].to_numpy()
  labels = splits["test"]["labels"].to_numpy()
  shares, gains = [], []
  for swapped in itertools.product([False, True], repeat=6):
    one = np.array([k + 6 * s for k, s in enumerate(swapped)])
    rest = np.setdiff1d(np.arange(12), one)
    sides = []
    for side in (one, rest):
      ones = (logits[side] > 0).sum(axis=0)
      lean = scipy.special.expit(logits[side].astype(float)).mean(axis=0)
      sides.append((ones > 3) | ((ones == 3) & (lean > 0.5)))
    shares.append(np.mean(sides[0] != sides[1]))
    gains.append(np.mean(sides[1] == labels) - np.mean(sides[0] == labels))
  table: pd.DataFrame = tables["exemplar_tests"]
  row = table[(table["attribute"] == "(mean)") & (table["identity"] == "")]
  row = row.iloc[0]
  np.testing.assert_allclose(row["cie_share"], shares[0])
  np.testing.assert_allclose(row["null_mean"], np.mean(shares))
  np.testing.assert_allclose(row["p"], _p(np.array(shares)))
  np.testing.assert_allclose(row["accuracy_change"], gains[0])
  np.testing.assert_allclose(row["p_accuracy"], _p(np.abs(gains)))
