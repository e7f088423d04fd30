from fractions import Fraction
import itertools
import math

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
import numpy as np
import pytest
import scipy.special
from sklearn.calibration import calibration_curve

from prunebias_jax.analysis import ece, ece_bin, ece_sweep
from prunebias_jax.analysis.calibration_error import in_order, sweep

POWERS = {"default": 1, "paper": 2}


def _shares(labels: list[int], bins: int) -> list[Fraction]:
  members: list[list[int]] = [[] for _ in range(bins)]
  for i, label in enumerate(labels):
    members[math.floor(Fraction(i * bins, len(labels)))].append(label)
  return [Fraction(sum(one), len(one)) for one in members]


def _slow_sweep(labels: list[int]) -> int:
  for bins in range(2, len(labels) + 1):
    shares = _shares(labels, bins)
    if any(later < earlier for earlier, later in itertools.pairwise(shares)):
      return bins - 1
  return len(labels)


def _slow_error(p: list[float], y: list[int], bins: int, power: int) -> float:
  total = 0.0
  for bin_ in range(bins):
    inside = [i for i in range(len(p)) if i * bins // len(p) == bin_]
    if inside:
      gap = sum(y[i] - p[i] for i in inside) / len(inside)
      total += len(inside) / len(p) * abs(gap) ** power
  return total ** (1 / power)


def _slow(p: np.ndarray, y: np.ndarray, power: int) -> float:
  shuffled = np.random.default_rng(0).permutation(len(p)).tolist()
  order = sorted(shuffled, key=lambda i: p[i])
  labels = [int(y[i]) for i in order]
  ordered = [float(p[i]) for i in order]
  return _slow_error(ordered, labels, _slow_sweep(labels), power)


def _case(name: str) -> tuple[np.ndarray, np.ndarray]:
  rng = np.random.default_rng(5)
  z = rng.normal(size=(61, 1)) * 2
  y = rng.random((61, 1)) < scipy.special.expit(z)
  match name:
    case "ties":
      z = np.round(z)
    case "constant":
      z = np.full_like(z, 0.3)
    case "extreme":
      z = np.where(z > 0, 1e30, -1e30)
    case "denormal":
      z = z * 1e-310
    case "no positives":
      y = np.zeros_like(y)
    case "all positives":
      y = np.ones_like(y)
    case "separable":
      y = z > 0.4
    case "one inversion":
      y = z > np.median(z)
      below = np.flatnonzero(~y)[np.argmax(z[~y])]
      above = np.flatnonzero(y)[np.argmin(z[y])]
      y[[below, above]] = y[[above, below]]
    case "one example":
      z, y = z[:1], y[:1]
    case "reversed":
      y = z < 0
  return scipy.special.expit(z), y


CASES = (
  "random",
  "ties",
  "constant",
  "extreme",
  "denormal",
  "no positives",
  "all positives",
  "separable",
  "one inversion",
  "one example",
  "reversed",
)


@pytest.mark.parametrize("parity", ["default", "paper"])
@pytest.mark.parametrize("case", CASES)
def test_ece_sweep_equals_a_slow_loop(case: str, parity: str) -> None:
  p, y = _case(case)
  np.testing.assert_allclose(
    ece_sweep(p, y, parity=parity),
    [_slow(p[:, 0], y[:, 0], POWERS[parity])],
    atol=1e-12,
  )


@settings(max_examples=120, deadline=None)
@given(hnp.arrays(bool, st.integers(1, 40)))
def test_sweep_equals_a_slow_loop(labels: np.ndarray) -> None:
  assert sweep(labels) == _slow_sweep(labels.astype(int).tolist())


def test_a_fall_is_found_in_a_later_block_of_bins() -> None:
  count = 4000
  labels = np.arange(count) >= count // 2
  # Seen only by bins so small that they part these two.
  labels[[count // 2 - 2, count // 2 - 1]] = [True, False]
  bins = sweep(labels)
  assert 64 < bins < count
  place = np.arange(count)

  def monotonic(number: int) -> bool:
    cells = place * number // count
    size = np.bincount(cells)
    hits = np.bincount(cells, weights=labels)
    return bool(np.all(hits[1:] * size[:-1] >= hits[:-1] * size[1:]))

  assert all(monotonic(number) for number in range(1, bins + 1))
  assert not monotonic(bins + 1)


@pytest.mark.parametrize("power", [1, 2, 3])
@pytest.mark.parametrize("bins", [1, 3, 10, 200])
@pytest.mark.parametrize("case", CASES)
def test_equal_mass_equals_a_slow_loop(
  case: str, bins: int, power: int
) -> None:
  p, y = (values[:, 0] for values in _case(case))
  ordered, labels = in_order(p, y)
  assert np.all(np.diff(ordered) >= 0)
  np.testing.assert_allclose(
    ece_bin(p, y, bins=bins, binning="mass", power=power),
    _slow_error(ordered.tolist(), labels.astype(int).tolist(), bins, power),
    atol=1e-12,
  )


@pytest.mark.parametrize("case", CASES)
def test_equal_width_equals_ece_and_scikit_learn(case: str) -> None:
  p, y = _case(case)
  error = ece_bin(p[:, 0], y[:, 0])
  np.testing.assert_allclose([error], ece(p, y), atol=1e-12)
  if case == "random":
    share, mean = calibration_curve(y[:, 0], p[:, 0], n_bins=10)
    size = np.histogram(p[:, 0], np.linspace(0, 1, 11))[0]
    gap = np.abs(share - mean) ** 2 @ size[size > 0] / len(p)
    np.testing.assert_allclose(
      ece_bin(p[:, 0], y[:, 0], power=2), math.sqrt(gap)
    )


def test_examples_without_a_label_change_nothing() -> None:
  p, y = _case("ties")
  there = np.random.default_rng(0).random(p.shape) < 0.6
  expected = ece_sweep(p[there][:, None], y[there][:, None])
  np.testing.assert_array_equal(ece_sweep(p, y, present=there), expected)
  assert np.isnan(ece_sweep(p, y, present=np.zeros_like(there))).all()
  assert np.isnan(ece_sweep(p[:0], y[:0])).all()
  assert np.isnan(ece_bin(p[:0, 0], y[:0, 0]))


@settings(max_examples=50, deadline=None)
@given(hnp.arrays(bool, st.integers(2, 30)), st.integers(0, 2**32 - 1))
def test_the_order_of_storage_decides_nothing_without_ties(
  labels: np.ndarray, seed: int
) -> None:
  p = np.linspace(0.01, 0.99, len(labels))[:, None]
  order = np.random.default_rng(seed).permutation(len(labels))
  np.testing.assert_allclose(
    ece_sweep(p, labels[:, None]),
    ece_sweep(p[order], labels[order][:, None]),
    atol=1e-14,
  )


def test_small_samples_look_less_miscalibrated_than_in_ten_bins() -> None:
  # Roelofs et al. 2022: of a calibrated model, ECE_bin is biased upwards.
  rng = np.random.default_rng(0)
  p = rng.random((200, 300))
  y = rng.random(p.shape) < p
  swept = ece_sweep(p, y).mean()
  binned = np.mean(
    [ece_bin(p[:, i], y[:, i], binning="mass", bins=15) for i in range(300)]
  )
  assert swept < binned
