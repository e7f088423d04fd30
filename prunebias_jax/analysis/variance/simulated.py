"""Members and examples drawn at random, of which the truth is known.

For scripts/simulate_variance and the tests. Attributes are independent, so that
each is a replicate. A logit is the sum of what the label says, of a member's
shift (another one in the group), of the example's difficulty, which all members
share, and of noise.
"""

from collections.abc import Mapping
import dataclasses

import numpy as np
import scipy.stats
import xarray as xr

from prunebias_jax.analysis.columns import MAIN
from prunebias_jax.analysis.evidence import Evidence, gather_evidence
from prunebias_jax.analysis.facts import gather
from prunebias_jax.analysis.options import Options

EXAMPLES = 600
GROUP = 0.4
RATES = np.array([0.25, 0.5])  # of the label, outside and inside the group
SIGNAL = 2.0
HARD = 0.8  # sd of the examples' difficulty
NOISE = 0.6
SCALE = np.hypot(HARD, NOISE)


@dataclasses.dataclass(frozen=True)
class Seeds:
  """Sd of the members' shifts: everywhere, and in the group besides.

  `drop` is the mean shift in the group.
  """

  everywhere: float = 0.3
  group: float = 0.3
  drop: float = 0.0


def draw_shifts(
  rng: np.random.Generator, shape: tuple[int, ...], seeds: Seeds
) -> tuple[np.ndarray, np.ndarray]:
  """Shifts of members, and those in the group besides: `shape` each."""
  return (
    rng.normal(scale=seeds.everywhere, size=shape),
    rng.normal(-seeds.drop, seeds.group, size=shape),
  )


def draw_evaluation(
  rng: np.random.Generator,
  levels: Mapping[float, Seeds],
  members: int,
  attributes: int,
  draws: int = 0,
) -> Evidence:
  """An evaluation of populations at some sparsities, dense at 0.

  Args:
    rng: of everything.
    levels: what the seeds of each sparsity do.
    members: seeds at each.
    attributes: independent ones, all of the same law.
    draws: of the two-level bootstrap.

  Returns:
    The evaluation, one identity attribute "G", 600 examples.
  """

  def truth(size: int) -> tuple[np.ndarray, np.ndarray]:
    group = rng.random(size) < GROUP
    return group, rng.random((size, attributes)) < RATES[group.astype(int)][
      :, None
    ]

  splits = {}
  for name, size in (("train", 20_000), ("test", EXAMPLES)):
    group, labels = truth(size)
    splits[name] = xr.Dataset(
      {
        "labels": (("example", "attribute"), labels.astype(np.uint8)),
        "identities": (
          ("example", "identity"),
          group[:, None].astype(np.uint8),
        ),
      },
      coords={
        "example": [f"{name}{i}" for i in range(size)],
        "attribute": [f"A{i}" for i in range(attributes)],
        "identity": ["G"],
      },
    )
  hard = rng.normal(scale=HARD, size=(EXAMPLES, attributes))
  parts = []
  for seeds in levels.values():
    shift, inside = draw_shifts(rng, (members, 1, attributes), seeds)
    noise = rng.normal(scale=NOISE, size=(members, EXAMPLES, attributes))
    signal = SIGNAL * (labels - 0.5)
    parts.append(signal + shift + inside * group[:, None] + hard + noise)
  key = [(level, seed) for level in levels for seed in range(members)]
  splits["test"]["logits"] = (
    ("member", "example", "attribute"),
    np.concatenate(parts).astype(np.float32),
  )
  splits["test"] = splits["test"].assign_coords(
    pruner=("member", ["magnitude" if level else "dense" for level, _ in key]),
    sparsity=("member", [level for level, _ in key]),
    quantization=("member", ["none"] * len(key)),
    seed=("member", [seed for _, seed in key]),
  )
  return gather_evidence(
    MAIN, splits["test"], gather(splits), Options(bootstraps=draws)
  )


def truths(seeds: Seeds) -> dict[str, tuple[float, float]]:
  """Mean and variance over members of metrics on endless test sets.

  Of the group 1 where a metric is of a group. From the normal distribution of a
  logit given label, group and member; over 200,000 members.
  """
  rng = np.random.default_rng(0)
  shift, inside = draw_shifts(rng, (200_000,), seeds)
  weight = np.array([1 - GROUP, GROUP])
  # P(predicted positive | label, group): [label, group, member].
  chosen = np.array(
    [
      [
        scipy.stats.norm.cdf((SIGNAL * (y - 0.5) + shift + inside * g) / SCALE)
        for g in (0, 1)
      ]
      for y in (0, 1)
    ]
  )
  share = np.array([weight * (1 - RATES), weight * RATES])[:, :, None]
  positives = share[1].sum()
  selected = (share * chosen).sum(axis=(0, 1))
  in_group = (share * chosen)[:, 1].sum(axis=0)
  auc = sum(
    share[1, g]
    * share[0, h]
    / positives
    / (1 - positives)
    * scipy.stats.norm.cdf((SIGNAL + inside * (g - h)) / (SCALE * np.sqrt(2)))
    for g in (0, 1)
    for h in (0, 1)
  )
  values = {
    "accuracy": (share[1] * chosen[1] + share[0] * (1 - chosen[0])).sum(axis=0),
    "false_negative_rate": 1 - chosen[1, 1],
    "tcb": selected / positives,
    "bias_amplification": in_group / selected - share[1, 1] / positives,
    "auc": auc,
    "balanced_accuracy": (
      (share[1] * chosen[1]).sum(axis=0) / positives
      + (share[0] * (1 - chosen[0])).sum(axis=0) / (1 - positives)
    )
    / 2,
  }
  return {
    name: (float(one.mean()), float(one.var())) for name, one in values.items()
  }
