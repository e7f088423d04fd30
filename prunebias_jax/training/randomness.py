"""Keys by purpose: a member's random numbers depend on its own seed only.

Never on which other members are trained beside it, on the device it runs on, on
chunks or on where a run was resumed.
"""

import enum

import jax
import jax.numpy as jnp


class Purpose(enum.IntEnum):
  """What random numbers are for. Numbers are kept: they define results.

  The first three have seeds of their own; others follow that of INIT.
  """

  INIT = 0
  ORDER = 1
  AUGMENT = 2
  SCORES = 3
  BIASED = 4


def purpose_key(seed: jax.Array | int, purpose: Purpose) -> jax.Array:
  """The key of a seed for one purpose."""
  return jax.random.fold_in(jax.random.key(seed), purpose)


def epoch_order(
  seed: jax.Array | int, epoch: jax.Array | int, examples: int
) -> jax.Array:
  """The order in which an epoch goes through the examples: int32 [example]."""
  key = jax.random.fold_in(purpose_key(seed, Purpose.ORDER), epoch)
  return jax.random.permutation(key, jnp.arange(examples, dtype=jnp.int32))


def augment_key(seed: jax.Array | int, step: jax.Array | int) -> jax.Array:
  """The key of the augmentation of one training step."""
  return jax.random.fold_in(purpose_key(seed, Purpose.AUGMENT), step)
