from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
import numpy as np
import pytest

from prunebias_jax.analysis import GroupPairs, bias_amplification, confusion
from prunebias_jax.analysis.flags import BiasFlag


def _ba(
  predicted: np.ndarray,
  labels: np.ndarray,
  group: np.ndarray,
  inside: float | np.ndarray,
  outside: float | np.ndarray,
  *,
  parity: str = "default",
  same: bool = False,
  binary: bool = True,
  marker: bool = False,
  has_train: bool = True,
) -> tuple[np.ndarray, np.ndarray]:
  """One group against its rest: values and flags [attribute]."""
  predicted, labels = np.atleast_2d(predicted.T).T, np.atleast_2d(labels.T).T
  shape = (1, labels.shape[1])
  membership = np.stack([np.ones(len(group)), group], axis=1)
  pairs = GroupPairs(
    identity=("g",),
    value=("1",),
    group=np.array([1]),
    inside=np.broadcast_to(np.asarray(inside, float), shape),
    outside=np.broadcast_to(np.asarray(outside, float), shape),
    empty=np.isnan(np.broadcast_to(inside, shape)[:, 0]) & has_train,
    same=np.full(shape, same),
    binary=np.array([binary]),
    marker=np.array([marker]),
    has_train=has_train,
  )
  counts = confusion(predicted.astype(bool), labels.astype(bool), membership)
  value, flags = bias_amplification(counts, pairs, parity=parity)
  return value[0], flags[0]


def _check_vector() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """G has 6 of 10 true positives and 7 of 8 predicted ones."""
  labels = np.array([1] * 10 + [0] * 10)
  group = np.array([1] * 6 + [0] * 4 + [1] * 5 + [0] * 5)
  predicted = np.zeros(20)
  predicted[[0, 1, 2, 3, 4, 5, 10]] = 1
  predicted[6] = 1
  return predicted, labels, group


def test_check_vector() -> None:
  value, flags = _ba(*_check_vector(), 0.5, 0.2)
  np.testing.assert_allclose(value, 0.275, rtol=1e-15)
  assert flags == BiasFlag.LOW_N | BiasFlag.FEW_PREDICTED


def test_the_side_with_the_higher_train_rate_is_g() -> None:
  value, flags = _ba(*_check_vector(), 0.2, 0.5)
  np.testing.assert_allclose(value, -0.275, rtol=1e-15)
  few = BiasFlag.LOW_N | BiasFlag.FEW_PREDICTED
  assert flags == few | BiasFlag.HIGHER_IN_REST


@pytest.mark.parametrize(("predicted", "few"), [(0, 0), (9, 1), (10, 0)])
def test_few_predicted_positives_are_flagged(predicted: int, few: int) -> None:
  group = np.arange(80) % 2
  labels = np.ones(80, int)
  value, flags = _ba(np.arange(80) < predicted, labels, group, 0.5, 0.2)
  assert bool(flags & BiasFlag.FEW_PREDICTED) == few
  assert np.isfinite(value) == (predicted > 0)


def test_group_and_rest_say_the_same() -> None:
  predicted, labels, group = _check_vector()
  first, _ = _ba(predicted, labels, group, 0.5, 0.2)
  second, _ = _ba(predicted, labels, 1 - group, 0.2, 0.5)
  np.testing.assert_allclose(first, second, rtol=1e-14)


@pytest.mark.parametrize("seed", range(3))
def test_equals_a_loop(seed: int) -> None:
  rng = np.random.default_rng(seed)
  labels = rng.integers(0, 2, (120, 4))
  predicted = rng.integers(0, 2, (120, 4))
  group = rng.integers(0, 2, 120)
  inside, outside = rng.random(4), rng.random(4)
  value, flags = _ba(predicted, labels, group, inside, outside)
  for a in range(4):
    side = 1 if inside[a] > outside[a] else 0
    in_g = [i for i in range(120) if group[i] == side]
    expected = sum(predicted[i, a] for i in in_g) / sum(predicted[:, a]) - sum(
      labels[i, a] for i in in_g
    ) / sum(labels[:, a])
    np.testing.assert_allclose(value[a], expected, atol=1e-15)
    assert not flags[a] & BiasFlag.LOW_N


def test_paper_excludes_few_positives_where_the_default_flags() -> None:
  value, flags = _ba(*_check_vector(), 0.5, 0.2, parity="paper")
  assert np.isnan(value)
  assert flags & BiasFlag.LOW_N


def _many() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  return tuple(np.tile(array, 5) for array in _check_vector())


@pytest.mark.parametrize(
  ("inside", "outside", "small"),
  [(0.5, 0.46, True), (0.5, 0.45, False), (0.1, 0.0, False), (0.2, 0.3, False)],
)
def test_paper_excludes_small_gaps(
  inside: float, outside: float, small: bool
) -> None:
  value, flags = _ba(*_many(), inside, outside)
  assert np.isfinite(value)
  assert bool(flags & BiasFlag.SMALL_GAP) == small
  value, _ = _ba(*_many(), inside, outside, parity="paper")
  assert np.isnan(value) == small


@pytest.mark.parametrize(("positives", "low"), [(9, True), (10, False)])
def test_fewer_than_ten_positives_on_a_side_are_few(
  positives: int, low: bool
) -> None:
  labels = np.array([1] * positives + [1] * 30)
  group = np.array([1] * positives + [0] * 30)
  for side in (group, 1 - group):
    _, flags = _ba(labels, labels, side, 0.5, 0.2)
    assert bool(flags & BiasFlag.LOW_N) == low


def test_paper_excludes_identities_of_many_values() -> None:
  assert np.isfinite(_ba(*_many(), 0.5, 0.2, binary=False)[0])
  assert np.isnan(_ba(*_many(), 0.5, 0.2, binary=False, parity="paper")[0])


def test_no_value_and_why() -> None:
  predicted, labels, group = _many()
  for arguments, options, flag in (
    ((predicted, labels, group, 0.5, 0.2), {"same": True}, "SAME_ATTRIBUTE"),
    ((predicted * 0, labels, group, 0.5, 0.2), {}, "NOTHING_PREDICTED"),
    ((predicted, labels * 0, group, 0.5, 0.2), {}, "NO_POSITIVES"),
    ((predicted, labels, group * 0, 0.5, 0.2), {}, "EMPTY_GROUP"),
    ((predicted, labels, group * 0 + 1, 0.5, 0.2), {}, "EMPTY_GROUP"),
    ((predicted, labels, group, np.nan, 0.2), {}, "EMPTY_GROUP"),
    ((predicted, labels, group, 0.3, 0.3), {}, "EQUAL_RATES"),
    (
      (predicted, labels, group, np.nan, np.nan),
      {"has_train": False},
      "NO_TRAIN",
    ),
  ):
    value, flags = _ba(*arguments, **options)
    assert np.isnan(value), flag
    assert flags & BiasFlag[flag], flag


@settings(deadline=None, max_examples=50)
@given(
  labels=hnp.arrays(bool, st.tuples(st.integers(2, 30), st.just(3))),
  data=st.data(),
)
def test_right_predictions_amplify_nothing(
  labels: np.ndarray, data: st.DataObject
) -> None:
  group = data.draw(hnp.arrays(bool, len(labels)))
  value, _ = _ba(labels, labels, group, 0.5, 0.2)
  assert np.all((value == 0) | np.isnan(value))
