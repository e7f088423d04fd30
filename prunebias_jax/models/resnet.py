"""ResNet-18 and ResNet-50 with a stem for large or for small images.

Reference: He et al. 2016, "Deep Residual Learning for Image Recognition".
Layout and initialisation follow torchvision, as Iofinova et al. 2023 used it:
every convolution starts from N(0, 2 / (k * k * channels out)), and bottleneck
blocks have their stride on the 3 x 3 convolution.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from prunebias_jax.models.parts import AROUND, conv_and_norm
from prunebias_jax.models.pool import overlapping_max_pool


class Block(nn.Module):
  """Two 3 x 3 convolutions around a shortcut.

  Attributes:
    features: channels out.
    stride: stride of the first convolution and of the shortcut.
    lowering: how convolutions are written.
    dtype: type of the activations.
  """

  features: int
  stride: int
  lowering: str
  dtype: DTypeLike

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    """[batch, y, x, channel] to [batch, y / stride, x / stride, features]."""
    conv, norm = conv_and_norm(self.lowering, self.dtype, train)
    strides = (self.stride, self.stride)
    y = conv(self.features, (3, 3), strides, padding=AROUND, name="conv1")(x)
    y = nn.relu(norm(name="norm1")(y))
    y = conv(self.features, (3, 3), padding=AROUND, name="conv2")(y)
    y = norm(name="norm2")(y)
    if x.shape != y.shape:
      x = conv(self.features, (1, 1), strides, name="shortcut")(x)
      x = norm(name="shortcut_norm")(x)
    return nn.relu(x + y)


class Bottleneck(nn.Module):
  """A 3 x 3 convolution between two of 1 x 1, around a shortcut.

  Attributes:
    features: channels of the 3 x 3 convolution; four times as many go out.
    stride: stride of the 3 x 3 convolution and of the shortcut.
    lowering: how convolutions are written.
    dtype: type of the activations.
  """

  features: int
  stride: int
  lowering: str
  dtype: DTypeLike

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    """[batch, y, x, channel] to [batch, y / stride, x / stride, 4 features]."""
    conv, norm = conv_and_norm(self.lowering, self.dtype, train)
    strides = (self.stride, self.stride)
    y = conv(self.features, (1, 1), name="conv1")(x)
    y = nn.relu(norm(name="norm1")(y))
    y = conv(self.features, (3, 3), strides, padding=AROUND, name="conv2")(y)
    y = nn.relu(norm(name="norm2")(y))
    y = conv(4 * self.features, (1, 1), name="conv3")(y)
    y = norm(name="norm3")(y)
    if x.shape != y.shape:
      x = conv(4 * self.features, (1, 1), strides, name="shortcut")(x)
      x = norm(name="shortcut_norm")(x)
    return nn.relu(x + y)


class ResNet(nn.Module):
  """A residual network.

  Attributes:
    outputs: number of logits.
    width: channels of the stem; blocks of stage i have width * 2**i features.
    stages: blocks of each stage; (2, 2, 2, 2) is ResNet-18, with bottlenecks
      (3, 4, 6, 3) is ResNet-50.
    bottleneck: blocks are `Bottleneck`, not `Block`.
    stem: "large" is 7 x 7 with stride 2 and a max-pool, for 224 pixels;
      "small" is 3 x 3 with stride 1, for 32 to 64.
    lowering: how convolutions are written.
    dtype: type of the activations before the head.
  """

  outputs: int
  width: int = 64
  stages: tuple[int, ...] = (2, 2, 2, 2)
  bottleneck: bool = False
  stem: str = "small"
  lowering: str = "plain"
  dtype: DTypeLike = jnp.float32

  @nn.compact
  def __call__(self, images: jax.Array, train: bool) -> jax.Array:
    """Logits [batch, output] of images [batch, y, x, channel]."""
    conv, norm = conv_and_norm(self.lowering, self.dtype, train)
    if self.stem == "large":
      pad = ((3, 3), (3, 3))
      x = conv(self.width, (7, 7), (2, 2), padding=pad, name="stem")(images)
    else:
      x = conv(self.width, (3, 3), padding=AROUND, name="stem")(images)
    x = nn.relu(norm(name="stem_norm")(x))
    if self.stem == "large":
      x = overlapping_max_pool(x)
    block_type = Bottleneck if self.bottleneck else Block
    for stage, blocks in enumerate(self.stages):
      for block in range(blocks):
        stride = 2 if stage and not block else 1
        name = f"stage{stage + 1}_block{block + 1}"
        x = block_type(
          self.width * 2**stage, stride, self.lowering, self.dtype, name=name
        )(x, train)
    head = nn.Dense(self.outputs, dtype=jnp.float32, name="head")
    return head(x.astype(jnp.float32).mean((1, 2)))
