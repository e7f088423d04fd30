"""All that is known of one case: labels, groups, votes and probabilities."""

from typing import Any

import numpy as np

from prunebias_jax.audit.cases import Cases
from prunebias_jax.audit.examples import Examples

# Neighbours are among examples whose dense members are this sure and right.
_EASY = 0.9


def blind_item(
  examples: Examples, row: int, question: int, *, groups: bool
) -> dict[str, Any]:
  """What a reviewer may know before the verdict.

  Args:
    examples: the split.
    row: the example's place.
    question: the attribute's.
    groups: whether the groups are among it.
  """
  found: dict[str, Any] = {
    "row": row,
    "question": question,
    "example_id": str(examples.ids[row]),
    "attribute": examples.questions[question],
    "label": examples.label_text(row, question),
  }
  if groups:
    found["groups"] = groups_of(examples, row)
  return found


def groups_of(examples: Examples, row: int) -> list[dict[str, Any]]:
  """The identities of one example."""
  return [
    {"name": name, "value": int(value)}
    for name, value in zip(
      examples.identity_names, examples.identities[row], strict=True
    )
  ]


def open_item(
  examples: Examples, cases: Cases, row: int, question: int
) -> dict[str, Any]:
  """One case with everything that the models say of it."""
  labels = [
    {"name": name, "label": examples.label_text(row, place)}
    for place, name in enumerate(examples.questions)
  ]
  return {
    **blind_item(examples, row, question, groups=True),
    "labels": labels if not examples.multiclass else [],
    "truth": {
      name: _number(values[row, question])
      for name, values in examples.truth.items()
    },
    "populations": [
      _population(examples, cases, place, row, question)
      for place in range(len(examples.populations))
    ],
    "neighbours": neighbours(examples, row, question),
  }


def _population(
  examples: Examples, cases: Cases, place: int, row: int, question: int
) -> dict[str, Any]:
  """What one population says of one case."""
  votes = examples.votes(place, question)
  members = examples.places(place)
  every = examples.probabilities(members, np.array([row]), question)[..., 0]
  counts = examples.histogram(place, question, np.array([row]))[:, 0]
  answer = 1
  if examples.multiclass:
    answer = int(examples.labels[row, 0])
  rows = cases.of(place, question)
  listed = rows[rows["row"] == row]
  exemplar: dict[str, Any] = {}
  if len(listed):
    first = listed.iloc[0]
    exemplar = {
      "is_cie": bool(first["is_cie"]),
      **{
        name: _number(first[name])
        for name in ("taxicab", "excess", "onset", "rank")
      },
    }
  return {
    "population": place,
    "modal": examples.answer_text(int(votes.modal[row])),
    "share": float(votes.share[row]),
    "mean": float(votes.mean[row]),
    "histogram": [
      {"answer": examples.answer_text(one), "share": float(share)}
      for one, share in enumerate(counts)
      if share > 0 or not examples.multiclass
    ],
    "seeds": examples.members["seed"].to_numpy()[members].tolist(),
    "probabilities": every[answer].tolist(),
    "exemplar": exemplar,
  }


def neighbours(
  examples: Examples, row: int, question: int
) -> list[dict[str, Any]]:
  """The nearest easy examples, one of each label.

  Near in the mean dense logits of all outputs, each scaled by its spread; easy
  where the mean dense probability of the label is above .9. This project's.
  """
  if examples.dense is None:
    return []
  labels = examples.labels[:, question]
  mean = examples.votes(examples.dense, question).mean
  if not examples.multiclass:
    mean = np.where(labels == 1, mean, 1 - mean)
  easy = (mean > _EASY) & ~np.isnan(labels)
  easy[row] = False
  points = examples.points
  distance = np.square(points - points[:, row : row + 1]).sum(axis=0)
  found = []
  own = labels[row]
  for is_same in (True, False):
    candidates = np.flatnonzero(easy & ((labels == own) == is_same))
    if len(candidates):
      nearest = int(candidates[np.argmin(distance[candidates])])
      found.append(
        {
          "row": nearest,
          "example_id": str(examples.ids[nearest]),
          "label": examples.label_text(nearest, question),
        }
      )
  return found


def _number(value: Any) -> float | None:
  return float(value) if np.isfinite(value) else None
