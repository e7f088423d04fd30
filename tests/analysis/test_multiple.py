from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests

from prunebias_jax.analysis.inference import benjamini_hochberg, holm

ADJUSTMENTS = {"fdr_bh": benjamini_hochberg, "holm": holm}


@pytest.mark.parametrize("method", ADJUSTMENTS)
@settings(deadline=None, max_examples=12)
@given(
  p=hnp.arrays(
    np.float64,
    st.integers(1, 30),
    elements=st.one_of(
      st.floats(0, 1), st.sampled_from([0.0, 0.01, 1.0, np.nan])
    ),
  )
)
def test_adjusted_p_equals_statsmodels_without_the_missing(
  method: str, p: np.ndarray
) -> None:
  found = ADJUSTMENTS[method](p)
  given_p = np.isfinite(p)
  np.testing.assert_array_equal(np.isfinite(found), given_p)
  if given_p.any():
    expected = multipletests(p[given_p], method=method)[1]
    # Numbers near the smallest that there are have few digits.
    np.testing.assert_allclose(found[given_p], expected, rtol=1e-9, atol=1e-300)


@pytest.mark.parametrize("method", ADJUSTMENTS)
def test_nothing_to_adjust(method: str) -> None:
  adjust = ADJUSTMENTS[method]
  assert adjust(np.empty(0)).shape == (0,)
  assert np.isnan(adjust(np.full(3, np.nan))).all()
