"""ResNet-18 with a stem for large or for small images.

Reference: He et al. 2016, "Deep Residual Learning for Image Recognition".
Layout and initialisation follow torchvision, as Iofinova et al. 2023 used it:
every convolution starts from N(0, 2 / (k * k * channels out)).
"""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from prunebias_jax.models.conv import Conv
from prunebias_jax.models.norm import BatchNorm
from prunebias_jax.models.pool import overlapping_max_pool

STEMS = ("small", "large")
FAN_OUT = nn.initializers.variance_scaling(2.0, "fan_out", "normal")


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
    conv = functools.partial(
      Conv,
      self.features,
      kernel_init=FAN_OUT,
      lowering=self.lowering,
      dtype=self.dtype,
    )
    norm = functools.partial(
      BatchNorm,
      use_running_average=not train,
      momentum=0.9,
      dtype=self.dtype,
    )
    strides = (self.stride, self.stride)
    pad = ((1, 1), (1, 1))
    y = conv((3, 3), strides, padding=pad, name="conv1")(x)
    y = nn.relu(norm(name="norm1")(y))
    y = conv((3, 3), padding=pad, name="conv2")(y)
    y = norm(name="norm2")(y)
    if x.shape != y.shape:
      x = conv((1, 1), strides, name="shortcut")(x)
      x = norm(name="shortcut_norm")(x)
    return nn.relu(x + y)


class ResNet(nn.Module):
  """A residual network of basic blocks.

  Attributes:
    outputs: number of logits.
    width: channels of the stem; stage i has width * 2**i.
    stages: blocks of each stage; (2, 2, 2, 2) is ResNet-18.
    stem: "large" is 7 x 7 with stride 2 and a max-pool, for 224 pixels;
      "small" is 3 x 3 with stride 1, for 32 to 64.
    lowering: how convolutions are written.
    dtype: type of the activations before the head.
  """

  outputs: int
  width: int = 64
  stages: tuple[int, ...] = (2, 2, 2, 2)
  stem: str = "small"
  lowering: str = "plain"
  dtype: DTypeLike = jnp.float32

  @nn.compact
  def __call__(self, images: jax.Array, train: bool) -> jax.Array:
    """Logits [batch, output] of images [batch, y, x, channel]."""
    conv = functools.partial(
      Conv,
      self.width,
      kernel_init=FAN_OUT,
      lowering=self.lowering,
      dtype=self.dtype,
    )
    if self.stem == "large":
      pad = ((3, 3), (3, 3))
      x = conv((7, 7), (2, 2), padding=pad, name="stem")(images)
    else:
      x = conv((3, 3), padding=((1, 1), (1, 1)), name="stem")(images)
    x = BatchNorm(
      use_running_average=not train,
      momentum=0.9,
      dtype=self.dtype,
      name="stem_norm",
    )(x)
    x = nn.relu(x)
    if self.stem == "large":
      x = overlapping_max_pool(x)
    for stage, blocks in enumerate(self.stages):
      for block in range(blocks):
        stride = 2 if stage and not block else 1
        name = f"stage{stage + 1}_block{block + 1}"
        x = Block(
          self.width * 2**stage, stride, self.lowering, self.dtype, name=name
        )(x, train)
    head = nn.Dense(self.outputs, dtype=jnp.float32, name="head")
    return head(x.astype(jnp.float32).mean((1, 2)))
