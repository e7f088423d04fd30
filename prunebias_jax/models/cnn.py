"""A small convolutional network for images of 8 to 64 pixels."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from prunebias_jax.models.conv import Conv
from prunebias_jax.models.norm import BatchNorm
from prunebias_jax.models.pool import max_pool


class CNN(nn.Module):
  """Three 3 x 3 convolutions with batch normalisation, then a linear head.

  Every convolution is followed by a 2 x 2 max-pool. The head sees all places
  of the last feature map: where something is matters in faces and digits.

  Attributes:
    outputs: number of logits.
    width: channels of the first convolution; the others have 2 and 4 times.
    lowering: how convolutions are written (`prunebias_jax.models.conv`).
    dtype: type of the activations before the head.
  """

  outputs: int
  width: int = 16
  lowering: str = "plain"
  dtype: DTypeLike = jnp.float32

  @nn.compact
  def __call__(self, images: jax.Array, train: bool) -> jax.Array:
    """Logits [batch, output] of images [batch, y, x, channel]."""
    conv = functools.partial(Conv, lowering=self.lowering, dtype=self.dtype)
    norm = functools.partial(
      BatchNorm,
      use_running_average=not train,
      momentum=0.9,
      dtype=self.dtype,
    )
    x = images
    for index, factor in enumerate((1, 2, 4)):
      x = conv(factor * self.width, (3, 3), name=f"conv{index}")(x)
      x = norm(name=f"norm{index}")(x)
      x = max_pool(nn.relu(x))
    head = nn.Dense(self.outputs, dtype=jnp.float32, name="head")
    return head(x.reshape(len(x), -1))
