"""Flax models by the name a config gives them."""

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike

from prunebias_jax.config import Model
from prunebias_jax.models import own
from prunebias_jax.models.cnn import CNN
from prunebias_jax.models.mobilenet import MobileNet
from prunebias_jax.models.resnet import ResNet


def build(
  config: Model,
  *,
  outputs: int,
  lowering: str,
  dtype: DTypeLike = jnp.float32,
  image_shape: tuple[int, ...] | None = None,
) -> nn.Module:
  """Makes the model of a config.

  Args:
    config: name, width multiplier and stem.
    outputs: number of logits.
    lowering: how convolutions are written (`prunebias_jax.models.conv`).
    dtype: type of the activations; parameters, batch statistics and the head
      are float32 always.
    image_shape: (height, width, channel); where it is given, a module of the
      user's own is tried on it by shapes alone.

  Raises:
    InputError: the user's own module cannot be imported or made, or does not
      fit.
  """
  if ":" in config.name:
    model = own.make(
      config.name, outputs=outputs, lowering=lowering, dtype=dtype
    )
    if image_shape is not None:
      own.require_fit(
        model, config.name, outputs=outputs, image_shape=image_shape
      )
    return model

  def channels(base: int) -> int:
    return max(1, round(base * config.width))

  if config.name == "cnn":
    return CNN(
      outputs=outputs, width=channels(16), lowering=lowering, dtype=dtype
    )
  if config.name == "mobilenet_v1":
    return MobileNet(
      outputs=outputs,
      width=channels(32),
      stem=config.stem,
      lowering=lowering,
      dtype=dtype,
    )
  fifty = config.name == "resnet50"
  return ResNet(
    outputs=outputs,
    width=channels(64),
    stages=(3, 4, 6, 3) if fifty else (2, 2, 2, 2),
    bottleneck=fifty,
    stem=config.stem,
    lowering=lowering,
    dtype=dtype,
  )
