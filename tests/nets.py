"""A network that is quick to compile, for runs whose training is not tested."""

import flax.linen as nn


class Flat(nn.Module):
  """Two layers and a normalisation."""

  outputs: int
  hidden: int = 16

  @nn.compact
  def __call__(self, images, train):
    x = nn.Dense(self.hidden, name="first")(images.reshape(len(images), -1))
    x = nn.BatchNorm(use_running_average=not train, name="norm")(x)
    return nn.Dense(self.outputs, name="head")(nn.relu(x))
