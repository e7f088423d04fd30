"""Learning from Failure: a biased network says which labels to learn from.

Beside each member a second network, the biased one, is trained on the same
batches by a loss that prefers what is easy. What it fails at and the member
does not yet know better weighs more in the member's own loss. In a multi-label
task each attribute is a task of its own, with weights and moving averages for
each example and attribute; in a multi-class one they are for each example.

The biased network is dense and stays so: pruned, it would fail elsewhere at
every level, and levels would differ by more than pruning. It is the same for
all levels of a seed.

Reference: Nam, Cha, Ahn, Lee and Shin 2020, Learning from Failure: Training
Debiased Classifier from Biased Classifier. Several attributes at once, missing
labels and pruning are this project's.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from prunebias_jax.data.dataset import Task
from prunebias_jax.pruning import masks as masking
from prunebias_jax.training.layout import TrainData
from prunebias_jax.training.loss import is_present, label_losses
from prunebias_jax.training.randomness import Purpose, purpose_key
from prunebias_jax.training.recipe import Recipe, descend, forward

# Of a label that no step has seen: losses are not negative.
UNSEEN = -1.0


class Biased(NamedTuple):
  """The state of a biased network, and what both networks found hard.

  Attributes:
    params: parameters.
    batch_stats: running statistics of batch normalisation.
    momenta: the optimiser's state.
    losses: float32 [2, example, ...], moving averages of every training label's
      cross-entropy, of the biased network and of the member; `UNSEEN` where
      there is none.
  """

  params: masking.Params
  batch_stats: masking.Params
  momenta: optax.OptState
  losses: jax.Array


class Lesson(NamedTuple):
  """What a batch did to the biased network.

  Attributes:
    before: its state before.
    state: its state after, but for the losses.
    losses: float32 [batch, ...], its cross-entropy of every label.
    size: float32 [], not finite where its loss or gradient was not.
  """

  before: Biased
  state: Biased
  losses: jax.Array
  size: jax.Array


def init(recipe: Recipe, seed: jax.Array, images: jax.Array) -> Biased:
  """A fresh biased network, initialised apart from its member.

  Args:
    recipe: model, optimiser and the number of training labels.
    seed: uint32 [], the member's seed of initialisation.
    images: float32 [1, y, x, channel], of the shape of images.
  """
  key = purpose_key(seed, Purpose.BIASED)
  variables = recipe.model.init(key, images, train=False)
  params = variables["params"]
  return Biased(
    params=params,
    batch_stats=variables.get("batch_stats", {}),
    momenta=recipe.optimizer.init(params),
    losses=jnp.full((2, *recipe.table), UNSEEN, jnp.float32),
  )


def learn(
  recipe: Recipe, biased: Biased, batch: TrainData, step: jax.Array
) -> Lesson:
  """One step of the biased network, by generalised cross-entropy."""

  def loss_of(params: masking.Params) -> tuple[jax.Array, tuple]:
    logits, batch_stats = forward(
      recipe, params, biased.batch_stats, batch.images
    )
    losses = label_losses(recipe.task, logits, batch.labels)
    # Missing labels have losses of 0, which give 0 here too.
    total = generalised(losses, recipe.loss.q).sum()
    count = jnp.maximum(is_present(batch.labels).sum(), 1)
    return total / count.astype(jnp.float32), (losses, batch_stats)

  (loss, (losses, batch_stats)), gradient = jax.value_and_grad(
    loss_of, has_aux=True
  )(biased.params)
  params, momenta = descend(
    recipe, biased.params, biased.momenta, gradient, step
  )
  return Lesson(
    before=biased,
    state=Biased(params, batch_stats, momenta, biased.losses),
    losses=losses,
    size=loss + optax.tree.norm(gradient),
  )


def weigh(
  recipe: Recipe,
  lesson: Lesson,
  logits: jax.Array,
  batch: TrainData,
  all_labels: jax.Array | None,
) -> tuple[jax.Array, jax.Array]:
  """Weights of a batch's labels in the member's loss.

  Args:
    recipe: decides task and moving average.
    lesson: what the biased network made of the batch.
    logits: float32 [batch, output], the member's; no gradient flows back.
    batch: labels and places of the examples.
    all_labels: labels of the training split [example, ...].

  Returns:
    weights float32 [batch, ...], and the moving averages after this batch.
  """
  if all_labels is None or batch.places is None:
    raise ValueError("a biased network needs all labels, and their places")
  own = label_losses(recipe.task, jax.lax.stop_gradient(logits), batch.labels)
  losses = averaged(
    lesson.before.losses,
    jnp.stack([lesson.losses, own]),
    batch.places,
    is_present(batch.labels),
    recipe.loss.ema,
  )
  weights = relative_difficulty(
    recipe.task,
    losses,
    all_labels,
    batch.labels,
    batch.places,
    classes=logits.shape[-1],
  )
  return weights, losses


def after(
  lesson: Lesson, losses: jax.Array, batch: TrainData, healthy: jax.Array
) -> Biased:
  """The biased network after a batch; as it was where not `healthy`.

  Args:
    lesson: what the batch did to it.
    losses: the moving averages that `weigh` gave.
    batch: places of the examples.
    healthy: bool [].
  """
  before = lesson.before
  kept = jax.tree.map(
    lambda a, b: jnp.where(healthy, a, b),
    lesson.state._replace(losses=losses[:, batch.places]),
    before._replace(losses=before.losses[:, batch.places]),
  )
  # The rows of the batch alone: the whole table would be read and written.
  return kept._replace(losses=losses.at[:, batch.places].set(kept.losses))


def generalised(losses: jax.Array, q: float) -> jax.Array:
  """Generalised cross-entropy (1 - p^q) / q of cross-entropies -log p.

  Its gradient is p^q times that of cross-entropy: what is known already counts
  most. Reference: Zhang and Sabuncu 2018, the loss L_q.
  """
  # Not expm1: its slope is computed as expm1 + 1, which loses small p.
  return (1 - jnp.exp(-q * losses)) / q


def averaged(
  losses: jax.Array,
  fresh: jax.Array,
  places: jax.Array,
  present: jax.Array,
  ema: float,
) -> jax.Array:
  """Moving averages after a batch; a label's first loss is its average.

  Args:
    losses: float32 [2, example, ...], the averages before.
    fresh: float32 [2, batch, ...], the losses of the batch.
    places: int32 [batch], distinct.
    present: bool [batch, ...], which labels are there; others keep theirs.
    ema: share of the average before in the one after.
  """
  old = losses[:, places]
  new = jnp.where(old < 0, fresh, ema * old + (1 - ema) * fresh)
  return losses.at[:, places].set(jnp.where(present[None], new, old))


def relative_difficulty(
  task: Task,
  losses: jax.Array,
  all_labels: jax.Array,
  labels: jax.Array,
  places: jax.Array,
  *,
  classes: int = 2,
) -> jax.Array:
  """Weights B / (B + D) of a batch's labels: float32 [batch, ...].

  B and D are the moving averages of the biased network and of the member, each
  divided by the largest among the training labels of the same class (and
  attribute) that were seen so far. Missing labels, and where B and D are both
  0, weigh 0.

  Args:
    task: "multilabel" or "multiclass".
    losses: float32 [2, example, ...], the averages.
    all_labels: [example, ...], the labels of the split.
    labels: [batch, ...], those of the batch.
    places: int32 [batch].
    classes: how many a multi-class task has.
  """
  if task == "multilabel":
    most = [
      jnp.max(losses, axis=1, where=(all_labels == one)[None], initial=0.0)
      for one in (0, 1)
    ]
    largest = jnp.where((labels == 1)[None], most[1][:, None], most[0][:, None])
  else:
    # A class that the split does not have has no maximum, nor a label here.
    most_of = jax.ops.segment_max(losses.T, all_labels, num_segments=classes)
    largest = most_of.T[:, labels]
  scaled = losses[:, places] / jnp.where(largest > 0, largest, 1)
  biased, own = jnp.where(is_present(labels)[None], scaled, 0)
  total = biased + own
  return jnp.where(total > 0, biased / jnp.where(total > 0, total, 1), 0)
