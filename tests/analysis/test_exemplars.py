"""Laws, edges and size of the exemplar statistics."""

from collections.abc import Callable
from pathlib import Path
import runpy

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pandas as pd
import pytest
import scipy.stats
from statsmodels.stats.contingency_tables import mcnemar as their_mcnemar
from statsmodels.stats.proportion import proportion_confint
import xarray as xr

from prunebias_jax.analysis import Options, analyze
from prunebias_jax.analysis.exemplars import Exemplars
from prunebias_jax.analysis.exemplars.conditional import (
  fisher,
  mcnemar,
  wilson,
)
from prunebias_jax.analysis.exemplars.exchange import (
  expected_distance,
  make_exchange,
)
from prunebias_jax.analysis.exemplars.null import Sides, excess_distance
from prunebias_jax.analysis.exemplars.order import controls, onset, ranks
from prunebias_jax.analysis.exemplars.votes import modal, taxicab, votes_of
from prunebias_jax.errors import InputError

Splits = dict[str, xr.Dataset]
MakeSplits = Callable[..., Splits]
Examined = Callable[..., Exemplars]
SIMULATE = Path(__file__).parents[2] / "scripts" / "simulate_exemplars"


def _members(
  seeds: int, levels: tuple[float, ...] = (0.9,), dense: int | None = None
) -> list[tuple[str, float, str, int]]:
  return [
    *(("dense", 0.0, "none", seed) for seed in range(dense or seeds)),
    *(
      ("magnitude", level, "none", seed)
      for level in levels
      for seed in range(seeds)
    ),
  ]


@st.composite
def _logits(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, bool]:
  """Two populations' logits of few values, extreme ones among them."""
  seed = draw(st.integers(0, 2**32 - 1))
  members = draw(st.integers(1, 6))
  rng = np.random.default_rng(seed)
  values = draw(st.sampled_from([[-1, 1], [-2, -1, 0, 1, 2], [-1e30, 0, 90]]))
  first, second = (
    rng.choice(values, (members, 7, 3)).astype(float) for _ in range(2)
  )
  return first, second, draw(st.booleans())


@settings(max_examples=60, deadline=None)
@given(_logits(), st.sampled_from(["default", "paper"]))
def test_laws_of_votes(data, parity) -> None:
  first, second, exclusive = data
  one, other = (votes_of(x, exclusive=exclusive) for x in (first, second))
  distance = taxicab(one, other)
  assert np.all((distance >= 0) & (distance <= 2))
  np.testing.assert_array_equal(distance, taxicab(other, one))
  labels, tied = modal(one, parity)
  shuffled = votes_of(first[::-1], exclusive=exclusive)
  np.testing.assert_array_equal(labels, modal(shuffled, parity)[0])
  np.testing.assert_array_equal(tied, modal(shuffled, parity)[1])
  # A label that no member votes for is nobody's modal label.
  counts = one.counts
  if exclusive:
    assert np.all(np.take_along_axis(counts, labels.astype(int), 1) > 0)
    assert np.all(counts.sum(axis=1) == one.members)
  # Equal populations never differ.
  assert np.all(taxicab(one, shuffled) == 0)


@settings(max_examples=40, deadline=None)
@given(_logits(), st.booleans())
def test_the_excess_of_all_arrangements_averages_to_nothing(data, paired):
  first, second, exclusive = data
  size = len(first)
  exchange = make_exchange((size, size), paired=paired, draws=99)
  both = np.concatenate([first, second])
  total, count = 0, 0
  for side in exchange.sides(slice(None)):
    rest = ~side
    if paired:
      # The pairs stay in order.
      place = np.where(side[:size], 0, size) + np.arange(size)
      order = np.concatenate([place, (place + size) % (2 * size)])
    else:
      order = np.concatenate([np.flatnonzero(side), np.flatnonzero(rest)])
    one, other = (
      votes_of(both[part], exclusive=exclusive)
      for part in (order[:size], order[size:])
    )
    sides = Sides(dense=one, compressed=other, exchange=exchange)
    total += excess_distance(sides, exchange, taxicab(one, other))
    count += 1
  np.testing.assert_allclose(total / count, 0, atol=1e-12)


def test_expected_distances_of_small_cases() -> None:
  # Four split pairs: |heads - tails| is 4, 2, 0 with 2, 8, 6 of 16.
  found = expected_distance(make_exchange((4, 4), paired=True, draws=99))
  np.testing.assert_allclose(found[[0, 1, 4]], [0, 0.25, 1.5 / 4])
  # Two of four members on one side each: .5 apart never, 1 apart in 2 of 6.
  free = expected_distance(make_exchange((2, 2), paired=False, draws=99))
  np.testing.assert_allclose(free, [0, 0.5, 1 / 3, 0.5, 0])


def test_draws_count_the_observed_arrangement() -> None:
  exchange = make_exchange((14, 14), paired=True, draws=99)
  assert (exchange.exact, exchange.count, len(exchange.moved)) == (
    False,
    99,
    100,
  )
  largest = np.r_[2.0, np.zeros(99)]
  assert exchange.share(largest) == 0.01
  assert exchange.mean(largest) == 0
  free = make_exchange((9, 8), paired=False, draws=199)
  assert free.moved.sum(axis=1).tolist() == [9] * 200
  np.testing.assert_array_equal(free.moved[0], np.arange(17) < 9)


@pytest.mark.parametrize(
  ("sizes", "paired", "available"),
  [
    ((5, 5), True, False),
    ((6, 6), True, True),
    ((3, 3), False, False),
    ((4, 4), False, True),
    ((2, 4), False, False),
    ((3, 4), False, True),
  ],
)
def test_what_permutations_can_reach(sizes, paired, available) -> None:
  exchange = make_exchange(sizes, paired=paired, draws=99)
  first = np.zeros(len(exchange.moved))
  first[0] = 1
  # The observed arrangement alone at the top, but for its mirror image.
  assert (exchange.share(first) <= 0.05) == available
  assert (exchange.reason == "") == available
  if paired and not available:
    assert exchange.reason == "p not available: needs K >= 6"


def test_conditional_tests_agree_with_other_libraries() -> None:
  rng = np.random.default_rng(0)
  n10, n01 = rng.integers(0, 30, (2, 200))
  n10[:5], n01[:3] = 0, 0
  expected = [
    their_mcnemar([[0, a], [b, 0]], exact=True).pvalue if a + b else 1.0
    for a, b in zip(n10, n01, strict=True)
  ]
  np.testing.assert_allclose(mcnemar(n10, n01), expected, rtol=1e-9)
  total = rng.integers(1, 80, 300)
  first, second = (rng.integers(0, total + 1) for _ in range(2))
  low, high = np.maximum(0, first + second - total), np.minimum(first, second)
  both = rng.integers(low, high + 1)
  expected = [
    scipy.stats.fisher_exact([[x, a - x], [b - x, n - a - b + x]]).pvalue
    for x, a, b, n in zip(both, first, second, total, strict=True)
  ]
  np.testing.assert_allclose(
    fisher(both, first, second, total), expected, rtol=1e-9
  )
  # Large tables, some far from what is expected.
  first, second = rng.integers(5, 8_000, (2, 60))
  large = np.full(60, 19_962)
  mean = first * second / large
  away = np.array([0, 1, -1, 3, -3, 12])[np.arange(60) % 6] * np.sqrt(mean)
  x = np.clip(np.rint(mean + away), 0, np.minimum(first, second)).astype(int)
  expected = [
    scipy.stats.fisher_exact([[k, a - k], [b - k, 19_962 - a - b + k]]).pvalue
    for k, a, b in zip(x, first, second, strict=True)
  ]
  np.testing.assert_allclose(
    fisher(x, first, second, large), expected, rtol=1e-9, atol=1e-14
  )
  found = wilson(both, total, 0.9)
  theirs = proportion_confint(both, total, 0.1, "wilson")
  np.testing.assert_allclose(found, theirs, atol=1e-12)
  assert np.isnan(wilson(np.array([0]), np.array([0]), 0.9)).all()


def test_order_and_onset() -> None:
  key = np.array([[1.0], [3.0], [1.0], [0.0]])
  second = np.array([[0.1], [0.0], [0.2], [9.0]])
  rank, order = ranks(key, second)
  assert rank[:, 0].tolist() == [3, 1, 2, 4]
  assert order.tolist() == [[1, 2, 0, 3]]
  tied, _ = ranks(np.zeros((50, 1)), np.zeros((50, 1)))
  assert sorted(tied[:, 0]) == list(range(1, 51)) != tied[:, 0].tolist()
  flips = np.array([[1, 1, 0, 0, 1], [0, 1, 0, 1, 1], [1, 1, 0, 1, 0]], bool)[
    :, :, None
  ]
  found = onset(flips, np.array([0.5, 0.8, 0.9]))[:, 0]
  np.testing.assert_array_equal(found, [0.9, 0.5, np.nan, 0.8, np.nan])
  exemplar = np.arange(200)[:, None] < 3
  listed = np.arange(200)[:, None] < 20
  drawn = controls(listed, exemplar)
  assert drawn.sum() == 3
  assert not np.any(drawn & listed)
  # No more than there are.
  assert controls(~exemplar, exemplar).sum() == 0


def test_the_table_of_exemplars(make_splits: MakeSplits) -> None:
  splits = make_splits(_members(6, (0.5, 0.9)), examples=200)
  result = analyze(splits, options=Options(queue=10))
  assert {("last", "test"), ("last", "valid")} == {*result.examples}
  table = result.tables["exemplars"]
  assert {*table["split"]} == {"test", "valid"}
  data = result.examples["last", "test"]
  for (sparsity, name), rows in table[table["split"] == "test"].groupby(
    ["sparsity", "attribute"]
  ):
    place = data["sparsity"].to_numpy().tolist().index(sparsity)
    one = data.isel(population=place).sel(attribute=name)
    found = one.to_dataframe().reset_index().set_index("rank", drop=False)
    queued = (found["excess"] > 0) & (found["rank"] <= 10)
    shown = rows[~rows["control"]]
    assert {*shown["rank"]} == {*found[queued | found["is_cie"]]["rank"]}
    assert rows["control"].sum() == int(np.ceil(0.15 * len(shown)))
    assert rows["rank"].is_monotonic_increasing
    for row in rows.itertuples():
      stored = found.loc[row.rank]
      assert row.example_id == stored["example"]
      assert row.is_cie == (row.modal_dense != row.modal_compressed)
      np.testing.assert_allclose(row.taxicab, stored["taxicab"], atol=1e-6)
      np.testing.assert_allclose(row.onset, stored["onset"], atol=1e-6)
    assert not np.any(rows["control"] & rows["is_cie"])
  # What flips for good at the lower level is a CIE at both.
  first = data["onset"].to_numpy() == np.float32(0.5)
  assert np.all(data["is_cie"].to_numpy()[first])
  assert np.all(np.isnan(data["onset"][0]) == np.isnan(data["onset"][1]))


def test_counts_add_up(make_splits: MakeSplits, examined: Examined) -> None:
  tables = examined(make_splits(_members(6), examples=150)).tables
  table = tables["exemplar_tests"]
  table = table[(table["split"] == "test") & (table["attribute"] != "(mean)")]
  count = table["cie_share"] * table["n"].astype(float)
  for _, rows in table.assign(count=count).groupby("attribute"):
    whole = rows[rows["identity"] == ""].iloc[0]
    # In a binary task one of the two labels is right on each exemplar.
    assert whole["n10"] + whole["n01"] == round(whole["count"])
    for identity in ("A", "G", "A*G"):
      parts = rows[rows["identity"] == identity]
      for column in ("n", "count", "n10", "n01"):
        np.testing.assert_allclose(
          float(parts[column].sum()), float(whole[column])
        )


def test_accuracy_of_sets_and_what_a_queue_finds(
  make_splits: MakeSplits, examined: Examined
) -> None:
  splits = make_splits(_members(6), names=("A",), examples=100)
  rng = np.random.default_rng(0)
  flipped = rng.integers(0, 2, (100, 1)).astype(np.uint8)
  splits["test"]["truth_flipped"] = (("example", "attribute"), flipped)
  result = examined(splits)
  z = splits["test"]["logits"].to_numpy()[:, :, 0].astype(float)
  y = splits["test"]["labels"].to_numpy()[:, 0]
  right = (z > 0) == y
  one = result.examples.isel(population=0, attribute=0)
  cie, rank = one["is_cie"].to_numpy(), one["rank"].to_numpy()
  p = 1 / (1 + np.exp(-z))
  margin = np.abs(p[:6] - 0.5).mean(axis=0)
  masks = {
    "all": np.ones(100, bool),
    "cie": cie,
    "not_cie": ~cie,
    "top_1": rank <= 1,
    "top_5": rank <= 5,
    "top_10": rank <= 10,
    "low_margin": np.isin(np.arange(100), np.argsort(margin)[: cie.sum()]),
  }
  rows = result.tables["exemplar_accuracy"].set_index("set")
  for name, mask in masks.items():
    assert rows.loc[name, "n"] == mask.sum()
    for side, part in (("dense", right[:6]), ("compressed", right[6:])):
      values = part[:, mask].mean(axis=1)
      np.testing.assert_allclose(
        rows.loc[name, [f"{side}_accuracy", f"{side}_sd"]].astype(float),
        [values.mean(), values.std(ddof=1)],
      )
  q = p[:6].mean(axis=0)
  loss = -np.log(np.where(y, p[:6], 1 - p[:6])).mean(axis=0)
  keys = {
    "dense_margin": -margin,
    "dense_entropy": scipy.stats.entropy([q, 1 - q], base=2),
    "dense_variance": p[:6].var(axis=0),
    "dense_loss": loss,
    "compressed_margin": -np.abs(p[6:] - 0.5).mean(axis=0),
    "excess": -rank.astype(float),
  }
  targets = {
    "errors": 1 - right[6:].mean(axis=0),
    "label_flips": flipped[:, 0],
  }
  queue = result.tables["queue"].set_index(["target", "ranking", "budget"])
  for target, wanted in targets.items():
    for budget in (0.01, 0.02, 0.05, 0.1, 0.2):
      count = round(100 * budget)
      for name, key in keys.items():
        found = wanted[np.argsort(-key)[:count]].sum()
        row = queue.loc[target, name, budget]
        np.testing.assert_allclose(
          row[["recall", "precision", "lift"]].astype(float),
          [
            found / wanted.sum(),
            found / count,
            found / count / wanted.mean(),
          ],
        )
      chance = queue.loc[target, "random", budget]
      np.testing.assert_allclose(
        chance[["recall", "lift"]].astype(float), [budget, 1]
      )


def test_one_seed_no_dense_members_and_a_shared_parent(
  make_splits: MakeSplits, examined: Examined
) -> None:
  single = examined(make_splits(_members(1)))
  assert single.tables["exemplar_tests"]["p"].isna().all()
  # All that differs is a CIE, and a pair that differs has no excess.
  assert (single.tables["exemplars"]["excess"] == 0).all()
  assert any("permutation tests" in note for note in single.notes)
  lone = examined(make_splits(_members(3)[3:]))
  assert lone.examples is None
  assert lone.tables["exemplars"].empty
  shared = make_splits(_members(6))
  for name in ("valid", "test"):
    parents = np.r_[np.arange(6), np.zeros(6, int)]
    shared[name] = shared[name].assign_coords(parent_seed=("member", parents))
  found = examined(shared).tables
  for name in ("exemplar_tests", "exemplars"):
    assert found[name]["excess"].isna().all()
    assert found[name]["reason"].str.contains("share a dense parent").all()
  assert (found["exemplar_tests"]["n_dense"] == 1).all()
  assert (found["exemplar_tests"]["cie_share"] > 0).any()
  assert {*found["exemplar_tests"]["null"]} == {"none"}
  assert "excess" not in {*found["queue"]["ranking"]}


def test_members_without_a_partner_are_left_out(
  make_splits: MakeSplits, examined: Examined
) -> None:
  more = make_splits(_members(8, dense=6))
  table = examined(more).tables["exemplar_tests"]
  assert {*table["n_dense"], *table["n_compressed"]} == {6}
  assert {*table["null"]} == {"paired"}
  keep = [i for i in range(14) if i not in (12, 13)]
  fewer = {
    name: data.isel(member=keep) if "logits" in data else data
    for name, data in more.items()
  }
  pd.testing.assert_frame_equal(examined(fewer).tables["exemplar_tests"], table)


@pytest.mark.parametrize("multiclass", [False, True])
def test_the_order_of_members_changes_nothing(
  make_splits: MakeSplits, examined: Examined, multiclass: bool
) -> None:
  splits = make_splits(_members(6), examples=60, multiclass=multiclass)
  order = np.random.default_rng(0).permutation(6)
  # The dense population stays first; both are shuffled, each its own way.
  order = np.concatenate([order, 6 + order[::-1]])
  shuffled = {
    name: data.isel(member=order) if "logits" in data else data
    for name, data in splits.items()
  }
  found, expected = (examined(one) for one in (shuffled, splits))
  for name in ("exemplars", "exemplar_tests", "over_indexing", "queue"):
    pd.testing.assert_frame_equal(
      found.tables[name], expected.tables[name], rtol=1e-9, atol=1e-12
    )


def test_missing_labels(make_splits: MakeSplits, examined: Examined) -> None:
  splits = make_splits(_members(6), examples=80)
  labels = splits["test"]["labels"].to_numpy().astype(np.float32)
  labels[::4, 1] = np.nan
  labels[:, 2] = np.nan
  dims = splits["test"]["labels"].dims
  splits["test"] = splits["test"].assign(labels=(dims, labels))
  found = examined(splits).tables
  tests = found["exemplar_tests"]
  tests = tests[tests["identity"] == ""].set_index("attribute")
  assert np.isfinite(tests["cie_share"]).all()
  assert np.isnan(tests.loc["C", "accuracy_change"])
  assert np.isnan(tests.loc["C", "p_accuracy"])
  assert "no labels" in tests.loc["C", "reason"]
  assert tests.loc["B", "n"] == 80
  z = splits["test"]["logits"].to_numpy()[..., 1]
  sides = [modal(votes_of(part[..., None]))[0][:, 0] for part in (z[:6], z[6:])]
  known = ~np.isnan(labels[:, 1])
  right = [(side == labels[:, 1])[known] for side in sides]
  assert tests.loc["B", "n10"] == np.sum(right[0] & ~right[1])
  np.testing.assert_allclose(
    tests.loc["B", "accuracy_change"], right[1].mean() - right[0].mean()
  )
  over = found["over_indexing"]
  rows = over[(over["attribute"] == "B") & (over["identity"] == "G")]
  group = splits["test"]["identities"].to_numpy()[:, 1] == 1
  for given_, value in (("", known | True), ("0", labels[:, 1] == 0)):
    row = rows[(rows["given"] == given_) & (rows["value"] == "1")].iloc[0]
    cie = sides[0] != sides[1]
    assert row["n_exemplars"] == np.sum(cie & value)
    assert row["n_group"] == np.sum(cie & value & group)
    np.testing.assert_allclose(row["share_all"], group[value].mean())
  # A characteristic whose label is missing counts where it is there.
  row = over[(over["attribute"] == "A") & (over["identity"] == "B")].iloc[0]
  np.testing.assert_allclose(row["share_all"], (labels[known, 1] == 1).mean())


@pytest.mark.parametrize("name", ["queue", "permutations"])
def test_refused_choices(name: str) -> None:
  with pytest.raises(InputError, match=name):
    Options(**{name: -1})


@pytest.mark.parametrize("paired", [True, False])
def test_size_where_nothing_happens(paired: bool) -> None:
  simulate = runpy.run_path(str(SIMULATE))
  rng = np.random.default_rng(1)
  found = simulate["simulated"](rng, 7, 300, paired=paired, exchanged=paired)
  for name in ("p", "p_group", "p_accuracy", "p_accuracy_group"):
    assert np.mean(found[name] <= 0.05) <= 0.065, name
  # A naive reading takes all of the share for an effect.
  assert found["share"].mean() > 0.05
  np.testing.assert_allclose(
    found["share"].mean(), found["null"].mean(), rtol=0.03
  )


def test_free_permutation_of_pairs_is_wrong_and_an_effect_is_found() -> None:
  simulate = runpy.run_path(str(SIMULATE))
  rng = np.random.default_rng(2)
  wrong = simulate["simulated"](rng, 10, 100, exchanged=False)
  assert np.mean(wrong["p"] <= 0.05) <= 0.01
  assert wrong["null"].mean() > 1.2 * wrong["share"].mean()
  found = simulate["simulated"](rng, 10, 100, effect=0.4)
  for name in ("p_group", "p_accuracy", "p_accuracy_group"):
    assert np.mean(found[name] <= 0.05) > 0.8, name
