"""MobileNetV1 with a stem for large or for small images.

Reference: Howard et al. 2017, "MobileNets: Efficient Convolutional Neural
Networks for Mobile Vision Applications", table 1; the same initialisation as
the residual networks here.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from prunebias_jax.models.parts import AROUND, conv_and_norm

# Channels out, in multiples of the stem's, and stride of every layer.
LAYERS = (
  (2, 1),
  (4, 2),
  (4, 1),
  (8, 2),
  (8, 1),
  (16, 2),
  *[(16, 1)] * 5,
  (32, 2),
  (32, 1),
)


class MobileNet(nn.Module):
  """Depthwise 3 x 3 and 1 x 1 convolutions in turn, each normalised.

  Attributes:
    outputs: number of logits.
    width: channels of the stem; the last layers have 32 times as many.
    stem: the stride of the first convolution: "large" 2, for 224 pixels;
      "small" 1, for 32 to 64.
    lowering: how convolutions are written (`prunebias_jax.models.conv`).
    dtype: type of the activations before the head.
  """

  outputs: int
  width: int = 32
  stem: str = "small"
  lowering: str = "plain"
  dtype: DTypeLike = jnp.float32

  @nn.compact
  def __call__(self, images: jax.Array, train: bool) -> jax.Array:
    """Logits [batch, output] of images [batch, y, x, channel]."""
    conv, norm = conv_and_norm(self.lowering, self.dtype, train)
    strides = (2, 2) if self.stem == "large" else (1, 1)
    x = conv(self.width, (3, 3), strides, padding=AROUND, name="stem")(images)
    x = nn.relu(norm(name="stem_norm")(x))
    for index, (factor, stride) in enumerate(LAYERS):
      channels = x.shape[-1]
      x = conv(
        channels,
        (3, 3),
        (stride, stride),
        padding=AROUND,
        feature_group_count=channels,
        name=f"layer{index + 1}_depthwise",
      )(x)
      x = nn.relu(norm(name=f"layer{index + 1}_depthwise_norm")(x))
      name = f"layer{index + 1}_pointwise"
      x = conv(factor * self.width, (1, 1), name=name)(x)
      x = nn.relu(norm(name=f"{name}_norm")(x))
    head = nn.Dense(self.outputs, dtype=jnp.float32, name="head")
    return head(x.astype(jnp.float32).mean((1, 2)))
