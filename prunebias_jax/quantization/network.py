"""Networks whose layers multiply eight-bit integers.

Whatever flax module a network is, its convolutions and linear layers quantize
what goes in, multiply integers, give float32 numbers again and add their bias.
Everything between them (normalisation, ReLU, pooling, sums) stays as it was.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from flax import traverse_util
import flax.linen as nn
import jax
from jax import lax
import jax.numpy as jnp
import numpy as np

from prunebias_jax.models.layers import Layer, Product, path_of, swapped
from prunebias_jax.quantization import affine, products

# Where the fixed ranges of a layer's inputs are among its variables.
RANGES = "batch_stats"
LOW, HIGH = "input_low", "input_high"


class Int8(nn.Module):
  """A network with eight-bit weights and activations, of the same variables.

  Attributes:
    network: called as `network(images, train=False)`.
    granularity: "channel" or "tensor": what of a kernel shares a scale.
    static: ranges of activations are those among the variables, which
      `with_ranges` puts there; else they are each example's own.
    simulated: sum in float32 what would be summed as integers.
  """

  network: nn.Module
  granularity: str = "channel"
  static: bool = False
  simulated: bool = False

  def setup(self) -> None:
    """Variables are where they would be without this wrapper."""
    nn.share_scope(self, self.network)

  def __call__(self, images: jax.Array, train: bool = False) -> jax.Array:
    """Logits [batch, output] of images [batch, y, x, channel]."""
    with swapped(self._product, jnp.float32):
      return self.network(images, train=train)

  def _product(self, layer: nn.Module, product: Product) -> Product:
    """What a layer multiplies by in place of its own product."""
    del product
    if isinstance(layer, nn.Conv):

      def convolve(
        inputs: jax.Array,
        kernel: jax.Array,
        strides: Sequence[int],
        padding: str | Sequence[tuple[int, int]],
        *,
        precision: Any = None,
        **geometry: Any,
      ) -> jax.Array:
        del precision
        axes = range(inputs.ndim)[1:]
        both = self._quantized(layer, inputs, kernel, axes, kernel.ndim - 1)
        multiply = self._of(products.convolution, lax.conv_general_dilated)
        sums = multiply(*both, strides, padding, **geometry)
        return products.scaled(sums, *both, kernel.ndim - 1)

      return convolve

    def dot(
      inputs: jax.Array,
      kernel: jax.Array,
      dimensions: lax.DotDimensionNumbers,
      *,
      precision: Any = None,
    ) -> jax.Array:
      del precision
      summed = dimensions[0][0]
      axes = range(inputs.ndim)[0 if 0 in summed else 1 :]
      both = self._quantized(layer, inputs, kernel, axes, len(summed))
      sums = self._of(products.dot, lax.dot_general)(*both, dimensions)
      return products.scaled(sums, *both, len(summed))

    return dot

  def _of(self, integers: Product, reals: Product) -> Product:
    return products.in_floats(reals) if self.simulated else integers

  def _quantized(
    self,
    layer: nn.Module,
    inputs: jax.Array,
    kernel: jax.Array,
    shared: Sequence[int],
    contracted: int,
  ) -> tuple[affine.Quantized, affine.Quantized]:
    """Inputs and kernel of a layer as integers.

    Args:
      layer: the layer.
      inputs: [example, ...].
      kernel: its first axes are summed over.
      shared: axes of the inputs that share a range.
      contracted: how many axes of the kernel are summed over.
    """
    per_channel = self.granularity == "channel"
    axes = range(contracted if per_channel else kernel.ndim)
    if self.static:
      shape = (1,) * inputs.ndim
      low: jax.Array = layer.get_variable(RANGES, LOW).reshape(shape)
      high: jax.Array = layer.get_variable(RANGES, HIGH).reshape(shape)
    else:
      low, high = affine.range_of(inputs, shared)
    return (
      affine.activations(inputs, low, high),
      affine.weights(kernel, axes),
    )


class Ranges(nn.Module):
  """In place of logits, the range of every layer's inputs for each image.

  Attributes:
    network: called as `network(images, train=False)`.
  """

  network: nn.Module

  def setup(self) -> None:
    """Variables are where they would be without this wrapper."""
    nn.share_scope(self, self.network)

  def __call__(self, images: jax.Array, train: bool = False) -> jax.Array:
    """float32 [image, 2 * layer]: least and greatest, layers in order of call.

    A layer that is called several times has the range of all its calls.
    """
    found: dict[str, tuple[jax.Array, jax.Array]] = {}

    def swap(layer: nn.Module, product: Product) -> Product:
      path = path_of(layer)

      def look(inputs: jax.Array, *rest: Any, **more: Any) -> jax.Array:
        rows = inputs.astype(jnp.float32).reshape(len(images), -1)
        low, high = rows.min(1), rows.max(1)
        if path in found:
          low = jnp.minimum(low, found[path][0])
          high = jnp.maximum(high, found[path][1])
        found[path] = low, high
        return product(inputs, *rest, **more)

      return look

    with swapped(swap):
      self.network(images, train=train)
    return jnp.stack([end for ends in found.values() for end in ends], 1)


def with_ranges(
  variables: Mapping[str, Any], layers: Sequence[Layer], ranges: np.ndarray
) -> dict[str, Any]:
  """Variables other than parameters, with fixed ranges of activations.

  Args:
    variables: what the network has of the collection `RANGES`.
    layers: the network's layers in order of call.
    ranges: float32 [layer, 2].
  """
  flat = traverse_util.flatten_dict(variables, sep="/")
  for layer, ends in zip(layers, ranges, strict=True):
    for name, end in zip((LOW, HIGH), ends, strict=True):
      flat[f"{layer.path}/{name}"] = end
  return traverse_util.unflatten_dict(flat, sep="/")


def halved(
  params: Mapping[str, Any], layers: Sequence[Layer]
) -> dict[str, Any]:
  """Parameters as float16 holds them: kernels and biases of the layers."""
  flat = traverse_util.flatten_dict(params, sep="/")
  for layer in layers:
    for name in ("kernel", "bias"):
      path = f"{layer.path}/{name}"
      if path in flat:
        flat[path] = affine.half(flat[path])
  return traverse_util.unflatten_dict(flat, sep="/")
