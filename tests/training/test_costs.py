"""What a member would cost, by hand."""

import dataclasses

import numpy as np
import pytest

from prunebias_jax.models.layers import Layer
from prunebias_jax.training.costs import member_costs

# A convolution of 3 x 3 on 2 channels to 4, used at 5 places, and a linear
# layer of 8 inputs and 3 outputs with bias; between them a normalisation.
LAYERS = (
  Layer("conv", (3, 3, 2, 4), features=4, positions=5),
  Layer("head", (8, 3), features=3, positions=1),
)
STATISTICS = {"norm": {"mean": np.zeros(4), "var": np.ones(4)}}


def parameters(zeros):
  """72 + 24 weights, of which some of the first are zero."""
  kernel = np.ones(72, np.float32)
  kernel[:zeros] = 0
  return {
    "conv": {"kernel": kernel.reshape(3, 3, 2, 4)},
    "norm": {"scale": np.zeros(4), "bias": np.zeros(4)},
    "head": {"kernel": np.ones((8, 3)), "bias": np.zeros(3)},
  }


def costs(zeros=0, **options):
  return member_costs(LAYERS, parameters(zeros), STATISTICS, **options)


def test_dense():
  assert dataclasses.asdict(costs()) == {
    "parameters": 72 + 8 + 24 + 3,
    # Zeros of biases and normalisation are not pruned weights.
    "parameters_left": 107,
    "flops": 2 * (72 * 5 + 24),
    "flops_left": 2 * (72 * 5 + 24),
    "bytes_float32": 4 * (107 + 8),
    "bytes_dense": 4 * (107 + 8),
    "bytes_sparse": 4 * (107 + 8) + 9 + 3,
  }


def test_pruned():
  found = costs(zeros=70)
  assert found.parameters_left == 107 - 70
  assert found.flops_left == 2 * (2 * 5 + 24)
  assert found.flops == costs().flops
  assert found.bytes_dense == found.bytes_float32 == costs().bytes_float32
  assert found.bytes_sparse == 4 * (115 - 70) + 9 + 3


@pytest.mark.parametrize(
  ("kind", "granularity", "kernels_and_biases", "scales"),
  [
    ("float16", None, 2 * 96 + 2 * 3, 0),
    ("int8_dynamic", "tensor", 96 + 4 * 3, 4 + 4),
    ("int8_dynamic", "channel", 96 + 4 * 3, 4 * 4 + 4 * 3),
    ("int8_static", "channel", 96 + 4 * 3, 4 * 4 + 4 * 3 + 5 + 5),
  ],
)
def test_quantized(kind, granularity, kernels_and_biases, scales):
  found = costs(kind=kind, granularity=granularity)
  norm = 4 * (8 + 8)
  assert found.bytes_dense == norm + kernels_and_biases + scales
  assert found.bytes_float32 == 4 * 115
  half = costs(zeros=36, kind=kind, granularity=granularity)
  width = 2 if kind == "float16" else 1
  assert half.bytes_sparse == found.bytes_dense - 36 * width + 9 + 3
