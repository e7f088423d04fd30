"""The layers of a network that multiply: what they are, and other products.

Convolutions (`nn.Conv` and what derives from it, depthwise ones too) and linear
layers (`nn.Dense`, `nn.DenseGeneral`) take the function that multiplies inputs
by kernel as a field. `swapped` gives them another one while a network is
applied, whoever wrote the network.
"""

from collections.abc import Callable, Iterator, Mapping
import contextlib
import dataclasses
import math
from typing import Any

import flax.linen as nn
from flax.linen.module import InterceptorContext
import jax
from jax import lax
import jax.numpy as jnp
from jax.typing import DTypeLike

# (inputs, kernel, ...) to outputs, as lax.conv_general_dilated or dot_general
Product = Callable[..., jax.Array]
# (layer, its own product) to the product that it is given instead
Swap = Callable[[nn.Module, Product], Product]


@dataclasses.dataclass(frozen=True)
class Layer:
  """A layer that multiplies.

  Attributes:
    path: its path in the parameters, "stage1_block1/conv1".
    kernel: shape of its kernel.
    features: outputs at each position.
    positions: how often each weight is multiplied for one image: places of the
      output, over all calls; padding counts as if it were image.
  """

  path: str
  kernel: tuple[int, ...]
  features: int
  positions: int

  @property
  def weights(self) -> int:
    """Number of weights of the kernel."""
    return math.prod(self.kernel)


@contextlib.contextmanager
def swapped(swap: Swap, dtype: DTypeLike | None = None) -> Iterator[None]:
  """While open, layers multiply by what `swap` returns for them.

  Args:
    swap: gives the product of a layer.
    dtype: what layers compute in, whatever type the network wants from them;
      None leaves it.
  """

  def interceptor(
    next_function: Callable[..., Any],
    arguments: tuple[Any, ...],
    keywords: dict[str, Any],
    context: InterceptorContext,
  ) -> Any:
    layer = context.module
    if context.method_name != "__call__" or not multiplies(layer):
      return next_function(*arguments, **keywords)
    field, usual = _product(layer)
    maker = getattr(layer, f"{field}_cls")
    own = maker() if maker else getattr(layer, field) or usual
    product = swap(layer, own)
    wanted = layer.dtype
    # Modules are frozen; flax reads these fields in the call only.
    object.__setattr__(layer, f"{field}_cls", lambda: product)
    object.__setattr__(layer, "dtype", dtype or wanted)
    try:
      outputs = next_function(*arguments, **keywords)
    finally:
      object.__setattr__(layer, f"{field}_cls", maker)
      object.__setattr__(layer, "dtype", wanted)
    return outputs.astype(wanted or outputs.dtype)

  with nn.intercept_methods(interceptor):
    yield


def find_layers(
  network: nn.Module,
  variables: Mapping[str, Any],
  image_shape: tuple[int, ...],
) -> list[Layer]:
  """The layers of a network that multiply, in the order of their first call.

  A layer that is called several times is there once, with all its positions.

  Args:
    network: applied as `network(images, train=False)`; nothing is computed.
    variables: its variables, or their shapes.
    image_shape: (height, width, channel).
  """
  found: dict[str, Layer] = {}

  def swap(layer: nn.Module, product: Product) -> Product:
    path = path_of(layer)

    def record(
      inputs: jax.Array, kernel: jax.Array, *rest: Any, **more: Any
    ) -> jax.Array:
      outputs = product(inputs, kernel, *rest, **more)
      before = found[path].positions if path in found else 0
      features = _features(layer)
      places = before + outputs.size // features
      found[path] = Layer(path, kernel.shape, features, places)
      return outputs

    return record

  images = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
  with swapped(swap):
    jax.eval_shape(
      lambda v, x: network.apply(v, x, train=False), variables, images
    )
  return list(found.values())


def multiplies(module: nn.Module) -> bool:
  """Whether a module is one of the layers that `swapped` is about."""
  if isinstance(module, nn.DenseGeneral):
    return not module.batch_dims
  return isinstance(module, nn.Conv | nn.Dense)


def path_of(layer: nn.Module) -> str:
  """A layer's path in the parameters."""
  return "/".join(layer.path)


def _product(layer: nn.Module) -> tuple[str, Product]:
  """The field that holds a layer's product, and what stands for none."""
  if isinstance(layer, nn.Conv):
    return "conv_general_dilated", lax.conv_general_dilated
  return "dot_general", lax.dot_general


def _features(layer: nn.Module) -> int:
  """Outputs of a layer at each position."""
  assert isinstance(layer, nn.Conv | nn.Dense | nn.DenseGeneral)
  features = layer.features
  return features if isinstance(features, int) else math.prod(features)
