"""One model's masks: updated by the scores of a criterion, as pure functions.

The number of units to prune is an argument, so that levels are nothing but
integers when `population` lifts these functions over members.
"""

from flax import traverse_util
import jax
from jax import lax
import jax.numpy as jnp
import optax

from prunebias_jax.pruning import regrowth
from prunebias_jax.pruning.criterion import CRITERIA, Evidence
from prunebias_jax.pruning.masks import Params, apply_masks, prunable
from prunebias_jax.pruning.structure import unit_shape, update_masks
from prunebias_jax.training.layout import TrainData
from prunebias_jax.training.member import Member, training_loss
from prunebias_jax.training.randomness import Purpose, purpose_key
from prunebias_jax.training.recipe import Recipe


def prune(
  recipe: Recipe,
  member: Member,
  counts: jax.Array,
  seed: jax.Array | None = None,
  batch: TrainData | None = None,
) -> Member:
  """Updates the masks by the criterion's scores.

  Args:
    recipe: says what is pruned and how.
    member: the state before.
    counts: int32 [pool], how many units of each pool are pruned afterwards.
    seed: uint32 [], the member's seed, where the criterion draws.
    batch: what the criterion takes a gradient on, as `gradients` has it.
  """
  pruning = recipe.pruning
  criterion = CRITERIA[pruning.scored_by]
  weights = prunable(member.params, pruning)
  key, slopes, healthy = None, None, member.healthy
  if criterion.draws:
    if seed is None:
      raise ValueError(f"{pruning.scored_by} needs the member's seed")
    key = purpose_key(seed, Purpose.SCORES)
  if criterion.differentiates:
    if batch is None:
      raise ValueError(f"{pruning.criterion} needs a batch")
    slopes = prunable(gradients(recipe, member, batch), pruning)
    healthy &= jnp.isfinite(optax.tree.norm(slopes))
  units = {path: unit_shape(pruning, x.shape) for path, x in weights.items()}
  scores = criterion.scores(Evidence(weights, units, key, slopes))
  masks = update_masks(pruning, scores, member.masks, counts)
  return member._replace(
    params=apply_masks(member.params, masks),
    masks=masks,
    healthy=healthy,
  )


def regrow(
  recipe: Recipe, member: Member, moves: jax.Array, batch: TrainData
) -> Member:
  """Drops weights by magnitude and grows as many by gradient, layer by layer.

  What grows is zero at first, and so is its momentum.

  Args:
    recipe: says what is pruned.
    member: the state before.
    moves: int32 [layer], in path order, how many weights move.
    batch: what the gradient is taken on, as `gradients` has it.
  """
  weights = prunable(member.params, recipe.pruning)
  slopes = prunable(gradients(recipe, member, batch), recipe.pruning)
  masks, grown = regrowth.move(weights, slopes, member.masks, moves)

  def zeroed(momentum: jax.Array, path: str) -> jax.Array:
    return jnp.where(grown[path], 0, momentum) if path in grown else momentum

  paths = traverse_util.flatten_dict(member.params, sep="/")
  names = traverse_util.unflatten_dict({x: x for x in paths}, sep="/")
  return member._replace(
    params=apply_masks(member.params, masks),
    momenta=optax.tree.map_params(
      recipe.optimizer, zeroed, member.momenta, names
    ),
    masks=masks,
    healthy=member.healthy & jnp.isfinite(optax.tree.norm(slopes)),
  )


def gradients(recipe: Recipe, member: Member, batch: TrainData) -> Params:
  """Gradient of the mean training loss on a batch, pruned weights included.

  Normalisation goes by the batch's own statistics, as in training: before
  training there are no others. The running ones are left as they are.

  Args:
    recipe: model and loss.
    member: where the gradient is taken; nothing of it changes.
    batch: the scoring batch: images uint8 [step, example, y, x, channel] and
      labels [step, example, ...]. Steps are done one after the other, so that
      it may be larger than a training batch.
  """

  def loss_of(params: Params, index: int) -> jax.Array:
    images, labels = batch.images[index], batch.labels[index]
    return training_loss(recipe, params, member.batch_stats, images, labels)

  def body(index: int, total: Params) -> Params:
    gradient = jax.grad(loss_of)(member.params, index)
    return jax.tree.map(jnp.add, total, gradient)

  steps = len(batch.images)
  zeros = jax.tree.map(jnp.zeros_like, member.params)
  total = lax.fori_loop(0, steps, body, zeros)
  return jax.tree.map(lambda x: x / steps, total)


def zeros(member: Member) -> jax.Array:
  """Number of pruned weights: int32 []."""
  return sum(
    ((~mask).sum(dtype=jnp.int32) for mask in member.masks.values()),
    jnp.int32(0),
  )
