from fairlearn.metrics import (
  MetricFrame,
  false_negative_rate,
  false_positive_rate,
  selection_rate,
)
import numpy as np
import pytest
from sklearn.metrics import (
  accuracy_score,
  balanced_accuracy_score,
  confusion_matrix,
)

from prunebias_jax.analysis import confusion, group_rates, tcb
from prunebias_jax.analysis.facts import make_groups
from prunebias_jax.analysis.rates import balanced_accuracy, divide


def _random(seed: int, examples: int = 200) -> tuple[np.ndarray, ...]:
  rng = np.random.default_rng(seed)
  labels = rng.random((examples, 4)) < [0.25, 0.4, 0.5, 0.75]
  predicted = labels ^ (rng.random(labels.shape) < 0.2)
  identities = rng.integers(0, 2, (examples, 2))
  return predicted, labels, identities


@pytest.mark.parametrize("seed", range(3))
def test_counts_equal_sklearn_confusion_matrix(seed: int) -> None:
  predicted, labels, _ = _random(seed)
  counts = confusion(predicted, labels, np.ones((200, 1)))
  for a in range(4):
    tn, fp, fn, tp = confusion_matrix(labels[:, a], predicted[:, a]).ravel()
    assert counts.true_positive[0, a] == tp
    assert counts.predicted[0, a] == tp + fp
    assert counts.positive[0, a] == tp + fn
    assert counts.negative[0, a] == tn + fp


@pytest.mark.parametrize("seed", range(3))
def test_rates_equal_fairlearn_for_values_and_crossings(seed: int) -> None:
  predicted, labels, identities = _random(seed)
  groups = make_groups(identities, ("g", "h"), ([0, 1], [0, 1]))
  rates = group_rates(confusion(predicted, labels, groups.membership))
  found = {
    "accuracy": accuracy_score,
    "false_positive_rate": false_positive_rate,
    "false_negative_rate": false_negative_rate,
    "selection_rate": selection_rate,
  }
  for a in range(4):
    for columns, name in (([0], "g"), ([1], "h"), ([0, 1], "g*h")):
      oracle = MetricFrame(
        metrics=found,
        y_true=labels[:, a].astype(int),
        y_pred=predicted[:, a].astype(int),
        sensitive_features=identities[:, columns],
      )
      for row, (identity, value) in enumerate(
        zip(groups.identity, groups.value, strict=True)
      ):
        if identity != name:
          continue
        key = tuple(int(part) for part in value.split("*"))
        expected = oracle.by_group.loc[key if len(key) > 1 else key[0]]
        for metric in found:
          np.testing.assert_allclose(
            getattr(rates, metric)[row, a], expected[metric], atol=1e-15
          )


def test_rates_of_everyone_equal_sklearn() -> None:
  predicted, labels, _ = _random(7)
  rates = group_rates(confusion(predicted, labels, np.ones((200, 1))))
  for a in range(4):
    np.testing.assert_allclose(
      rates.accuracy[0, a], accuracy_score(labels[:, a], predicted[:, a])
    )
    np.testing.assert_allclose(
      balanced_accuracy(rates)[0, a],
      balanced_accuracy_score(labels[:, a], predicted[:, a]),
    )


def test_empty_group_and_missing_class_give_nan_without_a_warning() -> None:
  labels = np.array([[True, False], [True, False], [True, False]])
  predicted = np.array([[True, True], [False, False], [True, False]])
  membership = np.array([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]])
  rates = group_rates(confusion(predicted, labels, membership))
  assert np.isnan(rates.accuracy[1]).all()
  assert np.isnan(rates.selection_rate[1]).all()
  np.testing.assert_array_equal(rates.false_positive_rate[0], [np.nan, 1 / 3])
  np.testing.assert_array_equal(rates.false_negative_rate[0], [1 / 3, np.nan])


def test_groups_are_everyone_then_values_then_crossings() -> None:
  identities = np.array([[0, 1], [1, 1], [1, 0]])
  groups = make_groups(identities, ("Male", "Young"), ([0, 1], [0, 1]))
  assert groups.identity[0] == groups.value[0] == ""
  column = list(zip(groups.identity, groups.value, strict=True)).index(
    ("Male*Young", "1*0")
  )
  np.testing.assert_array_equal(groups.membership[:, column], [0, 0, 1])
  assert groups.membership.shape == (3, 1 + 2 + 2 + 4)


def test_tcb_check_vector() -> None:
  labels = np.array([1, 1] + [0] * 8)
  predicted = np.array([1] + [0] * 9)
  value = tcb(
    np.array([predicted.mean()]), np.array([labels.mean()]), np.array([0.2])
  )
  np.testing.assert_allclose(value, [0.5], rtol=1e-15)


def test_tcb_looks_at_the_negatives_above_one_half() -> None:
  value = tcb(np.array([0.9, 0.9]), np.array([0.8, 0.8]), np.array([0.6, 0.5]))
  np.testing.assert_allclose(value, [0.1 / 0.2, 0.9 / 0.8])


def test_tcb_zero_denominator_default_and_paper() -> None:
  predicted, labels = np.array([0.1, 0.0, 0.5]), np.array([0.0, 0.0, 1.0])
  prevalence = np.array([0.2, 0.2, 0.9])
  np.testing.assert_array_equal(tcb(predicted, labels, prevalence), np.nan)
  np.testing.assert_array_equal(
    tcb(predicted, labels, prevalence, parity="paper"), [np.inf, np.nan, np.inf]
  )


@pytest.mark.parametrize("parity", ["default", "paper"])
def test_tcb_unknown_prevalence_is_nan(parity: str) -> None:
  value = tcb(
    np.array([0.1]), np.array([0.2]), np.array([np.nan]), parity=parity
  )
  assert np.isnan(value).all()


def test_divide_broadcasts() -> None:
  np.testing.assert_array_equal(
    divide(np.array([1.0, 2.0]), np.array([[2.0], [0.0]])),
    [[0.5, 1.0], [np.nan, np.nan]],
  )
