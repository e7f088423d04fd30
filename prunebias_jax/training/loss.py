"""What a batch costs: cross-entropy, beside the share that is right."""

import jax
import jax.numpy as jnp
import optax

from prunebias_jax.data.dataset import Task


def loss_and_accuracy(
  task: Task,
  logits: jax.Array,
  labels: jax.Array,
  smoothing: float = 0.0,
  weights: jax.Array | None = None,
) -> tuple[jax.Array, jax.Array]:
  """Mean cross-entropy and share of correct predictions of a batch.

  Args:
    task: "multilabel" (binary, over batch x attribute) or "multiclass".
    logits: [batch, output].
    labels: [batch, attribute] in {0, 1}, or [batch] class ids. Attributes of a
      floating type may be missing, NaN: both means go over those that are
      there, and are 0 where none is.
    smoothing: share of the target that is spread evenly over the classes, of
      which an attribute has two (Szegedy et al. 2016, section 7).
    weights: of the shape of the labels, what each one's cross-entropy is
      multiplied by before the mean; None for 1. The accuracy has no weights.
  """
  if task == "multilabel" and jnp.issubdtype(labels.dtype, jnp.floating):
    return _over_present(logits, labels, smoothing, weights)
  if task == "multilabel":
    targets = labels
    if smoothing:
      targets = (1 - smoothing) * labels + smoothing / 2
    losses = optax.sigmoid_binary_cross_entropy(logits, targets)
    correct = (logits > 0) == (labels > 0)
  elif smoothing:
    wanted = jax.nn.one_hot(labels, logits.shape[-1])
    losses = optax.softmax_cross_entropy(
      logits, optax.smooth_labels(wanted, smoothing)
    )
    correct = logits.argmax(-1) == labels
  else:
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    correct = logits.argmax(-1) == labels
  if weights is not None:
    losses = losses * weights
  return losses.mean(), correct.mean(dtype=jnp.float32)


def _over_present(
  logits: jax.Array,
  labels: jax.Array,
  smoothing: float,
  weights: jax.Array | None,
) -> tuple[jax.Array, jax.Array]:
  """`loss_and_accuracy` of attributes, over the labels that are not NaN."""
  present = ~jnp.isnan(labels)
  # Before the loss, so that the gradient of a missing label is exactly 0.
  logits = jnp.where(present, logits, 0)
  labels = jnp.where(present, labels, 0)
  targets = (1 - smoothing) * labels + smoothing / 2 if smoothing else labels
  losses = optax.sigmoid_binary_cross_entropy(logits, targets)
  if weights is not None:
    losses = losses * weights
  correct = (logits > 0) == (labels > 0)
  count = jnp.maximum(present.sum(), 1).astype(jnp.float32)
  return (
    jnp.where(present, losses, 0).sum() / count,
    (correct & present).sum().astype(jnp.float32) / count,
  )


def label_losses(task: Task, logits: jax.Array, labels: jax.Array) -> jax.Array:
  """Cross-entropy of every label, of their shape; 0 where one is missing."""
  if task == "multiclass":
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels)
  present = is_present(labels)
  # Before the loss, so that the gradient of a missing label is exactly 0.
  logits = jnp.where(present, logits, 0)
  losses = optax.sigmoid_binary_cross_entropy(
    logits, jnp.where(present, labels, 0)
  )
  return jnp.where(present, losses, 0)


def is_present(labels: jax.Array) -> jax.Array:
  """Which labels are there: not NaN."""
  if jnp.issubdtype(labels.dtype, jnp.floating):
    return ~jnp.isnan(labels)
  return jnp.ones_like(labels, bool)
