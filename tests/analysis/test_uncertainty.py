import decimal

from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import scipy.special
import scipy.stats

from prunebias_jax.analysis import (
  binary_entropy,
  high_uncertainty,
  uncertainty,
)
from prunebias_jax.analysis.uncertainty import (
  class_entropy,
  class_uncertainty,
  log_odds,
  log_softmax,
)


def test_bands_equal_the_probabilities_rule() -> None:
  logits = np.random.default_rng(0).normal(scale=3, size=(500, 3))
  p = scipy.special.expit(logits)
  np.testing.assert_array_equal(
    uncertainty(logits), np.mean((p > 0.1) & (p < 0.9), axis=0)
  )
  np.testing.assert_array_equal(
    high_uncertainty(logits), np.mean((p > 0.4) & (p < 0.6), axis=0)
  )


def test_band_is_open_at_its_ends() -> None:
  edge = np.log(9.0)
  logits = np.array([[edge], [-edge], [np.nextafter(edge, 0)], [1e4]])
  assert uncertainty(logits) == [0.25]


def test_entropy_equals_scipy() -> None:
  logits = np.linspace(-30, 30, 121)
  p = scipy.special.expit(logits)
  expected = scipy.stats.entropy([p, scipy.special.expit(-logits)], base=2)
  np.testing.assert_allclose(binary_entropy(logits), expected, atol=1e-15)


def test_entropy_keeps_its_digits_in_the_tail() -> None:
  with decimal.localcontext(prec=60):
    q = 1 / (1 + decimal.Decimal(40).exp())
    nats = -(q * q.ln() + (1 - q) * (1 - q).ln())
    expected = float(nats / decimal.Decimal(2).ln())
  np.testing.assert_allclose(
    binary_entropy(np.array([40.0, -40.0])), expected, rtol=1e-14
  )


def test_entropy_of_extreme_logits_is_finite() -> None:
  values = binary_entropy(np.array([1e4, -1e4, 0.0], np.float32))
  np.testing.assert_array_equal(values, [0, 0, 1])


@given(st.lists(st.floats(-1e5, 1e5), min_size=1, max_size=20))
def test_entropy_lies_between_0_and_1_and_is_even(values: list[float]) -> None:
  entropy = binary_entropy(np.array(values))
  assert np.all((entropy >= 0) & (entropy <= 1))
  np.testing.assert_array_equal(entropy, binary_entropy(-np.array(values)))


def test_classes_equal_scipy() -> None:
  logits = np.random.default_rng(1).normal(scale=2, size=(200, 5))
  p = scipy.special.softmax(logits, axis=1)
  np.testing.assert_allclose(
    log_softmax(logits), scipy.special.log_softmax(logits, axis=1), atol=1e-14
  )
  np.testing.assert_allclose(
    log_odds(logits), scipy.special.logit(p), rtol=1e-9, atol=1e-12
  )
  assert class_uncertainty(log_odds(logits)) == np.mean(p.max(axis=1) < 0.9)
  np.testing.assert_allclose(
    class_entropy(logits), scipy.stats.entropy(p, axis=1, base=2).mean()
  )


def test_two_classes_are_one_binary_logit() -> None:
  difference = np.array([-50.0, -1.0, 0.0, 3.0, 900.0])
  odds = log_odds(np.stack([np.zeros(5), difference], axis=1))
  np.testing.assert_allclose(odds[:, 1], difference, rtol=1e-14, atol=1e-15)
  np.testing.assert_allclose(odds[:, 0], -difference, rtol=1e-14, atol=1e-15)


def test_classes_of_extreme_logits() -> None:
  logits = np.array([[1e4, -1e4, 0.0], [9e3, -1e4, 0.0]], np.float32)
  odds = log_odds(logits)
  assert np.isfinite(odds).all()
  # Both probabilities are 1 in floating point; their order is not lost.
  assert odds[0, 0] > odds[1, 0]
  assert class_entropy(logits) == 0
  assert class_uncertainty(odds) == 0
