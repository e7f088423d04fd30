"""One model: initialise, train, predict, as pure functions.

Nothing here knows of other members; `population` lifts these functions over
seeds and sparsity levels. The step counter is an argument, so that it need not
be batched when members are. Pruning is in `mask_update`.
"""

from collections.abc import Callable
import dataclasses
from typing import NamedTuple

import flax.linen as nn
import jax
from jax import lax
import jax.numpy as jnp
import optax

from prunebias_jax.config import Pruning, Train
from prunebias_jax.data.augment import normalise
from prunebias_jax.data.dataset import Task
from prunebias_jax.pruning import masks as masking
from prunebias_jax.training.loss import loss_and_accuracy
from prunebias_jax.training.randomness import Purpose, purpose_key


class Member(NamedTuple):
  """The state of one model.

  Attributes:
    params: parameters; pruned weights are exactly zero.
    batch_stats: running statistics of batch normalisation.
    momenta: the optimiser's state.
    masks: bool arrays by path, True where a weight is kept.
    healthy: bool [], False once a loss or gradient was not finite; the member
      is frozen as it was before.
  """

  params: masking.Params
  batch_stats: masking.Params
  momenta: optax.OptState
  masks: masking.Masks
  healthy: jax.Array


class Progress(NamedTuple):
  """Sums over training steps: float32 []; divide by the number of steps."""

  loss: jax.Array
  accuracy: jax.Array


class Best(NamedTuple):
  """The member as it was when its validation loss was lowest.

  Attributes:
    params: parameters.
    batch_stats: running statistics of batch normalisation.
    loss: float32 [], the validation loss; infinite before there is one.
  """

  params: masking.Params
  batch_stats: masking.Params
  loss: jax.Array


class Early(NamedTuple):
  """What a member goes back to.

  Attributes:
    params: parameters.
    batch_stats: running statistics of batch normalisation.
  """

  params: masking.Params
  batch_stats: masking.Params


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
  """

  model: nn.Module
  optimizer: optax.GradientTransformation
  learning_rate: optax.Schedule
  task: Task
  pruning: Pruning
  forgets: Callable[[jax.Array], jax.Array] | None = None
  label_smoothing: float = 0.0


def make_recipe(
  config: Train,
  *,
  model: nn.Module,
  task: Task,
  steps_per_epoch: int,
  first_step: int = 0,
  pruning: Pruning | None = None,
) -> Recipe:
  """Makes the recipe that a config describes.

  Args:
    config: optimiser and learning rate.
    model: the network.
    task: decides the loss.
    steps_per_epoch: optimiser steps an epoch.
    first_step: the number of the first step, for a phase after others.
    pruning: what is pruned and how; by default as `Pruning()` says.
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


def init(
  recipe: Recipe, seed: jax.Array, image_shape: tuple[int, ...]
) -> Member:
  """A fresh, dense member.

  Args:
    recipe: model and optimiser.
    seed: uint32 [], the member's seed.
    image_shape: (height, width, channel).
  """
  images = jnp.zeros((1, *image_shape), jnp.float32)
  key = purpose_key(seed, Purpose.INIT)
  variables = recipe.model.init(key, images, train=False)
  params = variables["params"]
  return Member(
    params=params,
    batch_stats=variables.get("batch_stats", {}),
    momenta=recipe.optimizer.init(params),
    masks=masking.full_masks(params, recipe.pruning),
    healthy=jnp.bool_(True),
  )


def train_step(
  recipe: Recipe,
  member: Member,
  images: jax.Array,
  labels: jax.Array,
  step: jax.Array,
) -> tuple[Member, Progress]:
  """One optimiser step.

  Args:
    recipe: model, optimiser and loss.
    member: the state before.
    images: uint8 [batch, y, x, channel].
    labels: [batch, attribute] in {0, 1}, NaN where missing, or [batch] class
      ids.
    step: int32 [], counts from 0; sets the learning rate.

  Returns:
    The state after, masked weights exactly zero, and the batch's loss and
    accuracy. A member whose loss or gradient is not finite is left as it was
    and never trained again.
  """

  def loss_of(params: masking.Params) -> tuple[jax.Array, tuple]:
    return training_loss(recipe, params, member.batch_stats, images, labels)

  (loss, (accuracy, batch_stats)), gradient = jax.value_and_grad(
    loss_of, has_aux=True
  )(member.params)
  momenta = member.momenta
  if recipe.forgets is not None:
    fresh = recipe.forgets(step)
    momenta = jax.tree.map(
      lambda m: jnp.where(fresh, jnp.zeros_like(m), m), momenta
    )
  direction, momenta = recipe.optimizer.update(gradient, momenta, member.params)
  rate = recipe.learning_rate(step)
  params = jax.tree.map(lambda p, d: p - rate * d, member.params, direction)
  healthy = member.healthy & jnp.isfinite(loss + optax.tree.norm(gradient))
  before = member.params, member.batch_stats, member.momenta
  after = masking.apply_masks(params, member.masks), batch_stats, momenta
  kept = jax.tree.map(lambda a, b: jnp.where(healthy, a, b), after, before)
  params, batch_stats, momenta = kept
  state = Member(params, batch_stats, momenta, member.masks, healthy)
  return state, Progress(loss, accuracy)


def training_loss(
  recipe: Recipe,
  params: masking.Params,
  batch_stats: masking.Params,
  images: jax.Array,
  labels: jax.Array,
) -> tuple[jax.Array, tuple[jax.Array, masking.Params]]:
  """A batch's loss; its accuracy, and the running statistics after it."""
  logits, updated = recipe.model.apply(
    {"params": params, "batch_stats": batch_stats},
    normalise(images),
    train=True,
    mutable=["batch_stats"],
  )
  loss, accuracy = loss_and_accuracy(
    recipe.task, logits, labels, recipe.label_smoothing
  )
  return loss, (accuracy, updated.get("batch_stats", {}))


def train_steps(
  recipe: Recipe,
  member: Member,
  images: jax.Array,
  labels: jax.Array,
  first_step: jax.Array,
  count: jax.Array,
) -> tuple[Member, Progress]:
  """The first `count` of several prepared batches, one after the other.

  Args:
    recipe: model, optimiser and loss.
    member: the state before.
    images: uint8 [step, batch, y, x, channel].
    labels: [step, batch, ...].
    first_step: int32 [], number of the first batch's step.
    count: int32 [], how many of the batches are used.

  Returns:
    The state after, and sums of loss and accuracy over the steps.
  """

  def body(
    index: jax.Array, carry: tuple[Member, Progress]
  ) -> tuple[Member, Progress]:
    member, total = carry
    member, progress = train_step(
      recipe, member, images[index], labels[index], first_step + index
    )
    return member, jax.tree.map(jnp.add, total, progress)

  zero = Progress(jnp.float32(0), jnp.float32(0))
  return lax.fori_loop(0, count, body, (member, zero))


def restart(recipe: Recipe, member: Member) -> Member:
  """The member with the optimiser of another phase, fresh."""
  return member._replace(momenta=recipe.optimizer.init(member.params))


def rewind(member: Member, early: Early) -> Member:
  """The member with its masks, and parameters and statistics of before."""
  return member._replace(
    params=masking.apply_masks(early.params, member.masks),
    batch_stats=early.batch_stats,
  )


def no_best(member: Member) -> Best:
  """A `Best` that anything replaces; its parameters are zeros."""
  return Best(
    params=jax.tree.map(jnp.zeros_like, member.params),
    batch_stats=jax.tree.map(jnp.zeros_like, member.batch_stats),
    loss=jnp.float32(jnp.inf),
  )


def keep_better(best: Best, member: Member, loss: jax.Array) -> Best:
  """The better of two.

  Args:
    best: the best so far.
    member: the state now.
    loss: float32 [], its validation loss; NaN is never better.
  """
  now = Best(member.params, member.batch_stats, loss)
  return jax.tree.map(lambda a, b: jnp.where(loss < best.loss, a, b), now, best)


def predict(recipe: Recipe, member: Member, images: jax.Array) -> jax.Array:
  """Logits float32 [example, output] of uint8 [example, y, x, channel]."""
  variables = {"params": member.params, "batch_stats": member.batch_stats}
  logits = recipe.model.apply(variables, normalise(images), train=False)
  return jnp.asarray(logits)
