"""Functions of one member as programs over many: loops, groups, devices.

Nothing here knows what a member is: `body(state, inputs)` gives the state after
and an output, and is applied along an axis of arrays.
"""

from collections.abc import Callable
import functools
from typing import Any

import jax
from jax import lax
import jax.numpy as jnp
from jax.sharding import Mesh, PartitionSpec

# body(state, inputs) -> (state, output), for one seed or one member
Body = Callable[[Any, Any], tuple[Any, Any]]


def along(
  body: Body, states: Any, inputs: Any, count: jax.Array, group: int
) -> tuple[Any, Any]:
  """Applies `body` to the first `count` states, `group` of them at once.

  Args:
    body: (state, inputs) of one to (state, output) of one.
    states: arrays with the axis in front, a multiple of `group` long.
    inputs: the same, or None.
    count: int32 [], how many states matter.
    group: how many are computed together.
  """
  if group == 1:
    return in_turn(body, states, inputs, count)
  together = jax.vmap(body)
  if group == len(jax.tree.leaves(states)[0]):
    return together(states, inputs)

  def split(x: jax.Array) -> jax.Array:
    return x.reshape(-1, group, *x.shape[1:])

  def joined(x: jax.Array) -> jax.Array:
    return x.reshape(-1, *x.shape[2:])

  turns = (count + group - 1) // group
  states, inputs = jax.tree.map(split, (states, inputs))
  return jax.tree.map(joined, in_turn(together, states, inputs, turns))


def in_turn(
  body: Body, states: Any, inputs: Any, count: jax.Array
) -> tuple[Any, Any]:
  """Applies `body` to the first `count` states, one after the other.

  Args:
    body: (state, inputs) of one to (state, output) of one.
    states: arrays with the axis in front.
    inputs: the same, or None.
    count: int32 [], how many are done; a traced number, so that a loop of one
      turn stays a loop and rounds as a longer one does.

  Returns:
    The states after, and the outputs (zeros beyond `count`).
  """

  def at(tree: Any, index: jax.Array | int) -> Any:
    return jax.tree.map(
      lambda x: lax.dynamic_index_in_dim(x, index, keepdims=False), tree
    )

  def put(tree: Any, value: Any, index: jax.Array) -> Any:
    return jax.tree.map(
      lambda x, v: lax.dynamic_update_index_in_dim(x, v, index, 0), tree, value
    )

  size = len(jax.tree.leaves(states)[0])
  shapes = jax.eval_shape(body, at(states, 0), at(inputs, 0))[1]
  outputs = jax.tree.map(lambda x: jnp.zeros((size, *x.shape), x.dtype), shapes)

  def turn(index: jax.Array, carry: tuple[Any, Any, Any]) -> tuple:
    # The state at hand travels in the carry: sliced inside the body, XLA's CPU
    # backend would fuse the slicing into every loop that reads the state.
    current, states, outputs = carry
    state, output = body(current, at(inputs, index))
    states = put(states, state, index)
    outputs = put(outputs, output, index)
    return at(states, jnp.minimum(index + 1, size - 1)), states, outputs

  carry = (at(states, 0), states, outputs)
  _, states, outputs = lax.fori_loop(0, count, turn, carry)
  return states, outputs


def own_share(size: jax.Array, axis: str, local: int) -> jax.Array:
  """How many of this device's places on an axis hold members, not padding."""
  return jnp.clip(size - lax.axis_index(axis) * local, 0, local)


def on_mesh(
  local: Callable,
  mesh: Mesh,
  specs: tuple[PartitionSpec, ...],
  out: PartitionSpec,
  precision: str,
) -> Callable:
  """A function of one device's part, as one of the whole arrays.

  Args:
    local: the function; what it does needs no other device.
    mesh: the devices.
    specs: how each argument is spread over them.
    out: how the results are.
    precision: of matrix products, as `jax.default_matmul_precision` has it.
  """

  @functools.wraps(local)
  def precise(*arguments: Any) -> Any:
    # Entered while the program is traced: the precision is part of it.
    with jax.default_matmul_precision(precision):
      return local(*arguments)

  return jax.shard_map(
    precise, mesh=mesh, in_specs=specs, out_specs=out, check_vma=False
  )
