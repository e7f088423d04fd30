"""One model: initialise, train, predict, as pure functions.

Nothing here knows of other members; `population` lifts these functions over
seeds and sparsity levels. The step counter is an argument, so that it need not
be batched when members are. Pruning is in `mask_update`.
"""

from typing import NamedTuple

import jax
from jax import lax
import jax.numpy as jnp
import optax

from prunebias_jax.data.augment import normalise
from prunebias_jax.pruning import masks as masking
from prunebias_jax.training import failure
from prunebias_jax.training.layout import TrainData
from prunebias_jax.training.loss import loss_and_accuracy
from prunebias_jax.training.randomness import Purpose, purpose_key
from prunebias_jax.training.recipe import Recipe, descend, forward


class Member(NamedTuple):
  """The state of one model.

  Attributes:
    params: parameters; pruned weights are exactly zero.
    batch_stats: running statistics of batch normalisation.
    momenta: the optimiser's state.
    masks: bool arrays by path, True where a weight is kept.
    healthy: bool [], False once a loss or gradient was not finite; the member
      is frozen as it was before.
    biased: the network whose failures teach this one; None where none does.
  """

  params: masking.Params
  batch_stats: masking.Params
  momenta: optax.OptState
  masks: masking.Masks
  healthy: jax.Array
  biased: failure.Biased | None = None


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
  biased = None
  if recipe.loss.learns_from_failure:
    biased = failure.init(recipe, seed, images)
  return Member(
    params=params,
    batch_stats=variables.get("batch_stats", {}),
    momenta=recipe.optimizer.init(params),
    masks=masking.full_masks(params, recipe.pruning),
    healthy=jnp.bool_(True),
    biased=biased,
  )


def train_step(
  recipe: Recipe,
  member: Member,
  batch: TrainData,
  step: jax.Array,
  all_labels: jax.Array | None = None,
) -> tuple[Member, Progress]:
  """One optimiser step.

  Args:
    recipe: model, optimiser and loss.
    member: the state before.
    batch: images uint8 [batch, y, x, channel]; labels [batch, attribute] in
      {0, 1}, NaN where missing, or [batch] class ids; weights and places where
      the loss takes them.
    step: int32 [], counts from 0; sets the learning rate.
    all_labels: labels of the training split, where a biased network teaches.

  Returns:
    The state after, masked weights exactly zero, and the batch's loss and
    accuracy. A member whose loss or gradient is not finite is left as it was
    and never trained again.
  """
  lesson = None
  if member.biased is not None:
    lesson = failure.learn(recipe, member.biased, batch, step)

  def loss_of(params: masking.Params) -> tuple[jax.Array, tuple]:
    logits, batch_stats = forward(
      recipe, params, member.batch_stats, batch.images
    )
    weights, losses = batch.weights, None
    if lesson is not None:
      weights, losses = failure.weigh(recipe, lesson, logits, batch, all_labels)
    loss, accuracy = loss_and_accuracy(
      recipe.task, logits, batch.labels, recipe.label_smoothing, weights
    )
    return loss, (accuracy, batch_stats, losses)

  (loss, (accuracy, batch_stats, losses)), gradient = jax.value_and_grad(
    loss_of, has_aux=True
  )(member.params)
  params, momenta = descend(
    recipe, member.params, member.momenta, gradient, step
  )
  healthy = member.healthy & jnp.isfinite(loss + optax.tree.norm(gradient))
  before = member.params, member.batch_stats, member.momenta
  after = masking.apply_masks(params, member.masks), batch_stats, momenta
  biased = None
  if lesson is not None:
    healthy &= jnp.isfinite(lesson.size)
    biased = failure.after(lesson, losses, batch, healthy)
  kept = jax.tree.map(lambda a, b: jnp.where(healthy, a, b), after, before)
  params, batch_stats, momenta = kept
  state = Member(params, batch_stats, momenta, member.masks, healthy, biased)
  return state, Progress(loss, accuracy)


def training_loss(
  recipe: Recipe,
  params: masking.Params,
  batch_stats: masking.Params,
  images: jax.Array,
  labels: jax.Array,
) -> jax.Array:
  """The plain loss of a batch."""
  logits, _ = forward(recipe, params, batch_stats, images)
  return loss_and_accuracy(recipe.task, logits, labels, recipe.label_smoothing)[
    0
  ]


def train_steps(
  recipe: Recipe,
  member: Member,
  batches: TrainData,
  first_step: jax.Array,
  count: jax.Array,
  all_labels: jax.Array | None = None,
) -> tuple[Member, Progress]:
  """The first `count` of several prepared batches, one after the other.

  Args:
    recipe: model, optimiser and loss.
    member: the state before.
    batches: images uint8 [step, batch, y, x, channel], labels
      [step, batch, ...] and so on.
    first_step: int32 [], number of the first batch's step.
    count: int32 [], how many of the batches are used.
    all_labels: as `train_step` has them.

  Returns:
    The state after, and sums of loss and accuracy over the steps.
  """

  def body(
    index: jax.Array, carry: tuple[Member, Progress]
  ) -> tuple[Member, Progress]:
    member, total = carry
    batch = jax.tree.map(lambda array: array[index], batches)
    member, progress = train_step(
      recipe, member, batch, first_step + index, all_labels
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
