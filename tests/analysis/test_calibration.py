from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
import numpy as np
import pytest

from prunebias_jax.analysis import calibrated_thresholds, ece


def _slow_ece(p: np.ndarray, y: np.ndarray, parity: str) -> float:
  total = 0.0
  for b in range(11):
    inside = [
      i
      for i in range(len(p))
      if (int(p[i] * 10) if parity == "paper" else min(int(p[i] * 10), 9)) == b
    ]
    if inside:
      gap = abs(np.mean(y[inside]) - np.mean(p[inside]))
      total += len(inside) / len(p) * gap
  return total


@pytest.mark.parametrize("parity", ["default", "paper"])
def test_ece_equals_a_loop(parity: str) -> None:
  rng = np.random.default_rng(0)
  p = rng.random((300, 3))
  p[:40, 0], p[:5, 1] = 1.0, 0.0
  y = rng.random(p.shape) < 0.6
  expected = [_slow_ece(p[:, a], y[:, a], parity) for a in range(3)]
  np.testing.assert_allclose(ece(p, y, parity=parity), expected, atol=1e-14)


def test_ece_certain_probability_is_a_bin_of_its_own_in_the_paper() -> None:
  p = np.array([[1.0], [0.95]])
  y = np.array([[False], [True]])
  np.testing.assert_allclose(ece(p, y), abs(0.5 - 0.975))
  np.testing.assert_allclose(ece(p, y, parity="paper"), (1.0 + 0.05) / 2)


def test_ece_of_a_perfect_and_of_a_wrong_certainty() -> None:
  y = np.array([[True, True], [False, False]])
  p = np.array([[1.0, 0.0], [0.0, 1.0]])
  np.testing.assert_array_equal(ece(p, y), [0, 1])


def test_ece_without_examples_is_nan() -> None:
  assert np.isnan(ece(np.zeros((0, 2)), np.zeros((0, 2), bool))).all()


def _columns(logits: list[float]) -> np.ndarray:
  return np.array(logits, np.float32)[:, None]


def test_threshold_predicts_k_and_the_papers_k_minus_1() -> None:
  logits = _columns([5, 4, 3, 2, 1])
  default = calibrated_thresholds(logits, np.array([3]))
  paper = calibrated_thresholds(logits, np.array([3]), parity="paper")
  assert default.value == [2.5]
  assert np.sum(logits > default.value) == 3
  assert paper.value == [3]
  assert np.sum(logits > paper.value) == 2
  assert not default.tied.any()
  assert not paper.tied.any()


def test_threshold_with_ties_takes_the_next_smaller_count() -> None:
  logits = _columns([5, 3, 3, 3, 1])
  default = calibrated_thresholds(logits, np.array([2]))
  assert default.value == [4]
  assert default.tied.all()
  paper = calibrated_thresholds(logits, np.array([3]), parity="paper")
  assert np.sum(logits > paper.value) == 1
  assert paper.tied.all()


@pytest.mark.parametrize("parity", ["default", "paper"])
def test_threshold_without_positives_predicts_none(parity: str) -> None:
  result = calibrated_thresholds(
    _columns([2, 2, 1]), np.array([0]), parity=parity
  )
  assert result.value == [2]
  assert result.one_class.all()
  assert not result.tied.any()


def test_threshold_with_positives_only_predicts_all() -> None:
  logits = _columns([2, 1, 1])
  result = calibrated_thresholds(logits, np.array([3]))
  assert np.isfinite(result.value).all()
  assert np.all(logits > result.value)
  assert result.one_class.all()
  assert not result.tied.any()


def test_threshold_between_neighbouring_floats() -> None:
  low = np.nextafter(1.0, 2)
  for _ in range(2):  # the midpoint rounds up between one pair
    high = np.nextafter(low, 2)
    logits = np.array([[low], [high]])
    value = calibrated_thresholds(logits, np.array([1])).value
    assert np.sum(logits > value) == 1
    low = high


def test_threshold_of_constant_extreme_logits() -> None:
  logits = _columns([1e4] * 4)
  result = calibrated_thresholds(logits, np.array([2]))
  assert np.sum(logits > result.value) == 0
  assert result.tied.all()


@settings(deadline=None)
@given(st.data())
def test_threshold_reaches_the_largest_count_up_to_k(
  data: st.DataObject,
) -> None:
  logits = data.draw(
    hnp.arrays(
      np.float32,
      st.integers(1, 12),
      elements=st.sampled_from([-1e4, -1.0, 0.0, 0.1, 0.5, 2.0, 1e4])
      | st.floats(-100, 100, width=32),
    )
  )[:, None]
  k = data.draw(st.integers(0, len(logits)))
  result = calibrated_thresholds(logits, np.array([k]))
  count = int(np.sum(logits > result.value))
  reachable = {int(np.sum(logits > t)) for t in [-np.inf, *logits[:, 0]]}
  assert count == max(c for c in reachable if c <= k)
  assert bool(result.tied[0]) == (count < k)
