"""What a population votes: histograms, modal labels, Taxicab distances.

A question is what one vote answers: an attribute (0 or 1), or the only
question of a classifier, which class. Predictions are those of the default
thresholds: logit above 0, likeliest class.

Reference: Hooker et al., "Characterising Bias in Compressed Models", 2020
(modal labels and their disagreement; the Taxicab distance between histograms);
largest id among tied labels by the public code of its sister paper, "What Do
Compressed Deep Neural Networks Forget?", 2019. Breaking ties by the mean
probability is this project's.
"""

from collections.abc import Sequence
import dataclasses

import numpy as np
import scipy.special

from prunebias_jax.analysis.evidence import Evidence
from prunebias_jax.analysis.parity import Parity

# Probabilities that break ties are counted in units of 2^-30: their sums are
# then exact in float64, in whatever order the members come.
UNIT = 2.0**30


@dataclasses.dataclass(frozen=True, kw_only=True)
class Votes:
  """The votes of one population.

  Attributes:
    choice: int8 [question, member, example], 0 or 1; int16, a class id. By
      question, since all that follows goes question by question.
    counts: int64 [example, output]: votes for 1 of an attribute, or for a
      class.
    logits: [member, example, output], as stored.
    probability: float64 [example, output], mean over the members.
    margin: float64 [example, question], mean over the members of |p - .5|; of
      classes, of the gap between the two largest probabilities.
    exclusive: one question with the outputs for answers.
  """

  choice: np.ndarray
  counts: np.ndarray
  logits: np.ndarray
  probability: np.ndarray
  margin: np.ndarray
  exclusive: bool

  @property
  def members(self) -> int:
    """The number of members."""
    return self.choice.shape[1]


def votes_of(logits: np.ndarray, *, exclusive: bool = False) -> Votes:
  """The votes that logits make.

  Args:
    logits: [member, example, output], finite.
    exclusive: the outputs are exclusive classes.
  """
  members, examples, outputs = logits.shape
  questions = 1 if exclusive else outputs
  kind = np.int16 if exclusive else np.int8
  choice = np.empty((questions, members, examples), kind)
  counts = np.zeros((examples, outputs), np.int64)
  total = np.zeros((examples, outputs))
  margin = np.zeros((examples, questions))
  rows = np.arange(examples)
  for member, values in enumerate(logits):
    p = probabilities(values, exclusive=exclusive)
    total += p
    if exclusive:
      top = np.partition(p, -2, axis=1)
      margin[:, 0] += top[:, -1] - top[:, -2]
      choice[0, member] = np.argmax(values, axis=1)
      counts[rows, choice[0, member]] += 1
    else:
      margin += np.abs(p - 0.5)
      above = values > 0
      choice[:, member] = above.T
      counts += above
  return Votes(
    choice=choice,
    counts=counts,
    logits=logits,
    probability=total / members,
    margin=margin / members,
    exclusive=exclusive,
  )


def read_votes(evidence: Evidence, places: Sequence[int] | np.ndarray) -> Votes:
  """Reads the votes of the members at these places."""
  logits = np.stack([evidence.logits(int(place)) for place in places])
  return votes_of(logits, exclusive=evidence.facts.exclusive)


def probabilities(logits: np.ndarray, *, exclusive: bool) -> np.ndarray:
  """Probabilities of logits [..., output], float64."""
  if exclusive:
    return scipy.special.softmax(logits.astype(np.float64), axis=-1)
  return scipy.special.expit(logits.astype(np.float64))


def contrast(
  votes: Votes,
  question: int,
  examples: np.ndarray,
  *,
  members: int,
  ties: bool,
) -> np.ndarray:
  """Numbers whose sum over members is above 0 where the modal label is 1.

  Args:
    votes: those of attributes.
    question: which attribute.
    examples: int [cell], where.
    members: at least the members that are summed; fewer than 2,000.
    ties: whether the mean probability breaks ties; else a tie sums to 0.

  Returns:
    float64 [member, cell] with ties, else float32; integers, exact in sums.
  """
  side = 2 * votes.choice[question][:, examples] - 1
  if not ties:
    return side.astype(np.float32)
  lean = np.tanh(votes.logits[:, examples, question].astype(np.float64) / 2)
  return side * (members * UNIT) + np.rint(lean * (UNIT / 2))


def class_scores(
  votes: Votes,
  examples: np.ndarray,
  classes: np.ndarray,
  *,
  members: int,
  ties: bool,
) -> np.ndarray:
  """Numbers whose largest sum over members is the modal label's.

  Args:
    votes: those of a classifier.
    examples: int [cell], where.
    classes: int [answer, cell], the classes in question.
    members: at least the members that are summed; fewer than 2,000.
    ties: whether the mean probability breaks ties.

  Returns:
    float64 [answer, member, cell] with ties, else float32; exact in sums.
  """
  chosen = votes.choice[0][:, examples] == classes[:, None, :]
  if not ties:
    return chosen.astype(np.float32)
  found = probabilities(votes.logits[:, examples], exclusive=True)
  lean = np.take_along_axis(found, classes.T[None], axis=2).transpose(2, 0, 1)
  return chosen * ((members + 1) * UNIT) + np.rint(lean * UNIT)


def modal(votes: Votes, parity: Parity = "default") -> tuple[np.ndarray, ...]:
  """The label that most members vote for.

  Ties go to the larger mean probability and then to the smaller id; by the
  paper's rule to the largest id.

  Returns:
    int16 [example, question], and bool [example, question]: a tie.
  """
  counts = votes.counts
  if votes.exclusive:
    top = counts == counts.max(axis=1, keepdims=True)
    tied = top.sum(axis=1) > 1
    if parity == "paper":
      label = top.shape[1] - 1 - np.argmax(top[:, ::-1], axis=1)
    else:
      label = np.argmax(top, axis=1)
      where = np.flatnonzero(tied)
      found = probabilities(votes.logits[:, where], exclusive=True)
      lean = np.rint(found * UNIT).sum(axis=0)
      label[where] = np.argmax(np.where(top[where], lean, -1), axis=1)
    return label.astype(np.int16)[:, None], tied[:, None]
  tied = 2 * counts == votes.members
  label = 2 * counts > votes.members
  if parity == "paper":
    return (label | tied).astype(np.int16), tied
  for question in np.flatnonzero(tied.any(axis=0)).tolist():
    where = np.flatnonzero(tied[:, question])
    sums = contrast(votes, question, where, members=votes.members, ties=True)
    label[where, question] = sums.sum(axis=0) > 0
  return label.astype(np.int16), tied


def taxicab(first: Votes, second: Votes) -> np.ndarray:
  """L1 distance of two populations' histograms, normalised.

  Returns:
    float64 [example, question] in [0, 2].
  """
  return _distance(
    first.counts / first.members, second.counts / second.members, first
  )


def probability_distance(first: Votes, second: Votes) -> np.ndarray:
  """L1 distance of mean probabilities: float64 [example, question]."""
  return _distance(first.probability, second.probability, first)


def _distance(one: np.ndarray, other: np.ndarray, votes: Votes) -> np.ndarray:
  gap = np.abs(one - other)
  # Of an attribute, the shares of 0 and of 1 differ by the same.
  return gap.sum(axis=1, keepdims=True) if votes.exclusive else 2 * gap
