"""Scores by definition, and what they may depend on."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from prunebias_jax import config
from prunebias_jax.pruning.criterion import CRITERIA, Evidence

SHAPES = {"conv0/kernel": (3, 3, 2, 4), "head/kernel": (16, 3)}


def evidence_of(seed=0, shapes=SHAPES):
  rng = np.random.default_rng(0)
  arrays = {
    path: jnp.asarray(rng.normal(size=shape), jnp.float32)
    for path, shape in shapes.items()
  }
  return Evidence(
    weights=arrays,
    units=shapes,
    key=jax.random.key(seed),
    gradients={path: 2 * array + 1 for path, array in arrays.items()},
  )


def test_the_config_knows_every_criterion():
  assert tuple(CRITERIA) == config.pruning.CRITERIA


def test_magnitude_and_saliency_by_definition():
  evidence = evidence_of()
  for path, weights in evidence.weights.items():
    found = CRITERIA["magnitude"].scores(evidence)[path]
    np.testing.assert_array_equal(found, weights)
    found = CRITERIA["saliency"].scores(evidence)[path]
    np.testing.assert_allclose(found, weights * (2 * weights + 1), rtol=1e-6)


def test_random_scores_are_uniform_and_depend_on_key_and_path_only():
  one = CRITERIA["random"].scores(evidence_of(1))
  again = evidence_of(1)._replace(
    weights={"head/kernel": jnp.zeros((16, 3))}, gradients=None
  )
  np.testing.assert_array_equal(
    CRITERIA["random"].scores(again)["head/kernel"], one["head/kernel"]
  )
  other = CRITERIA["random"].scores(evidence_of(2))
  assert not np.isin(one["head/kernel"], other["head/kernel"]).any()
  large = CRITERIA["random"].scores(evidence_of(1, {"a/kernel": (100, 100)}))
  values = np.sort(np.ravel(large["a/kernel"]))
  np.testing.assert_allclose(values, np.linspace(0, 1, 10_000), atol=0.03)


def test_random_scores_are_drawn_once_for_each_unit():
  evidence = evidence_of()
  units = {path: (*(1,) * (len(s) - 1), s[-1]) for path, s in SHAPES.items()}
  scores = CRITERIA["random"].scores(evidence._replace(units=units))
  for path, shape in SHAPES.items():
    channels = np.asarray(scores[path]).reshape(-1, shape[-1])
    assert scores[path].shape == shape
    assert (channels == channels[0]).all()
    assert len(set(channels[0].tolist())) == shape[-1]


@pytest.mark.parametrize("name", ["magnitude", "random", "saliency"])
def test_what_a_criterion_needs_is_what_it_says(name):
  criterion = CRITERIA[name]
  evidence = evidence_of()
  bare = evidence._replace(
    key=evidence.key if criterion.draws else None,
    gradients=evidence.gradients if criterion.differentiates else None,
  )
  full, least = criterion.scores(evidence), criterion.scores(bare)
  for path in SHAPES:
    np.testing.assert_array_equal(full[path], least[path])
