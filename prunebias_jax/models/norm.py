"""Batch normalisation whose gradient reads the activations fewer times.

On a CPU a normalisation costs what it reads and writes. Automatic
differentiation of flax's module sums over the batch four times and writes
intermediate images; written out, the gradient is two sums and one pass.

Reference: Ioffe & Szegedy 2015, "Batch Normalization", section 3.
"""

import functools

import flax.linen as nn
import jax
from jax import lax
import jax.numpy as jnp
from jax.typing import DTypeLike

BATCH = (0, 1, 2)  # what statistics are taken over in [batch, y, x, channel]


class BatchNorm(nn.BatchNorm):
  """flax's BatchNorm of images; only how training computes it is our own."""

  @nn.compact
  def __call__(
    self,
    x: jax.Array,
    use_running_average: bool | None = None,
    *,
    mask: jax.Array | None = None,
  ) -> jax.Array:
    """Normalised images [batch, y, x, channel], as flax has it."""
    running = nn.merge_param(
      "use_running_average", self.use_running_average, use_running_average
    )
    if running or mask is not None or self.is_initializing():
      return super().__call__(x, use_running_average, mask=mask)
    features = x.shape[-1:]
    scale = self.param("scale", self.scale_init, features, self.param_dtype)
    bias = self.param("bias", self.bias_init, features, self.param_dtype)
    dtype = self.dtype or jnp.result_type(x, scale, bias)
    out, mean, variance = normalise(x, scale, bias, self.epsilon, dtype)
    for name, found in (("mean", mean), ("var", variance)):
      statistic: nn.Variable = self.variable("batch_stats", name)
      kept = self.momentum * statistic.value
      statistic.value = kept + (1 - self.momentum) * lax.stop_gradient(found)
    return out


@functools.partial(jax.custom_vjp, nondiff_argnums=(3, 4))
def normalise(
  x: jax.Array,
  scale: jax.Array,
  bias: jax.Array,
  epsilon: float,
  dtype: DTypeLike,
) -> tuple[jax.Array, jax.Array, jax.Array]:
  """Images with each channel's mean and variance taken out.

  Args:
    x: [batch, y, x, channel].
    scale: [channel], standard deviations after.
    bias: [channel], means after.
    epsilon: added to the variance.
    dtype: type of the images after; all sums are float32.

  Returns:
    The images, and mean and variance of each channel before: float32
    [channel], through which no gradient flows.
  """
  return _forward(x, scale, bias, epsilon, dtype)[0]


def _forward(
  x: jax.Array,
  scale: jax.Array,
  bias: jax.Array,
  epsilon: float,
  dtype: DTypeLike,
) -> tuple[tuple, tuple]:
  wide = x.astype(jnp.float32)
  mean = wide.mean(BATCH, keepdims=True)
  square = (wide * wide).mean(BATCH, keepdims=True)
  variance = jnp.maximum(0, square - mean * mean)
  inverse = lax.rsqrt(variance + epsilon)
  factor = inverse * scale.reshape(mean.shape)
  out = (wide - mean) * factor + bias.reshape(mean.shape)
  out = out.astype(dtype)
  return (out, mean.ravel(), variance.ravel()), (x, scale, mean, inverse)


def _backward(
  epsilon: float, dtype: DTypeLike, saved: tuple, gradients: tuple
) -> tuple[jax.Array, jax.Array, jax.Array]:
  del epsilon, dtype
  x, scale, mean, inverse = saved
  gradient = gradients[0].astype(jnp.float32)
  wide = x.astype(jnp.float32)
  bias_gradient = gradient.sum(BATCH, keepdims=True)
  # Of products, as the variance: centring first would write the images anew.
  products = (gradient * wide).sum(BATCH, keepdims=True)
  scale_gradient = (products - mean * bias_gradient) * inverse
  count = x.size // x.shape[-1]
  x_gradient = (inverse * scale.reshape(mean.shape)) * (
    gradient
    - bias_gradient / count
    - (wide - mean) * (inverse * scale_gradient / count)
  )
  return (
    x_gradient.astype(x.dtype),
    scale_gradient.ravel().astype(scale.dtype),
    bias_gradient.ravel().astype(scale.dtype),
  )


normalise.defvjp(_forward, _backward)
