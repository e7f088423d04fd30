import itertools

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
import numpy as np
import pandas as pd
import pytest
from statsmodels.formula.api import ols
from statsmodels.stats.anova import anova_lm

from prunebias_jax.analysis.inference import components
from prunebias_jax.errors import InputError

NAMES = ("init", "order", "augment")


def _drawn(shape: tuple[int, ...]) -> np.ndarray:
  rng = np.random.default_rng(len(shape))
  values = rng.normal(0.9, 0.01, shape)
  return values + rng.normal(0, 0.02, (shape[0],) + (1,) * (len(shape) - 1))


@pytest.mark.parametrize("sizes", [(3, 4), (5, 3), (3, 4, 5)])
def test_mean_squares_equal_statsmodels(sizes: tuple[int, ...]) -> None:
  values = _drawn((*sizes, 2))
  names = NAMES[: len(sizes)]
  found = components(values, names)
  places = np.indices(sizes).reshape(len(sizes), -1)
  columns = dict(zip(names, places, strict=True))
  # All but the highest interaction: that is the residual.
  formula = "x ~ " + " + ".join(
    ":".join(f"C({name})" for name in subset)
    for order in range(1, len(sizes))
    for subset in itertools.combinations(names, order)
  )
  for cell in range(2):
    table = pd.DataFrame({"x": values[..., cell].ravel(), **columns})
    oracle = anova_lm(ols(formula, table).fit())
    np.testing.assert_array_equal(found.df, oracle["df"])
    np.testing.assert_allclose(
      found.mean_squares[:, cell], oracle["mean_sq"], rtol=1e-7
    )


def test_two_factors_by_the_textbook() -> None:
  values = _drawn((4, 6, 3))
  found = components(values, NAMES[:2])
  assert found.sources == ("init", "order", "init*order")
  init, order, rest = found.mean_squares
  np.testing.assert_allclose(found.variance[0], (init - rest) / 6)
  np.testing.assert_allclose(found.variance[1], (order - rest) / 4)
  np.testing.assert_allclose(found.variance[2], rest)
  assert found.reasons == ("", "", "")


def test_three_factors_solve_the_expected_mean_squares() -> None:
  sizes = (3, 4, 5)
  found = components(_drawn((*sizes, 2)), NAMES)
  assert found.sources == (
    *NAMES,
    "init*order",
    "init*augment",
    "order*augment",
    "init*order*augment",
  )
  # Rows: mean squares; columns: what each component counts in them.
  expected = np.array(
    [
      [20, 0, 0, 5, 4, 0, 1],
      [0, 15, 0, 5, 0, 3, 1],
      [0, 0, 12, 0, 4, 3, 1],
      [0, 0, 0, 5, 0, 0, 1],
      [0, 0, 0, 0, 4, 0, 1],
      [0, 0, 0, 0, 0, 3, 1],
      [0, 0, 0, 0, 0, 0, 1],
    ]
  )
  np.testing.assert_allclose(
    found.variance, np.linalg.solve(expected, found.mean_squares), atol=1e-12
  )


def test_negative_components_are_kept() -> None:
  # Rows that differ less than chance would have it.
  values = np.array([[0.0, 1, 2], [1, 2, 0], [2, 0, 1]])[:, :, None]
  found = components(values, NAMES[:2])
  np.testing.assert_allclose(found.variance[:, 0], [-0.5, -0.5, 1.5])


def test_too_few_levels_have_no_component_and_say_so() -> None:
  found = components(_drawn((4, 2, 3)), NAMES[:2])
  np.testing.assert_array_equal(np.isnan(found.variance[:, 0]), [0, 1, 1])
  reason = "order: needs 3 levels, has 2"
  assert found.reasons == ("", reason, reason)
  alone = components(_drawn((4, 1, 3)), NAMES[:2])
  assert np.isnan(alone.variance).all()
  assert set(alone.reasons) == {"order: needs 3 levels, has 1"}


def test_other_designs_are_refused() -> None:
  for values, names in (
    (np.zeros((3, 2)), NAMES[:1]),
    (np.zeros((3, 3, 3)), NAMES),
  ):
    with pytest.raises(InputError, match="2 or 3 factors"):
      components(values, names)


@settings(deadline=None, max_examples=30)
@given(hnp.arrays(np.float64, (3, 4, 3, 2), elements=st.integers(-9, 9)))
def test_the_order_of_the_factors_does_not_matter(values: np.ndarray) -> None:
  found = components(values, NAMES)
  turned = components(values.transpose(2, 0, 1, 3), ("c", "a", "b"))
  # a b c ab ac bc abc, from c a b ca cb ab cab.
  np.testing.assert_allclose(
    found.variance, turned.variance[[1, 2, 0, 5, 3, 4, 6]], atol=1e-9
  )


def test_components_are_unbiased() -> None:
  rng = np.random.default_rng(0)
  sds = {0: 1.0, 1: 0.0, 2: 0.5}
  replicates = 4000
  values = 0.7 * rng.normal(size=(3, 4, 3, replicates))
  for axis, sd in sds.items():
    shape = [1, 1, 1, replicates]
    shape[axis] = values.shape[axis]
    values += sd * rng.normal(size=shape)
  found = components(values, NAMES).variance
  error = found.std(axis=1) / np.sqrt(replicates)
  truth = [1.0, 0.0, 0.25, 0.0, 0.0, 0.0, 0.49]
  assert np.all(np.abs(found.mean(axis=1) - truth) < 4 * error)
