"""A user's own linen module, named in a config as "package.module:attribute".

What it must be is described, with an example, in docs/models.md.
"""

import importlib
import inspect
from typing import Any

from flax import traverse_util
import flax.linen as nn
import jax
import jax.numpy as jnp

from prunebias_jax.errors import InputError

COLLECTIONS = {"params", "batch_stats"}


def make(name: str, *, outputs: int, **offered: Any) -> nn.Module:
  """Makes the module that a config names.

  Args:
    name: "package.module:attribute"; the attribute is a linen module class, or
      a function that returns a linen module.
    outputs: number of logits, handed over as `outputs`.
    **offered: handed over as far as it takes arguments of these names.

  Raises:
    InputError: it cannot be imported, is not there, or makes no linen module.
  """
  module_name, attribute = name.split(":")
  try:
    module = importlib.import_module(module_name)
  except Exception as error:
    # The module is the user's input: whatever is wrong in it is one line.
    raise InputError(
      f"model.name is {name!r}, but {module_name} cannot be imported "
      f"({_line(error)}); is its folder on PYTHONPATH?"
    ) from error
  found = getattr(module, attribute, None)
  if found is None:
    raise InputError(
      f"model.name is {name!r}, but {module.__file__} has no {attribute!r}"
    )
  wanted = "accepted: a linen module class, or a function returning a module"
  if not callable(found) or isinstance(found, nn.Module):
    kind = type(found).__name__
    raise InputError(f"model.name is {name!r}, which is a {kind}; {wanted}")
  taken = inspect.signature(found).parameters
  arguments = {key: value for key, value in offered.items() if key in taken}
  try:
    model = found(outputs=outputs, **arguments)
  except Exception as error:
    shown = ", ".join(["outputs", *arguments])
    raise InputError(
      f"model.name is {name!r}, which cannot be called with {shown}: "
      f"{_line(error)}"
    ) from error
  if not isinstance(model, nn.Module):
    kind = type(model).__name__
    raise InputError(f"model.name is {name!r}, which gives a {kind}; {wanted}")
  return model


def require_fit(
  model: nn.Module, name: str, *, outputs: int, image_shape: tuple[int, ...]
) -> None:
  """Refuses a module that cannot be trained here; nothing is computed.

  Args:
    model: the module.
    name: what the config calls it.
    outputs: number of logits it must give.
    image_shape: (height, width, channel) of what it is given.

  Raises:
    InputError: it fails, or its parameters or logits are not what they must be.
  """
  # A number of images that cannot be taken for the number of outputs.
  count = outputs + 1
  images = jax.ShapeDtypeStruct((count, *image_shape), jnp.float32)
  try:
    variables = jax.eval_shape(
      lambda x: model.init(jax.random.key(0), x, train=False), images
    )
    logits = jax.eval_shape(
      lambda v, x: model.apply(v, x, train=False), variables, images
    )
    trained = jax.eval_shape(
      lambda v, x: model.apply(v, x, train=True, mutable=["batch_stats"])[0],
      variables,
      images,
    )
  except Exception as error:
    # Whatever the user's code makes jax and flax raise.
    shape = "x".join(map(str, image_shape))
    raise InputError(
      f"model {name} fails on images of {shape} with train=False or "
      f"train=True: {_line(error)}"
    ) from error
  extra = sorted(set(variables) - COLLECTIONS)
  if extra:
    raise InputError(
      f"model {name} has variables of the kind {', '.join(extra)}; accepted: "
      "params and batch_stats"
    )
  params = variables.get("params", {})
  flat = traverse_util.flatten_dict(params, sep="/")
  if not any(path.rpartition("/")[2] == "kernel" for path in flat):
    raise InputError(
      f"model {name} has nothing to prune: no parameter is called kernel"
    )
  types = {str(x.dtype) for x in jax.tree.leaves(params)}
  if types != {"float32"}:
    raise InputError(
      f"model {name} has parameters of {', '.join(sorted(types))}; accepted: "
      "float32"
    )
  for result in (logits, trained):
    wanted = jax.ShapeDtypeStruct((count, outputs), jnp.float32)
    if result != wanted:
      raise InputError(
        f"model {name} gives {_described(result)} for {count} images; "
        f"accepted: float32 logits [{count}, {outputs}]"
      )


def _line(error: Exception) -> str:
  """An error as one short line."""
  text = " ".join(str(error).split())
  return f"{type(error).__name__}: {text[:300]}"


def _described(result: Any) -> str:
  """What a module gave: type and shape of an array, or the Python type."""
  if isinstance(result, jax.ShapeDtypeStruct):
    return f"{result.dtype} {list(result.shape)}"
  return type(result).__name__
