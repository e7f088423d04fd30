"""The written-out batch normalisation against flax's own."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from prunebias_jax.models.norm import BatchNorm


def images(seed, mean=1.0, deviation=2.0):
  noise = np.random.default_rng(seed).normal(size=(6, 4, 4, 3))
  return (mean + deviation * noise).astype("f4")


def variables(seed):
  """Scale, bias and running statistics that are not what they start as."""
  rng = np.random.default_rng(seed)
  drawn = rng.uniform(0.5, 2, (4, 3)).astype("f4")
  return {
    "params": {"scale": drawn[0], "bias": drawn[1]},
    "batch_stats": {"mean": drawn[2], "var": drawn[3]},
  }


def train(module, state, x):
  """Output, statistics after, and the gradients of params and images."""

  def apply(params, x):
    return module(use_running_average=False, momentum=0.9).apply(
      {**state, "params": params}, x, mutable=["batch_stats"]
    )

  out, pullback, after = jax.vjp(apply, state["params"], x, has_aux=True)
  weight = jnp.sin(jnp.arange(out.size, dtype=out.dtype)).reshape(out.shape)
  return out, after, pullback(weight)


def assert_close(found, expected, tolerance=1e-5):
  assert jax.tree.structure(found) == jax.tree.structure(expected)
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(
      a, b, rtol=tolerance, atol=tolerance
    ),
    found,
    expected,
  )


@pytest.mark.parametrize(
  ("mean", "deviation", "tolerance"),
  [(0, 1, 1e-5), (-3, 0.5, 1e-4), (30, 1, 2e-3), (1, 0, 1e-4)],
)
def test_training_agrees_with_flax(mean, deviation, tolerance):
  x = images(0, mean, deviation)
  found = train(BatchNorm, variables(1), x)
  assert_close(found, train(nn.BatchNorm, variables(1), x), tolerance)


def test_every_vmapped_member_has_its_own_statistics():
  x = np.stack([images(0), images(1, mean=-2)])
  states = [variables(2), variables(3)]
  stacked = jax.tree.map(lambda *a: np.stack(a), *states)
  found = jax.vmap(lambda s, x: train(BatchNorm, s, x))(stacked, x)
  for place, state in enumerate(states):
    one = jax.tree.map(lambda a, place=place: a[place], found)
    assert_close(one, train(nn.BatchNorm, state, x[place]))


def test_initialisation_and_evaluation_are_flax_own():
  x, state = images(0), variables(1)
  ours, theirs = (
    module(use_running_average=True) for module in (BatchNorm, nn.BatchNorm)
  )
  key = jax.random.key(0)
  assert_close(ours.init(key, x), theirs.init(key, x), 0)
  assert_close(ours.apply(state, x), theirs.apply(state, x), 0)


@pytest.mark.parametrize("dtype", [None, jnp.bfloat16])
def test_half_precision_images_keep_statistics_in_single(dtype):
  x = jnp.asarray(images(0), jnp.bfloat16)
  ours, theirs = (
    functools.partial(module, dtype=dtype)
    for module in (BatchNorm, nn.BatchNorm)
  )
  out, after, (_, gradient) = train(ours, variables(1), x)
  expected = train(theirs, variables(1), x)
  assert out.dtype == expected[0].dtype
  assert gradient.dtype == jnp.bfloat16
  assert_close(after, expected[1])
