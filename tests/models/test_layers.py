"""What networks multiply, by their shapes alone."""

import flax.linen as nn
import jax
from jax import lax
import jax.numpy as jnp
import pytest

from prunebias_jax import models
from prunebias_jax.config import Model
from prunebias_jax.models.layers import find_layers, path_of, swapped


def layers_of(network, shape):
  variables = jax.eval_shape(
    lambda x: network.init(jax.random.key(0), x, train=False),
    jax.ShapeDtypeStruct((1, *shape), jnp.float32),
  )
  return find_layers(network, variables, shape)


def build(config, outputs, shape, **options):
  return models.build(
    config, outputs=outputs, lowering="plain", image_shape=shape, **options
  )


def test_the_small_network_by_hand():
  """At 32 px: three 3 x 3 convolutions at 32, 16 and 8 px, then 1024 inputs."""
  shape = (32, 32, 3)
  found = layers_of(build(Model(name="cnn"), 40, shape), shape)
  assert [(one.path, one.kernel, one.positions) for one in found] == [
    ("conv0", (3, 3, 3, 16), 32 * 32),
    ("conv1", (3, 3, 16, 32), 16 * 16),
    ("conv2", (3, 3, 32, 64), 8 * 8),
    ("head", (1024, 40), 1),
  ]
  assert [one.features for one in found] == [16, 32, 64, 40]


def resnet18_products():
  """Multiplications of ResNet-18 at 224 px, layer by layer from its table."""
  total = 112 * 112 * 7 * 7 * 3 * 64
  channels, size = 64, 56
  for stage, width in enumerate((64, 128, 256, 512)):
    if stage:
      size //= 2
      total += size**2 * channels * width  # the shortcut
    total += size**2 * 9 * (channels * width + 3 * width * width)
    channels = width
  return total + 512 * 1000


@pytest.mark.parametrize(
  ("name", "billions"),
  [("resnet18", 1.814), ("resnet50", 4.089), ("mobilenet_v1", 0.569)],
)
def test_published_networks_at_224_px(name, billions):
  """1.8, 4.1 (stride on the 3 x 3) and 0.569 billion multiplications."""
  shape = (224, 224, 3)
  network = build(Model(name=name, stem="large"), 1000, shape)
  products = sum(
    one.weights * one.positions for one in layers_of(network, shape)
  )
  assert products / 1e9 == pytest.approx(billions, abs=5e-4)
  if name == "resnet18":
    assert products == resnet18_products()


class Own(nn.Module):
  """Layers of flax in ways that ours do not use."""

  @nn.compact
  def __call__(self, images, train):
    shared = nn.Dense(3, name="shared")
    x = nn.Conv(4, (3,), padding="CIRCULAR", name="rows")(images)
    x = shared(shared(nn.Dense(3)(x)))
    x = nn.DenseGeneral((2, 3), axis=(-2, -1), name="general")(x)
    x = nn.ConvTranspose(2, (2,))(x.reshape(len(x), -1, 6))
    return x.mean(1)


def test_other_layers_of_flax():
  found = {one.path: one for one in layers_of(Own(), (5, 6, 2))}
  # A transposed convolution is not among them.
  assert [*found] == ["rows", "Dense_0", "shared", "general"]
  assert found["rows"].positions == 5 * 6
  assert found["shared"].positions == 2 * 5 * 6
  assert found["general"].kernel == (6, 3, 2, 3)
  assert (found["general"].features, found["general"].positions) == (6, 5)


def test_swapped_products_are_used_and_then_forgotten():
  network = nn.Dense(3, dtype=jnp.bfloat16)
  images = jnp.ones((2, 4))
  variables = network.init(jax.random.key(0), images)
  before = network.apply(variables, images)
  seen = []

  def swap(layer, product):
    seen.append((path_of(layer), product))
    return lambda *rest, **more: 0 * product(*rest, **more) + 1

  with swapped(swap, jnp.float32):
    inside = network.apply(variables, images)
  assert seen == [("", lax.dot_general)]
  assert inside.dtype == before.dtype == jnp.bfloat16
  assert (inside == 1).all()
  assert (network.apply(variables, images) == before).all()
