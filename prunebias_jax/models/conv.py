"""Convolutions in the form that stays fast on the backend at hand.

A model file says `Conv(features, kernel)` and nothing else; how its forward
pass and its two gradients are written is a property of this module. All
lowerings compute the same numbers up to float rounding.

XLA's CPU backend hands a convolution to its fast library only in the layout
[batch, y, x, channel]. Inside a loop the gradients that automatic
differentiation writes are left in other layouts and run up to forty times
slower, so `canonical` writes them itself: the gradient of the input as a
forward convolution of that layout, the gradient of the kernel as forward
convolutions of a few images that stay in the cache. That library call spends
most of a narrow convolution (up to `NARROW` channels) on gathering patches, so
there `canonical` computes neighbouring pixels as one, and the gradient of the
kernel as a matrix product over shifted copies. In wide layers multiplications
cost most, and `winograd` saves half of them.

`matmul` is for members that are computed together: a convolution with a kernel
for each of them is a grouped convolution, a matrix product a batched one.
"""

from collections.abc import Sequence
import functools
from typing import Any

import flax.linen as nn
import jax
from jax import lax
import jax.numpy as jnp

from prunebias_jax.models import winograd
from prunebias_jax.models.depthwise import DEPTHWISE, Convolve
from prunebias_jax.models.taps import Padding, shifted

LAYOUT = ("NHWC", "HWIO", "NHWC")
BLOCK = 8  # images whose copies stay in a core's cache; fills a vector of it
NARROW = 16  # up to so many channels, gathering patches costs most


def plain(
  images: jax.Array, kernel: jax.Array, stride: int, padding: Padding
) -> jax.Array:
  """The convolution as XLA has it.

  Args:
    images: [batch, y, x, channel in].
    kernel: [y, x, channel in, channel out].
    stride: the same in both directions.
    padding: ((top, bottom), (left, right)).

  Returns:
    [batch, y, x, channel out].
  """
  return lax.conv_general_dilated(
    images, kernel, (stride, stride), padding, dimension_numbers=LAYOUT
  )


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def canonical(
  images: jax.Array, kernel: jax.Array, stride: int, padding: Padding
) -> jax.Array:
  """`plain`, with gradients that stay fast inside a loop on the CPU."""
  if kernel.shape[:2] == (1, 1) and not any(map(any, padding)):
    return _pointwise(images, kernel, stride)
  return _forward(images, kernel, stride, padding)


def _canonical_forward(
  images: jax.Array, kernel: jax.Array, stride: int, padding: Padding
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
  return canonical(images, kernel, stride, padding), (images, kernel)


def _canonical_backward(
  stride: int,
  padding: Padding,
  saved: tuple[jax.Array, jax.Array],
  gradient: jax.Array,
) -> tuple[jax.Array, jax.Array]:
  images, kernel = saved
  if kernel.shape[:2] == (1, 1) and not any(map(any, padding)):
    pullback = jax.vjp(lambda x: _pointwise(x, kernel, stride), images)[1]
    (images_gradient,) = pullback(gradient)
    images, stride = images[:, ::stride, ::stride], 1
  else:
    images_gradient = _input_gradient(
      images.shape, kernel, stride, padding, gradient
    )
  kernel_gradient = _kernel_gradient(
    images, kernel.shape, stride, padding, gradient
  )
  return images_gradient, kernel_gradient


canonical.defvjp(_canonical_forward, _canonical_backward)


def _pointwise(images: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
  """A 1 x 1 convolution as the matrix product that it is."""
  return images[:, ::stride, ::stride] @ kernel[0, 0]


def _forward(
  images: jax.Array, kernel: jax.Array, stride: int, padding: Padding
) -> jax.Array:
  """`plain`, faster in layers of stride 1 that are narrow or wide.

  Narrow ones compute several pixels of a row as one: n neighbouring outputs
  are n times the features of one place, with a kernel that is n - 1 columns
  wider and zero where an output does not look. That multiplies by some zeros
  and gathers a patch once where it was n times.
  """
  columns, channels, features = kernel.shape[1:]
  if winograd.suits(images, kernel, stride):
    return winograd.convolve(images, kernel, padding)
  left, right = padding[1]
  width = images.shape[2] + left + right - columns + 1
  pixels = 4 if channels < 8 else 2
  if stride > 1 or width % pixels or max(channels, features) > NARROW:
    return plain(images, kernel, stride, padding)
  wide = jnp.concatenate(
    [
      jnp.pad(kernel, ((0, 0), (shift, pixels - 1 - shift), (0, 0), (0, 0)))
      for shift in range(pixels)
    ],
    axis=-1,
  )
  out = lax.conv_general_dilated(
    images, wide, (1, pixels), padding, dimension_numbers=LAYOUT
  )
  return out.reshape(*out.shape[:2], width, features)


def _input_gradient(
  shape: Sequence[int],
  kernel: jax.Array,
  stride: int,
  padding: Padding,
  gradient: jax.Array,
) -> jax.Array:
  """Gradient of the images, as a forward convolution in the fast layout."""
  sides = []
  for axis in (0, 1):
    size, taps = shape[1 + axis], kernel.shape[axis]
    dilated = (gradient.shape[1 + axis] - 1) * stride + 1
    low = taps - 1 - padding[axis][0]
    sides.append((low, size + taps - 1 - low - dilated))
  turned = kernel[::-1, ::-1].transpose(0, 1, 3, 2)
  if stride == 1:
    return _forward(gradient, turned, 1, (sides[0], sides[1]))
  return lax.conv_general_dilated(
    gradient,
    turned,
    (1, 1),
    sides,
    lhs_dilation=(stride, stride),
    dimension_numbers=LAYOUT,
  )


def _kernel_gradient(
  images: jax.Array,
  shape: Sequence[int],
  stride: int,
  padding: Padding,
  gradient: jax.Array,
) -> jax.Array:
  """Gradient of the kernel, summed over blocks of a few images."""
  features = shape[-1]
  separable = stride == 1 and features <= NARROW
  block = next(n for n in range(BLOCK, 0, -1) if len(images) % n == 0)
  of_block = _by_copies if separable else _by_convolution

  def add_block(index: jax.Array, total: jax.Array) -> jax.Array:
    # Slices, not a reshaped scan: XLA would compute what made the images once
    # more, in the other shape.
    ours, theirs = (
      lax.dynamic_slice_in_dim(x, index * block, block)
      for x in (images, gradient)
    )
    return total + of_block(ours, shape, stride, padding, theirs)

  zero = jnp.zeros(tuple(shape), jnp.float32)
  total = lax.fori_loop(0, len(images) // block, add_block, zero)
  return total.astype(gradient.dtype)


def _by_convolution(
  images: jax.Array,
  shape: Sequence[int],
  stride: int,
  padding: Padding,
  gradient: jax.Array,
) -> jax.Array:
  """Kernel gradient as a forward convolution, examples taken as channels."""
  sides = []
  for axis in (0, 1):
    dilated = (gradient.shape[1 + axis] - 1) * stride + 1
    low = padding[axis][0]
    sides.append(
      (low, shape[axis] - 1 + dilated - images.shape[1 + axis] - low)
    )
  out = lax.conv_general_dilated(
    images.transpose(3, 1, 2, 0),
    gradient.transpose(1, 2, 0, 3),
    (1, 1),
    sides,
    rhs_dilation=(stride, stride),
    dimension_numbers=LAYOUT,
    preferred_element_type=jnp.float32,
  )
  return out.transpose(1, 2, 0, 3)


def _by_copies(
  images: jax.Array,
  shape: Sequence[int],
  stride: int,
  padding: Padding,
  gradient: jax.Array,
) -> jax.Array:
  """Kernel gradient with stride 1 as one product over shifted copies.

  It sums image[y + i, x + j] * gradient[y, x] for every tap (i, j), that is
  image[y, x + j] * gradient[y - i, x]. So the images are copied once for each
  column j and the gradient once for each row i: 3 + 3 copies, where patches of
  the images would be 9, and a squarer product, which is faster.
  """
  del stride
  rows, columns, channels, features = shape
  (top, bottom), sides = padding
  left = _copies(images, 2, columns, sides)
  right = _copies(gradient, 1, rows, (rows - 1 - top, rows - 1 - bottom))
  total = lax.dot_general(
    left.reshape(-1, columns * channels),
    right.reshape(-1, rows * features),
    (((0,), (0,)), ((), ())),
    preferred_element_type=jnp.float32,
  ).reshape(columns, channels, rows, features)
  # The first copy of the gradient is shifted down most: it is the last row.
  return total.transpose(2, 0, 1, 3)[::-1]


def _copies(
  images: jax.Array, axis: int, count: int, padding: tuple[int, int]
) -> jax.Array:
  """Copies shifted along an axis, as channels: [..., count * channel].

  Negative padding crops.
  """
  around = [(0, 0, 0)] * images.ndim
  around[axis] = (*padding, 0)
  padded = lax.pad(images, jnp.zeros((), images.dtype), around)
  size = padded.shape[axis] - count + 1
  return jnp.concatenate(
    [
      lax.slice_in_dim(padded, shift, shift + size, axis=axis)
      for shift in range(count)
    ],
    axis=-1,
  )


def matmul(
  images: jax.Array, kernel: jax.Array, stride: int, padding: Padding
) -> jax.Array:
  """`plain` as one matrix product over copies of the images, one for each tap.

  With kernels of many members it is a batched product, where a convolution
  would be a grouped one, which many libraries are slow at.
  """
  rows, columns, channels, features = kernel.shape
  if (rows, columns) == (1, 1) and not any(map(any, padding)):
    return _pointwise(images, kernel, stride)
  copies = jnp.concatenate(
    shifted(images, (rows, columns), stride, padding), axis=-1
  )
  return copies @ kernel.reshape(rows * columns * channels, features)


LOWERINGS: dict[str, Convolve] = {
  "plain": plain,
  "canonical": canonical,
  "matmul": matmul,
}


class Conv(nn.Conv):
  """A flax convolution without bias, written in the chosen lowering.

  Ordinary and depthwise convolutions of images [batch, y, x, channel] have
  lowerings; any other that flax knows is done as XLA has it.

  Attributes:
    lowering: a name in `LOWERINGS`.
  """

  use_bias: bool = False
  lowering: str = "plain"

  def __post_init__(self) -> None:
    self.conv_general_dilated = functools.partial(_as_flax_asks, self.lowering)
    super().__post_init__()


def _as_flax_asks(
  lowering: str,
  images: jax.Array,
  kernel: jax.Array,
  strides: Sequence[int],
  padding: str | Sequence[tuple[int, int]],
  **options: Any,
) -> jax.Array:
  """Adapts the lowerings to the arguments that flax hands a convolution."""
  groups = options["feature_group_count"]
  depthwise = 1 < groups == images.shape[-1] == kernel.shape[-1]
  dilations = {*options["lhs_dilation"], *options["rhs_dilation"]}
  usual = images.ndim == 4 and len({*strides}) == 1 and dilations == {1}
  usual &= options["precision"] is None and (groups == 1 or depthwise)
  if not usual:
    return lax.conv_general_dilated(images, kernel, strides, padding, **options)
  if isinstance(padding, str):
    padding = lax.padtype_to_pads(
      images.shape[1:3], kernel.shape[:2], strides, padding
    )
  (top, bottom), (left, right) = padding
  pads = ((int(top), int(bottom)), (int(left), int(right)))
  convolve = (DEPTHWISE if depthwise else LOWERINGS)[lowering]
  return convolve(images, kernel, int(strides[0]), pads)
