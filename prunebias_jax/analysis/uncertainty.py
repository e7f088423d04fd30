"""How unsure the outputs are: shares of unsure examples, entropy.

Reference: Iofinova et al. 2023 for `uncertainty` (the share of examples whose
probability is strictly between .1 and .9). The tighter band, the entropy and
the forms for exclusive classes are this project's.

Probabilities are compared in logit space, where nothing saturates:
p < .9 is z < log 9.
"""

import numpy as np

UNSURE = float(np.log(9.0))
VERY_UNSURE = float(np.log(1.5))


def uncertainty(logits: np.ndarray) -> np.ndarray:
  """Share of examples with .1 < p < .9 (Iofinova et al. 2023).

  Args:
    logits: [example, attribute].

  Returns:
    float64 [attribute] in [0, 1].
  """
  return np.mean(np.abs(logits) < UNSURE, axis=0)


def high_uncertainty(logits: np.ndarray) -> np.ndarray:
  """Share of examples with .4 < p < .6 (this project).

  Args:
    logits: [example, attribute].

  Returns:
    float64 [attribute] in [0, 1].
  """
  return np.mean(np.abs(logits) < VERY_UNSURE, axis=0)


def binary_entropy(logits: np.ndarray) -> np.ndarray:
  """Entropy of sigmoid(z) in bits (this project), without forming 1 - p.

  With a = |z|: (log(1 + e^-a) + a e^-a / (1 + e^-a)) / log 2.

  Args:
    logits: any shape, finite.

  Returns:
    float64 of the same shape, in [0, 1].
  """
  size = np.abs(logits, dtype=np.float64)
  small = np.exp(-size)
  nats = np.log1p(small) + size * (small / (1 + small))
  # log1p(1) / log(2) may exceed 1 by one rounding.
  return np.minimum(nats / np.log(2.0), 1.0)


def log_softmax(logits: np.ndarray) -> np.ndarray:
  """Log probabilities of exclusive classes: float64 [example, class]."""
  # In float32 the difference of two large logits is infinite.
  exact = logits.astype(np.float64)
  shifted = exact - np.max(exact, axis=1, keepdims=True)
  return shifted - np.log(np.sum(np.exp(shifted), axis=1, keepdims=True))


def log_odds(logits: np.ndarray) -> np.ndarray:
  """log(p_c / (1 - p_c)) of every class against the rest (this project).

  Makes the binary metrics, written in logit space, apply to each of the
  exclusive classes. The likeliest class goes by the sum over the others, so
  that it does not saturate as log p_c does.

  Args:
    logits: [example, class], finite, at least two classes.

  Returns:
    float64 [example, class].
  """
  exact = logits.astype(np.float64)
  log_p = log_softmax(exact)
  top = np.argmax(exact, axis=1)[:, None]
  others = exact.copy()
  np.put_along_axis(others, top, -np.inf, axis=1)
  second = np.max(others, axis=1, keepdims=True)
  rest = second + np.log(np.sum(np.exp(others - second), axis=1, keepdims=True))
  # Every other class has p <= 1/2, so 1 - p loses nothing.
  odds = log_p - np.log1p(-np.minimum(np.exp(log_p), 0.5))
  np.put_along_axis(odds, top, np.take_along_axis(exact, top, 1) - rest, axis=1)
  return odds


def class_uncertainty(odds: np.ndarray) -> float:
  """Share of examples whose largest probability is below .9 (this project).

  Args:
    odds: [example, class], as `log_odds` returns.
  """
  return float(np.mean(np.max(odds, axis=1) < UNSURE))


def class_entropy(logits: np.ndarray) -> float:
  """Mean entropy of softmax(z) in bits, in [0, log2(classes)] (this project).

  Args:
    logits: [example, class], finite.
  """
  log_p = log_softmax(logits)
  bits = -np.sum(np.exp(log_p) * log_p, axis=1) / np.log(2.0)
  return float(np.mean(bits))
