"""What the residual networks and MobileNet are made of."""

import functools

import flax.linen as nn
from jax.typing import DTypeLike

from prunebias_jax.models.conv import Conv
from prunebias_jax.models.norm import BatchNorm

# N(0, 2 / (k * k * channels out)), for depthwise convolutions too.
FAN_OUT = nn.initializers.variance_scaling(2.0, "fan_out", "normal")
AROUND = ((1, 1), (1, 1))  # padding of 3 x 3


def conv_and_norm(
  lowering: str, dtype: DTypeLike, train: bool
) -> tuple[functools.partial, functools.partial]:
  """Convolution and batch normalisation, still to be given their sizes.

  Args:
    lowering: how convolutions are written (`prunebias_jax.models.conv`).
    dtype: type of the activations.
    train: normalise by the batch's statistics, not by the running ones.
  """
  conv = functools.partial(
    Conv, kernel_init=FAN_OUT, lowering=lowering, dtype=dtype
  )
  norm = functools.partial(
    BatchNorm, use_running_average=not train, momentum=0.9, dtype=dtype
  )
  return conv, norm
