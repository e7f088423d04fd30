"""Flax models by the name a config gives them."""

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike

from prunebias_jax.config import Model
from prunebias_jax.models.cnn import CNN
from prunebias_jax.models.resnet import ResNet


def build(
  config: Model,
  *,
  outputs: int,
  lowering: str,
  dtype: DTypeLike = jnp.float32,
) -> nn.Module:
  """Makes the model of a config.

  Args:
    config: name, width multiplier and stem.
    outputs: number of logits.
    lowering: how convolutions are written (`prunebias_jax.models.conv`).
    dtype: type of the activations; parameters, batch statistics and the head
      are float32 always.
  """
  if config.name == "cnn":
    width = max(1, round(16 * config.width))
    return CNN(outputs=outputs, width=width, lowering=lowering, dtype=dtype)
  width = max(1, round(64 * config.width))
  return ResNet(
    outputs=outputs,
    width=width,
    stem=config.stem,
    lowering=lowering,
    dtype=dtype,
  )
