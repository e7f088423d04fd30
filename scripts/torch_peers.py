"""The PyTorch sides of bench_population; needs the extra `bench`."""

from collections.abc import Callable, Sequence
import contextlib
import os
from typing import Any

import jax
import torch
from torch import nn
from torch.nn import functional

from prunebias_jax.config import Train

MOMENTUM, RATE = 0.9, 0.01


class Block(nn.Module):
  """Two 3 x 3 convolutions around a shortcut."""

  def __init__(self, before: int, after: int, stride: int, statistics: bool):
    super().__init__()
    self.body = nn.Sequential(
      *_conv(before, after, 3, stride, statistics),
      nn.ReLU(inplace=True),
      *_conv(after, after, 3, 1, statistics),
    )
    same = before == after and stride == 1
    self.shortcut = nn.Sequential(
      *([] if same else _conv(before, after, 1, stride, statistics))
    )

  def forward(self, x: torch.Tensor) -> torch.Tensor:
    """[batch, channel, y, x] to [batch, after, y / stride, x / stride]."""
    return (self.body(x) + self.shortcut(x)).relu_()


def _conv(
  before: int, after: int, taps: int, stride: int, statistics: bool
) -> list[nn.Module]:
  norm = nn.BatchNorm2d(after, momentum=0.1, track_running_stats=statistics)
  return [nn.Conv2d(before, after, taps, stride, taps // 2, bias=False), norm]


def _network(
  case: Any, stages: Sequence[int] | None, outputs: int, statistics: bool
) -> nn.Module:
  """The network of a case; `statistics` keeps running ones."""
  width, layers = case.width, []
  before = 3
  if stages is None:
    for factor in (1, 2, 4):
      layers += _conv(before, factor * width, 3, 1, statistics)
      layers += [nn.ReLU(inplace=True), nn.MaxPool2d(2)]
      before = factor * width
    head = nn.Linear(before * (case.size // 8) ** 2, outputs)
    return nn.Sequential(*layers, nn.Flatten(), head)
  if case.size >= 128:
    layers += _conv(3, width, 7, 2, statistics)
    layers += [nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)]
  else:
    layers += [*_conv(3, width, 3, 1, statistics), nn.ReLU(inplace=True)]
  before = width
  for stage, blocks in enumerate(stages):
    for block in range(blocks):
      stride = 2 if stage and not block else 1
      layers.append(Block(before, width * 2**stage, stride, statistics))
      before = width * 2**stage
  layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, outputs)]
  return nn.Sequential(*layers)


def make_side(
  case: Any,
  stages: Sequence[int] | None,
  data: Any,
  outputs: int,
  name: str,
) -> Callable[[], None]:
  """A turn of training in PyTorch.

  Args:
    case: what is trained (`Case` of bench_population).
    stages: blocks of each stage of a ResNet; None is the CNN.
    data: uint8 images [example, y, x, channel] and labels.
    outputs: number of logits.
    name: "torch", "torch-compile" or "torch-vmap".
  """
  device = "cpu" if jax.default_backend() == "cpu" else "cuda"
  torch.set_num_threads(len(os.sched_getaffinity(0)))
  # As JAX has it on a GPU.
  torch.backends.cuda.matmul.allow_tf32 = True
  # Seen as [example, channel, y, x], these are channels last.
  images = torch.from_numpy(data.images).to(device).permute(0, 3, 1, 2)
  labels = torch.from_numpy(data.labels).to(device)
  order = torch.randperm(len(images)).reshape(-1, case.batch).to(device)
  together = name == "torch-vmap"
  # torch.func cannot vmap running statistics, which are changed in place.
  nets = [
    _network(case, stages, outputs, not together)
    .to(device)
    .to(memory_format=torch.channels_last)
    for _ in range(case.members)
  ]

  def batch(number: int) -> tuple[torch.Tensor, torch.Tensor]:
    chosen = images[order[number]].float() * (2 / 255) - 1
    return chosen, labels[order[number]].float()

  half = contextlib.nullcontext()
  if name == "torch-compile":
    half = torch.autocast(device, torch.bfloat16)
  step = (
    _step_together(nets)
    if together
    else _step_in_turn(nets, name == "torch-compile", half)
  )

  def turn() -> None:
    step(batch, case.steps, Train().weight_decay)
    if device == "cuda":
      torch.cuda.synchronize()

  return turn


def _step_in_turn(
  nets: list[nn.Module], compiled: bool, half: Any
) -> Callable[..., None]:
  """Steps of one network after the other."""
  states = []
  for net in nets:
    lists = [*net.parameters()]
    states.append(
      (torch.compile(net) if compiled else net, lists, *_fresh(lists))
    )

  def steps(batch: Callable, count: int, decay: float) -> None:
    for net, lists, momenta, masks in states:
      for number in range(count):
        x, y = batch(number)
        with half:
          loss = functional.binary_cross_entropy_with_logits(net(x), y)
        gradients = torch.autograd.grad(loss, lists)
        _update(lists, momenta, gradients, masks, decay)

  return steps


def _step_together(nets: list[nn.Module]) -> Callable[..., None]:
  """Steps of all networks at once, by torch.func."""
  weights, buffers = torch.func.stack_module_state(nets)
  weights = {name: x.detach() for name, x in weights.items()}
  base = nets[0]

  def loss(weights: Any, buffers: Any, x: Any, y: Any) -> torch.Tensor:
    logits = torch.func.functional_call(base, (weights, buffers), (x,))
    return functional.binary_cross_entropy_with_logits(logits, y)

  lifted = torch.func.vmap(torch.func.grad(loss), (0, 0, None, None))
  lists = [*weights.values()]
  momenta, masks = _fresh(lists)

  def steps(batch: Callable, count: int, decay: float) -> None:
    for number in range(count):
      gradients = lifted(weights, buffers, *batch(number))
      found = [gradients[name] for name in weights]
      _update(lists, momenta, found, masks, decay)

  return steps


def _fresh(lists: list[torch.Tensor]) -> tuple[list, list]:
  """Momenta of zero, and masks that keep about half."""
  momenta = [torch.zeros_like(x) for x in lists]
  return momenta, [(torch.rand_like(x) > 0.5).float() for x in lists]


@torch.no_grad()
def _update(
  weights: Any, momenta: Any, gradients: Any, masks: Any, decay: float
) -> None:
  """SGD with momentum and weight decay, then the masks."""
  torch._foreach_mul_(momenta, MOMENTUM)
  torch._foreach_add_(momenta, gradients)
  torch._foreach_add_(momenta, weights, alpha=decay)
  torch._foreach_add_(weights, momenta, alpha=-RATE)
  torch._foreach_mul_(weights, masks)
