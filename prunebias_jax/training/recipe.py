"""How a network is trained: what turns a batch into a step."""

from collections.abc import Callable
import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from prunebias_jax.config import Loss, Pruning, Train
from prunebias_jax.data.augment import normalise
from prunebias_jax.data.dataset import Task
from prunebias_jax.pruning import masks as masking


@dataclasses.dataclass(frozen=True)
class Recipe:
  """What turns a batch into a step, the same for every member.

  Attributes:
    model: the network, `model(images, train=...)`.
    optimizer: gradients to directions; scaled by the learning rate afterwards.
    learning_rate: learning rate of a step.
    task: decides the loss: mean binary or categorical cross-entropy.
    pruning: what is pruned and how.
    forgets: whether momentum is zeroed before a step; None is never.
    label_smoothing: share of the target that is spread evenly.
    loss: what is minimised.
    table: shape of the training split's labels, [example, ...], where each has
      a moving average of its losses (`loss.learns_from_failure`).
  """

  model: nn.Module
  optimizer: optax.GradientTransformation
  learning_rate: optax.Schedule
  task: Task
  pruning: Pruning
  forgets: Callable[[jax.Array], jax.Array] | None = None
  label_smoothing: float = 0.0
  loss: Loss = dataclasses.field(default_factory=Loss)
  table: tuple[int, ...] = ()


def make_recipe(
  config: Train,
  *,
  model: nn.Module,
  task: Task,
  steps_per_epoch: int,
  first_step: int = 0,
  pruning: Pruning | None = None,
  loss: Loss | None = None,
  table: tuple[int, ...] = (),
) -> Recipe:
  """Makes the recipe that a config describes.

  Args:
    config: optimiser and learning rate.
    model: the network.
    task: decides the loss.
    steps_per_epoch: optimiser steps an epoch.
    first_step: the number of the first step, for a phase after others.
    pruning: what is pruned and how; by default as `Pruning()` says.
    loss: what is minimised; by default as `Loss()` says.
    table: shape of the training split's labels.
  """
  decay = optax.add_decayed_weights(config.weight_decay)
  if config.optimizer == "sgd":
    optimizer = optax.chain(
      decay, optax.trace(config.momentum, config.nesterov)
    )
  else:
    optimizer = optax.chain(optax.scale_by_adam(), decay)
  schedule = learning_rate(config, steps_per_epoch)

  def new_epoch(step: jax.Array) -> jax.Array:
    return (step - first_step) % steps_per_epoch == 0

  return Recipe(
    model=model,
    optimizer=optimizer,
    learning_rate=lambda step: schedule(step - first_step),
    task=task,
    pruning=pruning or Pruning(),
    forgets=new_epoch if config.reset_momentum else None,
    label_smoothing=config.label_smoothing,
    loss=loss or Loss(),
    table=table,
  )


def learning_rate(config: Train, steps_per_epoch: int) -> optax.Schedule:
  """The learning rate of a step, counted from the phase's first."""
  warmup = round(config.warmup * steps_per_epoch)
  rest = config.epochs * steps_per_epoch - warmup
  after = optax.constant_schedule(config.learning_rate)
  if config.schedule == "cosine":
    after = optax.cosine_decay_schedule(config.learning_rate, max(rest, 1))
  elif config.schedule == "steps":
    drops = [round(epoch * steps_per_epoch) - warmup for epoch in config.drops]
    after = optax.piecewise_constant_schedule(
      config.learning_rate, dict.fromkeys(drops, config.drop_factor)
    )
  rising = optax.linear_schedule(0.0, config.learning_rate, max(warmup, 1))
  # The first step of a warm-up from 0 would change nothing.
  return optax.join_schedules([lambda step: rising(step + 1), after], [warmup])


def forward(
  recipe: Recipe,
  params: masking.Params,
  batch_stats: masking.Params,
  images: jax.Array,
) -> tuple[jax.Array, masking.Params]:
  """Logits of a training batch, and the running statistics after it."""
  logits, updated = recipe.model.apply(
    {"params": params, "batch_stats": batch_stats},
    normalise(images),
    train=True,
    mutable=["batch_stats"],
  )
  return logits, updated.get("batch_stats", {})


def descend(
  recipe: Recipe,
  params: masking.Params,
  momenta: optax.OptState,
  gradient: masking.Params,
  step: jax.Array,
) -> tuple[masking.Params, optax.OptState]:
  """Parameters and the optimiser's state after a step down a gradient."""
  if recipe.forgets is not None:
    fresh = recipe.forgets(step)
    momenta = jax.tree.map(
      lambda m: jnp.where(fresh, jnp.zeros_like(m), m), momenta
    )
  direction, momenta = recipe.optimizer.update(gradient, momenta, params)
  rate = recipe.learning_rate(step)
  return jax.tree.map(lambda p, d: p - rate * d, params, direction), momenta
