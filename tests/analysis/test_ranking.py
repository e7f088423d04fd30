from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from prunebias_jax.analysis import auc


@pytest.mark.parametrize("decimals", [0, 1, 6])
def test_equals_sklearn_with_and_without_ties(decimals: int) -> None:
  rng = np.random.default_rng(decimals)
  labels = rng.random((150, 5)) < [0.1, 0.3, 0.5, 0.7, 0.95]
  scores = np.round(rng.normal(size=labels.shape) + labels, decimals)
  expected = [roc_auc_score(labels[:, a], scores[:, a]) for a in range(5)]
  np.testing.assert_allclose(auc(scores, labels), expected, rtol=1e-12)


def test_equals_the_count_of_ordered_pairs() -> None:
  scores = np.array([[3.0], [1.0], [1.0], [2.0], [1.0]], np.float32)
  labels = np.array([[1], [1], [0], [0], [0]], bool)
  # Of 6 pairs: 3 won by the first; the second ties two and loses one.
  np.testing.assert_allclose(auc(scores, labels), [(3 + 1) / 6])


def test_one_class_is_nan() -> None:
  labels = np.array([[1, 0], [1, 0]], bool)
  assert np.isnan(auc(np.zeros((2, 2)), labels)).all()


def test_extreme_logits_keep_their_order() -> None:
  scores = np.array([[1e4], [9999.0], [-1e4], [40.0]], np.float32)
  labels = np.array([[1], [0], [0], [0]], bool)
  assert auc(scores, labels) == [1.0]


@settings(deadline=None, max_examples=40)
@given(
  scores=hnp.arrays(
    np.int64,
    st.tuples(st.integers(2, 20), st.just(2)),
    elements=st.integers(-20, 20),
  ),
  data=st.data(),
)
def test_monotone_transforms_do_not_matter(
  scores: np.ndarray, data: st.DataObject
) -> None:
  labels = data.draw(hnp.arrays(bool, scores.shape))
  before = auc(scores.astype(float), labels)
  np.testing.assert_array_equal(auc(scores.astype(float) ** 3, labels), before)
  np.testing.assert_allclose(auc(-scores.astype(float), labels), 1 - before)
