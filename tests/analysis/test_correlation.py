import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from prunebias_jax.analysis import interdependence


def _oracle(predicted: np.ndarray, i: int) -> float:
  data = predicted.astype(float)
  others = np.delete(data, i, axis=1)
  return LinearRegression().fit(others, data[:, i]).score(others, data[:, i])


def _random(seed: int, examples: int, outputs: int) -> np.ndarray:
  rng = np.random.default_rng(seed)
  factor = rng.normal(size=(examples, 2)) @ rng.normal(size=(2, outputs))
  return factor + rng.normal(size=factor.shape) > 0.3


@pytest.mark.parametrize(("examples", "outputs"), [(300, 6), (1000, 20)])
def test_equals_linear_regression(examples: int, outputs: int) -> None:
  predicted = _random(outputs, examples, outputs)
  result = interdependence(predicted)
  expected = [_oracle(predicted, i) for i in range(outputs)]
  np.testing.assert_allclose(result.value, expected, atol=1e-13)
  assert not result.ill_conditioned
  assert not result.combination.any()


def test_constant_columns_are_left_out() -> None:
  predicted = _random(0, 200, 6)
  expected = interdependence(predicted[:, 2:]).value
  predicted[:, 0], predicted[:, 1] = False, True
  default = interdependence(predicted)
  np.testing.assert_array_equal(default.constant, [1, 1, 0, 0, 0, 0])
  np.testing.assert_array_equal(default.value, [np.nan, np.nan, *expected])
  paper = interdependence(predicted, parity="paper")
  np.testing.assert_array_equal(paper.value, [1, 1, *expected])


@pytest.mark.parametrize("negated", [False, True])
def test_exact_duplicate_is_1_with_a_flag(negated: bool) -> None:
  predicted = _random(1, 300, 5)
  expected = [_oracle(predicted, i) for i in range(5)]
  twin = predicted[:, 1] ^ negated
  result = interdependence(np.column_stack([predicted, twin]))
  np.testing.assert_allclose(result.value[[1, 5]], 1, atol=1e-12)
  np.testing.assert_array_equal(result.combination, [0, 1, 0, 0, 0, 1])
  assert result.ill_conditioned
  others = [0, 2, 3, 4]
  np.testing.assert_allclose(
    result.value[others], np.array(expected)[others], atol=1e-12
  )


def test_more_attributes_than_examples_is_a_combination() -> None:
  predicted = _random(3, 8, 12)
  result = interdependence(predicted)
  assert result.combination[~result.constant].all()


def test_only_one_column_varies() -> None:
  predicted = np.zeros((10, 3), bool)
  predicted[:4, 1] = True
  np.testing.assert_array_equal(
    interdependence(predicted).value, [np.nan, 0, np.nan]
  )


@pytest.mark.parametrize("parity", ["default", "paper"])
def test_one_attribute_has_nothing_to_depend_on(parity: str) -> None:
  predicted = np.array([[True], [False]])
  assert np.isnan(interdependence(predicted, parity=parity).value).all()


def test_all_constant() -> None:
  result = interdependence(np.ones((5, 3), bool))
  assert np.isnan(result.value).all()
  assert result.constant.all()
